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

from collections.abc import Callable
from pathlib import Path

from medpriv.data.cohort import Cohort, Modality
from medpriv.data.own_pictures import own_images
from medpriv.data.own_tables import own_records, own_reports, read_table
from medpriv.data.sources import Wanted


def own_modality(path: Path) -> Modality:
    """What kind of data a file of the reader's holds, by its suffix and, of a CSV, its header."""
    if path.suffix.lower() != ".csv":
        return "images"
    return "reports" if "text" in read_table(path, "records or reports") else "records"


READERS: dict[Modality, Callable[[Path, Wanted], Cohort]] = {
    "images": own_images,
    "records": own_records,
    "reports": own_reports,
}
