"""What a running chapter reports: its figures, its claims, and `results.json`.

A chapter calls :func:`.start` after its parameters, :meth:`Chapter.figure` for each number that
its prose or a reader needs, :meth:`Chapter.claim` for each thing that it taught, and
:meth:`Chapter.finish` in its last cell. Nothing shown here differs between two equal runs: times,
paths and memory go to `results.json` only.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from IPython import get_ipython
from IPython.display import display

from medpriv.course.catalog import ChapterSpec, check_value, spec
from medpriv.course.origins import Place, marked, place_now, tables_behind
from medpriv.course.recorded_tables import data_sets
from medpriv.course.results import versions, write_results
from medpriv.runtime.device import describe_device, pick_device
from medpriv.runtime.memory import peak_bytes
from medpriv.statistics import Estimate

# Pandas cuts what is wider than a terminal; claims and data cards hold sentences.
WHOLE_TABLE = ("display.max_colwidth", None, "display.max_columns", None, "display.width", 1000)


class ClaimError(AssertionError):
    """A claim does not hold where the chapter promises that it does."""


@dataclass(frozen=True)
class Figure:
    """One recorded number: the value, its interval, and the same figure without the attack."""

    name: str
    value: float
    low: float | None
    high: float | None
    baseline: float | None
    unit: str


@dataclass(frozen=True)
class Claim:
    """One statement of the chapter, checked: ``bound`` reads such as ``>= 0.2``.

    The prose knows it by its ``name``; without one no sentence speaks of it.
    """

    text: str
    value: float
    bound: str
    holds: bool
    name: str = ""


@dataclass
class Chapter:
    """A chapter while it runs; made by :func:`.start`."""

    spec: ChapterSpec
    parameters: dict[str, Any]
    # By name and by text, so that a cell that is run again replaces what it recorded before.
    _figures: dict[str, Figure] = field(default_factory=dict, repr=False)
    _claims: dict[str, Claim] = field(default_factory=dict, repr=False)
    _cells: dict[str, int | None] = field(default_factory=dict, repr=False)
    _places: dict[str, Place | None] = field(default_factory=dict, repr=False)

    def figure(
        self,
        name: str,
        value: float | Estimate,
        *,
        low: float | None = None,
        high: float | None = None,
        baseline: float | None = None,
        unit: str = "",
        fmt: str = ".2f",
    ) -> None:
        """Record a figure, and glue it for the prose.

        In the text ``{glue:text}`name``` gives the value in the format ``fmt``; ``name-low``,
        ``name-high`` and ``name-baseline`` give the others where they were given. Outside a
        notebook the figure is only recorded. With ``MEDPRIV_FIGURES`` set it is printed instead of
        glued: the notebooks for readers do so, since their sentences do not change.

        Args:
            name: its name, unique in the chapter.
            value: a number, a NumPy or torch scalar, or an estimate with its interval.
            low: lower end of its interval.
            high: upper end of its interval.
            baseline: the same figure without the attack (or without the model).
            unit: such as ``SSIM``; empty for a plain ratio.
            fmt: how the prose shows the number.

        Raises:
            ValueError: the chapter is run whole, and another cell has recorded this name: the
                prose would show one of the two in both places.
        """
        self._once(f"figure {name!r}")
        if isinstance(value, Estimate):
            value, low, high = value.value, value.low, value.high
        low, high, baseline = (x if x is None else float(x) for x in (low, high, baseline))
        figure = Figure(name, float(value), low, high, baseline, unit)
        self._figures[name] = figure
        parts = {
            name: figure.value,
            f"{name}-low": figure.low,
            f"{name}-high": figure.high,
            f"{name}-baseline": figure.baseline,
        }
        shown = {key: in_words(part, fmt) for key, part in parts.items() if part is not None}
        if os.environ.get("MEDPRIV_FIGURES"):
            print(", ".join(f"{key} = {text}" for key, text in shown.items()))
            return
        for key, text in shown.items():
            _glue(key, text)

    def claim(
        self,
        text: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        name: str = "",
    ) -> None:
        """Record whether a statement holds; NaN never does.

        Claims are numbered in order. With a name, ``{glue:text}`claim-name``` gives "claim 3".
        Where the sentences cannot change, see :meth:`figure`, one that does not hold is printed.

        Args:
            text: what is claimed; unique in the chapter.
            value: of which it is claimed that it lies on the right side of the bound.
            at_least: the bound from below.
            at_most: the bound from above.
            name: for the prose.

        Raises:
            ValueError: not exactly one of ``at_least`` and ``at_most`` is given; or the chapter is
                run whole, and another cell has made a claim in the same words or of this name.
        """
        if (at_least is None) == (at_most is None):
            raise ValueError(f"claim {text!r} needs exactly one of at_least and at_most")
        self._once(f"claim {text!r}")
        if name:
            self._once(f"claim named {name!r}")
        measured = float(value)
        bound = f">= {at_least:g}" if at_most is None else f"<= {at_most:g}"
        holds = measured >= at_least if at_most is None else measured <= at_most
        claim = self._claims[text] = Claim(text, measured, bound, holds, name)
        number = f"claim {list(self._claims).index(text) + 1}"
        if name and os.environ.get("MEDPRIV_FIGURES"):
            print(f"claim-{name} = {number}: {text}")
            if not claim.holds:
                print(f"  DOES NOT HOLD here: {in_words(measured, '.3g')}, not {claim.bound}")
        elif name:
            _glue(f"claim-{name}", number)

    def _once(self, what: str) -> None:
        """Note where it is recorded, and refuse a second such cell, but where a reader works."""
        shell = get_ipython()
        self._places[what] = place_now(shell)
        cell = shell.execution_count if shell is not None else None
        earlier = self._cells.setdefault(what, cell)
        if earlier != cell and os.environ.get("MEDPRIV_RESULTS"):
            raise ValueError(f"{what} was recorded by an earlier cell; give this one another name")

    def finish(self) -> None:
        """Show the claims as a table, write ``results.json``, and insist on what is promised.

        The file goes to the path in ``MEDPRIV_RESULTS``, if that is set.

        Raises:
            ClaimError: a claim does not hold, though the chapter promises it for this data set
                and seed. In ``smoke``, and for other seeds and data, the table says so instead.
        """
        claims = list(self._claims.values())
        display(claims_table(claims))
        target = os.environ.get("MEDPRIV_RESULTS")
        if target:
            write_results(Path(target), self.results())
        if self.parameters["profile"] == "smoke":
            print("Profile smoke is too small to prove a claim: they are computed and shown only.")
        else:
            if not self.promises():
                print(_explanation(self))
            _insist(self.spec.name, [one for one in claims if self.promises(one.name)])

    @property
    def datasets(self) -> dict[str, str]:
        """Which data set to load for each of the chapter's modalities."""
        return self.spec.datasets(self.parameters["dataset"])

    def promises(self, claim: str | None = None) -> bool:
        """Whether all claims, or the one of this name, must hold for this data set and seed."""
        return self.spec.promises(self.parameters["dataset"], self.parameters["seed"], claim)

    def results(self) -> dict[str, Any]:
        """What ``results.json`` holds, as plain values; ``tables`` has their data sets."""
        figures = self._origins("figure", self._figures)
        claims = self._origins("claim", self._claims)
        tables = sorted({name for one in (*figures, *claims) for name in one or ()})
        return {
            "chapter": self.spec.name,
            "parameters": dict(self.parameters),
            "versions": versions(),
            "device": describe_device(pick_device(self.parameters["device"])),
            "seconds": round(time.time() - psutil.Process().create_time(), 2),
            "peak_mb": round(peak_bytes() / 2**20, 1),
            "tables": {name: data_sets(name) for name in tables},
            "figures": marked(map(asdict, self._figures.values()), figures),
            "claims": marked(map(asdict, self._claims.values()), claims),
        }

    def _origins(self, what: str, recorded: Iterable[str]) -> list[list[str] | None]:
        """The recorded tables behind each figure or claim; ``None`` where nobody knows."""
        places = [self._places.get(f"{what} {name!r}") for name in recorded]
        return tables_behind(get_ipython(), places)


