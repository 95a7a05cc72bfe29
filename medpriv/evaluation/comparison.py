"""Attack × defense × seed → one tidy table, that goes on where it was interrupted."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from joblib import Parallel, delayed, parallel_config
from torch import Tensor, nn

from medpriv.attacks import averaged
from medpriv.data import known_datasets, load_images, load_records, load_reports
from medpriv.data.cohort import Cohort
from medpriv.deployment import Answer, QueryDefense, View, ViewDefense
from medpriv.evaluation.attacks import Attack, Case
from medpriv.evaluation.defenses import MODALITIES, NOTHING, Defended
from medpriv.evaluation.identity import check_sendable, identity
from medpriv.evaluation.recent import Recent
from medpriv.evaluation.targets import trained
from medpriv.evaluation.utility import usefulness
from medpriv.models.reports import PACKAGED
from medpriv.runtime.cache import atomic_path, cache_dir
from medpriv.runtime.device import has_fast_bf16, pick_device
from medpriv.runtime.hashing import content_hash, source_hash
from medpriv.runtime.memory import give_back_memory, keep_memory
from medpriv.runtime.profile import check_profile
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import check_seed

#: How often the averaging attacker asks.
TIMES = 16
#: The columns of :func:`compare`'s table.
COLUMNS = (
    "attack", "defense", "strength", "seed", "metric", "naive", "adaptive", "averaged", "baseline",
    "interval", "utility", "accuracy", "seconds", "error",
)  # fmt: skip
_LOADERS: dict[str, Callable[..., Cohort]] = {
    "images": load_images,
    "records": load_records,
    "reports": load_reports,
}
_PACKAGE = Path(__file__).parent.parent
T = TypeVar("T")
# Every room but the course's: how a page looks changes no figure.
_SOURCES = tuple(sorted({path.stem for path in _PACKAGE.glob("[a-z]*")} - {"course"}))


@dataclass(frozen=True)
class _Data:
    """What is loaded, and how: enough for another process to make a case of it."""

    dataset: str
    modality: str
    profile: str
    device: str
    encoder: str
    seed: int


@dataclass(frozen=True, eq=False)
class _Cell:
    """One row of the table."""

    attack: Attack
    defended: Defended
    data: _Data
    times: int
    path: Path


def compare(
    attacks: Sequence[Attack],
    defenses: Sequence[Defended],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    dataset: str | Path,
    profile: str = "quick",
    device: str = "auto",
    encoder: str = PACKAGED,
    times: int = TIMES,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Run every attack against every defense that it can meet, and put the figures into one table.

    Each cell is a file of its own, written when it is finished, and named by a hash of all that
    decides it: attack, defense, strength, seed, data, profile, device, encoder, ``times``, the
    version of PyTorch and the package's source. So an interrupted comparison goes on where it was,
    a finished cell is not computed again, and a changed one is. A cell that fails becomes a row
    with its ``error``; the others go on, and the next call tries it again.

    Cells run through joblib, so ``joblib.parallel_config`` decides where: one process without it,
    ``parallel_config("loky", n_jobs=-1, inner_max_num_threads=1)`` for all cores,
    ``parallel_config("dask")`` for the Dask cluster whose client is there. Workers are processes
    of one thread each, for seeded generators belong to a process. Models are trained once for all
    cells that attack them, and kept in the cache, which the machines of a cluster should share.

    A pair of attack and defense whose threat model gives too little is left out: the system does
    not expose what the attack needs. :func:`pairs` says which those are.

    Args:
        attacks: of one modality, such as some of :func:`medpriv.evaluation.known_attacks`.
        defenses: of models of that modality, such as some of
            :func:`medpriv.evaluation.known_defenses`.
        seeds: the whole experiment is repeated with each, from the split into patients on.
        dataset: as :func:`medpriv.data.load_images` and its kin take it.
        profile: how many patients, and how long everything is trained.
        device: see :func:`medpriv.runtime.device.pick_device`.
        encoder: of reports.
        times: how often the averaging attacker asks. He sees the victims' answers as often, too,
            as if each of them used the system so many times.
        folder: where finished cells are kept; without it in the cache.

    Returns:
        One row for each attack, defense and seed, in their order, with the columns ``attack``,
        ``defense``, ``strength``, ``seed`` and

        - ``metric``: of the next four, the larger the worse for the patients;
        - ``naive``: fitted on the system without the defense. NaN where the defended answers have
          another shape, which such an attacker cannot read;
        - ``adaptive``: fitted through the defended system. A defense is judged by it;
        - ``averaged``: adaptive, asking ``times`` times; NaN where asking again changes nothing;
        - ``baseline``: the same guess without the model;
        - ``interval``: the adaptive figure's 95 % interval over patients, a ``pandas.Interval``;
        - ``utility``, ``accuracy``: AUC and accuracy of what an honest client gets of the same
          system, on the test part;
        - ``seconds``: what the cell took, without what an earlier cell of the process left to it,
          such as the target and the naive attacker's inverse network;
        - ``error``: why a cell failed, else empty.

    Raises:
        TypeError: an attack or defense is of another modality than the data, or cannot be sent to
            another process.
        ValueError: an argument is out of range, two attacks, defenses or seeds are the same, or
            no attack can meet any of the defenses.
        DataError: the data cannot be had.
    """
    modality = _checked(attacks, defenses, seeds, dataset, times)
    place = cache_dir() / "compare" if folder is None else Path(folder).expanduser()
    # Cells of one model behind one another, since a process keeps few of them; the table's order is
    # that of the arguments.
    cells: dict[_Cell, tuple[int, ...]] = {}
    for nth, seed in enumerate(seeds):
        data = _Data(
            str(dataset), modality, check_profile(profile), pick_device(device).type, encoder,
            check_seed(seed),
        )  # fmt: skip
        around = _surroundings(data, times)
        met = [
            (i, j)
            for j, one in sorted(enumerate(defenses), key=lambda item: item[1].train is not None)
            for i, attack in enumerate(attacks)
            if one.exposure(attack)
        ]
        for i, j in met:
            name = content_hash(identity((attacks[i], defenses[j])), around)[:32]
            cell = _Cell(attacks[i], defenses[j], data, times, place / f"{name}.json")
            cells[cell] = (i, j, nth)
    rows = {cell.path: row for cell in cells if (row := _kept(cell.path)) is not None}
    missing = [cell for cell in cells if cell.path not in rows]
    for _ in _side_by_side(_prepare, _targets(missing), "targets"):
        pass
    for path, row in _side_by_side(_computed, missing, "cells"):
        if not row["error"] and not path.exists():  # of a machine that has other folders
            _keep(path, row)
        rows[path] = row
    return _table([rows[cell.path] for cell in sorted(cells, key=cells.__getitem__)])


