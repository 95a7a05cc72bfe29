"""The real files themselves, where ``MEDPRIV_DATA`` has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from medpriv.data import load_images, load_records, load_reports
from medpriv.data.cohort import Cohort
from medpriv.data.text import normalise_text
from real import real_file

pytestmark = pytest.mark.real
DOWNLOADS = "needs a download: set MEDPRIV_TEST_DOWNLOADS=1 to allow it"


def rows(cohort: Cohort) -> int:
    return sum(len(part) for part in cohort.parts().values())


def test_mias_is_the_known_collection():
    real_file("mias_128.npz")
    cohort = load_images("mias")
    patient = np.concatenate([part.patient for part in cohort.parts().values()])
    _, images = np.unique(patient, return_counts=True)
    assert rows(cohort) == len(patient) == 114
    assert len(images) == 107
    assert (images == 2).sum() == 7
    assert [part.patients for part in cohort.parts().values()] == [35, 45, 14, 13]
    assert all(0.4 < part.y.float().mean() < 0.6 for part in cohort.parts().values())


@pytest.mark.parametrize("seed", range(5))
def test_mias_parts_share_no_patient(seed):
    real_file("mias_128.npz")
    parts = [set(part.patient) for part in load_images("mias", seed=seed).parts().values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 107


def test_mias_split_is_the_same_in_all_profiles():
    real_file("mias_128.npz")
    hashes = {load_images("mias", profile=p).content_hash() for p in ("smoke", "quick", "full")}
    assert len(hashes) == 1


def test_mias_masks_hold_the_breast():
    real_file("mias_128.npz")
    cohort = load_images("mias", size=128)
    for part in cohort.parts().values():
        share = part.mask.float().mean(dim=(1, 2, 3))
        assert share.min() > 0.15
        assert share.max() < 0.95
        # Inside is bright and outside dark, but for labels and film borders.
        inside = (part.x * part.mask).sum(dim=(1, 2, 3)) / part.mask.sum(dim=(1, 2, 3))
        outside = (part.x * ~part.mask).sum(dim=(1, 2, 3)) / (~part.mask).sum(dim=(1, 2, 3))
        assert (inside > 2 * outside).float().mean() > 0.9


def test_pneumoniamnist():
    real_file("pneumoniamnist.npz")
    cohort = load_images("pneumoniamnist")
    assert [len(part) for part in cohort.parts().values()] == [1200, 1200, 100, 400]
    assert cohort.members.x.shape == (1200, 1, 64, 64)
    seen = [{image.numpy().tobytes() for image in part.x} for part in cohort.parts().values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 2900
    assert not cohort.card.patient_identity
    assert cohort.card.licence == "CC BY 4.0"


def test_cardio_cleaning_counts():
    real_file("cardio.csv")
    cohort = load_records("cardio", profile="full")
    note = next(note for note in cohort.card.notes if "impossible" in note)
    # Counted with pandas alone, by the rules in the module's text.
    expected = _broken_by_pandas()
    assert f"{expected:,} of 70,000 records have impossible values" in note
    assert rows(cohort) == 70_000 - expected
    kept = load_records("cardio", profile="full", clean=False)
    assert rows(kept) == 70_000
    assert kept.card.notes[-1].endswith("nothing was removed")


def _broken_by_pandas() -> int:
    import pandas as pd

    frame = pd.read_csv(Path(os.environ["MEDPRIV_DATA"]).expanduser() / "cardio.csv")
    good = frame.query(
        "60 <= ap_hi <= 250 and 30 <= ap_lo <= 200 and ap_lo < ap_hi "
        "and 120 <= height <= 220 and 30 <= weight <= 250"
    )
    return len(frame) - len(good)


def test_cardio_quick_is_balanced_and_readable():
    real_file("cardio.csv")
    cohort = load_records("cardio")
    assert [part.patients for part in cohort.parts().values()] == [6000, 6000, 1000, 3000]
    # Half of the original 70,000 have the disease.
    assert all(abs(part.y.float().mean() - 0.5) < 0.02 for part in cohort.parts().values())
    frame = cohort.frame("test")
    assert (frame["ap_lo"] < frame["ap_hi"]).all()
    assert frame["age_years"].between(29, 65).all()


def test_openi_counts():
    real_file("openi_reports.csv")
    cohort = load_reports("openi", profile="full")
    notes = " ".join(cohort.card.notes)
    # The course's notes count 3,331 usable reports of 3,851, and 2,592 of these that differ in
    # their first 40 words (before the unlabelled ones are left out).
    assert "3,851 reports, of which 3,331 have findings" in notes
    assert abs(rows(cohort) - 2592) < 50
    texts = [normalise_text(text) for part in cohort.parts().values() for text in part.x]
    assert len(set(texts)) == len(texts)
    assert not cohort.card.patient_identity


def test_openi_as_filed():
    real_file("openi_reports.csv")
    filed = load_reports("openi", profile="full", deduplicate=False)
    texts = [normalise_text(text) for part in filed.parts().values() for text in part.x]
    # Counted with the standard library over the file's reports with findings and a label.
    assert len(texts) == 3244
    assert len(set(texts)) == 2584
    assert rows(load_reports("openi", profile="full")) == 2584


def test_openi_quick():
    real_file("openi_reports.csv")
    cohort = load_reports("openi")
    assert [len(part) for part in cohort.parts().values()] == [900, 900, 200, 400]
    for part in cohort.parts().values():
        normal = (part.attributes["Problems"].str.lower() == "normal").to_numpy()
        assert np.array_equal(part.y.numpy() == 0, normal)


@pytest.mark.skipif(not os.environ.get("MEDPRIV_TEST_DOWNLOADS"), reason=DOWNLOADS)
def test_heart_from_openml(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDPRIV_DATA", raising=False)
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path))
    cohort = load_records("heart")
    assert rows(cohort) == 303
    assert 0.4 < np.mean([part.y.float().mean() for part in cohort.parts().values()]) < 0.5


@pytest.mark.skipif(not os.environ.get("MEDPRIV_TEST_DOWNLOADS"), reason=DOWNLOADS)
def test_mias_from_its_publisher(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDPRIV_DATA", raising=False)
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path))
    assert rows(load_images("mias")) == 114


@pytest.mark.skipif(not os.environ.get("MEDPRIV_TEST_DOWNLOADS"), reason=DOWNLOADS)
def test_breastmnist_from_its_publisher(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDPRIV_DATA", raising=False)
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path))
    assert "the file is the publisher's" in load_images("breastmnist").card.notes
