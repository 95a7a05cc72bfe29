"""What is known of a named data set without its data: its card, and its files' names."""

from __future__ import annotations

from medpriv.data.cohort import DataCard
from medpriv.data.names import DATASETS, MEDMNIST, VOLUMES
from medpriv.runtime.arguments import choose


def card(name: str) -> DataCard:
    """The data card of a data set, without loading, generating or downloading it.

    The card of a loaded cohort says more: the sha256 of the file that was read, and notes on what
    was found and done in it. Both depend on the file, and are absent here.

    Args:
        name: one of the names that :func:`known_datasets` gives.

    Raises:
        ValueError: the name is unknown; the message lists the known ones.
    """
    known = tuple(one for names in DATASETS.values() for one in names)
    if name not in VOLUMES:  # the reader of MedMNIST says why these are not in the list
        choose(name, known, "data set")
    # In here, as in the loaders: whoever reads one data set imports the reader of no other.
    if name in (*MEDMNIST, *VOLUMES):
        from medpriv.data.sources.medmnist_flags import medmnist_card

        return medmnist_card(name)
    from medpriv.data.sources import cardio, embedded, heart, mias, openi

    return {
        "phantom": embedded.PHANTOM_CARD,
        "warfarin": embedded.WARFARIN_CARD,
        "synthetic": embedded.REPORTS_CARD,
        "mias": mias.CARD,
        "heart": heart.CARD,
        "cardio": cardio.CARD,
        "openi": openi.CARD,
    }[name]


def cards() -> dict[str, DataCard]:
    """The data card of every named data set, by name, in the order of :func:`known_datasets`.

    As with :func:`card`, nothing is loaded, generated or downloaded.
    """
    return {name: card(name) for names in DATASETS.values() for name in names}


def file_names(name: str) -> tuple[str, ...]:
    """The names under which the folder ``MEDPRIV_DATA`` may hold a data set, preferred one first.

    Embedded data have none.

    Raises:
        ValueError: the name is unknown.
    """
    from medpriv.data.sources import mias, openi

    if card(name).synthetic:
        return ()
    if name in MEDMNIST:
        return (f"{name}.npz",)
    special = {"mias": mias.SOURCE.files, "openi": openi.SOURCE.files}
    return special.get(name, (f"{name}.csv",))
