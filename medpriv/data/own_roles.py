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
from medpriv.data.cells import Cells, cells_of
from medpriv.data.csv_files import require_columns
from medpriv.data.own_cohort import parts_of
from medpriv.data.sources import Roles

#: Names of columns that say who it is, in small letters and without signs.
_WHO: Final = re.compile(
    r"(patient(en)?|pat|pt|subj(ect)?|participant|person|individual|client|case|record|fall|study"
    r"|hospital|admission|chart|accession|medicalrecord|nhs|socialsecurity|visit|encounter|stay"
    r"|exam)(id|no|nr|num|number|nummer|code|key|identifier|name)"
    r"|patients?|pat|pid|pt|sub|subj(ect)?|participant|person|individual|client|case|idpatient"
    r"|ids?|ident|identifier|(u|g)?uid|mrn|nhs|ssn|accession|initials|email|(tele)?phone"
    r"|names?|(full|first|last|given|family)name|forename|surname|vorname|nachname|nom|prenom"
)
_LONG: Final = 50  # rows from which on a column that goes up by one counts them


@dataclass(frozen=True)
class Chosen:
    """The columns of a table by what they are.

    Attributes:
        labels: ``(n,)``.
        patient: ``(n,)``, or ``None`` without such a column.
        part: ``(n,)`` as :func:`.parts_of` gives it.
        inputs: the other columns.
        notes: what was left out, for the card.
    """

    labels: NDArray
    patient: NDArray | None
    part: NDArray | None
    inputs: list[Cells]
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
    columns = cells_of(frame, path)
    patient, split = columns.get(roles.patient), columns.get(roles.part)
    part = None if split is None else parts_of(split)
    taken = {roles.label, roles.patient, text, *roles.drop}
    taken |= set() if part is None else {roles.part}
    inputs, notes = [], []
    if roles.drop:
        notes.append(f"columns left out as asked: {', '.join(dict.fromkeys(roles.drop))}")
    for place, cells in enumerate(columns.values(), start=1):
        if cells.name in taken:
            continue
        left_out = "" if text else _left_out(cells, place)
        if left_out:
            notes.append(left_out)
            continue
        # Beside a report no column is an input: it may name a patient who is known.
        if not text or (patient is None and not _is_row_id(cells)):
            _refuse_identifier(cells, patient is not None)
        inputs.append(cells)
    who = None if patient is None else patient.text
    return Chosen(columns[roles.label].text, who, part, inputs, tuple(notes))


def _check(frame: pd.DataFrame, roles: Roles, path: Path) -> None:
    """Pass if the named columns are there, each as one thing."""
    usual = Roles()
    named = [roles.label, *roles.sensitive, *roles.drop]
    named += [] if roles.patient in (None, usual.patient) else [roles.patient]
    named += [] if roles.part in (None, usual.part) else [roles.part]
    require_columns(
        frame, named, path, "check the header row, and what label=, patient= and so on name"
    )
    once = [roles.label, roles.patient, roles.part, *{*roles.drop}, *{*roles.sensitive}]
    once = [name for name in once if name in frame]
    if len(set(once)) < len(once):
        raise refuse(path, "a column is named as two things", "name each as one")


def _left_out(cells: Cells, place: int) -> str:
    """Why a column is left out, for the card, or nothing.

    Raises:
        DataError: it has no name, and cells that say something.
    """
    if cells.name and not re.fullmatch(r"Unnamed: \d+", cells.name):
        return f"the column {cells.name} was left out" if _is_row_id(cells) else ""
    if (cells.text == "").all():
        return "a column without a name and without cells was left out"
    number = pd.to_numeric(cells.text, errors="coerce")
    if (number % 1 == 0).all() and _are_different(cells):
        return "a column without a name that numbers the rows was left out"
    raise refuse(
        cells.path,
        f"column {place} of the header has no name",
        f"name it, or leave it out with drop=({cells.name!r},)",
    )


def _are_different(cells: Cells) -> bool:
    return len(cells.words) == len(cells.text)


def _is_row_id(cells: Cells) -> bool:
    return cells.name.casefold() == "id" and _are_different(cells)


def names_patients(cells: Cells) -> bool:
    """Whether a column is called like one that says who it is, and tells people apart.

    With at most two different cells it tells nobody apart: ``case`` may say yes and no.
    """
    named = _WHO.fullmatch(re.sub(r"[\W_]", "", cells.name.casefold()))
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", cells.name)
    ends = len(words) > 1 and words[-1].lower() in ("id", "ids", "uid", "mrn")
    return bool(named or ends) and len(cells.words) > (2 if named else 10)


def _refuse_identifier(cells: Cells, known: bool) -> None:
    if names_patients(cells):
        says = "" if known else f"say patient={cells.name!r} if it names the patients, or "
        raise cells.refuse(
            "looks like an identifier of the patients",
            f"{says}leave it out with drop=({cells.name!r},), or rename it",
        )


def could_number_rows(cells: Cells, values: NDArray[np.float64]) -> bool:
    """Whether a column of numbers has a different whole one in each row, as identifiers have.

    Raises:
        DataError: it counts the rows of the file.
    """
    if (values % 1 != 0).any():
        return False
    up = bool((np.diff(values) == 1).all())
    if up and (values[0] in (0, 1) or len(values) >= _LONG):
        raise cells.refuse(
            "counts the rows, and the order of a file may give the label away",
            f"leave it out with drop=({cells.name!r},)",
        )
    return len(np.unique(values)) == len(values)
