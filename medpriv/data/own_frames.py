"""A cohort of what the reader holds in memory: the same rules as for their own files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cohort import Cohort
from medpriv.data.image_files import to_images
from medpriv.data.loaders import table_roles
from medpriv.data.own_cohort import OwnRows, own_cohort
from medpriv.data.own_split import is_split
from medpriv.data.own_tables import records_of, reports_of
from medpriv.data.sources import DATASETS, Wanted
from medpriv.data.splitting import row_keys
from medpriv.runtime.hashing import content_hash
from medpriv.runtime.seeds import check_seed

_LABEL, _PATIENT, _PART, _TEXT = "label", "patient", "part", "text"


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
        roles = table_roles(
            label=label, patient=patient, part=_PART if part is None else part,
            sensitive=sensitive, drop=drop, missing=missing, missing_codes=missing_codes,
        )  # fmt: skip
        wanted = Wanted(name, "full", check_seed(seed), None, roles=roles)
        table = _as_text(data, path)
        digest = content_hash(list(table), [table[column].tolist() for column in table])
        read = reports_of if _TEXT in table and _TEXT not in roles.drop else records_of
        return read(table, path, wanted, digest)
    if sensitive or drop or missing != "refuse" or missing_codes is not None:
        raise ValueError("sensitive=, drop=, missing= and missing_codes= are for tables")
    if isinstance(data, (np.ndarray, Tensor)) and np.ndim(data) > 1:
        return _images(data, label, patient, part, path, seed)
    columns = {_TEXT: list(data), _LABEL: label, _PATIENT: patient, _PART: part}
    given = {key: _listed(one, key, path) for key, one in columns.items() if one is not None}
    lengths = {key: len(one) for key, one in given.items()}
    if len(set(lengths.values())) > 1:
        raise refuse(path, f"there are {lengths}", "give one of each for each text")
    frame = pd.DataFrame(given)
    return cohort_from(
        frame, label=_LABEL, patient=None if patient is None else _PATIENT, name=name, seed=seed
    )


def _as_text(data: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The cells as a file would have them: text, and nothing where there is nothing."""
    names = [str(name).strip() for name in data.columns]
    if len(set(names)) < len(names):
        raise refuse(path, "two columns share a name", "rename them")
    if len(data) < 2:
        raise refuse(path, f"it has {len(data)} row(s)", "more are needed")
    columns = {}
    for place, name in enumerate(names):
        column = data.iloc[:, place]
        gone = column.isna().to_numpy()
        cells = column.astype(object).tolist()
        columns[name] = np.array(
            ["" if none else str(cell).strip() for cell, none in zip(cells, gone, strict=True)],
            dtype=object,
        )
    return pd.DataFrame(columns)


def _listed(values: Any, what: str, path: Path) -> list[Any]:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    if isinstance(array, (str, bytes)) or np.ndim(array) != 1:
        raise refuse(path, f"{what} is no list", f"give {what}= as a list, one for each row")
    return list(array)


def _images(
    data: NDArray | Tensor, label: Any, patient: Any, part: Any, path: Path, seed: int
) -> Cohort:
    pixels = data.detach().cpu().numpy() if isinstance(data, Tensor) else data
    x = torch.as_tensor(to_images(pixels, path))
    labels, who, parts = (
        None if one is None else np.array([str(cell) for cell in _listed(one, what, path)])
        for one, what in ((label, _LABEL), (patient, _PATIENT), (part, _PART))
    )
    if parts is not None:
        if len(parts) != len(x):
            raise refuse(path, f"part has {len(parts)} values", f"expected {len(x)}")
        is_split(parts, "part=", path)
    digest = content_hash(x, labels, who, parts)
    keys = row_keys(x.numpy())
    rows = OwnRows(path, x, labels, who, keys, digest=digest, part=parts)
    return own_cohort("images", rows, Wanted(path.name, "full", check_seed(seed), None))
