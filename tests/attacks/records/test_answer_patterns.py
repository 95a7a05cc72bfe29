"""All answers weighed together: Bayes by enumeration, and what a coin cannot take from it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from medpriv.attacks import fit_patterns, map_posterior, pattern_posterior
from medpriv.defenses import response_matrix
from medpriv.runtime.seeds import torch_rng


def thrown(labels: Tensor, flips: float, classes: int, draw: torch.Generator) -> Tensor:
    """Labels after a coin each."""
    step = torch.randint(1, classes, labels.shape, generator=draw)
    heads = torch.rand(labels.shape, generator=draw) < flips
    return torch.where(heads, (labels + step) % classes, labels)


@given(
    st.integers(2, 3), st.integers(1, 3), st.sampled_from([0.0, 0.1, 0.4]), st.integers(0, 10_000)
)
def test_it_is_bayes_by_enumeration(classes: int, candidates: int, flips: float, seed: int) -> None:
    draw = torch_rng(seed, "enumeration")
    coin = response_matrix(flips, classes)
    patterns = torch.rand(classes**candidates, generator=draw, dtype=torch.float64)
    patterns = patterns / patterns.sum()
    prior = torch.rand(5, candidates, generator=draw, dtype=torch.float64) + 0.1
    answers = torch.randint(classes, (5, candidates), generator=draw)
    y = torch.randint(classes, (5,), generator=draw)
    found = pattern_posterior(answers, y, coin, patterns, prior)
    for row in range(5):
        whole = []
        for v in range(candidates):
            total = 0.0
            for number, labels in enumerate(itertools.product(range(classes), repeat=candidates)):
                chance = float(patterns[number]) * float(coin[labels[v], y[row]])
                for j, label in enumerate(labels):
                    chance *= float(coin[label, answers[row, j]])
                total += chance
            whole.append(total * float(prior[row, v]))
        if sum(whole) > 0:
            expected = [one / sum(whole) for one in whole]
        else:  # without coins, answers about candidates that never were like the one about her
            expected = (prior[row] / prior[row].sum()).tolist()
        assert found[row].tolist() == pytest.approx(expected, abs=1e-9)


def test_without_a_coin_it_is_fredriksons_estimator() -> None:
    draw = torch_rng(0, "plain")
    answers = torch.randint(2, (400, 3), generator=draw)
    y = torch.randint(2, (400,), generator=draw)
    prior = torch.rand(400, 3, generator=draw) + 0.1
    coin = torch.eye(2)
    patterns = fit_patterns(answers, coin)
    torch.testing.assert_close(
        pattern_posterior(answers, y, coin, patterns, prior),
        map_posterior(answers, y, coin, prior),
    )


@pytest.mark.parametrize("flips", [0.0, 0.2])
def test_patterns_are_found_behind_the_coins(flips: float) -> None:
    """From 200,000 records. One seed; behind coins of 0.2 a share's standard error is 0.004."""
    draw = torch_rng(0, "patterns")
    true = torch.tensor([0.5, 0.02, 0.08, 0.0, 0.0, 0.1, 0.0, 0.3], dtype=torch.float64)
    numbers = torch.multinomial(true, 200_000, replacement=True, generator=draw)
    labels = numbers[:, None] // torch.tensor([4, 2, 1]) % 2
    answers = thrown(labels, flips, 2, draw)
    found = fit_patterns(answers, response_matrix(flips, 2))
    assert found.sum().item() == pytest.approx(1)
    assert (found - true).abs().max() < (0.02 if flips else 0.005)


def test_the_likelihood_falls_in_no_round() -> None:
    draw = torch_rng(1, "rounds")
    answers, coin = torch.randint(2, (500, 3), generator=draw), response_matrix(0.3, 2)
    through = torch.kron(torch.kron(coin, coin), coin).double()
    seen = (answers * torch.tensor([4, 2, 1])).sum(1)
    likelihood = [
        float((fit_patterns(answers, coin, rounds=rounds) @ through)[seen].log().sum())
        for rounds in (1, 2, 4, 8, 50, 300)
    ]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(likelihood)), (
        likelihood
    )


def test_coins_on_answers_that_are_all_alike_are_not_taken_for_evidence() -> None:
    """20,000 patients of whom the model says the same with either candidate in nine of ten cases.

    The imputer is right in 80 of 100. Where answers differ by their coins alone, who takes each by
    itself is misled; who weighs them together is as good as the imputer or better. The bounds
    leave four standard errors, 0.011.
    """
    draw = torch_rng(2, "alike")
    n, p = 20_000, 0.1
    truth = (torch.rand(n, generator=draw) < 0.5).long()
    told = torch.where(torch.rand(n, generator=draw) < 0.8, truth, 1 - truth)
    prior = torch.full((n, 2), 0.2).scatter_(1, told[:, None], 0.8)
    alike = torch.rand(n, generator=draw) < 0.9
    labels = torch.stack([torch.zeros(n), (~alike).double()], 1).long()
    mirrored = torch.rand(n, generator=draw) < 0.5
    labels = torch.where(mirrored[:, None], 1 - labels, labels)
    coin = response_matrix(p, 2)
    answers = thrown(labels, p, 2, draw)
    y = thrown(labels.gather(1, truth[:, None])[:, 0], p, 2, draw)
    patterns = fit_patterns(answers, coin)

    def right(posterior: Tensor) -> float:
        return (posterior.argmax(1) == truth).double().mean().item()

    alone = right(prior)
    by_itself = right(map_posterior(answers, y, coin @ coin, prior))
    together = right(pattern_posterior(answers, y, coin, patterns, prior))
    assert alone == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / n))
    assert by_itself < alone - 0.02
    assert together > alone - 0.011


def test_what_cannot_be_weighed_is_refused() -> None:
    answers, coin = torch.zeros(3, 2, dtype=torch.int64), response_matrix(0.1, 2)
    patterns = fit_patterns(answers, coin)
    prior, y = torch.ones(2), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="at least one record"):
        fit_patterns(answers[:0], coin)
    with pytest.raises(ValueError, match=r"labels \(n, V\) int64, got \(3, 2\) torch.float32"):
        fit_patterns(answers.float(), coin)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        fit_patterns(answers + 2, coin)
    for wrong in (
        torch.eye(2) * 0.5,
        torch.ones(2, 3) / 3,
        torch.tensor([[2.0, -1.0], [0.0, 1.0]]),
    ):
        with pytest.raises(ValueError, match="whose rows sum to 1"):
            fit_patterns(answers, wrong)
    with pytest.raises(ValueError, match=r"8,192 patterns.*fewer values"):
        fit_patterns(torch.zeros(3, 13, dtype=torch.int64), coin)
    with pytest.raises(ValueError, match="expected 4 patterns"):
        pattern_posterior(answers, y, coin, patterns[:3], prior)
    with pytest.raises(ValueError, match="each of 3 victims"):
        pattern_posterior(answers, y[:2], coin, patterns, prior)
    for outside in (y - 1, y + 2):
        with pytest.raises(ValueError, match=r"outside 0\.\.1"):
            pattern_posterior(answers, outside, coin, patterns, prior)
    assert pattern_posterior(answers[:0], y[:0], coin, patterns, prior).shape == (0, 2)
