"""Tables from OpenML, through scikit-learn, kept in the cache as ``.csv``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pandas as pd

from medpriv.data.cohort import DataError
from medpriv.data.fetch import check_noted, local_file, note_sha256
from medpriv.runtime.cache import atomic_path, cache_dir


@dataclass(frozen=True)
class OpenmlTable:
    """A data set's number on OpenML, and the names that the reader's folder may hold it under."""

    name: str
    data_id: int

    @property
    def files(self) -> tuple[str, ...]:
        """The one name: that of the data set, as ``.csv``."""
        return (f"{self.name}.csv",)


def locate_table(source: OpenmlTable) -> Path:
    """The path of a table: in the reader's folder, then in the cache, then from OpenML.

    scikit-learn compares the download with the MD5 that OpenML publishes before it is used. What is
    kept is checked by its sha256 each time, and downloaded again if it is damaged.

    Raises:
        DataError: it cannot be had; the message says why and how to get it by hand.
        CacheError: it was downloaded but cannot be kept.
    """
    found = local_file(source.files)
    if found is not None:
        return found
    target = cache_dir() / "data" / f"openml-{source.data_id}.csv"
    if target.is_file():
        try:
            check_noted(target)
        except DataError as error:
            warnings.warn(f"{error} Downloading it again.", RuntimeWarning, stacklevel=2)
        else:
            return target
    frame = _download(source.name, source.data_id)
    with atomic_path(target) as part:
        frame.to_csv(part, index=False)
        note_sha256(part, target)
    return target


def _download(name: str, data_id: int) -> pd.DataFrame:
    from sklearn.datasets import fetch_openml

    try:
        # Kept by us, whole or not at all: scikit-learn's own cache stays out of it.
        bunch = fetch_openml(data_id=data_id, as_frame=True, parser="auto", cache=False)
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(
            f"{name}: downloading data set {data_id} from OpenML failed ({error}). Try again "
            f"later, or download it by hand from https://www.openml.org/d/{data_id} and put it "
            f"as {name}.csv, with its header row, into a folder that MEDPRIV_DATA names"
        ) from error
    return bunch.frame