def pairs(attacks: Sequence[Attack], defenses: Sequence[Defended]) -> pd.DataFrame:
    """Which attack meets which defense: what the defended system then exposes, or nothing.

    Returns:
        A row for each attack and a column for each name of a defense; ``""`` where
        :func:`compare` leaves the pair out.
    """
    return pd.DataFrame(
        {
            one.name: {attack.name: one.exposure(attack) or "" for attack in attacks}
            for one in defenses
        }
    ).rename_axis("attack")


# --- Checks ---------------------------------------------------------------------------------------


def _checked(
    attacks: Sequence[Attack],
    defenses: Sequence[Defended],
    seeds: Sequence[int],
    dataset: str | Path,
    times: int,
) -> str:
    """The modality of all of them."""
    if not len(attacks) or not len(defenses) or not len(seeds):
        raise ValueError("expected at least one attack, one defense and one seed; one has none")
    known = (name for name in MODALITIES if dataset in known_datasets(name))
    modality = next(known, attacks[0].modality)
    for one in (*attacks, *defenses):
        one.check(modality, dataset)
        check_sendable(one, repr(one.name))
    for what, names in (
        ("attack", [attack.name for attack in attacks]),
        ("defense", [(one.name, one.strength) for one in defenses]),
        ("seed", list(seeds)),
    ):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"each {what} needs a name of its own, and {twice[0]} is there twice")
    if times < 2:
        raise ValueError(f"an averaging attacker asks 2 or more times, got {times}")
    if not any(one.exposure(attack) for attack in attacks for one in defenses):
        raise ValueError(
            "no attack can meet any of these defenses: "
            + "; ".join(f"{attack.name!r} needs {attack.needs}" for attack in attacks)
            + ". See medpriv.evaluation.pairs"
        )
    return modality


