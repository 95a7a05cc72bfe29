"""Randomised response: sums by hand, another count of the same, and the attacker in simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from medpriv.bounds.coins import best_guess, in_gallery, posterior_bound
from medpriv.defenses import epsilon_of, randomised_response

SMALL = st.tuples(st.integers(2, 4), st.floats(0.01, 0.99), st.integers(1, 5))


def by_words(joint: np.ndarray, flips: float, answers: int) -> float:
    """The same over all sequences of answers, of which there are K^q, instead of counts."""
    secrets, classes = joint.shape
    told = np.full((classes, classes), flips / (classes - 1))
    np.fill_diagonal(told, 1 - flips)
    total = 0.0
    for word in itertools.product(range(classes), repeat=answers):
        likely = np.prod([told[:, one] for one in word], axis=0) if word else np.ones(classes)
        total += max(sum(joint[a, k] * likely[k] for k in range(classes)) for a in range(secrets))
    return total


@given(SMALL, st.integers(0, 10))
@settings(max_examples=20, deadline=None)
def test_counts_are_as_good_as_sequences(setting: tuple[int, float, int], seed: int) -> None:
    classes, share, answers = setting
    flips = share * (classes - 1) / classes
    joint = np.random.default_rng(seed).dirichlet(np.ones(3 * classes)).reshape(3, classes)
    assert best_guess(joint, flips, answers) == pytest.approx(by_words(joint, flips, answers))


@pytest.mark.parametrize("answers", [1, 2, 7, 16])
def test_two_candidates_by_hand(answers: int) -> None:
    # A majority of q coins, ties half.
    flips = 0.4
    right = sum(
        math.comb(answers, k) * (1 - flips) ** k * flips ** (answers - k)
        * (1 if 2 * k > answers else 0.5 if 2 * k == answers else 0)
        for k in range(answers + 1)
    )  # fmt: skip
    assert in_gallery([0, 1], flips, 2, answers) == pytest.approx(right)


def test_what_the_loose_bound_makes_of_it() -> None:
    # Of 16 answers, each the truth or, in 80 %, either of two labels.
    loose = posterior_bound(epsilon_of(0.4, 2), 0.5, 16)
    assert (round(in_gallery([0, 1], 0.4, 2, 16), 3), round(loose, 3)) == (0.787, 0.998)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("flips", [0.0, 0.1, 0.3])
def test_one_answer_and_a_candidate_a_label_reach_the_loose_bound(
    classes: int, flips: float
) -> None:
    exact = in_gallery(np.arange(classes), flips, classes)
    assert exact == pytest.approx(1 - flips)
    if flips:
        loose = posterior_bound(epsilon_of(flips, classes), 1 / classes)
        assert loose == pytest.approx(exact)


def with_largest_count(answers: int, classes: int, present: int) -> list[int]:
    """How many sequences have each largest count among the present labels: by power series."""

    def sequences(most: int) -> float:
        one = [1 / math.factorial(k) if k <= most else 0.0 for k in range(answers + 1)]
        free = [1 / math.factorial(k) for k in range(answers + 1)]
        total = [1.0] + [0.0] * answers
        for series in [one] * present + [free] * (classes - present):
            total = [
                sum(total[j] * series[k - j] for j in range(k + 1)) for k in range(answers + 1)
            ]
        return total[-1] * math.factorial(answers)

    upto = [sequences(most) for most in range(answers + 1)]
    return [round(b - a) for a, b in zip([0, *upto], upto, strict=False)]


@pytest.mark.parametrize(("classes", "present"), [(2, 2), (3, 2), (5, 5), (10, 4)])
@pytest.mark.parametrize("answers", [1, 3, 6])
def test_a_gallery_by_the_largest_count(classes: int, present: int, answers: int) -> None:
    flips, candidates = 0.3, 12
    labels = np.arange(candidates) % present
    other = flips / (classes - 1)
    total = sum(
        many * (1 - flips) ** count * other ** (answers - count)
        for count, many in enumerate(with_largest_count(answers, classes, present))
    )
    found = in_gallery(labels, flips, classes, answers)
    assert found == pytest.approx(total / candidates)
    # As by the joint distribution in full.
    joint = np.zeros((candidates, classes))
    joint[np.arange(candidates), labels] = 1 / candidates
    assert found == pytest.approx(best_guess(joint, flips, answers))


@given(SMALL, st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_more_answers_and_fewer_flips_never_help_less(
    setting: tuple[int, float, int], candidates: int
) -> None:
    classes, share, answers = setting
    flips, labels = share * (classes - 1) / classes, np.arange(candidates) % classes
    found = in_gallery(labels, flips, classes, answers)
    assert found <= in_gallery(labels, flips, classes, answers + 1) + 1e-12
    assert found <= in_gallery(labels, flips * 0.9, classes, answers) + 1e-12
    assert 1 / candidates - 1e-12 <= found <= min(classes, candidates) / candidates + 1e-12
    if candidates > 1:
        loose = posterior_bound(epsilon_of(flips, classes), 1 / candidates, answers)
        assert found <= loose + 1e-12


def test_limits() -> None:
    assert in_gallery([0, 1, 1, 0], 0.5, 2, 9) == pytest.approx(0.25)  # answers say nothing
    assert in_gallery([0, 1, 1, 0], 0.0, 2) == pytest.approx(0.5)  # labels, and no more
    assert in_gallery([0, 1, 2], 0.3, 3, 200) == pytest.approx(1, abs=1e-3)
    assert in_gallery([0, 1, 2], 0.3, 3, 0) == pytest.approx(1 / 3)
    assert posterior_bound(0.0, 0.2, 5) == pytest.approx(0.2)
    assert posterior_bound(5.0, 0.2, 0) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("classes", "labels", "flips", "answers"),
    [
        (2, (0, 1), 0.3, 1),
        (3, (0, 1, 2), 0.4, 1),
        (2, (0, 1), 0.4, 16),
        (3, (0, 0, 1, 2, 2), 0.5, 4),
    ],
)
def test_the_best_attacker_reaches_the_ceiling_and_does_not_pass_it(
    classes: int, labels: tuple[int, ...], flips: float, answers: int
) -> None:
    trials = 4000
    service = randomised_response(flips, classes, seed=3).apply(lambda x: x[:, 0].long())
    who = np.random.default_rng(0).integers(len(labels), size=trials)
    own = torch.tensor(labels)[who]
    told = torch.stack([service(own[:, None].float()) for _ in range(answers)])
    counts = torch.nn.functional.one_hot(told, classes).sum(0).numpy()
    # He names, of the candidates whose label was told most often, one by a coin.
    score = counts[:, labels] + np.random.default_rng(1).random((trials, len(labels))) / 2
    hits = int((score.argmax(1) == who).sum())
    ceiling = in_gallery(labels, flips, classes, answers)
    assert beta.ppf(1e-5, hits, trials - hits + 1) <= ceiling
    assert hits / trials >= 0.9 * ceiling


def test_bad_input() -> None:
    for call, message in (
        (lambda: posterior_bound(1, 1.0), "between 0 and 1"),
        (lambda: posterior_bound(-1, 0.5), "0 or more"),
        (lambda: best_guess([[0.5, 0.2]], 0.1), "sum to 1"),
        (lambda: best_guess([[0.5, 0.5]], 0.6), "p from 0"),
        (lambda: in_gallery([0, 2], 0.1, 2), "0 to 1"),
        (lambda: in_gallery([], 0.1, 2), "1 or more candidates"),
        (lambda: in_gallery([0, 1], 0.1, 10, 16), "vectors of counts"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
