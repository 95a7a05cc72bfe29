"""The three calls: images, records, reports; embedded, real, or the reader's own."""

from __future__ import annotations

from pathlib import Path

from medpriv.data.cohort import Cohort
from medpriv.data.names import VOLUMES, known_datasets
from medpriv.data.splitting import check_patients
from medpriv.runtime.arguments import choose
from medpriv.runtime.profile import check_profile
from medpriv.runtime.seeds import check_seed


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
    from medpriv.data.image_files import check_size

    check_profile(profile)
    seed, size, patients = check_seed(seed), check_size(size), check_patients(patients)
    known = known_datasets("images")
    own = _own_path(dataset, known)
    if own is None and dataset not in VOLUMES:
        choose(dataset, known, "image data set")
    if burned_in and dataset != "phantom":
        raise ValueError("burned_in=True works for dataset='phantom' only")
    if own is not None:
        from medpriv.data.own_files import own_images

        return own_images(own, seed=seed, size=size, patients=patients)
    if dataset == "phantom":
        from medpriv.data.sources.embedded import phantoms

        return phantoms(profile, seed=seed, size=size, patients=patients, burned_in=burned_in)
    if dataset == "mias":
        from medpriv.data.sources.mias import mias

        return mias(seed=seed, size=size, patients=patients)
    from medpriv.data.sources.medmnist_flags import medmnist

    return medmnist(str(dataset), profile, seed=seed, size=size, patients=patients)


def load_records(
    dataset: str | Path = "warfarin",
    *,
    profile: str = "quick",
    seed: int = 0,
    patients: int | None = None,
    clean: bool = True,
) -> Cohort:
    """Medical records, split by patient.

    Args:
        dataset: ``"warfarin"`` (embedded), ``"heart"``, ``"cardio"``, or the path of the
            reader's own ``.csv`` (see :mod:`medpriv.data.own_files`).
        profile: ``smoke``, ``quick`` or ``full``: how many patients.
        seed: decides who is in which part, and which warfarin patients are made.
        patients: how many patients in all, in the profile's proportions.
        clean: ``cardio`` only: remove records whose values cannot be true, by the rules in
            :mod:`medpriv.data.sources.cardio`. The card counts them either way.

    Returns:
        A cohort whose parts have ``x`` of shape ``(n, columns)``, float32, categories as codes and
        the others as measured. ``Cohort.columns`` describes them.

    Raises:
        ValueError: a parameter is not valid; the message lists what is.
        DataError: the data cannot be had or are malformed; the message says what to do.
        CacheError: a download cannot be kept.
    """
    check_profile(profile)
    seed, patients = check_seed(seed), check_patients(patients)
    known = known_datasets("records")
    own = _own_path(dataset, known)
    if own is not None:
        from medpriv.data.own_files import own_records

        return own_records(own, seed=seed, patients=patients)
    choose(dataset, known, "record data set")
    if dataset == "warfarin":
        from medpriv.data.sources.embedded import warfarin

        return warfarin(profile, seed=seed, patients=patients)
    if dataset == "heart":
        from medpriv.data.sources.heart import heart

        return heart(seed=seed, patients=patients)
    from medpriv.data.sources.cardio import cardio

    return cardio(profile, seed=seed, patients=patients, clean=clean)


def load_reports(
    dataset: str | Path = "synthetic",
    *,
    profile: str = "quick",
    seed: int = 0,
    patients: int | None = None,
    deduplicate: bool = True,
) -> Cohort:
    """Clinical reports, split by patient, no text in two parts.

    Args:
        dataset: ``"synthetic"`` (embedded), ``"openi"``, or the path of the reader's own
            ``.csv`` with a column ``text`` (see :mod:`medpriv.data.own_files`).
        profile: ``smoke``, ``quick`` or ``full``: how many patients.
        seed: decides who is in which part, and which synthetic reports are made.
        patients: how many patients in all, in the profile's proportions.
        deduplicate: keep each text once, by its normal form. ``False`` keeps the reports as
            they were filed, to see what duplicates do to a result; one text may then be in two
            parts, and the card says how many repeat another.

    Returns:
        A cohort whose parts have ``x``, a tuple of strings.

    Raises:
        ValueError: a parameter is not valid; the message lists what is.
        DataError: the data cannot be had or are malformed; the message says what to do.
        CacheError: a download cannot be kept.
    """
    check_profile(profile)
    seed, patients = check_seed(seed), check_patients(patients)
    known = known_datasets("reports")
    own = _own_path(dataset, known)
    if own is not None:
        from medpriv.data.own_files import own_reports

        return own_reports(own, seed=seed, patients=patients, deduplicate=deduplicate)
    choose(dataset, known, "report data set")
    if dataset == "synthetic":
        from medpriv.data.sources.embedded import reports

        return reports(profile, seed=seed, patients=patients)
    from medpriv.data.sources.openi import openi

    return openi(profile, seed=seed, patients=patients, deduplicate=deduplicate)


def _own_path(dataset: str | Path, known: tuple[str, ...]) -> Path | None:
    """The path if ``dataset`` is one, else ``None``; a known name is never taken for a path."""
    if isinstance(dataset, Path):
        return dataset.expanduser()
    if not isinstance(dataset, str) or not dataset or dataset in known:
        return None
    path = Path(dataset).expanduser()
    marked = "/" in dataset or "\\" in dataset or path.suffix.lower() in (".npz", ".csv")
    return path if marked or path.exists() else None
