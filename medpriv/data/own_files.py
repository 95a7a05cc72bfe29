"""The reader's own data.

==============  ==========================================================================
images          an ``.npz`` with ``images`` (uint8, or float in [0, 1]) and ``labels``, and
                ``patient`` if known; or a folder of PNGs with ``labels.csv``, whose columns
                are ``file``, ``label`` and, if known, ``patient``
records         a ``.csv`` with a column ``label``, ``patient`` if known, and the inputs
reports         a ``.csv`` with the columns ``text`` and ``label``, and ``patient`` if known;
                columns that say yes or no are facts of the patient, others are left out
==============  ==========================================================================

Without ``patient`` each row counts as a patient: then exact repetitions are removed (one
person's data could otherwise be in two parts), and the card says what cannot be claimed. A text
that repeats another is removed even where the patients are known: whoever owns the one can look
the other up. All profiles use all patients.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import check_readable, read_npz, refuse
from medpriv.data.cohort import Cohort, Column, DataCard, Modality, Part
from medpriv.data.csv_files import MAX_CLASSES, class_labels, numbers, read_csv
from medpriv.data.image_files import read_picture, resize, to_images
from medpriv.data.sources import Wanted
from medpriv.data.splitting import (
    file_card,
    first_occurrences,
    no_attributes,
    refuse_contradictions,
    row_keys,
    split_rows,
)
from medpriv.data.text import normalise_text
from medpriv.data.yes_no import yes_no_columns
from medpriv.runtime.hashing import content_hash

WEIGHTS = (0.4, 0.4, 0.1, 0.1)
LABELS = "labels.csv"
YOURS = "yours to establish; the course cannot know it"


@dataclass(frozen=True)
class _Rows:
    """What was read: ``keys`` say which rows have the same content."""

    path: Path
    x: Tensor | tuple[str, ...]
    labels: NDArray
    patient: NDArray | None
    keys: Sequence[Hashable]
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    digest: str | None = None
    attributes: pd.DataFrame | None = None


def own_modality(path: Path) -> Modality:
    """What kind of data a file of the reader's holds, by its suffix and, of a CSV, its header."""
    if path.suffix.lower() != ".csv":
        return "images"
    return "reports" if "text" in _read_table(path, "records or reports") else "records"


def own_images(path: Path, wanted: Wanted) -> Cohort:
    """Images from the reader's ``.npz`` or folder of PNGs; see the module's text."""
    size = wanted.size
    if path.is_dir():
        rows = _read_folder(path, size)
    elif path.suffix.lower() == ".npz":
        arrays = read_npz(path, ("images", "labels"))
        full = to_images(arrays["images"], path)
        x = resize(full, size)
        note = f"images of {full.shape[2]}×{full.shape[3]} pixels, resized to {size}×{size}"
        keys = row_keys(x.numpy())
        rows = _Rows(path, x, arrays["labels"], arrays.get("patient"), keys, (note,))
    else:
        check_readable(path)
        raise refuse(path, "images come as .npz or as a folder of PNGs", "or use load_records")
    return _cohort("images", rows, wanted)


def own_records(path: Path, wanted: Wanted) -> Cohort:
    """Records from the reader's ``.csv``; see the module's text.

    A column whose cells are all numbers is numeric; one of words is a category.
    """
    frame = _read_table(path, "records")
    if "text" in frame:
        raise refuse(path, "it has a column text", "use load_reports for reports")
    names = [name for name in frame if name not in ("label", "patient", "id")]
    if not names:
        raise refuse(path, "it has no column besides label, patient and id", "add the inputs")
    columns, values = zip(*(_input(frame, name, path) for name in names), strict=True)
    x = torch.from_numpy(np.stack(values, axis=1).astype(np.float32))
    notes = ("the column id was left out",) if "id" in frame else ()
    rows = _Rows(path, x, *_who(frame), row_keys(x.numpy()), notes, columns)
    return _cohort("records", rows, wanted)


def own_reports(path: Path, wanted: Wanted) -> Cohort:
    """Reports from the reader's ``.csv``; see the module's text.

    The columns of :func:`.yes_no_columns` become the parts' ``attributes``, which
    :func:`.report_facts` gives. The card names them, and the columns that are left out.
    """
    frame = _read_table(path, "reports")
    if "text" not in frame:
        raise refuse(path, "it has no column text", "use load_records for records")
    empty = np.flatnonzero(frame["text"] == "")
    if len(empty):
        raise refuse(
            path,
            f"{len(empty)} text(s) are empty, the first in row {empty[0] + 1}",
            "remove these rows",
        )
    texts = tuple(frame["text"])
    further = [name for name in frame if name not in ("text", "label", "patient")]
    facts = yes_no_columns(frame, further, path)
    keys = [normalise_text(text) for text in texts]
    notes = _columns_used(list(facts), [name for name in further if name not in facts])
    rows = _Rows(path, texts, *_who(frame), keys, notes, attributes=facts)
    return _cohort("reports", rows, wanted)


def _columns_used(facts: Sequence[str], left_out: Sequence[str]) -> tuple[str, ...]:
    """What the card says of the columns of a table of reports; it quotes no cell."""
    used = (
        f"facts of the patients, from columns of yes and no: {', '.join(facts)}"
        if facts
        else "no column says yes or no: common words of the reports are their facts, without words "
        "that look like names and without those that nearly always come with a more common one"
    )
    left = "columns left out, since not each row says yes or no and both are there: "
    return (used, left + ", ".join(left_out)) if left_out else (used,)


