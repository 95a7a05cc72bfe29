"""What the tests of trainings at a split share."""

from __future__ import annotations

from pathlib import Path

import pytest

from medpriv.data import load_images
from medpriv.data.cohort import Cohort


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache for each test: nothing that another one trained is loaded."""
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path))


@pytest.fixture(scope="session")
def small_images() -> Cohort:
    """Phantoms of 32 pixels, few of them."""
    return load_images("phantom", profile="smoke", size=32)
