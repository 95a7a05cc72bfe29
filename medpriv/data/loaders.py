"""The three calls: images, records, reports; embedded, real, or the reader's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medpriv.data.cohort import Cohort, Modality
from medpriv.data.own_files import DESCRIBED, SAID, described, load_own
from medpriv.data.sources import DATASETS, Roles, Wanted, import_source
from medpriv.data.splitting import MIN_PATIENTS
from medpriv.runtime.arguments import require_integer
from medpriv.runtime.profile import check_profile
from medpriv.runtime.seeds import check_seed

SIZES = (16, 1024)  # of images, in pixels a side


def load_images(
    dataset: str | Path = "phantom",
    *,
    profile: str = "quick",
    seed: int = 0,
    size: int = 64,
    patients: int | None = None,
    burned_in: bool = False,
) -> Cohort:
    """Medical images, split by patient.

    Args:
        dataset: ``"phantom"`` (embedded), ``"mias"``, a MedMNIST flag such as
            ``"pneumoniamnist"``, or the path of the reader's own ``.npz`` or folder of pictures
            (see :mod:`medpriv.data.own_files`).
        profile: ``smoke``, ``quick`` or ``full``: how many patients.
        seed: decides who is in which part, and which phantoms are made.
        size: side length in pixels.
        patients: how many patients in all, in the profile's proportions.
        burned_in: phantoms only: write an identifier into the pixels.

    Returns:
        A cohort whose parts have ``x`` of shape ``(n, c, size, size)``, float32 in [0, 1].

    Raises:
        ValueError: a parameter is not valid; the message lists what is.
        DataError: the data cannot be had or are malformed; the message says what to do.
        CacheError: a download cannot be kept.
    """
    size = require_integer("size", size, *SIZES)
    wanted = _wanted(dataset, profile, seed, patients, size=size, burned_in=burned_in)
    if burned_in and dataset != "phantom":
        raise ValueError("burned_in=True works for dataset='phantom' only")
    return _load("images", dataset, wanted)


def load_records(
    dataset: str | Path = "warfarin",
    *,
    profile: str = "quick",
    seed: int = 0,
    patients: int | None = None,
    clean: bool = True,
    label: str = "label",
    patient: str | None = "patient",
    part: str | None = "part",
    sensitive: str | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    missing: str = "refuse",
    missing_codes: Sequence[float] | None = None,
) -> Cohort:
    """Medical records, split by patient; errors as for :func:`load_images`.

    Args:
        dataset: ``"warfarin"`` (embedded), ``"heart"``, ``"cardio"``, or the path of the
            reader's own ``.csv``, or of a ``.toml`` that describes it (see
            :mod:`medpriv.data.own_files`).
        profile: ``smoke``, ``quick`` or ``full``: how many patients.
        seed: decides who is in which part, and which warfarin patients are made.
        patients: how many patients in all, in the profile's proportions.
        clean: ``cardio`` only: remove records whose values cannot be true, by the rules in
            :mod:`medpriv.data.sources.cardio`. The card counts them either way.
        label: of your own file, the column of the classes.
        patient: of your own file, the column that names the patients, if there is one.
        part: of your own file, the column that says in which part a patient is, if there is one.
        sensitive: of your own file, columns whose values an attack guesses, the first where it is
            not told which; whole numbers in them are categories.
        drop: of your own file, columns to leave out, such as identifiers.
        missing: of your own file, what is done where nothing is known: ``"refuse"`` the file;
            ``"category"``, a category of its own, and beside numbers, which get their median, a
            column of no and yes; or ``"median"``, the median, or the most common category.
        missing_codes: of your own file, numbers that mean "not known", such as ``(-9, 999)``.
            ``None`` refuses a file in which some look like it; ``()`` says that none does.

    Returns:
        A cohort whose parts have ``x`` of shape ``(n, columns)``, float32, categories as codes and
        the others as measured. ``Cohort.columns`` describes them.
    """
    roles = Roles(label, patient, part, sensitive, drop, missing, missing_codes)
    dataset, roles = _with_roles(dataset, roles)
    wanted = _wanted(dataset, profile, seed, patients, clean=clean, roles=roles)
    return _load("records", dataset, wanted)


def load_reports(
    dataset: str | Path = "synthetic",
    *,
    profile: str = "quick",
    seed: int = 0,
    patients: int | None = None,
    deduplicate: bool = True,
    label: str = "label",
    patient: str | None = "patient",
    part: str | None = "part",
    drop: str | Sequence[str] = (),
) -> Cohort:
    """Clinical reports, split by patient, no text in two parts; errors as for :func:`load_images`.

    Args:
        dataset: ``"synthetic"`` (embedded), ``"openi"``, or the path of the reader's own
            ``.csv`` with a column ``text``, or of a ``.toml`` that describes it (see
            :mod:`medpriv.data.own_files`).
        profile: ``smoke``, ``quick`` or ``full``: how many patients.
        seed: decides who is in which part, and which synthetic reports are made.
        patients: how many patients in all, in the profile's proportions.
        deduplicate: keep each text once, by its normal form. ``False`` keeps the reports as
            they were filed, to see what duplicates do to a result; one text may then be in two
            parts, and the card says how many repeat another.
        label: of your own file, the column of the classes.
        patient: of your own file, the column that names the patients, if there is one.
        part: of your own file, the column that says in which part a patient is, if there is one.
        drop: of your own file, columns to leave out, such as identifiers.

    Returns:
        A cohort whose parts have ``x``, a tuple of strings.
    """
    roles = Roles(label, patient, part, drop=drop)
    dataset, roles = _with_roles(dataset, roles, ("label", "patient", "part", "drop"))
    wanted = _wanted(dataset, profile, seed, patients, deduplicate=deduplicate, roles=roles)
    return _load("reports", dataset, wanted)


def _with_roles(
    dataset: str | Path, said: Roles, known: Sequence[str] = tuple(SAID)
) -> tuple[str | Path, Roles]:
    """A table and what is said of its columns, by the caller or in a file that describes it."""
    if not str(dataset).lower().endswith(DESCRIBED):
        return dataset, said
    path = Path(dataset).expanduser()
    if said != Roles():
        raise ValueError(f"{path.name} says what its columns are; say it there, or in the call")
    return described(path, known)


def _wanted(
    dataset: str | Path, profile: str, seed: int, patients: int | None, **own: Any
) -> Wanted:
    """What all three are told, checked, and what is one's own."""
    profile, seed = check_profile(profile), check_seed(seed)
    if patients is not None:
        patients = require_integer("patients", patients, MIN_PATIENTS)
    return Wanted(str(dataset), profile, seed, patients, **own)


def _load(modality: Modality, dataset: str | Path, wanted: Wanted) -> Cohort:
    """A data set by its own module, or for a path by the reader of the reader's own files."""
    own = _own_path(dataset, tuple(DATASETS[modality]))
    if own is not None:
        return load_own(modality, own, wanted)
    source = import_source(dataset, modality)
    if wanted.roles != Roles():
        raise ValueError(
            "label=, patient=, part=, sensitive=, drop=, missing= and missing_codes= describe your "
            f"own file; {wanted.dataset} is a data set of the course"
        )
    return source.load(wanted)


def _own_path(dataset: str | Path, known: tuple[str, ...]) -> Path | None:
    """The path if ``dataset`` is one, else ``None``; a known name is never taken for a path."""
    if isinstance(dataset, Path):
        return dataset.expanduser()
    if not isinstance(dataset, str) or not dataset or dataset in known:
        return None
    path = Path(dataset).expanduser()
    marked = "/" in dataset or "\\" in dataset or path.suffix.lower() in (".npz", ".csv")
    return path if marked or path.exists() else None