def _surroundings(data: _Data, times: int) -> str:
    """A hash of all that decides a cell, but for its attack and its defense."""
    cohort = _case(data).cohort
    bf16 = has_fast_bf16(pick_device(data.device))
    return content_hash(
        (cohort.card.name, cohort.content_hash(), [column.name for column in cohort.columns]),
        (data.seed, data.profile, data.device, bf16, data.encoder, times),
        torch.__version__,
        source_hash(*_SOURCES),
    )


# --- Running --------------------------------------------------------------------------------------


def _side_by_side(work: Callable[[Any], Any], items: Sequence[Any], what: str) -> Iterator[Any]:
    if not items:
        return
    # One at a time: a batch would be lost as a whole, and its results come late.
    done = Parallel(return_as="generator_unordered", batch_size=1)(
        delayed(work)(item) for item in items
    )
    yield from progress(done, what, total=len(items), unit=what[:-1])


def _targets(cells: Sequence[_Cell]) -> list[tuple[_Data, Defended]]:
    """The models that cells attack, each once; the plain ones first, since all compare with them.

    Two processes that came upon the same one at once would both train it.
    """
    plain = {cell.data: (cell.data, NOTHING) for cell in cells}
    others = {
        (cell.data, content_hash(identity(cell.defended.train), cell.defended.strength)): (
            cell.data, cell.defended,
        )
        for cell in cells
        if cell.defended.train is not None
    }  # fmt: skip
    return [*plain.values(), *others.values()]


def _prepare(target: tuple[_Data, Defended]) -> None:
    # Whatever is wrong with it, the cells that need it will say.
    with _alone(), contextlib.suppress(Exception):
        trained(_case(target[0]), target[1])


def _computed(cell: _Cell) -> tuple[Path, dict[str, Any]]:
    # A cluster starts a cell again if its worker is lost; it may have been finished before.
    row = _kept(cell.path)
    if row is None:
        keep_memory()
        row = _row(cell)
        if not row["error"]:
            _keep(cell.path, row)
        give_back_memory()
    return cell.path, row


def _row(cell: _Cell) -> dict[str, Any]:
    began = time.perf_counter()
    error, figures = "", {}
    try:
        with _alone():
            figures = _figures(cell)
    except Exception as caught:  # whatever an attack, a defense or the data may raise
        error = f"{type(caught).__name__}: {caught}"
    return {
        "attack": cell.attack.name,
        "defense": cell.defended.name,
        "strength": float(cell.defended.strength),
        "seed": cell.data.seed,
        "metric": cell.attack.metric,
        **figures,
        "seconds": time.perf_counter() - began,
        "error": error,
    }


def _figures(cell: _Cell) -> dict[str, float]:
    attack, defended, data = cell.attack, cell.defended, cell.data
    case, split = _case(data), attack.split
    expose = defended.exposure(attack) or attack.needs
    model = _target(data, defended)

    def served() -> View:
        return defended.deploy(model, case, expose, split)

    view = served()
    adaptive = attack(view, view, case)
    naive = adaptive.value
    if attack.fits and not (defended.train is None and defended.around is None):
        plain = NOTHING.deploy(_target(data, NOTHING), case, expose, split)
        naive = _naive(attack, plain, served, case)
    often = math.nan
    if defended.random:
        asked = averaged(_often(defended, model, case, expose, split), cell.times)
        often = attack(asked, asked, case).value
    worth = _once(
        ("utility", data, defended, expose, split),
        lambda: usefulness(model, defended, case, expose, split),
    )
    baseline = _once(("baseline", data, attack), lambda: attack.baseline(case))
    return {
        "naive": naive,
        "adaptive": adaptive.value,
        "averaged": often,
        "baseline": baseline.value,
        "low": adaptive.low,
        "high": adaptive.high,
        "utility": worth.auc.value,
        "accuracy": worth.accuracy.value,
    }


