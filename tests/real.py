"""Real data for tests: the file, or a skip that says what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real_file(*names: str) -> Path:
    """The first of ``names`` in the folder that ``MEDPRIV_DATA`` names; skips if there is none."""
    folder = os.environ.get("MEDPRIV_DATA")
    if not folder:
        pytest.skip("MEDPRIV_DATA is not set")
    for name in names:
        path = Path(folder).expanduser() / name
        if path.is_file():
            return path
    pytest.skip(f"MEDPRIV_DATA has no {' or '.join(names)}")
