"""Facts read from embeddings: scikit-learn as oracle, and answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from medpriv.attacks import fit_cooccurrence, fit_fact_reader
from medpriv.metrics import auc
from medpriv.models.probes import FACT_PENALTY, PENALTIES


def drawn(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs of 5 numbers; four facts that go with them, more or less."""
    source = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 5, generator=source)
    noise = torch.randn(rows, 4, generator=source)
    return x, x[:, :4] * torch.tensor([3.0, 1.0, 0.3, 0.0]) + noise > 0.5


@pytest.mark.parametrize("penalty", [1.0, 30.0])
def test_each_fact_is_scikit_learns_logistic_regression(penalty: float) -> None:
    x, facts = drawn(300, 0)
    found = fit_fact_reader(x, facts, penalty=penalty)
    scaled = (x - x.mean(0)) / x.std(0, correction=0)
    for number in range(4):
        oracle = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=2000)
        oracle.fit(scaled.numpy(), facts[:, number].numpy())
        expected = oracle.predict_proba(scaled.numpy())[:, 1]
        assert np.allclose(found.guess(x)[:, number], expected, atol=1e-4)


def hidden(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Ten numbers that are nearly one, as of a network trained for one class; two facts.

    What tells the facts are the small differences, which a strong penalty flattens.
    """
    source = torch.Generator().manual_seed(seed)
    common, own = (torch.randn(rows, size, generator=source) for size in (1, 10))
    return common + 0.03 * own, own[:, :2] + 0.5 * torch.randn(rows, 2, generator=source) > 0


@pytest.mark.parametrize("rows", [100, 300])
def test_the_penalty_is_chosen_on_the_attackers_rows(rows: int) -> None:
    """Of an encoder of another kind a fixed one reads next to nothing."""
    (x, facts), (victims, truth) = hidden(rows, 1), hidden(1000, 2)

    def area(penalty: float | None) -> float:
        guess = fit_fact_reader(x, facts, penalty=penalty).guess(victims)
        return auc(truth.numpy(), guess.numpy(), np.arange(1000)).value

    assert area(None) > area(FACT_PENALTY) + 0.1
    assert area(None) > max(area(one) for one in PENALTIES) - 0.02


def test_the_usual_penalty_stays_where_no_other_is_clearly_better() -> None:
    x, facts = drawn(200, 1)
    assert fit_fact_reader(x, facts[:, 3:]).penalty == FACT_PENALTY  # noise, whatever the penalty
    nobody = torch.zeros(200, 1, dtype=torch.bool)
    assert fit_fact_reader(x, nobody).penalty == FACT_PENALTY
    assert fit_fact_reader(x[:6], facts[:6], patient=np.array([1, 1, 2, 2, 3, 3])).penalty == 100


def test_the_penalty_is_chosen_on_other_patients() -> None:
    """Four copies of each row, whose fact is a coin: known by heart, they seem to be told."""
    source = torch.Generator().manual_seed(3)
    x, facts = torch.randn(40, 60, generator=source), torch.rand(40, 1, generator=source) < 0.5
    many, theirs, who = x.repeat(4, 1), facts.repeat(4, 1), np.tile(np.arange(40), 4)
    order = torch.randperm(160, generator=source)
    many, theirs, who = many[order], theirs[order], who[order.numpy()]
    assert fit_fact_reader(many, theirs).penalty < FACT_PENALTY
    assert fit_fact_reader(many, theirs, patient=who).penalty >= FACT_PENALTY


def test_a_fact_that_nobody_has_stays_at_laplaces_rule() -> None:
    x, facts = drawn(98, 2)
    facts[:, 1], facts[:, 2] = False, True
    found = fit_fact_reader(x, facts, penalty=1.0)
    assert torch.allclose(found.guess(x)[:, 1], torch.tensor(0.01).double())
    assert torch.allclose(found.guess(x)[:, 2], torch.tensor(0.99).double())


def test_cooccurrence_reads_the_other_facts_and_never_the_one_it_guesses() -> None:
    """Of three facts the second copies the first, in nine of ten; the third is a coin."""
    source = torch.Generator().manual_seed(3)
    first, third = torch.rand(2, 5000, generator=source) < 0.5
    second = first ^ (torch.rand(5000, generator=source) < 0.1)
    facts = torch.stack([first, second, third], dim=1)
    found = fit_cooccurrence(facts, penalty=1.0)
    rows = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    guess = found.guess(rows)
    assert guess[:2, 0].tolist() == pytest.approx([0.9, 0.9], abs=0.03)
    assert guess[2, 0].item() == pytest.approx(0.1, abs=0.03)
    assert guess[:, 2].tolist() == pytest.approx([0.5] * 3, abs=0.05)
    assert bool((found.weights.diagonal() == 0).all())


def test_what_else_is_known_is_read_as_well() -> None:
    """The second fact is a coin, and so is the first but that the age decides it."""
    source = torch.Generator().manual_seed(4)
    age = torch.randint(20, 80, (3000, 1), generator=source)
    facts = torch.cat([age < 50, torch.rand(3000, 1, generator=source) < 0.5], dim=1)
    found = fit_cooccurrence(facts, age, penalty=1.0)
    guess = found.guess(torch.tensor([[0, 1, 25], [1, 1, 75]]))
    assert guess[0, 0] > 0.95
    assert guess[1, 0] < 0.05
    assert guess[:, 1].tolist() == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_number_that_hardly_moves_does_not_drown_the_others_in_noise() -> None:
    """MiniLM has such a number: divided by its spread, any noise on it was all that was left."""
    x, facts = drawn(300, 6)
    dead = torch.cat([x, torch.full((300, 1), 0.1)], dim=1)
    dead[::2, 5] += 1e-8
    noisy = dead + 0.1 * torch.randn(dead.shape, generator=torch.Generator().manual_seed(7))
    guess = fit_fact_reader(dead, facts, penalty=1.0).guess(noisy)
    assert auc(facts[:, 0].numpy(), guess[:, 0].numpy(), np.arange(300)).value > 0.95


def test_rows_that_cannot_be_learned_from_are_refused() -> None:
    x, facts = drawn(20, 5)
    with pytest.raises(ValueError, match="at least 4 patients"):
        fit_fact_reader(x[:3], facts[:3], penalty=1.0)
    with pytest.raises(ValueError, match="at least 4 patients"):
        fit_fact_reader(x, facts[:19], penalty=1.0)
    x[3, 1] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_fact_reader(x, facts, penalty=1.0)


@pytest.mark.parametrize(
    "patient", [np.arange(3), np.arange(21), [None] * 20, np.full(20, np.nan), np.zeros((20, 1))]
)
def test_a_row_of_nobody_is_refused(patient: object) -> None:
    x, facts = drawn(20, 5)
    with pytest.raises(ValueError, match="for each of 20 rows whose it is"):
        fit_fact_reader(x, facts, patient=patient)


def test_a_fact_is_there_or_not() -> None:
    x, facts = drawn(20, 5)
    with pytest.raises(ValueError, match="expected bool, or 0 and 1"):
        fit_fact_reader(x, facts.float() * 0.7)