def _naive(attack: Attack, plain: View, served: Callable[[], View], case: Case) -> float:
    few = case.cohort.auxiliary.x[:1]
    if plain.intercept(few).shape != served().intercept(few).shape:
        return math.nan
    return attack(plain, served(), case).value


def _often(
    defended: Defended, model: nn.Module, case: Case, expose: str, split: str | None
) -> View:
    """The system, made for being asked the same many times."""
    around = defended.around(case, defended.strength, model) if defended.around else ()
    # What is drawn for each query must be drawn anew; what is behind it is the same.
    by_query = any(isinstance(one, QueryDefense) for one in around)
    first = () if by_query else (_SAME_QUESTION,)
    return defended.deploy(model, case, expose, split, first=first)


def _same_question(answer: Answer) -> Answer:
    """A question that is asked many times in a row is computed once."""
    last: list[Any] = [None, None, None]

    def respond(x: Tensor | Sequence[str]) -> Tensor:
        version = x._version if isinstance(x, Tensor) else None  # counts changes in place
        if x is not last[0] or version != last[1]:
            last[:] = x, version, answer(x)
        return last[2].clone()

    return respond


_SAME_QUESTION = ViewDefense("the same question computed once", _same_question)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Without bars inside the comparison's bar, nor jobs inside its jobs.

    What runs in a cell, such as a cross-validation, would else be sent to the cluster again, and
    while it waits the worker would begin another cell.
    """
    before = os.environ.get("MEDPRIV_PROGRESS")
    os.environ["MEDPRIV_PROGRESS"] = "0"
    try:
        with parallel_config("sequential"):
            yield
    finally:
        os.environ.pop("MEDPRIV_PROGRESS", None)
        if before is not None:
            os.environ["MEDPRIV_PROGRESS"] = before


# --- What a process keeps between cells -----------------------------------------------------------


_made: dict[str, Recent[Any]] = {
    "case": Recent(2), "target": Recent(4), "utility": Recent(16), "baseline": Recent(16),
}  # fmt: skip


def _once(key: tuple[Any, ...], make: Callable[[], T]) -> T:
    """What was made for an equal key a short while ago.

    By content: an attack that came from another process is a new object each time.
    """
    return _made[key[0]].get(content_hash(identity(key)), make)


def _case(data: _Data) -> Case:
    def make() -> Case:
        cohort = _LOADERS[data.modality](data.dataset, profile=data.profile, seed=data.seed)
        return Case(cohort, data.seed, data.profile, data.device, data.encoder)

    return _once(("case", data), make)


def _target(data: _Data, defended: Defended) -> nn.Module:
    strength = None if defended.train is None else defended.strength
    return _once(("target", data, defended.train, strength), lambda: trained(_case(data), defended))


# --- Finished cells -------------------------------------------------------------------------------


def _kept(path: Path) -> dict[str, Any] | None:
    """A finished cell; ``None`` if there is none, or its file is damaged."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(row, dict) and {"attack", "adaptive", "seconds"} <= set(row)
    return {k: math.nan if v is None else v for k, v in row.items()} if complete else None


def _keep(path: Path, row: dict[str, Any]) -> None:
    # JSON has no NaN.
    plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
    with atomic_path(path) as part:
        part.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame([{"low": math.nan, "high": math.nan, **row} for row in rows])
    ends = zip(table.pop("low"), table.pop("high"), strict=True)
    table["interval"] = pd.arrays.IntervalArray(
        [pd.Interval(low, high, closed="both") if low <= high else math.nan for low, high in ends],
        closed="both",
    )
    return table.reindex(columns=list(COLUMNS))
