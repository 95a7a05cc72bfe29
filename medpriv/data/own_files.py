r"""The reader's own data.

==============  ==========================================================================
images          an ``.npz`` with ``images`` (uint8, or float in [0, 1]) and ``labels``, and
                ``patient`` if known; an ``.npz`` in MedMNIST's layout; or a folder of pictures
                or of DICOM files with ``labels.csv``, whose columns are ``file``, ``label`` and,
                if known, ``patient``
records         a ``.csv`` with a column ``label``, ``patient`` and ``part`` if known, and inputs
reports         a ``.csv`` with the columns ``text`` and ``label``, and ``patient`` if known;
                columns that say yes or no are facts of the patient, others are left out
==============  ==========================================================================

Other names of columns are said with ``label=``, ``patient=``, ``part=`` and ``drop=``, or in a
``.toml`` beside the table, whose path then stands for it: ``file = "clinic.csv"``, and a line for
each argument. A table in memory, or texts or images, goes through the same rules by
:func:`.cohort_from`. What is beyond doubt is read, and the card notes how; what is not is refused,
by row and column, and no cell is quoted:

- **Identifiers.** A column that is called like one, such as ``patient_id`` or ``MRN``, is refused
  until ``patient=`` or ``drop=`` says what it is, and so is one that counts the rows: the model
  would know people by it, and one of them could be in two parts. Left out with a note are a column
  without a name that numbers the rows, and ``id`` where it is different in each row. Another column
  with a different whole number in each row is noted. A patient, a class or a category that is
  written in two ways (``P1`` and ``p1``, ``1`` and ``01``) is refused.
- **Numbers.** A column is one of numbers where most of its cells are: with decimal commas, with one
  unit in all cells (it is noted with the column), with thousands apart. ``1,234`` is read as other
  cells of the column show, or other columns of the table, and refused where none does. Two units
  in a column, and bounds such as ``<0.5``, are refused. Ranges and stages are categories.
- **Dates** become days since 1970-01-01, where it is clear which number is the day.
- **Missing.** An empty cell, ``?``, ``NA``, ``N/A``, ``null``, ``-`` and ``.`` say that nothing is
  known. That is refused, unless ``missing="category"`` (of words, the category "missing"; of
  numbers, the median, and a further column ``<name> missing`` of no and yes) or
  ``missing="median"`` (of words, the most common one). Medians and the most common words are those
  of all rows of the file, whatever part they are in; in how many rows they stand is noted. Numbers
  that look like a code for it, such as -9 or 999 far from all others, are refused until
  ``missing_codes=`` says which are.
- **Parts.** Where the model is trained already, a column ``part`` says who trained it: each cell is
  ``members``, ``auxiliary``, ``victims`` or ``test``, or else ``members`` or ``others`` (or
  ``train`` and ``test``), of whom the others are divided 4:1:1 by patient. A patient in two parts
  is refused. Without it the split is drawn.

Patients are called by their place in the file, as "patient 12", whatever their names are, so that
no page shows one. Without ``patient`` each row counts as a patient: then exact repetitions are
removed (one person's data could otherwise be in two parts), and the card says what cannot be
claimed. A text
that repeats another is removed even where the patients are known: whoever owns the one can look
the other up. All profiles use all patients.

**Pictures** are PNG, JPEG, TIFF or BMP, told by their content. ``file`` is a name in the folder or
below, with ``/`` or ``\``. A picture is turned as its EXIF orientation says; of several frames the
first counts; transparency is dropped; grey pictures among coloured ones get three equal colours.
Of 16 bits those count that the largest value of the whole folder needs (8, 10, 12, 14 or 16), so
one factor holds for all; a folder of 0 and 1 becomes black and white. The card tells each of these
with a count. What would be misread is refused: other formats, CMYK, colours of 16 bits, numbers
with a sign, floats beyond 0 to 1. So are a picture listed twice, or under two patients, one of more
than 512 MiB as float32, and an ``.npz`` of more than 4 GiB.

**DICOM** files, with or without a suffix, are named by ``file`` or, in a column ``uid``, by their
SOPInstanceUID. Without a column ``patient`` their PatientID tells who is who, and has to be there.
How their pixels come to [0, 1] is said in :mod:`medpriv.data.dicom_files`. Files of several frames,
with a palette, or compressed in a way for which no decoder is installed are refused.

**MedMNIST**: an ``.npz`` with ``train_images``, ``train_labels`` and the same of ``val`` and
``test`` keeps that split: members and auxiliary from the first, victims from the second, test from
the third. If it bears the name of a flag, as ``pneumoniamnist.npz``, it gives what the flag would
give of it, with as many images as the profile says, and the flag's card only if it is the
publisher's file. Another gives all of its images, each a patient, and classes as they are numbered.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import check_readable, refuse
from medpriv.data.cells import Cells
from medpriv.data.cohort import Cohort, DataError, Modality
from medpriv.data.csv_files import read_csv
from medpriv.data.image_files import to_images
from medpriv.data.own_cohort import OwnRows, own_cohort, parts_of
from medpriv.data.own_pictures import own_images
from medpriv.data.own_tables import records_of, reports_of
from medpriv.data.sources import DATASETS, Roles, Wanted
from medpriv.data.splitting import row_keys
from medpriv.runtime.hashing import content_hash
from medpriv.runtime.seeds import check_seed

DESCRIBED = ".toml"
#: What a description can say of a table, beside its ``file``.
SAID: Final = {
    **dict.fromkeys(("label", "patient", "part", "missing"), "a text"),
    **dict.fromkeys(("sensitive", "drop"), "a list of texts"),
    "missing_codes": "a list of numbers",
}


def described(path: Path, known: Sequence[str] = tuple(SAID)) -> tuple[Path, Roles]:
    """The table that a ``.toml`` describes, and what it says of the columns.

    ``file`` is the table, beside the description or below; the other keys are arguments of
    :func:`medpriv.data.load_records`: ``label``, ``patient``, ``part``, ``sensitive``, ``drop``,
    ``missing`` and ``missing_codes``, of which ``known`` apply.

    Raises:
        DataError: it is no TOML, ``file`` is missing, or a key is unknown or of another kind.
    """
    example = 'expected a line: file = "patients.csv"'
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise DataError(f"{path.name} is no TOML; {example}") from None
    file = said.pop("file", None)
    if not isinstance(file, str):
        raise DataError(f"{path.name} names no table; {example}")
    if not said.keys() <= set(known):
        can = f"beside file it can say: {', '.join(known)}"
        raise DataError(f"{path.name} says something that is unknown here; {can}")
    for key, value in said.items():
        inside = value if isinstance(value, list) else [value]
        kinds = {float if type(one) is int else type(one) for one in inside}
        fits = kinds <= {float if key == "missing_codes" else str}
        if not fits or isinstance(value, list) != SAID[key].startswith("a list"):
            raise DataError(f"{path.name}: {key} has to be {SAID[key]}")
    return path.parent / file, Roles(**said)


def own_modality(path: Path) -> Modality:
    """What kind of data a file of the reader's holds, by its suffix and, of a CSV, its header."""
    if path.suffix.lower() == DESCRIBED:
        path, _ = described(path)
    if path.suffix.lower() != ".csv":
        return "images"
    return "reports" if "text" in read_csv(path) else "records"


