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

Without ``patient`` each row counts as a patient: then exact repetitions are removed (one
person's data could otherwise be in two parts), and the card says what cannot be claimed. A text
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

from collections.abc import Callable
from pathlib import Path

from medpriv.data.cohort import Cohort, Modality
from medpriv.data.description import DESCRIBED, KINDS, described
from medpriv.data.own_pictures import own_images
from medpriv.data.own_tables import own_records, own_reports, read_table
from medpriv.data.sources import Wanted


def own_modality(path: Path) -> Modality:
    """What kind of data a file of the reader's holds, by its suffix and, of a CSV, its header."""
    if path.suffix.lower() == DESCRIBED:
        path, _ = described(path, tuple(KINDS))
    if path.suffix.lower() != ".csv":
        return "images"
    return "reports" if "text" in read_table(path, "records or reports") else "records"


READERS: dict[Modality, Callable[[Path, Wanted], Cohort]] = {
    "images": own_images,
    "records": own_records,
    "reports": own_reports,
}
