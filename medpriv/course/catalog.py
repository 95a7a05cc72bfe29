"""Which chapters there are, where their text is, and which parameters they take."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from medpriv.data import known_datasets
from medpriv.data.own_files import own_modality
from medpriv.runtime.arguments import choose
from medpriv.runtime.device import DEVICES, pick_device
from medpriv.runtime.profile import PROFILES, check_profile
from medpriv.runtime.seeds import check_seed

if TYPE_CHECKING:
    from nbformat import NotebookNode

Modality = Literal["images", "records", "reports"]

EMBEDDED: dict[Modality, str] = {
    "images": "phantom",
    "records": "warfarin",
    "reports": "synthetic",
}
REAL: dict[Modality, str] = {"images": "mias", "records": "cardio", "reports": "openi"}
# In a chapter with several kinds of data, one of each kind:
ALL_EMBEDDED, ALL_REAL = "embedded", "real"
OWN_FILES = (".npz", ".csv")


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
    """

    name: str
    title: str
    modalities: tuple[Modality, ...]
    promised: Mapping[str, tuple[int, ...]]

    @property
    def default_dataset(self) -> str:
        """What names the embedded data: their own name, or ``embedded`` for several kinds."""
        return EMBEDDED[self.modalities[0]] if len(self.modalities) == 1 else ALL_EMBEDDED

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


_ALL: tuple[Modality, ...] = ("images", "records", "reports")
_FIVE = (0, 1, 2, 3, 4)

CHAPTERS: dict[str, ChapterSpec] = {
    "01-threat-models": ChapterSpec(
        name="01-threat-models",
        title="Who attacks a medical model, and how",
        modalities=("records",),
        promised={"warfarin": _FIVE},
    ),
    "02-patient-data": ChapterSpec(
        name="02-patient-data",
        title="Patients, made up and real",
        modalities=_ALL,
        promised={"embedded": _FIVE, "openi": (0, 1, 2), "mias": (0, 1, 2), "real": (0,)},
    ),
    "03-target-models": ChapterSpec(
        name="03-target-models",
        title="The models under attack, and what they are worth",
        modalities=_ALL,
        promised={
            "embedded": _FIVE,
            "mias": (0, 1, 2),
            "cardio": (0, 1, 2),
            "openi": (0, 1, 2),
            "real": (0,),
        },
    ),
    "04-attribute-inference": ChapterSpec(
        name="04-attribute-inference",
        title="What the record left out",
        modalities=("records",),
        promised={"warfarin": _FIVE, "cardio": (0, 1, 2)},
    ),
    "05-report-attributes": ChapterSpec(
        name="05-report-attributes",
        title="What a report says without saying it",
        modalities=("reports",),
        promised={"synthetic": _FIVE, "openi": (0, 1, 2)},
    ),
    "06-model-inversion": ChapterSpec(
        name="06-model-inversion",
        title="Reconstructing a patient's mammogram from shared features",
        modalities=("images",),
        promised={"phantom": _FIVE, "mias": (0, 1, 2), "pneumoniamnist": (0, 1, 2)},
    ),
    "07-stronger-inversion": ChapterSpec(
        name="07-stronger-inversion",
        title="Stronger inversion: with the weights, without a query, and of a whole class",
        modalities=("images",),
        promised={"phantom": _FIVE, "mias": (0, 1, 2), "pneumoniamnist": (0, 1, 2)},
    ),
    "08-report-reconstruction": ChapterSpec(
        name="08-report-reconstruction",
        title="From the numbers back to the report",
        modalities=("reports",),
        promised={"synthetic": _FIVE, "openi": (0, 1, 2)},
    ),
    "09-label-perturbation": ChapterSpec(
        name="09-label-perturbation",
        title="A coin in front of every answer",
        modalities=("records",),
        promised={"warfarin": _FIVE, "cardio": (0, 1, 2)},
    ),
    "10-model-perturbation": ChapterSpec(
        name="10-model-perturbation",
        title="Noise in the model",
        modalities=("images", "records"),
        promised={
            "embedded": _FIVE,
            "mias": (0, 1, 2),
            "cardio": (0, 1, 2),
            "real": (0,),
        },
    ),
    "11-representation-defenses": ChapterSpec(
        name="11-representation-defenses",
        title="Features that are meant to say less",
        modalities=("images",),
        promised={"phantom": _FIVE, "mias": (0, 1, 2)},
    ),
    "12-comparison": ChapterSpec(
        name="12-comparison",
        title="Which defense, against whom, at what price",
        modalities=_ALL,
        promised={
            "embedded": _FIVE,
            "mias": (0, 1, 2),
            "cardio": (0, 1, 2),
            "openi": (0, 1, 2),
            "real": (0,),
        },
    ),
}


def spec(name: str) -> ChapterSpec:
    """The entry of a chapter in :data:`CHAPTERS`.

    Raises:
        ChapterError: there is no such chapter; the message lists the known ones.
    """
    if name not in CHAPTERS:
        raise ChapterError(f"unknown chapter {name!r}; expected one of: {', '.join(CHAPTERS)}")
    return CHAPTERS[name]


