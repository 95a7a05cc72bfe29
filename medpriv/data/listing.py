"""The named data sets, and what is known of each without its data: its card, its files' names."""

from __future__ import annotations

from medpriv.data.cohort import DataCard, Modality
from medpriv.data.sources import DATASETS, import_source
from medpriv.runtime.arguments import choose


def known_datasets(modality: Modality) -> tuple[str, ...]:
    """The names that ``load_images``, ``load_records`` or ``load_reports`` takes, embedded first.

    Raises:
        ValueError: the modality is unknown.
    """
    return tuple(DATASETS[choose(modality, DATASETS, "modality")])


def card(name: str) -> DataCard:
    """The data card of a data set, without loading, generating or downloading it.

    The card of a loaded cohort says more: the sha256 of the file that was read, and notes on what
    was found and done in it. Both depend on the file, and are absent here.

    Args:
        name: one of the names that :func:`.known_datasets` gives.

    Raises:
        ValueError: the name is unknown; the message lists the known ones.
    """
    source = import_source(name)
    return source.card(name) if hasattr(source, "card") else source.CARD


def cards() -> dict[str, DataCard]:
    """The :func:`.card` of each data set, by name, in the order of :func:`.known_datasets`."""
    return {name: card(name) for names in DATASETS.values() for name in names}


def file_names(name: str) -> tuple[str, ...]:
    """The names under which ``MEDPRIV_DATA`` may hold a data set, best first; embedded have none.

    Raises:
        ValueError: the name is unknown.
    """
    module = import_source(name)
    if card(name).synthetic:
        return ()
    return (module.source(name) if hasattr(module, "source") else module.SOURCE).files