def load_own(modality: Modality, path: Path, wanted: Wanted) -> Cohort:
    """The cohort of a reader's file or folder.

    Raises:
        DataError: it is malformed, or cannot be read beyond doubt.
    """
    if modality == "images":
        return own_images(path, wanted)
    if path.is_dir() or path.suffix.lower() != ".csv":
        check_readable(path)
        raise refuse(path, f"{modality} come as .csv", "or use load_images for images")
    read = records_of if modality == "records" else reports_of
    return read(read_csv(path), path, wanted)


def cohort_from(
    data: pd.DataFrame | Sequence[str] | NDArray | Tensor,
    *,
    label: Any,
    patient: Any = None,
    sensitive: str | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    missing: str = "refuse",
    missing_codes: Sequence[float] | None = None,
    part: Any = None,
    name: str = "my data",
    seed: int = 0,
) -> Cohort:
    """A cohort of your own table, texts or images, by the rules of :mod:`medpriv.data.own_files`.

    Args:
        data: a table, of records or, with a column ``text``, of reports; n texts; or images,
            ``(n, h, w)``, ``(n, c, h, w)`` or ``(n, h, w, c)`` with c of 1 or 3, uint8 or float in
            [0, 1], which keep their size.
        label: a table's column of the classes; else ``(n,)``, the class of each.
        patient: a table's column that names the patients, else ``(n,)``; ``None`` if not known:
            then each row counts as a patient.
        sensitive: columns of a table of records, as for :func:`.load_records`.
        drop: columns of a table to leave out.
        missing: of records, what is done where nothing is known, as for :func:`.load_records`.
        missing_codes: of records, numbers that mean "not known", as for :func:`.load_records`.
        part: a table's column that says in which part each patient is, else ``(n,)``: ``members``
            (who trained your model), ``auxiliary``, ``victims`` and ``test``; or ``members`` and
            ``others``, who are divided 4:1:1 into the other three. Without it the split is drawn,
            where a table has no column of that name.
        name: of the data, on the card and in messages.
        seed: decides who is in which part.

    Raises:
        DataError: the data are malformed, or cannot be read beyond doubt.
        ValueError: a parameter is not valid.
    """
    if not name or name in {known for names in DATASETS.values() for known in names}:
        raise ValueError(f"name={name!r} is a data set of the course; give yours another")
    path = Path(name)
    if isinstance(data, pd.DataFrame):
        roles = Roles(
            label, patient, "part" if part is None else part, sensitive, drop, missing,
            missing_codes,
        )  # fmt: skip
        return _from_table(data, path, Wanted(name, "full", check_seed(seed), None, roles=roles))
    if sensitive or drop or missing != "refuse" or missing_codes is not None:
        raise ValueError("sensitive=, drop=, missing= and missing_codes= are for tables")
    given = {"label": label, "patient": patient, "part": part}
    columns = {key: _listed(one, key, path) for key, one in given.items() if one is not None}
    lengths = {"data": len(data)} | {key: len(one) for key, one in columns.items()}
    if len(set(lengths.values())) > 1:
        raise refuse(path, f"the lengths are {lengths}", "give one of each for each row")
    if isinstance(data, (np.ndarray, Tensor)) and np.ndim(data) > 1:
        return _from_images(data, columns, path, Wanted(name, "full", check_seed(seed), None))
    table = pd.DataFrame({"text": list(data), **columns})
    known = None if patient is None else "patient"
    return cohort_from(table, label="label", patient=known, name=name, seed=seed)