def _who(frame: pd.DataFrame) -> tuple[NDArray, NDArray | None]:
    patient = frame["patient"].to_numpy() if "patient" in frame else None
    return frame["label"].to_numpy(), patient


def _read_table(path: Path, what: str) -> pd.DataFrame:
    if path.is_dir() or path.suffix.lower() != ".csv":
        check_readable(path)
        raise refuse(path, f"{what} come as .csv", "or use load_images for images")
    return read_csv(path, ("label",))


def _input(frame: pd.DataFrame, name: str, path: Path) -> tuple[Column, NDArray]:
    cells = frame[name]
    numeric = pd.to_numeric(cells, errors="coerce").notna()
    # A column mostly of numbers is one of numbers: what is none in it is a mistake.
    if numeric.mean() > 0.5:
        return Column(name), numbers(frame, name, path)
    missing = np.flatnonzero(cells == "")
    if len(missing):
        raise refuse(
            path,
            f"the column {name!r} is empty in {len(missing)} row(s), the first in row "
            f"{missing[0] + 1}",
            "fill it in, for example with 'unknown'",
        )
    values, position = np.unique(cells.to_numpy(dtype=str), return_inverse=True)
    if len(values) > MAX_CLASSES:
        raise refuse(
            path,
            f"the column {name!r} has {len(values)} different words",
            f"a category has at most {MAX_CLASSES}: group or remove it; free text is called text",
        )
    return Column(name, tuple(str(value) for value in values)), position


def _read_folder(folder: Path, size: int) -> _Rows:
    table = folder / LABELS
    if not table.is_file():
        raise refuse(
            folder,
            f"the folder has no {LABELS}",
            "write one with the columns file, label and, if known, patient",
        )
    frame = read_csv(table, ("file", "label"))
    pictures, sizes = [], set()
    for row, name in enumerate(frame["file"], start=1):
        inside = PurePosixPath(name.replace("\\", "/"))
        if not name or inside.is_absolute() or ".." in inside.parts:
            raise refuse(
                table, f"row {row} names a file elsewhere", "expected a name in this folder"
            )
        picture = read_picture(folder / inside)
        sizes.add(picture.shape[:2])
        pictures.append(resize(to_images(picture[None], folder / inside), size))
    colours = max(picture.shape[1] for picture in pictures)
    x = torch.cat([picture.expand(-1, colours, -1, -1) for picture in pictures])
    spare = {file.name for file in folder.glob("*.png")} - set(frame["file"])
    notes = (
        f"pictures of {len(sizes)} size(s), each resized to {size}×{size} whatever its shape",
        "transparency was dropped",
        f"{len(spare)} picture(s) that {LABELS} does not name were left out",
        f"the sha256 is over the names and contents of {LABELS} and the pictures in it",
    )
    files = [LABELS, *frame["file"]]
    digest = content_hash([(name, folder / name) for name in files])
    return _Rows(table, x, *_who(frame), row_keys(x.numpy()), notes, digest=digest)


def _cohort(modality: Modality, read: _Rows, wanted: Wanted) -> Cohort:
    y, classes = class_labels(read.labels, read.path)
    if len(read.x) != len(y):
        raise refuse(
            read.path, f"there are {len(read.x)} rows but {len(y)} labels", "expected one a row"
        )
    known = read.patient is not None
    who = _identities(read.patient, len(y), read.path) if known else np.arange(len(y)).astype(str)
    keys, notes = read.keys, read.notes
    if known:
        refuse_contradictions(read.path, zip(who, keys, strict=True), y)
    elif modality == "records":
        keys = list(zip(keys, y.tolist(), strict=True))  # two people can measure alike
    else:
        refuse_contradictions(read.path, keys, y)
    known_of_them = no_attributes(len(y)) if read.attributes is None else read.attributes
    rows = Part(read.x, torch.from_numpy(y), who, known_of_them)
    if not known:
        notes = (*notes, "the patients are not named: each row counts as one")
    if not known or modality == "reports":
        unique = first_occurrences(keys)
        what = "removed" if wanted.deduplicate else "kept"
        notes = (*notes, f"{len(rows) - len(unique)} rows that repeat another exactly were {what}")
        rows = rows.take(unique) if wanted.deduplicate else rows
    card = DataCard(
        # With its ending, so that no file is taken for a data set of the course.
        name=f"{read.path.parent.name}/{LABELS}" if read.path.name == LABELS else read.path.name,
        title="The reader's own data",
        origin="the reader's own file",
        licence=YOURS,
        consent=YOURS,
        deidentification=YOURS,
        synthetic=False,
        patient_identity=known,
        citation="none",
    )
    card = file_card(card, read.path, *notes, digest=read.digest)
    return split_rows(
        modality, card, classes, rows, WEIGHTS, wanted, columns=read.columns, in_file_order=True
    )


def _identities(patient: NDArray, rows: int, path: Path) -> NDArray[np.str_]:
    if patient.shape != (rows,):
        raise refuse(path, f"patient has shape {patient.shape}", f"expected ({rows},)")
    names = pd.Series(patient.astype(str)).str.strip()
    missing = np.flatnonzero(names.str.lower().isin(["", "nan", "none"]))
    if len(missing):
        raise refuse(
            path,
            f"{len(missing)} patients are not named, the first in row {missing[0] + 1}",
            "name them all, or leave patient out",
        )
    return names.to_numpy(dtype=str)


READERS: dict[Modality, Callable[[Path, Wanted], Cohort]] = {
    "images": own_images,
    "records": own_records,
    "reports": own_reports,
}