# --- The text -----------------------------------------------------------------------------------


def chapters_dir() -> Path:
    """Where the text notebooks are: ``MEDPRIV_CHAPTERS``, or ``chapters/`` beside the package."""
    wish = os.environ.get("MEDPRIV_CHAPTERS")
    return Path(wish) if wish else Path(__file__).resolve().parents[2] / "chapters"


def chapter_file(name: str) -> Path:
    """The path of a chapter's text notebook.

    Raises:
        ChapterError: the chapter is unknown, or its file is not there.
    """
    path = chapters_dir() / f"{spec(name).name}.md"
    if not path.is_file():
        raise ChapterError(
            f"chapter {name} has no text at {path}; run from a clone of the repository, or point "
            "MEDPRIV_CHAPTERS at its folder chapters/"
        )
    return path


def read_chapter(name: str) -> NotebookNode:
    """A chapter as a notebook without outputs, paired through jupytext.

    Raises:
        ChapterError: the file is missing, is no UTF-8 text, or has no full jupytext header.
    """
    import jupytext  # here, and not above: a running chapter needs no notebook tools

    path = chapter_file(name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ChapterError(f"{path.name} is no UTF-8 text: {error}") from error
    check_header(text, path.name)
    return jupytext.reads(text, fmt="md:myst")


def check_header(text: str, name: str) -> None:
    """Insist on jupytext's header: without it the build shows the cells and runs none of them.

    Raises:
        ChapterError: a part of the header is missing; the message names it.
    """
    header = _front_matter(text)
    format_name = _dig(header, "jupytext", "text_representation", "format_name")
    missing = [
        wanted
        for wanted, present in (
            ("jupytext.text_representation.format_name: myst", format_name == "myst"),
            ("kernelspec.name", _dig(header, "kernelspec", "name")),
            ("kernelspec.display_name", _dig(header, "kernelspec", "display_name")),
        )
        if not present
    ]
    if missing:
        raise ChapterError(
            f"{name} has no complete jupytext header, so none of its cells would run; missing: "
            f"{', '.join(missing)}. Copy the header of another chapter to its first line"
        )


def _front_matter(text: str) -> Any:
    if not text.startswith("---\n"):
        return None
    try:
        return yaml.safe_load(text[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return None


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


# --- Parameters -----------------------------------------------------------------------------------


def defaults(name: str) -> dict[str, Any]:
    """Names and default values in a chapter's ``parameters`` cell.

    Raises:
        ChapterError: there is no such cell, or a default in it is no plain value.
    """
    from papermill.inspection import inspect_notebook  # as jupytext in read_chapter

    found = inspect_notebook(read_chapter(name))
    if not found:
        raise ChapterError(f"{name}.md has no cell tagged `parameters` that assigns a value")
    try:
        return {key: ast.literal_eval(entry["default"]) for key, entry in found.items()}
    except (ValueError, SyntaxError) as error:
        raise ChapterError(
            f"the parameters cell of {name}.md must assign plain values only: {error}"
        ) from error


def known_values(name: str, parameter: str) -> str:
    """What may be given for a parameter, in words for a reader."""
    datasets = ", ".join(spec(name).known_datasets())
    known = {
        "profile": ", ".join(PROFILES),
        "dataset": f"{datasets}, or the path of your own file",
        "seed": "an integer from 0 on",
        "device": ", ".join(DEVICES),
        "encoder": "packaged, or a folder or the name of a model on the Hugging Face hub",
    }
    return known.get(parameter, f"a value like {defaults(name)[parameter]!r}")


def check_parameters(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Turn parameters given as text into the values to run a chapter with.

    Args:
        name: the chapter.
        given: parameter names and values, as typed on a command line.

    Returns:
        The given parameters only, in the types of the chapter's defaults; a path of the
        reader's own data becomes absolute, since the kernel works in another folder.

    Raises:
        ChapterError: a name is unknown, or a value cannot be used; the message lists what can.
    """
    known = defaults(name)
    checked: dict[str, Any] = {}
    for key, text in given.items():
        if key not in known:
            raise ChapterError(
                f"chapter {name} has no parameter {key!r}; expected one of: {', '.join(known)}"
            )
        try:
            checked[key] = check_value(spec(name), key, _typed(text, known[key]))
        except ValueError as error:
            raise ChapterError(f"parameter {key}: {error}") from error
    return checked


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
    if path and (path.is_dir() or (path.is_file() and path.suffix in OWN_FILES)):
        return str(path.resolve())
    choose(dataset, (*known, f"the path of your own file ({', '.join(OWN_FILES)})"), "dataset")
    return dataset


def _typed(text: str, default: Any) -> Any:
    """``text`` in the type of ``default``; text that does not fit comes back as it is."""
    if isinstance(default, bool):
        return choose(text.lower(), ("true", "false"), "truth value") == "true"
    if not isinstance(default, (int, float)):
        return text
    try:
        return type(default)(text)
    except ValueError as error:
        wanted = "an integer" if isinstance(default, int) else "a number"
        raise ValueError(f"expected {wanted}, got {text!r}") from error
