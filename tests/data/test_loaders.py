"""The three calls: embedded data, the reader's own files, and fakes of the real files' layouts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import medpriv
from medpriv.data import known_datasets, load_images, load_records, load_reports, normalise_text
from medpriv.data.cohort import Cohort
from medpriv.data.sources import MEDMNIST, VOLUMES
from medpriv.runtime.profile import PHANTOM_PATIENTS, REPORT_PATIENTS, WARFARIN_PATIENTS

RNG = np.random.default_rng(0)


def patients(cohort: Cohort) -> list[int]:
    return [part.patients for part in cohort.parts().values()]


# --- embedded -------------------------------------------------------------------------------------


def test_phantoms():
    cohort = load_images("phantom", profile="smoke", size=48)
    assert patients(cohort) == list(PHANTOM_PATIENTS.smoke)
    part = cohort.members
    assert part.x.shape == (80, 1, 48, 48)
    assert part.x.dtype == torch.float32
    assert part.x.min() >= 0
    assert part.x.max() <= 1
    assert part.mask.shape == part.x.shape
    assert part.mask.dtype == torch.bool
    assert len(part.attributes) == 80
    assert cohort.card.synthetic
    assert cohort.classes == ("no mass", "mass")


def test_warfarin():
    cohort = load_records("warfarin", profile="smoke")
    assert patients(cohort) == list(WARFARIN_PATIENTS.smoke)
    part = cohort.members
    assert part.x.shape == (300, len(cohort.columns))
    assert "dose_mg_week" not in [column.name for column in cohort.columns]
    # The classes of the dose, from the dose: under 21, 21 to 49, over 49 mg a week.
    dose = part.attributes["dose_mg_week"].to_numpy()
    assert part.y.tolist() == ((dose >= 21).astype(int) + (dose > 49)).tolist()
    frame = cohort.frame("members")
    for name in ("sex", "ancestry", "cyp2c9", "vkorc1"):
        assert frame[name].tolist() == part.attributes[name].astype(str).tolist()
    assert np.allclose(frame["height_cm"], part.attributes["height_cm"])
    assert set(frame["amiodarone"]) <= {"no", "yes"}


def test_reports():
    cohort = load_reports("synthetic", profile="smoke")
    assert patients(cohort) == list(REPORT_PATIENTS.smoke)
    assert all(isinstance(text, str) and text for text in cohort.test.x)
    assert "text" not in cohort.test.attributes
    assert {"hiv", "depression"} <= set(cohort.test.attributes)


@pytest.mark.parametrize(
    "load", [load_images, load_records, load_reports], ids=["images", "records", "reports"]
)
def test_number_of_patients_keeps_the_proportions(load):
    small, smoke = load(profile="smoke", patients=50), load(profile="smoke")
    assert sum(patients(small)) == 50
    shares = np.array(patients(smoke)) / sum(patients(smoke))
    assert np.abs(np.array(patients(small)) - 50 * shares).max() <= 1


def test_seed_changes_everything_and_the_same_seed_nothing():
    first = load_images(profile="smoke", seed=1, patients=12).content_hash()
    assert first == load_images(profile="smoke", seed=1, patients=12).content_hash()
    assert first != load_images(profile="smoke", seed=2, patients=12).content_hash()


def test_burned_in_identifiers_change_the_pixels():
    plain = load_images(profile="smoke", patients=12)
    marked = load_images(profile="smoke", patients=12, burned_in=True)
    assert not torch.equal(plain.members.x, marked.members.x)
    assert torch.equal(plain.members.y, marked.members.y)


HASHES = """
from medpriv.data import load_images, load_records, load_reports
for load in (load_images, load_records, load_reports):
    print(load(profile="smoke", seed=3, patients=40).content_hash())
