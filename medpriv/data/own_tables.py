"""Tables of the reader's own: records, and reports with what is known beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medpriv.data.archives import check_readable, refuse
from medpriv.data.cohort import Cohort, Column
from medpriv.data.csv_files import MAX_CLASSES, numbers, read_csv
from medpriv.data.own_cohort import OwnRows, labels_and_patients, own_cohort
from medpriv.data.sources import Wanted
from medpriv.data.splitting import row_keys
from medpriv.data.text import normalise_text
from medpriv.data.yes_no import yes_no_columns


def own_records(path: Path, wanted: Wanted) -> Cohort:
    """Records from the reader's ``.csv``; see the module's text.

    A column whose cells are all numbers is numeric; one of words is a category.
    """
    frame = read_table(path, "records")
    if "text" in frame:
        raise refuse(path, "it has a column text", "use load_reports for reports")
    names = [name for name in frame if name not in ("label", "patient", "id")]
    if not names:
        raise refuse(path, "it has no column besides label, patient and id", "add the inputs")
    columns, values = zip(*(_input(frame, name, path) for name in names), strict=True)
    x = torch.from_numpy(np.stack(values, axis=1).astype(np.float32))
    notes = ("the column id was left out",) if "id" in frame else ()
    rows = OwnRows(path, x, *labels_and_patients(frame), row_keys(x.numpy()), notes, columns)
    return own_cohort("records", rows, wanted)


def own_reports(path: Path, wanted: Wanted) -> Cohort:
    """Reports from the reader's ``.csv``; see the module's text.

    The columns of :func:`.yes_no_columns` become the parts' ``attributes``, which
    :func:`.report_facts` gives. The card names them, and the columns that are left out.
    """
    frame = read_table(path, "reports")
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
    rows = OwnRows(path, texts, *labels_and_patients(frame), keys, notes, attributes=facts)
    return own_cohort("reports", rows, wanted)


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


def read_table(path: Path, what: str) -> pd.DataFrame:
    """A ``.csv`` with a column ``label``, as text; ``what`` is in it, for the message.

    Raises:
        DataError: it is no such file.
    """
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
