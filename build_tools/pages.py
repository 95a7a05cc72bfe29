"""Parts of plain pages that are generated: data cards, versions, costs, promises, recorded tables.

A page holds a line ``<!-- generated: NAME -->`` where a part goes, and :func:`fill` puts the part
of that name there. The text around it stays a plain page that anybody can edit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medpriv.course.catalog import CHAPTERS, ChapterError
from medpriv.data.cohort import DataCard
from medpriv.data.listing import cards, file_names
from medpriv.data.sources import DATASETS, MEDMNIST

PLACE = re.compile(r"^<!-- generated: (?P<name>.*?) -->$", re.MULTILINE)


def fill(text: str, root: Path) -> str:
    """A page's text with each ``<!-- generated: NAME -->`` replaced by the part of that name.

    Results of the build are read from ``_build/results`` below ``root``, recorded tables from
    ``chapters/recorded``. A name that no part has is a ``ChapterError``.
    """

    def part(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in _PARTS:
            known = ", ".join(_PARTS)
            raise ChapterError(
                f"a page asks for the generated part {name!r}; expected one of: {known}"
            )
        return _PARTS[name](root)

    return PLACE.sub(part, text)


# --- Data cards -----------------------------------------------------------------------------------


def _cards(synthetic: bool) -> str:
    """The cards of embedded or of real data, but for MedMNIST, which has a part of its own."""
    return "\n\n".join(
        _section(card.name, _facts(card))
        for card in cards().values()
        if card.synthetic == synthetic and card.name not in MEDMNIST
    )


def _medmnist_cards(_: Path) -> str:
    """What all of MedMNIST's cards say, once, and then each with what only it says."""
    tables = {card.name: _facts(card) for card in cards().values() if card.name in MEDMNIST}
    first, *others = tables.values()
    shared = {key: first[key] for key in first if all(one[key] == first[key] for one in others)}
    own = (
        _section(name, {key: facts[key] for key in facts if key not in shared})
        for name, facts in tables.items()
    )
    return "\n\n".join((_two_columns(shared), *own))


def _section(name: str, facts: Mapping[str, str]) -> str:
    # A label of its own: {ref}`dataset-mias` from any page, and a heading for the anchor #mias.
    return f"(dataset-{name})=\n### {name}\n\n{_two_columns(facts)}"


def _facts(card: DataCard) -> dict[str, str]:
    """A card's fields as table cells, between how to load the data and who promises what."""
    fields = card.table().iloc[:, 0].drop("sha256")
    modality = next(one for one, names in DATASETS.items() if card.name in names)
    files = " or ".join(f"`{name}`" for name in file_names(card.name))
    return {
        "Load with": f'`data.load_{modality}("{card.name}")`',
        **{str(key): _plain(str(value)) for key, value in fields.items()},
        "File": files or "none, generated from a seed",
        "Claims": f"promised in {_promising(card.name) or 'no chapter yet'}",
    }


def _promising(dataset: str) -> str:
    """The chapters whose claims are promised for a data set."""
    links = [
        _link(name)
        for name, chapter in CHAPTERS.items()
        if any(dataset in chapter.datasets(one).values() for one in chapter.promised)
    ]
    return ", ".join(links)


# --- Reproducibility ------------------------------------------------------------------------------


def _versions(root: Path) -> str:
    """Python, the package and the libraries, with the versions that this build ran on."""
    found = pd.DataFrame([results["versions"] for results in _results(root).values()])
    rows = [(package, ", ".join(found[package].dropna().unique())) for package in found]
    return _table(("", "version"), rows)


def _settings(root: Path) -> str:
    """The parameters of each chapter in this build, and what it was computed on."""
    keys = ("profile", "dataset", "seed")
    results = _results(root)
    rows = [
        (_link(name), *(f"`{one['parameters'][key]}`" for key in keys))
        for name, one in results.items()
    ]
    devices = " and ".join(dict.fromkeys(one["device"] for one in results.values()))
    return f"{_table(('chapter', *keys), rows)}\n\nDevice and arithmetic: {_plain(devices)}."


def _costs(root: Path) -> str:
    """Time and memory of each chapter: of this build, and as recorded."""
    costs = pd.read_csv(root / "chapters" / "recorded" / "costs.csv").set_index("chapter")
    rows = [
        (
            _link(name),
            _cost(results),
            _cost(costs.loc[name]) if name in costs.index else "not recorded",
        )
        for name, results in _results(root).items()
    ]
    machines = " and on ".join(dict.fromkeys(costs["machine"]))
    return f"{_table(('chapter', 'here', 'recorded'), rows)}\n\nRecorded on {_plain(machines)}."


def _cost(measured: Mapping[str, Any] | pd.Series) -> str:
    return f"{measured['seconds']:.0f} s, {measured['peak_mb'] / 1024:.1f} GiB"


def _promises(_: Path) -> str:
    rows = [
        (
            _link(name),
            f"`{dataset}`{', in part' if dataset in chapter.in_part else ''}",
            ", ".join(map(str, seeds)),
        )
        for name, chapter in CHAPTERS.items()
        for dataset, seeds in chapter.promised.items()
    ]
    return _table(("chapter", "dataset", "seeds"), rows)


def _recorded(root: Path) -> str:
    """The recorded tables beside the costs: how many cells, and what each holds."""
    rows = []
    for file in sorted((root / "chapters" / "recorded").glob("*.csv")):
        if file.stem != "costs":
            table = pd.read_csv(file)
            columns = ", ".join(f"`{name}`" for name in table.columns if name != "key")
            rows.append((f"`{file.stem}`", str(len(table)), columns))
    return _table(("table", "cells", "columns"), rows)


def _results(root: Path) -> dict[str, dict[str, Any]]:
    """What each chapter of this build wrote into its `results.json`."""
    folder = root / "_build" / "results"
    return {
        name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in CHAPTERS
    }


# --- MyST -----------------------------------------------------------------------------------------


def _link(chapter: str) -> str:
    return f"[{chapter}]({chapter})"


def _two_columns(facts: Mapping[str, str]) -> str:
    rows = [(f"**{key}**", value) for key, value in facts.items()]
    # The class takes away the empty head, as in a chapter's box of the same form.
    return "{.headless}\n" + _table(("", ""), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text from a card as MyST shows it letter by letter, addresses as links."""
    pieces = re.split(r"(https?://\S+)", text)
    return "".join(
        f"<{piece}>" if number % 2 else re.sub(r"([\\`*_{}\[\]<>$|~])", r"\\\1", piece)
        for number, piece in enumerate(pieces)
    )


_PARTS: dict[str, Callable[[Path], str]] = {
    "embedded cards": lambda root: _cards(synthetic=True),
    "real cards": lambda root: _cards(synthetic=False),
    "medmnist cards": _medmnist_cards,
    "versions": _versions,
    "settings": _settings,
    "costs": _costs,
    "promises": _promises,
    "recorded tables": _recorded,
}