"""


def test_two_processes_agree():
    root = str(Path(medpriv.__file__).parents[1])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HASHES],
            env={**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    outputs = []
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        outputs.append(out)
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0].split())) == 3


def test_loading_leaves_the_global_generators_alone():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    load_images(profile="smoke", patients=8)
    load_records(profile="smoke", patients=8)
    assert torch.equal(torch_before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])


# --- names ----------------------------------------------------------------------------------------


def test_known_datasets_begin_with_the_embedded_one():
    # In full, so that none goes missing: MedMNIST's are compared with its own list below.
    assert known_datasets("images") == ("phantom", "mias", *MEDMNIST)
    assert known_datasets("records") == ("warfarin", "heart", "cardio")
    assert known_datasets("reports") == ("synthetic", "openi")
    with pytest.raises(ValueError, match="unknown modality 'sounds'"):
        known_datasets("sounds")


def test_every_medmnist_flag_is_known():
    from medmnist import INFO  # importing it makes a folder in the home

    assert set(MEDMNIST) | set(VOLUMES) == set(INFO)
    assert set(MEDMNIST) <= set(known_datasets("images"))


# --- the reader's own -----------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("scale", ["uint8", "float"])
def test_own_npz(tmp_path, colours, scale):
    pixels = RNG.integers(0, 256, (20, 30, 40, 3), dtype=np.uint8)
    pixels = pixels if colours == 3 else pixels[..., 0]
    stored = pixels if scale == "uint8" else pixels / 255
    path = tmp_path / "mine.npz"
    np.savez(path, images=stored, labels=np.tile(["ill", "well"], 10), patient=np.arange(20) // 2)
    cohort = load_images(path, size=32)
    assert patients(cohort) == [4, 4, 1, 1]
    assert cohort.members.x.shape == (8, colours, 32, 32)
    assert cohort.classes == ("ill", "well")
    assert cohort.card.patient_identity
    assert len(cohort.card.sha256) == 64
    assert cohort.content_hash() == load_images(str(path), size=32).content_hash()


def test_own_npz_without_patients_drops_repetitions(tmp_path):
    pixels = RNG.integers(0, 256, (20, 30, 30), dtype=np.uint8)
    pixels[10:] = pixels[:10]
    path = tmp_path / "mine.npz"
    np.savez(path, images=pixels, labels=np.tile([0, 1], 10))
    cohort = load_images(path)
    assert sum(patients(cohort)) == 10
    assert not cohort.card.patient_identity
    assert "10 rows that repeat another exactly were removed" in cohort.card.notes


def test_own_folder_of_pictures_of_any_size_and_mode(tmp_path):
    modes = ["L", "RGB", "RGBA", "LA"] * 5
    rows = ["file,label,patient"]
    for i, mode in enumerate(modes):
        picture = Image.fromarray(RNG.integers(0, 256, (20 + i, 50, 3), dtype=np.uint8))
        picture.convert(mode).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{'ill' if i % 3 else 'well'},p{i // 2}")
    picture.save(tmp_path / "spare.png")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    cohort = load_images(tmp_path, size=32)
    assert patients(cohort) == [4, 4, 1, 1]
    assert cohort.test.x.shape == (2, 3, 32, 32)
    notes = " ".join(cohort.card.notes)
    assert "pictures of 20 size(s)" in notes
    assert "1 picture(s) that labels.csv does not name" in notes
    before = cohort.card.sha256
    picture.save(tmp_path / "0.png")
    assert load_images(tmp_path, size=32).card.sha256 != before


def test_own_records(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f"{i},p{i},{i % 2},{30 + i / 4},{'fm'[i % 2]}" for i in range(40)]
    path.write_text("\n".join(["id,patient,label,age,sex", *rows]))
    cohort = load_records(path)
    assert patients(cohort) == [16, 16, 4, 4]
    assert [column.name for column in cohort.columns] == ["age", "sex"]
    frame = cohort.frame("test")
    for patient, age, sex in zip(cohort.test.patient, frame["age"], frame["sex"], strict=True):
        number = int(patient.removeprefix("patient ")) - 1
        assert (age, sex) == (30 + number / 4, "fm"[number % 2])
    assert "the column id was left out" in cohort.card.notes


def test_own_reports(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f'{i % 2},"Report {i}, all well; nothing new."' for i in range(40)]
    path.write_text("\n".join(["label,text", *rows, '1,"REPORT 1 all well nothing new"']))
    cohort = load_reports(path)
    assert sum(patients(cohort)) == 40
    assert "1 rows that repeat another exactly were removed" in cohort.card.notes


@pytest.mark.parametrize("known", [False, True])
def test_own_reports_keep_no_text_twice_unless_asked(tmp_path, known):
    path = tmp_path / "mine.csv"
    rows = [f'{i % 2},p{i},"Report {i // 4}, all well"' for i in range(0, 80, 2)]
    rows += [f'1,q{i},"A mass, number {i}"' for i in range(10)]
    header = "label,patient,text" if known else "label,id,text"
    path.write_text("\n".join([header, *rows]))
    once, filed = load_reports(path), load_reports(path, deduplicate=False)
    assert once.card.patient_identity is known
    assert sum(patients(once)) == 30
    assert "20 rows that repeat another exactly were removed" in once.card.notes
    assert sum(patients(filed)) == 50
    assert "20 rows that repeat another exactly were kept" in filed.card.notes
    texts = [normalise_text(text) for part in once.parts().values() for text in part.x]
    assert len(set(texts)) == len(texts)


def test_synthetic_reports_have_nothing_to_deduplicate():
    filed = load_reports(profile="smoke", deduplicate=False)
    assert filed.content_hash() == load_reports(profile="smoke").content_hash()


def test_path_may_start_at_home_and_a_plain_name_may_be_a_file(tmp_path, monkeypatch):
    np.savez(
        tmp_path / "mine.npz",
        images=RNG.integers(0, 256, (8, 20, 20), dtype=np.uint8),
        labels=np.tile([0, 1], 4),
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    expected = load_images(tmp_path / "mine.npz").content_hash()
    assert load_images("~/mine.npz").content_hash() == expected
    monkeypatch.chdir(tmp_path)
    assert load_images("mine.npz").content_hash() == expected
