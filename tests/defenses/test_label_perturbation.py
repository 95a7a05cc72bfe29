"""Randomised response: exact epsilon, coins as promised, remembered ones the same everywhere.

Statistical tests fix their seeds. Each asks for a rate within 4 standard errors of its binomial
value, which a right implementation misses for one seed in 16,000.
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from medpriv.data import load_records
from medpriv.defenses import (
    ForwardCorrected,
    epsilon_of,
    private_labels,
    randomised_response,
    response_matrix,
    unbiased_accuracy,
)
from medpriv.runtime.seeds import torch_rng

KEY = b"sixteen random bytes"
CLASSES = st.integers(2, 12)


def first_column(x: Tensor) -> Tensor:
    return x[:, 0].long()


def rows(number: int, label: int = 0) -> Tensor:
    x = torch.randn(number, 3, generator=torch_rng(0, "rows"))
    x[:, 0] = label
    return x


@pytest.mark.parametrize(("flips", "epsilon"), [(0.1, 2.20), (0.2, 1.39), (0.3, 0.85), (0.4, 0.41)])
def test_published_values_for_two_classes(flips: float, epsilon: float) -> None:
    assert epsilon_of(flips, 2) == pytest.approx(epsilon, abs=0.005)


@given(st.floats(0.0, 30.0), CLASSES)
def test_epsilon_is_that_of_the_published_chance(epsilon: float, classes: int) -> None:
    flips = (classes - 1) / (math.exp(epsilon) + classes - 1)
    assert epsilon_of(flips, classes) == pytest.approx(epsilon, abs=1e-6)


@given(st.floats(1e-6, 1.0), CLASSES)
def test_the_matrix_reaches_epsilon_and_no_more(share: float, classes: int) -> None:
    flips = share * (classes - 1) / classes
    matrix = response_matrix(flips, classes)
    torch.testing.assert_close(matrix.sum(1), torch.ones(classes, dtype=torch.float64))
    ratios = matrix[:, None] / matrix[None]
    assert math.log(ratios.max()) == pytest.approx(epsilon_of(flips, classes), abs=1e-9)


def test_the_ends_of_epsilon() -> None:
    assert epsilon_of(0, 3) == math.inf
    assert epsilon_of(2 / 3, 3) == pytest.approx(0, abs=1e-12)
    assert epsilon_of(0.5, 2) == 0


@pytest.mark.parametrize("key", [None, KEY], ids=["fresh", "memoised"])
@pytest.mark.parametrize(("flips", "classes"), [(0.25, 2), (0.1, 3), (0.5, 4)])
def test_flips_are_as_frequent_as_promised(key: bytes | None, flips: float, classes: int) -> None:
    n, label = 20_000, 1
    defense = randomised_response(flips, classes, key=key)
    answers = defense.apply(first_column)(rows(n, label))
    shares = torch.bincount(answers, minlength=classes).double() / n
    expected = response_matrix(flips, classes)[label]
    error = (expected * (1 - expected) / n).sqrt()
    assert ((shares - expected).abs() <= 4 * error).all()
    # The loss that the answers show is the promised one, as far as so many can tell.
    others = (1 - shares[label]) / (classes - 1)
    seen = math.log(shares[label] / others)
    slack = 4 * float(error[label] * (1 / shares[label] + 1 / (1 - shares[label])))
    assert seen == pytest.approx(epsilon_of(flips, classes), abs=slack)


def test_fresh_answers_are_independent_and_memoised_ones_the_same() -> None:
    x = rows(10_000)
    served = randomised_response(0.3, 2).apply(first_column)
    first, second = served(x), served(x)
    together = ((first == 1) & (second == 1)).double().mean().item()
    assert together == pytest.approx(0.09, abs=4 * math.sqrt(0.09 * 0.91 / 10_000))
    served = randomised_response(0.3, 2, key=KEY).apply(first_column)
    assert torch.equal(served(x), served(x))
    # Neither order nor company matters, and another key throws other coins.
    assert torch.equal(served(x.flip(0)).flip(0)[:7], served(x[:7]))
    other = randomised_response(0.3, 2, key=b"another").apply(first_column)(x)
    both = ((other == 1) & (served(x) == 1)).double().mean().item()
    assert both == pytest.approx(0.09, abs=4 * math.sqrt(0.09 * 0.91 / 10_000))


ANSWERS = """
import torch
from medpriv.defenses import randomised_response
from medpriv.runtime import torch_rng
x = torch.randn(64, 3, generator=torch_rng(0, "rows")); x[:, 0] = 0
served = randomised_response(0.4, 3, key=b"sixteen random bytes").apply(lambda x: x[:, 0].long())
print("".join(map(str, served(x).tolist())))
"""


def test_memoised_answers_are_identical_over_processes() -> None:
    here = randomised_response(0.4, 3, key=KEY).apply(first_column)(rows(64)).tolist()
    runs = [
        subprocess.run([sys.executable, "-c", ANSWERS], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stdout.strip() for run in runs] == ["".join(map(str, here))] * 2


def test_neighbours_share_a_coin_inside_a_cell_only() -> None:
    x = torch.zeros(500, 2)
    x[:, 1] = torch.arange(500)
    cell = torch.tensor([1.0, 1.0])
    served = randomised_response(0.5, 2, key=KEY, cell=cell).apply(first_column)
    assert torch.equal(served(x), served(x + torch.tensor([0.0, 0.4])))
    assert (served(x) != served(x + torch.tensor([0.0, 1.0]))).any()
    assert torch.equal(served(torch.zeros(3, 2)), served(-torch.zeros(3, 2)))  # -0.0 is 0.0


def test_a_remembered_coin_is_a_fingerprint_unless_it_is_the_clients_own() -> None:
    # The model gives every candidate the same label, so it tells nothing; the coins do.
    x = torch.zeros(4_000, 2, 2)
    x[:, :, 1] = torch.arange(8_000).view(4_000, 2)
    said, other = (
        randomised_response(0.3, 2, key=KEY, cell=1.0).apply(first_column)(x[:, candidate])
        for candidate in (0, 1)
    )
    alike = 0.7**2 + 0.3**2
    error = 4 * math.sqrt(alike * (1 - alike) / 4_000)
    assert (said == other).double().mean().item() == pytest.approx(alike, abs=error)
    clinic, attacker = (
        randomised_response(0.3, 2, key=KEY, client=name, cell=1.0).apply(first_column)
        for name in ("clinic", "attacker")
    )
    assert torch.equal(clinic(x[:, 0]), clinic(x[:, 0]))
    for candidate in (0, 1):
        same = (clinic(x[:, 0]) == attacker(x[:, candidate])).double().mean().item()
        assert same == pytest.approx(alike, abs=error)


def test_texts_that_read_alike_share_a_coin() -> None:
    served = randomised_response(0.5, 2, key=KEY).apply(lambda x: torch.zeros(len(x)).long())
    texts = [f"finding {number}" for number in range(200)]
    assert torch.equal(served(texts), served([f"  {text.upper()}!" for text in texts]))
    assert 50 < int(served(texts).sum()) < 150


@given(st.floats(0, 0.45), st.floats(0, 1))
def test_accuracy_is_recovered(flips: float, accuracy: float) -> None:
    seen = accuracy * (1 - flips) + (1 - accuracy) * flips
    assert unbiased_accuracy(seen, flips, 2) == pytest.approx(accuracy, abs=1e-9)


def test_training_labels_are_flipped_and_nothing_else() -> None:
    cohort = load_records("warfarin", profile="smoke")
    private = private_labels(cohort, 0.4, seed=3)
    assert torch.equal(private.members.x, cohort.members.x)
    assert private.auxiliary is cohort.auxiliary
    assert private.test is cohort.test
    changed = (private.members.y != cohort.members.y).double()
    error = math.sqrt(0.24 / len(changed))
    assert changed.mean().item() == pytest.approx(0.4, abs=4 * error)
    assert torch.equal(private_labels(cohort, 0.4, seed=3).members.y, private.members.y)
    assert torch.equal(private_labels(cohort, 0.0).members.y, cohort.members.y)


def test_the_corrected_loss_finds_what_is_true_and_the_plain_one_does_not() -> None:
    # One logit vector, many randomised labels: the minimum has a closed form.
    truth = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    flips, n = 0.3, 200_000
    told = truth @ response_matrix(flips, 3)
    labels = torch.from_numpy(np.repeat(np.arange(3), (told * n).round().int().numpy()))
    found = {}
    for name, loss in {"corrected": ForwardCorrected(flips, 3), "plain": F.cross_entropy}.items():
        logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

        def step(search=search, loss=loss, logits=logits) -> Tensor:
            search.zero_grad()
            value = loss(logits.expand(len(labels), -1), labels)
            value.backward()
            return value

        search.step(step)
        found[name] = logits.detach().softmax(0)
    torch.testing.assert_close(found["corrected"], truth, rtol=0, atol=1e-3)
    torch.testing.assert_close(found["plain"], told, rtol=0, atol=1e-3)


def test_an_error_made_with_certainty_has_a_gradient() -> None:
    logits = torch.tensor([[80.0, -80.0]], requires_grad=True)
    ForwardCorrected(0.0, 2)(logits, torch.tensor([1])).backward()
    assert logits.grad.abs().max().item() == pytest.approx(1.0)


def test_without_flips_the_corrected_loss_is_the_cross_entropy() -> None:
    logits = torch.randn(20, 4, generator=torch_rng(1, "logits"))
    labels = torch.arange(20) % 4
    torch.testing.assert_close(
        ForwardCorrected(0.0, 4)(logits, labels), F.cross_entropy(logits, labels)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: epsilon_of(0.6, 2), "from 0 to 0.5"),
        (lambda: epsilon_of(0.1, 1), "2 or more classes"),
        (lambda: epsilon_of(float("nan"), 2), "from 0 to 0.5"),
        (lambda: unbiased_accuracy(0.5, 0.5, 2), "does not depend on the truth"),
        (lambda: randomised_response(0.1, 2, key=b""), "no secret"),
        (lambda: randomised_response(0.1, 2, cell=0.0), "larger than 0"),
        (lambda: ForwardCorrected(0.9, 3), "from 0 to 0.666"),
        (
            lambda: randomised_response(0.1, 2, key=KEY).apply(first_column)(
                torch.tensor([[1.0, float("nan")]])
            ),
            "NaN, infinite or too large",
        ),
        (
            lambda: randomised_response(0.1, 2).apply(first_column)(rows(3, 2)),
            "more than 2 classes",
        ),
        (
            lambda: randomised_response(0.1, 2).apply(lambda x: x)(torch.rand(3, 2)),
            "deploy with expose='label'",
        ),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