def start(name: str, **parameters: Any) -> Chapter:
    """Begin a chapter: check its parameters again, since a reader may edit the cell by hand.

    Tables are shown whole from here on: pandas' display options are set for the notebook.

    Args:
        name: the chapter's name.
        parameters: those of its cell, at least ``profile``, ``dataset``, ``seed`` and ``device``.

    Raises:
        ValueError: the chapter is unknown, or a value cannot be used; the message lists what can.
        TypeError: one of the four parameters is missing.
    """
    chapter = spec(name)
    missing = {"profile", "dataset", "seed", "device"} - parameters.keys()
    if missing:
        raise TypeError(f"start({name!r}) also needs: {', '.join(sorted(missing))}")
    pd.set_option(*WHOLE_TABLE)
    return Chapter(
        chapter, {key: check_value(chapter, key, value) for key, value in parameters.items()}
    )


def in_words(value: float, fmt: str) -> str:
    """A number as the prose shows it; one that rounds to zero has no sign, NaN is not defined."""
    if math.isnan(value):
        return "not defined"
    text = format(value, fmt)
    return text.removeprefix("-") if not text.strip("-0.") else text


def claims_table(claims: list[Claim]) -> pd.DataFrame:
    """The claims as a plain table, one a row, numbered; values to three digits."""
    rows = [
        (one.text, in_words(one.value, ".3g"), one.bound, "yes" if one.holds else "NO")
        for one in claims
    ]
    numbers = range(1, len(claims) + 1)
    return pd.DataFrame(rows, index=numbers, columns=["claim", "value", "bound", "holds"])


def _glue(name: str, text: str) -> None:
    if get_ipython() is None:
        return
    try:
        from myst_nb import glue
    except ImportError:
        return
    glue(name, text, display=False)


def _insist(name: str, claims: list[Claim]) -> None:
    broken = [claim for claim in claims if not claim.holds]
    if not broken:
        return
    listed = "; ".join(f"{claim.text}: {claim.value:.3f}, not {claim.bound}" for claim in broken)
    raise ClaimError(f"{name} promises what does not hold here: {listed}")


def _explanation(chapter: Chapter) -> str:
    origins = enumerate(chapter._origins("claim", chapter._claims), start=1)
    numbers = ", ".join(str(number) for number, tables in origins if tables)
    return (
        f"The chapter promises its claims for {chapter.spec.promised_in_words()}. One that is not "
        "promised for this run's data and seed, and does not hold here, is a finding about them, "
        "not an error."
        + (f" From recorded tables of the course's data come claims {numbers}." if numbers else "")
    )