def _from_table(data: pd.DataFrame, path: Path, wanted: Wanted) -> Cohort:
    """A table as its file would be read: cells as text, and nothing where there is nothing."""
    names = [str(name).strip() for name in data.columns]
    if len(set(names)) < len(names):
        raise refuse(path, "two columns share a name", "rename them")
    if len(data) < 2:
        raise refuse(path, f"it has {len(data)} row(s)", "more are needed")
    columns = {}
    for place, name in enumerate(names):
        column = data.iloc[:, place]
        cells = zip(column.astype(object).tolist(), column.isna(), strict=True)
        text = ["" if gone else str(cell).strip() for cell, gone in cells]
        columns[name] = np.array(text, dtype=object)
    table = pd.DataFrame(columns, dtype=object)
    digest = content_hash(names, [cells.tolist() for cells in columns.values()])
    read = reports_of if "text" in table and "text" not in wanted.roles.drop else records_of
    return read(table, path, wanted, digest)


def _from_images(
    data: NDArray | Tensor, columns: dict[str, list[Any]], path: Path, wanted: Wanted
) -> Cohort:
    pixels = data.detach().cpu().numpy() if isinstance(data, Tensor) else data
    x = to_images(pixels, path)
    text = {key: np.array([str(cell) for cell in one]) for key, one in columns.items()}
    digest = content_hash(x, *(text.get(key) for key in ("label", "patient", "part")))
    part = parts_of(Cells("part=", text["part"].astype(object), path)) if "part" in text else None
    rows = OwnRows(
        path, x, text["label"], text.get("patient"), row_keys(x.numpy()), digest=digest, part=part
    )
    return own_cohort("images", rows, wanted)


def _listed(values: Any, what: str, path: Path) -> list[Any]:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    if isinstance(array, (str, bytes)) or np.ndim(array) != 1:
        raise refuse(path, f"{what} is no list", f"give {what}= as a list, one for each row")
    return list(array)
