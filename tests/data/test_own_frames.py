"""What a reader holds in memory: the same rules as for a file, without one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from medpriv.data import cohort_from, load_records, report_facts
from medpriv.data.cohort import DataError
from medpriv.evaluation.attack_catalog.records import sensitive_attribute

N = 40
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "outcome": np.arange(N) // 2 % 2,
        "who": np.arange(N) // 2,
        "age": RNG.normal(50, 9, N).round(2),
        "sex": RNG.choice(["f", "m"], N),
        "smoker": RNG.integers(0, 2, N),
        "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.permutation(N), "D"),
    }
)
ROLES = {"label": "outcome", "patient": "who"}
TEXTS = [f"report {i} on a film" for i in range(N)]
PIXELS = RNG.integers(0, 256, (N, 20, 24), dtype=np.uint8)
SPLIT = ["members", "others"] * (N // 2)


def test_a_frame_is_read_as_its_file_would_be(tmp_path):
    own = cohort_from(FRAME, **ROLES, sensitive="smoker", name="mine.csv", seed=3)
    FRAME.to_csv(tmp_path / "mine.csv", index=False)
    filed = load_records(tmp_path / "mine.csv", **ROLES, sensitive="smoker", seed=3)
    assert own.content_hash() == filed.content_hash()
    assert sensitive_attribute(own) == "smoker"
    assert own.card.sha256 != filed.card.sha256
    assert own.content_hash() != cohort_from(FRAME, **ROLES, name="mine.csv").content_hash()


def test_the_rules_of_files_hold(tmp_path):
    gaps = FRAME.assign(age=FRAME["age"].where(FRAME.index != 4))
    with pytest.raises(DataError, match="my data: the column 'age' has an empty cell in row 5"):
        cohort_from(gaps, **ROLES)
    assert "age missing" in {one.name for one in
                             cohort_from(gaps, **ROLES, missing="category").columns}  # fmt: skip
    with pytest.raises(DataError, match="'patient_id' looks like an identifier"):
        cohort_from(FRAME.rename(columns={"who": "patient_id"}), label="outcome")
    with pytest.raises(DataError, match=r"lacks the column\(s\) result"):
        cohort_from(FRAME, label="result")
    with pytest.raises(DataError, match="share a name"):
        cohort_from(pd.concat([FRAME, FRAME], axis=1), **ROLES)
    with pytest.raises(ValueError, match="'heart' is a data set of the course"):
        cohort_from(FRAME, **ROLES, name="heart")


def test_who_trained_the_model_is_a_member():
    trained = FRAME.assign(trained=np.where(FRAME["who"] < 8, "train", "test"))
    cohort = cohort_from(trained, **ROLES, part="trained")
    assert set(cohort.members.patient) == {f"patient {who}" for who in range(1, 9)}
    assert cohort.auxiliary.patients == 8
    assert [cohort.victims.patients, cohort.test.patients] == [2, 2]
    named = trained.rename(columns={"trained": "part"})
    assert cohort_from(named, **ROLES).content_hash() == cohort.content_hash()


@pytest.mark.parametrize("part", [None, SPLIT])
def test_texts(part):
    patient = None if part else np.arange(N) // 2
    cohort = cohort_from(TEXTS, label=np.arange(N) % 2, patient=patient, part=part)
    assert cohort.modality == "reports"
    assert sum(map(len, cohort.parts().values())) == N
    if part:
        assert set(cohort.members.x) == set(TEXTS[::2])
    with pytest.raises(DataError, match="for each row"):
        cohort_from(TEXTS, label=[0, 1])


def test_a_frame_with_texts_is_one_of_reports():
    frame = pd.DataFrame({"text": TEXTS, "ill": np.arange(N) % 2, "hiv": np.arange(N) % 4 == 0})
    cohort = cohort_from(frame, label="ill")
    assert list(report_facts(cohort, cohort.test)) == ["hiv"]


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("part", [None, SPLIT])
def test_images_keep_their_size(kind, part):
    label, patient = torch.arange(N) % 2, None if part else np.arange(N) // 2
    cohort = cohort_from(kind(PIXELS[:, None]), label=label, patient=patient, part=part)
    assert cohort.modality == "images"
    assert cohort.members.x.shape == (N // 2 if part else 16, 1, 20, 24)
    assert cohort.card.patient_identity is (part is None)
    if part:
        members = torch.from_numpy(PIXELS[::2]).float() / 255
        assert sorted(cohort.members.x.sum((1, 2, 3)).tolist()) == pytest.approx(
            sorted(members.sum((1, 2)).tolist())
        )


def test_images_that_are_refused():
    label = np.arange(N) % 2
    with pytest.raises(DataError, match="'data': 40, 'label': 3"):
        cohort_from(PIXELS, label=label[:3])
    with pytest.raises(DataError, match="'part': 3.*one of each"):
        cohort_from(PIXELS, label=label, part=SPLIT[:3])
    with pytest.raises(DataError, match="has a word in row 1"):
        cohort_from(PIXELS, label=label, part=["here"] * N)
    with pytest.raises(DataError, match="label is no list"):
        cohort_from(PIXELS, label="outcome")
    with pytest.raises(ValueError, match="are for tables"):
        cohort_from(PIXELS, label=label, drop="who")


def test_whole_numbers_that_would_become_the_same_are_refused() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"ill": np.arange(40) % 2, "age": draw.integers(20, 90, 40)})
    frame["tube"] = 2**30 + draw.integers(0, 9, 40)
    with pytest.raises(DataError, match="'tube' has whole numbers so large"):
        cohort_from(frame, label="ill")
    frame["tube"] -= 2**30
    assert cohort_from(frame, label="ill").members.x[:, 1].max() <= 8
