"""What each column of a reader's table is: the label, the patient, an input, or an identifier."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.csv_files import lacking
from medpriv.data.own_cells import spelling
from medpriv.data.own_split import is_split
from medpriv.data.sources import Roles

_SOMEBODY: Final = (
    *("patient", "pat", "pt", "subject", "subj", "participant", "person", "individual", "client"),
    *("case", "record", "fall", "patienten", "hospital", "admission", "chart", "accession"),
    *("medicalrecord", "nhs", "socialsecurity", "study", "visit", "encounter", "stay", "exam"),
)
_NUMBERED: Final = ("id", "no", "nr", "num", "number", "nummer", "code", "key", "identifier")
#: Names of columns that say who it is, in small letters and without signs.
_WHO: Final = frozenset(
    (
        *(who + ending for who in _SOMEBODY for ending in (*_NUMBERED, "name")),
        *("patient", "patients", "pat", "pid", "pt", "subject", "subj", "sub", "participant"),
        *("person", "individual", "client", "case", "id", "ids", "ident", "identifier", "uid"),
        *("uuid", "guid", "mrn", "nhs", "ssn", "idpatient", "accession", "name", "names"),
        *("fullname", "firstname", "lastname", "givenname", "familyname", "forename", "surname"),
        *("vorname", "nachname", "nom", "prenom", "initials", "email", "phone", "telephone"),
    )
)
_LONG: Final = 50  # rows from which on a column that goes up by one counts them


@dataclass(frozen=True)
class Chosen:
    """The columns of a table by what they are.

    Attributes:
        labels, patient, part: the cells of the columns that say so; ``None`` without one.
        inputs: the names of the others.
        notes: what was left out, for the card.
    """

    labels: NDArray
    patient: NDArray | None
    part: NDArray | None
    inputs: list[str]
    notes: tuple[str, ...]


def chosen_columns(frame: pd.DataFrame, roles: Roles, path: Path, text: str = "") -> Chosen:
    """Find out what each column is.

    Args:
        frame: cells as text.
        roles: what the reader says of it.
        path: of the file, for messages.
        text: the name of the column of texts, of reports; other columns of reports are no inputs.

    Raises:
        DataError: a named column is not there, or one that is nobody's name is an identifier.
    """
    _check(frame, roles, path)
    patient = _cells(frame, roles.patient)
    split = roles.part is not None and roles.part in frame
    split = split and is_split(frame[roles.part].to_numpy(dtype=object), roles.part, path)
    taken = {roles.label, roles.patient, text, *roles.drop, *([roles.part] if split else [])}
    inputs, notes = [], []
    if roles.drop:
        notes.append(f"columns left out as asked: {', '.join(dict.fromkeys(roles.drop))}")
    for name in (name for name in frame if name not in taken):
        if text:  # beside a report no column is an input: it may name a patient who is known
            if patient is None and not _is_row_id(frame, name):
                refuse_identifier(frame, name, path, known=False)
            inputs.append(name)
        elif left_out := _left_out(frame, name, path):
            notes.append(left_out)
        else:
            refuse_identifier(frame, name, path, patient is not None)
            inputs.append(name)
    part = _cells(frame, roles.part) if split else None
    return Chosen(frame[roles.label].to_numpy(), patient, part, inputs, tuple(notes))


def _check(frame: pd.DataFrame, roles: Roles, path: Path) -> None:
    usual = Roles()
    named = [roles.label, *roles.sensitive, *roles.drop]
    named += [] if roles.patient in (None, usual.patient) else [roles.patient]
    named += [] if roles.part in (None, usual.part) else [roles.part]
    missing = [name for name in dict.fromkeys(named) if name not in frame]
    if missing:
        raise lacking(
            frame, missing, path, "check the header row, and what label=, patient= and so on name"
        )
    who = [name for name in (roles.label, roles.patient, roles.part) if name in frame]
    both = {*roles.drop} & {*who, *roles.sensitive} | ({*who} & {*roles.sensitive})
    if both or len(set(who)) < len(who):
        raise refuse(path, "a column is named as two things", "name each as one")


def _cells(frame: pd.DataFrame, name: str | None) -> NDArray | None:
    return frame[name].to_numpy() if name is not None and name in frame else None


def _left_out(frame: pd.DataFrame, name: str, path: Path) -> str:
    """Why a column is left out, for the card, or nothing.

    Raises:
        DataError: it has no name, and cells that say something.
    """
    if not name or re.fullmatch(r"Unnamed: \d+", name):
        cells = frame[name]
        if (cells == "").all():
            return "a column without a name and without cells was left out"
        number = pd.to_numeric(cells, errors="coerce")
        if number.notna().all() and number.is_unique and not (number % 1).any():
            return "a column without a name that numbers the rows was left out"
        raise refuse(
            path,
            f"column {list(frame).index(name) + 1} of the header has no name",
            f"name it, or leave it out with drop=({name!r},)",
        )
    return f"the column {name} was left out" if _is_row_id(frame, name) else ""


def _is_row_id(frame: pd.DataFrame, name: str) -> bool:
    return name.casefold() == "id" and frame[name].is_unique


def refuse_identifier(frame: pd.DataFrame, name: str, path: Path, known: bool) -> None:
    """Refuse a column whose name says that it tells who it is.

    With at most two different cells it tells nobody apart: ``case`` may say yes and no.

    Args:
        frame: cells as text.
        name: of the column.
        path: of the file, for messages.
        known: whether another column names the patients.

    Raises:
        DataError: it is one.
    """
    if names_patients(frame, name):
        says = "" if known else f"say patient={name!r} if it names the patients, or "
        raise refuse(
            path,
            f"the column {name!r} looks like an identifier of the patients, and would be an input"
            if known
            else f"the column {name!r} looks like an identifier; where it names the patients, one "
            "of them could be in two parts",
            f"{says}leave it out with drop=({name!r},), or rename it",
        )


def looks_like_number_of_row(name: str, values: NDArray, path: Path) -> bool:
    """Whether a numeric column has a different whole number in each row, as identifiers have.

    Raises:
        DataError: it counts the rows of the file.
    """
    if len(values) < 2 or (values % 1).any() or np.isnan(values).any():
        return False
    counts = values[1] - values[0] == 1 and bool((np.diff(values) == 1).all())
    if counts and (values[0] in (0, 1) or len(values) >= _LONG):
        raise refuse(
            path,
            f"the column {name!r} counts the rows, and the order of a file may give the label away",
            f"leave it out with drop=({name!r},)",
        )
    return len(np.unique(values)) == len(values)


def different_words(cells: NDArray) -> bool:
    """Whether each cell of a category is another one, as identifiers are."""
    return len({spelling(str(cell)) for cell in cells}) == len(cells)


def names_patients(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column is called like one that says who it is, and tells people apart."""
    plain = re.sub(r"[\W_]", "", name.casefold())
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    ends = len(parts) > 1 and parts[-1].lower() in ("id", "ids", "uid", "mrn")
    return (plain in _WHO or ends) and frame[name].nunique() > (2 if plain in _WHO else 10)
