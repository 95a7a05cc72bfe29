"""What a cohort promises, for all inputs."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medpriv.data.cohort import (
    PARTS,
    Cohort,
    Column,
    DataCard,
    DataError,
    Part,
)
from medpriv.data.sources import Wanted
from medpriv.data.splitting import (
    first_occurrences,
    refuse_contradictions,
    row_keys,
    split_by_patient,
    split_rows,
)

CARD = DataCard(
    name="toy",
    title="toy",
    origin="a test",
    licence="none",
    consent="none",
    deidentification="none",
    synthetic=True,
    patient_identity=True,
    citation="none",
)
SHARES = dict(zip(PARTS, (0.4, 0.3, 0.1, 0.2), strict=True))

# A cohort's patients, one entry a row, from 4 to 60 different ones.
patients_of_rows = st.lists(st.integers(0, 59), min_size=4, max_size=200).filter(
    lambda rows: len(set(rows)) >= 4
)


def part(patients: list[str], labels: list[int]) -> Part:
    x = torch.arange(len(labels) * 3, dtype=torch.float32).reshape(-1, 3)
    attributes = pd.DataFrame({"row": range(len(labels))})
    return Part(x, torch.tensor(labels), np.array(patients), attributes)


def cohort(**changed: Part) -> Cohort:
    parts = {name: part([f"{name}-1", f"{name}-2"], [0, 1]) for name in PARTS} | changed
    return Cohort("records", CARD, ("no", "yes"), **parts)


@given(rows=patients_of_rows, seed=st.integers(0, 2**31 - 1))
@settings(deadline=None)
def test_split_is_disjoint_by_patient_complete_and_deterministic(rows, seed):
    patient = np.array([f"p{row}" for row in rows])
    split = split_by_patient(patient, SHARES, seed=seed)
    together = np.concatenate(list(split.values()))
    assert sorted(together) == list(range(len(rows)))
    owners = [set(patient[index]) for index in split.values()]
    assert sum(len(owner) for owner in owners) == len(set(patient))
    assert all(owners)
    again = split_by_patient(patient, SHARES, seed=seed)
    assert all(np.array_equal(split[name], again[name]) for name in PARTS)


@given(rows=patients_of_rows, seed=st.integers(0, 1000), data=st.data())
@settings(deadline=None)
def test_split_does_not_depend_on_the_order_of_rows(rows, seed, data):
    patient = np.array([f"p{row}" for row in rows])
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    split = split_by_patient(patient, SHARES, seed=seed)
    moved = split_by_patient(patient[order], SHARES, seed=seed)
    for name in PARTS:
        assert set(patient[split[name]]) == set(patient[order][moved[name]])


@given(patients=st.integers(4, 5000), wanted=st.integers(4, 60), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_small_shares_of_many_patients_take_few(patients, wanted, seed):
    wanted = min(wanted, patients)
    shares = {name: share * wanted / patients for name, share in SHARES.items()}
    split = split_by_patient(np.arange(patients).astype(str), shares, seed=seed)
    assert sum(len(index) for index in split.values()) == wanted


@given(patients=st.integers(4, 400), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_split_gives_each_part_its_share(patients, seed):
    patient = np.arange(patients).astype(str)
    split = split_by_patient(patient, SHARES, seed=seed)
    for name, share in SHARES.items():
        # Rounding moves an edge by a half; a part that would be empty takes from the others.
        assert abs(len(split[name]) - share * patients) <= 3


@given(ill=st.integers(20, 200), well=st.integers(20, 200), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_stratified_split_keeps_the_share_of_each_class(ill, well, seed):
    labels = np.repeat([1, 0], [ill, well])
    patient = np.arange(ill + well).astype(str)
    split = split_by_patient(patient, SHARES, seed=seed, stratify=labels)
    for index in split.values():
        expected = ill / (ill + well) * len(index)
        assert abs(labels[index].sum() - expected) <= 1.5


def test_split_refuses_impossible_shares_and_too_few_patients():
    patient = np.array(["a", "b", "c", "d"])
    with pytest.raises(ValueError, match="add up to at most 1"):
        split_by_patient(patient, {"members": 0.8, "test": 0.3}, seed=0)
    with pytest.raises(ValueError, match="non-negative"):
        split_by_patient(patient, {"members": -0.1, "test": 0.3}, seed=0)
    with pytest.raises(DataError, match="at least 4 are needed"):
        split_by_patient(patient[:3], SHARES, seed=0)


def test_check_returns_a_good_cohort():
    good = cohort()
    assert good.check() is good


@given(
    names=st.tuples(st.sampled_from(PARTS), st.sampled_from(PARTS)).filter(lambda n: n[0] != n[1])
)
def test_check_finds_a_patient_in_two_parts(names):
    first, second = names
    shared = part(["shared", "alone"], [0, 1])
    other = part(["other", "shared"], [0, 1])
    with pytest.raises(DataError, match=r"a patient \(row \d of \w+\) is in"):
        cohort(**{first: shared, second: other}).check()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_check_finds_values_that_are_not_finite(value):
    broken = part(["a", "b"], [0, 1])
    broken.x[1, 2] = value
    with pytest.raises(DataError, match="'test' holds values that are not finite"):
        cohort(test=broken).check()


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_check_finds_labels_without_a_class(labels):
    with pytest.raises(DataError, match=r"labels outside 0..1"):
        cohort(victims=part(["a", "b"], labels)).check()


def test_check_finds_empty_and_uneven_parts():
    with pytest.raises(DataError, match="'victims' is empty"):
        cohort(victims=part([], [])).check()
    uneven = Part(
        torch.zeros(2, 3), torch.tensor([0, 1]), np.array(["a"]), pd.DataFrame({"r": [1]})
    )
    with pytest.raises(DataError, match=r"columns of lengths \[1, 2\]"):
        cohort(test=uneven).check()


def test_take_and_first_patients_keep_rows_together():
    whole = part(["a", "b", "a", "c"], [0, 1, 0, 1])
    taken = whole.take([2, 0])
    assert taken.patient.tolist() == ["a", "a"]
    assert taken.attributes["row"].tolist() == [2, 0]
    assert taken.x[:, 0].tolist() == [6.0, 0.0]
    assert whole.first_patients(2).patient.tolist() == ["a", "b", "a"]
    assert whole.take(np.array([True, False, False, True])).y.tolist() == [0, 1]


def test_frame_names_categories():
    columns = (Column("sex", ("female", "male")), Column("age", unit="years"), Column("bmi"))
    one = Part(
        torch.tensor([[1.0, 50.0, 20.5]]),
        torch.tensor([0]),
        np.array(["a"]),
        pd.DataFrame(index=[0]),
    )
    frame = Cohort("records", CARD, ("no", "yes"), one, one, one, one, columns).frame("test")
    assert frame.iloc[0].tolist() == ["male", 50.0, 20.5]


def test_content_hash_sees_pixels_labels_and_who():
    base = cohort().content_hash()
    assert base == cohort().content_hash()
    assert base != cohort(test=part(["test-1", "test-2"], [1, 1])).content_hash()
    assert base != cohort(test=part(["test-1", "test-3"], [0, 1])).content_hash()


def test_content_hash_sees_what_an_attack_sees_besides_the_model():
    one, base = cohort(), cohort().content_hash()
    assert base != replace(one, card=replace(CARD, name="other")).content_hash()
    assert base != replace(one, columns=(Column("age", (), "years"),)).content_hash()
    for facts in (["x", "y"], [pd.NaT, pd.Timestamp("2020-01-02")], [{"a"}, None], [[1], 2.5]):
        told = replace(one.test, attributes=pd.DataFrame({"fact": pd.Series(facts, dtype=object)}))
        assert replace(one, test=told).content_hash() != base
    mask = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    assert replace(one, test=replace(one.test, mask=mask)).content_hash() != base


def test_card_table_says_what_is_not_known():
    table = replace(CARD, notes=("one", "two")).table()
    assert table.loc["sha256"].item() == "generated, no file"
    assert table.loc["Note 2"].item() == "two"
    assert "known; parts share no patient" in table.loc["Patient identity"].item()


@given(keys=st.lists(st.integers(0, 9)))
def test_first_occurrences_are_those_of_numpy(keys):
    expected = np.sort(np.unique(np.array(keys, dtype=int), return_index=True)[1])
    assert first_occurrences(keys).tolist() == expected.tolist()


def test_row_keys_are_digests_of_the_content():
    rows = np.array([[1, 2], [3, 4], [1, 2]], dtype=np.uint8)
    keys = row_keys(rows)
    assert keys[0] == hashlib.sha256(b"\x01\x02").digest()
    assert keys[0] == keys[2] != keys[1]
    assert row_keys(rows.T) == row_keys(rows.T.copy())


def test_contradictions_name_the_rows(tmp_path):
    refuse_contradictions(tmp_path, ["a", "b", "a"], np.array([1, 0, 1]))
    with pytest.raises(DataError, match="rows 1 and 3 hold the same data"):
        refuse_contradictions(tmp_path, ["a", "b", "a"], np.array([1, 0, 0]))


def wanted(patients: int | None = None) -> Wanted:
    return Wanted("toy", "smoke", 1, patients)


def test_split_rows_takes_exactly_the_wanted_patients():
    rows = part([f"p{i // 2}" for i in range(200)], [0, 1] * 100)
    made = split_rows("records", CARD, ("no", "yes"), rows, (4, 3, 1, 2), wanted(50))
    assert [part.patients for part in made.parts().values()] == [20, 15, 5, 10]
    limited = split_rows("records", CARD, ("no", "yes"), rows, (4, 3, 1, 2), wanted(), limit=10**6)
    assert sum(part.patients for part in limited.parts().values()) == 100
    with pytest.raises(ValueError, match="patients=101, but toy has 100"):
        split_rows("records", CARD, ("no", "yes"), rows, (4, 3, 1, 2), wanted(101))
