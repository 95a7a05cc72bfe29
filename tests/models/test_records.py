"""The record classifier of Wu et al. 2020."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from medpriv.data.cohort import Column
from medpriv.models import front
from medpriv.models.records import RecordMLP
from medpriv.runtime.seeds import rng, seeded

COLUMNS = (
    Column("age", unit="years"),
    Column("genotype", ("aa", "ab", "bb")),
    Column("weight", unit="kg"),
    Column("sex", ("f", "m")),
)


def records(number: int = 40) -> torch.Tensor:
    generator = rng(0, "records")
    columns = [
        generator.normal(60, 12, number),
        generator.integers(0, 3, number),
        generator.normal(75, 15, number),
        generator.integers(0, 2, number),
    ]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def model(columns=COLUMNS, members: torch.Tensor | None = None, **options) -> RecordMLP:
    with seeded(0, "test"):
        return RecordMLP(columns, records() if members is None else members, **options).eval()


def test_the_encoding_is_sklearns() -> None:
    members, others = records(), records(60)[40:]
    scaler = StandardScaler().fit(members[:, [0, 2]].double())
    hot = OneHotEncoder(categories=[range(3), range(2)], sparse_output=False)
    hot.fit(members[:, [1, 3]])
    for rows in (members, others):
        expected = np.hstack(
            [scaler.transform(rows[:, [0, 2]].double()), hot.transform(rows[:, [1, 3]])]
        )
        np.testing.assert_allclose(model().encode(rows), expected, atol=1e-5)


def test_two_hidden_layers_of_100() -> None:
    net = model(classes=3)
    width = 2 + 3 + 2
    assert net.hidden1.dense.weight.shape == (100, width)
    assert net.hidden2.dense.weight.shape == (100, 100)
    total = sum(weight.numel() for weight in net.parameters())
    assert total == width * 100 + 100 + 100 * 100 + 100 + 100 * 3 + 3
    assert net(records(5)).shape == (5, 3)


def test_a_constant_column_divides_by_one() -> None:
    members = records()
    members[:, 0] = 50.0
    net = model(members=members)
    assert torch.equal(net.encode(members)[:, 0], torch.zeros(len(members)))
    shifted = members.clone()
    shifted[:, 0] += 3
    torch.testing.assert_close(net.encode(shifted)[:, 0], torch.full((len(members),), 3.0))
    assert torch.isfinite(net(shifted)).all()


def test_columns_of_one_kind_only() -> None:
    assert model(COLUMNS[1:2], records()[:, 1:2])(records()[:4, 1:2]).shape == (4, 2)
    assert model(COLUMNS[:1], records()[:, :1])(records()[:4, :1]).shape == (4, 2)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=6))
def test_every_category_has_a_column_of_its_own(codes: list[float]) -> None:
    rows = torch.tensor([[60.0, code, 70.0, 1.0] for code in codes])
    hot = model().encode(rows)[:, 2:5]
    assert hot.argmax(1).tolist() == codes
    assert torch.equal(hot.sum(1), torch.ones(len(codes)))


def test_scales_belong_to_the_model_and_travel_with_it(device: str) -> None:
    net = model()
    other = RecordMLP(COLUMNS, 7 * records()).eval()
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(records(5)), net(records(5)))
    there = net.to(device)(records(5).to(device)).cpu()
    torch.testing.assert_close(there, other(records(5)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("split", ["hidden1", "hidden2"])
def test_the_front_and_then_the_rest(split: str) -> None:
    net, x = model(), records(6)
    features = front(net, split)(x)
    rest = net.hidden2(features) if split == "hidden1" else features
    torch.testing.assert_close(net.output(rest), net(x))
