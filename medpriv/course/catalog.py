"""Which chapters there are, which data they take, and for which their claims are promised."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medpriv.data import known_datasets
from medpriv.data.cohort import Modality
from medpriv.data.own_files import own_modality
from medpriv.runtime.arguments import choose
from medpriv.runtime.device import pick_device
from medpriv.runtime.profile import check_profile
from medpriv.runtime.resources import json_resource
from medpriv.runtime.seeds import check_seed

EMBEDDED: dict[Modality, str] = {
    "images": "phantom",
    "records": "warfarin",
    "reports": "synthetic",
}
REAL: dict[Modality, str] = {"images": "mias", "records": "cardio", "reports": "openi"}
# In a chapter with several kinds of data, one of each kind:
ALL_EMBEDDED, ALL_REAL = "embedded", "real"
OWN_FILES = (".npz", ".csv", ".toml")


class ChapterError(ValueError):
    """The reader asked for a chapter or a parameter that does not exist, or cannot be used."""


@dataclass(frozen=True)
class ChapterSpec:
    """One executable chapter.

    Attributes:
        name: the file's name without its suffix, such as ``06-model-inversion``.
        title: its heading.
        modalities: which of the three ``load_*`` calls the chapter's data come from.
        promised: for each data set the seeds for which the chapter's claims must hold.
        in_part: for a data set in which that cannot be said of all claims, such as one of few
            patients, the names of those of which it can.
    """

    name: str
    title: str
    modalities: tuple[Modality, ...]
    promised: Mapping[str, tuple[int, ...]]
    in_part: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def default_dataset(self) -> str:
        """The embedded data's own name, or ``embedded`` where there are several kinds."""
        return EMBEDDED[self.modalities[0]] if len(self.modalities) == 1 else ALL_EMBEDDED

    def promises(self, dataset: str, seed: int, claim: str | None = None) -> bool:
        """Whether the claims, or the one of this name, must hold for a data set and a seed."""
        return seed in self.promised.get(dataset, ()) and self.covers(dataset, claim)

    def covers(self, dataset: str, claim: str | None) -> bool:
        """Whether a claim is among those promised for a data set; ``None`` asks for all of them."""
        return dataset not in self.in_part or claim in self.in_part[dataset]

    def promised_in_words(self) -> str:
        """For which data sets and seeds the claims must hold, for a reader."""
        return "; ".join(
            f"{dataset}{' in part' if dataset in self.in_part else ''} "
            f"with seeds {', '.join(map(str, seeds))}"
            for dataset, seeds in self.promised.items()
        )

    def known_datasets(self) -> tuple[str, ...]:
        """The names that the chapter's parameter ``dataset`` takes, embedded first."""
        named = [name for modality in self.modalities for name in known_datasets(modality)]
        return tuple(named) if len(self.modalities) == 1 else (ALL_EMBEDDED, ALL_REAL, *named)

    def datasets(self, dataset: str) -> dict[Modality, str]:
        """What to load for each modality: ``dataset`` where it belongs, else the embedded data.

        ``real`` stands for real data of every kind: `mias`, `cardio` and `openi`.

        Args:
            dataset: a value of the chapter's parameter, already checked.
        """
        together = {ALL_EMBEDDED: EMBEDDED, ALL_REAL: REAL}.get(dataset)
        if together is not None:
            return {modality: together[modality] for modality in self.modalities}
        named = [one for one in self.modalities if dataset in known_datasets(one)]
        # A chapter of one modality takes any file as its own kind; the loader judges it.
        place = (named or self.modalities)[0]
        if not named and len(self.modalities) > 1:
            place = own_modality(Path(dataset))
        return {one: dataset if one == place else EMBEDDED[one] for one in self.modalities}


CHAPTERS: dict[str, ChapterSpec] = {
    name: ChapterSpec(
        name,
        row["title"],
        tuple(row["modalities"]),
        {dataset: tuple(range(seeds)) for dataset, seeds in row["promised"].items()},
        {dataset: tuple(claims) for dataset, claims in row.get("in_part", {}).items()},
    )
    for name, row in json_resource(__file__, "chapters.json")["chapters"].items()
}


def spec(name: str) -> ChapterSpec:
    """The entry of a chapter in :data:`CHAPTERS`.

    Raises:
        ChapterError: there is no such chapter; the message lists the known ones.
    """
    if name not in CHAPTERS:
        raise ChapterError(f"unknown chapter {name!r}; expected one of: {', '.join(CHAPTERS)}")
    return CHAPTERS[name]


def chapters_dir() -> Path:
    """Where the text notebooks are: ``MEDPRIV_CHAPTERS``, or ``chapters/`` beside the package."""
    wish = os.environ.get("MEDPRIV_CHAPTERS")
    return Path(wish) if wish else Path(__file__).resolve().parents[2] / "chapters"


def check_value(chapter: ChapterSpec, parameter: str, value: Any) -> Any:
    """Return one parameter's value if the chapter can use it, else raise ``ValueError``."""
    if parameter == "profile":
        return check_profile(value)
    if parameter == "seed":
        return check_seed(value)
    if parameter == "dataset":
        return _check_dataset(chapter, value)
    if parameter == "device":
        pick_device(value)
    if parameter == "encoder" and isinstance(value, str) and Path(value).expanduser().is_dir():
        return str(Path(value).expanduser().resolve())  # the kernel works in another folder
    return value


def _check_dataset(chapter: ChapterSpec, dataset: str) -> str:
    known = chapter.known_datasets()
    if dataset in known:
        return dataset
    path = Path(dataset).expanduser() if isinstance(dataset, str) and dataset else None
    if path and (path.is_dir() or (path.is_file() and path.suffix.lower() in OWN_FILES)):
        return str(path.resolve())
    choose(dataset, (*known, f"the path of your own file ({', '.join(OWN_FILES)})"), "dataset")
    return dataset
