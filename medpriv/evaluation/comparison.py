"""Attack × defense × seed → one tidy table, that goes on where it was interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from torch import nn

from medpriv.data import known_datasets
from medpriv.data.cohort import Cohort
from medpriv.evaluation.attack_catalog.records import guessed, of_attribute
from medpriv.evaluation.attacks import Attack
from medpriv.evaluation.ceilings import with_ceilings
from medpriv.evaluation.cell import (
    TIMES,
    CaseData,
    Cell,
    brought,
    case_of,
    computed,
    key_of,
    surroundings,
)
from medpriv.evaluation.defenses import MODALITIES, NOTHING, Defended
from medpriv.evaluation.sweep import CellFiles, side_by_side, sweep
from medpriv.evaluation.targets import trained
from medpriv.evaluation.verdicts import tidy, verdict, warn_of_guesses
from medpriv.models.contract import Ask
from medpriv.models.reports import PACKAGED
from medpriv.runtime.cache import cache_dir
from medpriv.runtime.device import pick_device
from medpriv.runtime.hashing import check_sendable, content_hash, identity
from medpriv.runtime.profile import check_profile
from medpriv.runtime.seeds import check_seed


def compare(
    attacks: Sequence[Attack],
    defenses: Sequence[Defended],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    dataset: str | Path | None = None,
    cohort: Cohort | None = None,
    model: nn.Module | Ask | None = None,
    untrained: nn.Module | None = None,
    outputs: str = "logits",
    attribute: str = "",
    profile: str = "quick",
    device: str = "auto",
    encoder: str = PACKAGED,
    times: int = TIMES,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Run every attack against every defense that it can meet, and put the figures into one table.

    Each cell is a file of its own, written when it is finished, and named by a hash of all that
    decides it: attack, defense, strength, seed, data, profile, device, encoder, ``times`` and the
    source that it uses. So an interrupted comparison goes on where it was, a finished cell is not
    computed again, and a changed one is. A cell that fails becomes a row
    with its ``error``; the others go on, and the next call tries it again.

    Cells run through joblib, so ``joblib.parallel_config`` decides where: one process without it,
    ``parallel_config("loky", n_jobs=-1, inner_max_num_threads=1)`` for all cores,
    ``parallel_config("dask")`` for the Dask cluster whose client is there. Workers are processes
    of one thread each, for seeded generators belong to a process. Models are trained once for all
    cells that attack them, and kept in the cache, which the machines of a cluster should share.

    A pair of attack and defense whose threat model gives too little is left out: the system does
    not expose what the attack needs. :func:`pairs` says which those are.

    What a row says about safety is its ``verdict``. *leaks*: in one of the metrics the best of the
    three attackers has more than the baseline, over the same patients in pairs, 10 of them or more.
    Where nothing leaks, this is built to be said of 2.5 % of the rows at most: the interval of the
    gain is stretched for as many figures as there are attackers and metrics (Bonferroni), and for
    few patients. *no leak seen*: he has not, of 30 patients or more; the 95 % interval holds 0 and
    ends within 0.1 of it on both sides, and so does what so many patients may not have shown
    (:func:`medpriv.statistics.unseen`). Where the gain is 0.1, this too is built for 2.5 % at most;
    and another attacker may have more. *inconclusive*: neither, which is also said of the profile
    ``smoke``, where all patients are of one class, and of an attacker who does worse than a guess.
    A warning lists the pairs that leak in no seed.

    Args:
        attacks: of one modality, such as some of :func:`medpriv.evaluation.known_attacks`.
        defenses: of models of that modality, such as some of
            :func:`medpriv.evaluation.known_defenses`.
        seeds: the whole experiment is repeated with each, from the split into patients on; with a
            cohort or a model of your own, what the attackers and the defenses draw.
        dataset: as :func:`medpriv.data.load_images` and its kin take it.
        cohort: in its place, your own, with the members of your model, and others of the same kind
            of patients in its other parts.
        model: your trained target, or a function from rows to its answers; without it one is
            trained. Its weights are part of each cell's name; what a function asks is not, so that
            its finished cells are only good as long as the service is the same.
        untrained: the network that is trained where a target is, such as by DP-SGD; without it the
            course's own (:func:`medpriv.models.build_target`).
        outputs: what ``model`` and ``untrained`` answer with, see
            :func:`medpriv.models.as_logits`.
        attribute: of records, the column that attacks guess; without it the one that is known to be
            sensitive in this data set, or else the first with categories.
        profile: how many patients, and how long everything is trained.
        device: see :func:`medpriv.runtime.device.pick_device`.
        encoder: of reports.
        times: how often the averaging attacker asks. He sees the victims' answers as often, too,
            as if each of them used the system so many times.
        folder: where finished cells are kept; without it in the cache.

    Returns:
        One row for each attack, defense, seed and metric, in their order, the attack's own metric
        first, with the columns ``attack``, ``attribute`` (what it guesses, of records),
        ``defense``, ``strength``, ``exposes`` (what the system can be asked for), ``seed`` and

        - ``metric``: of the next four, the larger the worse for the patients; and ``n``, of how
          many patients;
        - ``naive``: fitted on the system without the defense. NaN where the defended answers have
          another shape, which such an attacker cannot read;
        - ``adaptive``: fitted through the defended system. A defense is judged by it;
        - ``averaged``: adaptive, asking ``times`` times; NaN where asking again changes nothing;
        - ``baseline``: the same guess without the model, or what a simpler attack has if that is
          more (``simpler`` of :class:`medpriv.evaluation.attacks.Attack`);
        - ``gain``: of the best of the three over the baseline;
        - ``ceiling``: the most that any attacker has, on average over splits and trainings; NaN
          where nothing is proved (``medpriv.evaluation.ceilings`` says of what something is);
        - ``verdict``: see above; one for all metrics of an attack on a system;
        - ``interval``, ``baseline_interval``, ``gain_interval``: of the adaptive figure, the
          baseline and the gain, 95 % over patients, each a ``pandas.Interval``;
        - ``utility``, ``utility_interval``, ``accuracy``: AUC and accuracy of what an honest
          client gets of the same system, on the test part;
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
    if (dataset is None) == (cohort is None):
        raise ValueError("expected a dataset or a cohort, one of the two")
    name = cohort.card.name if cohort is not None else dataset
    attacks = [of_attribute(attack, attribute) for attack in attacks]
    own = brought(cohort, model, untrained, outputs, defenses)
    known = cohort.modality if cohort is not None else None
    modality = _checked(attacks, defenses, seeds, name, times, known)
    files = CellFiles(cache_dir() / "compare" if folder is None else Path(folder).expanduser())
    # Cells of one model behind one another, since a process keeps few of them; the table's order is
    # that of the arguments.
    cells: dict[str, Cell] = {}
    place: dict[str, tuple[int, ...]] = {}
    for nth, seed in enumerate(seeds):
        data = CaseData(
            str(name), modality, check_profile(profile), pick_device(device).type, encoder,
            check_seed(seed), own,
        )  # fmt: skip
        around = surroundings(data, times)
        for j, one in sorted(enumerate(defenses), key=lambda item: item[1].train is not None):
            for i, attack in enumerate(attacks):
                if one.exposure(attack):
                    cell = Cell(attack, one, data, times)
                    key = key_of(cell, around)
                    cells[key], place[key] = cell, (i, j, nth)
    missing = [cell for key, cell in cells.items() if files.find(key) is None]
    for _ in side_by_side(_prepare, _targets(missing), "targets"):
        pass
    found = sweep(computed, cells, files)
    ordered = sorted(cells, key=place.__getitem__)
    rows = [
        {
            **with_ceilings(found[key], cells[key]),
            "attribute": guessed(cells[key]),
            "verdict": verdict(found[key], profile),
        }
        for key in ordered
    ]
    warn_of_guesses(rows)
    return tidy(rows)


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
    modality: str | None,
) -> str:
    """The modality of all of them, which that of a cohort has to be."""
    if not len(attacks) or not len(defenses) or not len(seeds):
        raise ValueError("expected at least one attack, one defense and one seed; one has none")
    known = (name for name in MODALITIES if dataset in known_datasets(name))
    modality = modality or next(known, attacks[0].modality)
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


# --- Targets first -------------------------------------------------------------------------------


def _targets(cells: Sequence[Cell]) -> list[tuple[CaseData, Defended]]:
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


def _prepare(target: tuple[CaseData, Defended]) -> None:
    # Whatever is wrong with it, the cells that need it will say.
    with contextlib.suppress(Exception):
        trained(case_of(target[0]), target[1])
