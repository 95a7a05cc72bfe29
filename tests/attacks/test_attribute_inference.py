"""Attacks on an attribute: answers worked out by hand, and the exact attacker on warfarin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import truncnorm
from torch import Tensor, nn

from medpriv import data, deployment
from medpriv.attacks import (
    agreement_posterior,
    ask_candidates,
    confidence_cases,
    confidence_posterior,
    confusion,
    fit_imputer,
    fit_neurons,
    label_only,
    map_posterior,
    marginal_prior,
    membership_posterior,
    sensitive,
)
from medpriv.attacks.records.attribute_inference import posterior
from medpriv.attacks.records.candidate_values import labels_of
from medpriv.data.cohort import Cohort, Column
from medpriv.data.sources import warfarin_distribution as warfarin
from medpriv.metrics import attribute_scores

# Three attributes: a is known, s is wanted, y is the label. All of it is written down.
COLUMNS = (Column("a", ("a0", "a1")), Column("s", ("s0", "s1", "s2")))
GIVEN_A = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], dtype=torch.float64)  # P(s | a)
Y1 = torch.tensor([[0.1, 0.4, 0.9], [0.3, 0.6, 0.8]])  # P(y = 1 | a, s)
# One victim each: a = 0 and y = 1; a = 0 and y = 0; a = 1 and y = 1.
VICTIMS, Y = torch.tensor([[0.0, 2.0], [0.0, 0.0], [1.0, 2.0]]), torch.tensor([1, 0, 1])


class Table(nn.Module):
    """The perfect model of the table: records → logits, whose softmax is P(y | a, s)."""

    def forward(self, records: Tensor) -> Tensor:
        one = Y1[records[:, 0].long(), records[:, 1].long()]
        return torch.stack([1 - one, one], dim=1).log()


WANTED = sensitive(COLUMNS, "s")


def asked(expose: str = "scores") -> Tensor:
    return ask_candidates(deployment.deploy(Table(), expose=expose), VICTIMS, WANTED)


def same(found: Tensor, expected: list[list[float]]) -> None:
    assert found.shape == (3, 3)
    assert found.tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


# --- By hand --------------------------------------------------------------------------------------


def test_the_grid_of_answers_is_the_table() -> None:
    assert torch.allclose(asked()[..., 1], Y1[[0, 0, 1]])
    assert asked("label").tolist() == [[0, 0, 1], [0, 0, 1], [0, 1, 1]]


def test_confidence_times_the_conditional_prior_is_the_posterior_by_hand() -> None:
    same(
        confidence_posterior(asked(), Y, GIVEN_A[[0, 0, 1]]),
        [
            [0.05 / 0.35, 0.12 / 0.35, 0.18 / 0.35],
            [0.45 / 0.65, 0.18 / 0.65, 0.02 / 0.65],
            [0.06 / 0.66, 0.12 / 0.66, 0.48 / 0.66],
        ],
    )
    same(
        confidence_posterior(asked(), Y),
        [[1 / 14, 4 / 14, 9 / 14], [9 / 16, 6 / 16, 1 / 16], [3 / 17, 6 / 17, 8 / 17]],
    )


@pytest.mark.parametrize("expose", ["scores", "label"])
def test_map_is_the_posterior_by_hand(expose: str) -> None:
    errors = torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    same(  # y = 1 reads the second row, at the answers 0, 0, 1 and 0, 1, 1
        map_posterior(asked(expose), Y, errors, torch.tensor([0.35, 0.25, 0.4])),
        [
            [0.105 / 0.46, 0.075 / 0.46, 0.28 / 0.46],
            [0.28 / 0.56, 0.2 / 0.56, 0.08 / 0.56],
            [0.105 / 0.56, 0.175 / 0.56, 0.28 / 0.56],
        ],
    )
    same(
        map_posterior(asked(expose), Y, errors, GIVEN_A[[0, 0, 1]]),
        [
            [0.15 / 0.38, 0.09 / 0.38, 0.14 / 0.38],
            [0.4 / 0.68, 0.24 / 0.68, 0.04 / 0.68],
            [0.06 / 0.62, 0.14 / 0.62, 0.42 / 0.62],
        ],
    )


def test_the_confusion_matrix_in_both_normalisations() -> None:
    truth = torch.tensor([0] * 100 + [1] * 100)
    answer = torch.tensor([0] * 80 + [1] * 20 + [0] * 30 + [1] * 70)
    by_truth, by_answer = (
        confusion(truth, answer, 2, normalise=how) for how in ("truth", "prediction")
    )
    expected = np.array([[80.5, 20.5], [30.5, 70.5]])
    assert np.allclose(by_truth, expected / 101)
    assert np.allclose(by_answer, expected / [[111, 91]])


def test_both_normalisations_can_lead_to_different_guesses() -> None:
    """Rows (80, 20) and (2, 8): P(0 | 0) > P(1 | 1), yet an answer of 1 is mostly wrong."""
    truth = torch.tensor([0] * 100 + [1] * 10)
    answer = torch.tensor([0] * 80 + [1] * 20 + [0] * 2 + [1] * 8)
    labels, y = torch.tensor([[0, 1]]), torch.tensor([1])
    prior = torch.tensor([0.8, 0.2])
    found = [
        map_posterior(labels, y, confusion(truth, answer, 2, normalise=how), prior).argmax().item()
        for how in ("truth", "prediction")
    ]
    assert found == [0, 1]


def test_the_answer_read_as_y_leaves_only_candidates_that_give_it() -> None:
    """With y the API's own, certain answer, the error model is the identity."""
    found = map_posterior(asked("label"), Y, torch.eye(2), torch.tensor([0.35, 0.25, 0.4]))
    same(found, [[0, 0, 1], [0.35 / 0.6, 0.25 / 0.6, 0], [0, 0.25 / 0.65, 0.4 / 0.65]])


def test_a_candidate_that_nothing_explains_leaves_the_prior() -> None:
    labels, prior = torch.zeros(1, 3, dtype=torch.long), torch.tensor([0.35, 0.25, 0.4])
    found = map_posterior(labels, torch.tensor([1]), torch.eye(2), prior)
    assert torch.allclose(found[0], prior.double())


def test_whole_numbers_are_labels_and_of_scores_the_largest_counts() -> None:
    grid = torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(0))
    labels = labels_of(grid)
    assert labels.equal(grid.argmax(-1))
    assert labels_of(labels) is labels
    assert labels_of(labels.to(torch.int32)).equal(labels)  # such as a reader's own service gives
    assert labels_of(grid[:, 0]).equal(labels[:, 0])  # scores of two axes: no grid, and no labels


def test_counting_cases_by_hand() -> None:
    """Exactly one; several, the surest; none, the least sure."""
    scores, y = asked(), Y
    assert confidence_cases(scores, y).argmax(1).tolist() == [2, 0, 2]
    never = torch.tensor([[[0.4, 0.6], [0.3, 0.7], [0.2, 0.8]]])
    assert confidence_cases(never, torch.tensor([0])).argmax(1).item() == 0
    ranks = confidence_cases(torch.cat([scores, never]), torch.tensor([1, 0, 1, 0])).amax(1)
    assert ranks[0] > ranks[1:3].max() > ranks[1:3].min() > ranks[3]


def test_yeoms_attack_by_hand() -> None:
    """A loss of at most ln 2 is a score of y of at least a half."""
    prior = torch.tensor([0.35, 0.25, 0.4])
    found = membership_posterior(asked(), Y, float(np.log(2)), prior)
    same(found, [[0, 0, 1], [0.35 / 0.6, 0.25 / 0.6, 0], [0, 0.25 / 0.65, 0.4 / 0.65]])
    nobody = membership_posterior(asked(), Y, 0.0, prior)
    assert torch.allclose(nobody, prior.double().expand(3, 3))


def test_agreement_with_seen_scores_by_hand() -> None:
    """Candidates of a = 0 give 0.1, 0.4 and 0.9: at a tolerance of 0.3 the first two agree."""
    scores, prior = asked(), torch.tensor([0.35, 0.25, 0.4])
    seen = scores[torch.arange(3), torch.tensor([2, 0, 1])]
    assert agreement_posterior(scores, seen, prior).argmax(1).tolist() == [2, 0, 1]
    rough = agreement_posterior(scores, seen, prior, tolerance=0.31)
    same(
        rough,
        [[0, 0, 1], [0.35 / 0.6, 0.25 / 0.6, 0], [0.35, 0.25, 0.4]],
    )
    # Nothing agrees with a score from elsewhere; the closest is taken.
    other = torch.tensor([[0.45, 0.55]])
    assert agreement_posterior(scores[:1], other, prior).argmax(1).item() == 1
    with pytest.raises(ValueError, match="0 or more"):
        agreement_posterior(scores, seen, prior, tolerance=-1)
    with pytest.raises(ValueError, match=r"\(n, K\)"):
        agreement_posterior(scores, seen[:2], prior)


def test_the_marginal_prior_by_hand() -> None:
    records = torch.tensor([[0.0, 0.0]] * 3 + [[0.0, 1.0]])
    assert marginal_prior(records, WANTED).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def drawn(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Records and labels from the table, a = 0 and 1 equally often."""
    source = torch.Generator().manual_seed(seed)
    a = torch.randint(2, (number,), generator=source)
    s = torch.multinomial(GIVEN_A[a], 1, generator=source).squeeze(1)
    y = (torch.rand(number, generator=source) < Y1[a, s]).long()
    return torch.stack([a, s], dim=1).float(), y


@pytest.mark.parametrize("family", ["logistic", "boosting"])
def test_the_imputer_learns_the_posterior_of_the_table(family: str) -> None:
    """100,000 records: a share of 0.2 has a standard error of 0.002."""
    records, y = drawn(100_000, 0)
    without = fit_imputer(COLUMNS, WANTED, records, family=family)
    assert torch.allclose(without.guess(VICTIMS), GIVEN_A[[0, 0, 1]], atol=0.01)
    if family == "logistic":  # log-linear: it has no term for a and y together
        return
    exact = confidence_posterior(asked(), Y, GIVEN_A[[0, 0, 1]])
    given_y = fit_imputer(COLUMNS, WANTED, records, y, family=family)
    assert torch.allclose(given_y.guess(VICTIMS, Y), exact, atol=0.02)


def test_label_only_learns_from_cases_of_exactly_one() -> None:
    """With y = 1 and a = 0 only s2 is right, so s2 is learned; nothing else was ever certain."""
    labels, prior = asked("label"), torch.tensor([0.35, 0.25, 0.4])
    found = label_only(labels, Y, VICTIMS, COLUMNS, WANTED, prior)
    assert found[0].tolist() == [0, 0, 1]
    assert found[1:].argmax(1).tolist() == [2, 2]
    nothing = label_only(labels[1:2], Y[1:2], VICTIMS[1:2], COLUMNS, WANTED, prior)
    assert torch.allclose(nothing[0], prior.double())


# --- The exact attacker ---------------------------------------------------------------------------


class Perfect(nn.Module):
    """P(dose class | record) of the warfarin cohort, from scipy's truncated normal."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        super().__init__()
        self.columns = columns

    def root(self, records: Tensor) -> np.ndarray:
        codes = records.numpy()
        return warfarin.iwpc_sqrt_dose(
            pd.DataFrame({
                column.name: np.asarray(column.values, dtype=object)[codes[:, j].astype(int)]
                if column.categorical and column.values != ("no", "yes") else codes[:, j]
                for j, column in enumerate(self.columns)
            })
        )  # fmt: skip

    def forward(self, records: Tensor) -> Tensor:
        mean, spread = self.root(records), warfarin.RESIDUAL_SD
        law = truncnorm((warfarin.MIN_SQRT_DOSE - mean) / spread, np.inf, mean, spread)
        low, high = (law.cdf(dose**0.5) for dose in (warfarin.LOW_DOSE, warfarin.HIGH_DOSE))
        return torch.from_numpy(np.stack([low, high - low, 1 - high], axis=1)).clamp(1e-300).log()


@pytest.fixture(scope="module")
def clinic() -> tuple[Cohort, pd.DataFrame]:
    cohort = data.load_records("warfarin", profile="quick", seed=0)
    frame = cohort.frame("victims")
    for name in ("enzyme_inducer", "amiodarone"):
        frame[name] = (frame[name] == "yes").astype(int)
    frame["dose_mg_week"] = cohort.victims.attributes["dose_mg_week"]
    frame["dose_class"] = cohort.victims.y.numpy()
    return cohort, frame


def test_a_perfect_model_and_the_conditional_prior_are_the_exact_attacker(clinic) -> None:
    cohort, frame = clinic
    wanted = sensitive(cohort.columns, "vkorc1")
    view = deployment.deploy(Perfect(cohort.columns), expose="scores")
    answers = ask_candidates(view, cohort.victims.x, wanted)
    y, exact = cohort.victims.y, warfarin.vkorc1_posterior(frame, given="dose_class")
    conditional = torch.from_numpy(warfarin.vkorc1_posterior(frame, given="ancestry"))
    found = confidence_posterior(answers, y, conditional)
    assert np.allclose(found.numpy(), exact, atol=1e-5)
    # With the marginal prior it is not: ancestry says much about the genotype.
    marginal = marginal_prior(cohort.auxiliary.x, wanted)
    worse = confidence_posterior(answers, y, marginal)
    truth = wanted.truth(cohort.victims.x)
    right = [(guess.argmax(1) == truth).double().mean() for guess in (found, worse)]
    assert np.abs(worse.numpy() - exact).max() > 0.3
    assert right[0] - right[1] > 0.05


def test_a_perfect_regression_and_the_conditional_prior_are_the_exact_attacker(clinic) -> None:
    cohort, frame = clinic
    wanted = sensitive(cohort.columns, "vkorc1")
    model = Perfect(cohort.columns)
    grid = wanted.written(cohort.victims.x)
    roots = torch.from_numpy(model.root(grid.flatten(0, 1))).unflatten(0, grid.shape[:2])
    y = torch.from_numpy(np.sqrt(frame["dose_mg_week"].to_numpy()))
    conditional = torch.from_numpy(warfarin.vkorc1_posterior(frame, given="ancestry"))
    away = (y[:, None] - roots) / warfarin.RESIDUAL_SD
    found = posterior(-away.square() / 2, conditional)
    # Its normal error is not cut off below, as the cohort's is; far above, that is nothing.
    far = roots.amin(1) > warfarin.MIN_SQRT_DOSE + 4 * warfarin.RESIDUAL_SD
    exact = torch.from_numpy(warfarin.vkorc1_posterior(frame, given="dose"))
    assert far.sum() > 10
    assert torch.allclose(found[far], exact[far], atol=1e-4)
    assert (found - exact).abs().max() < 0.1


# --- Nothing to find ------------------------------------------------------------------------------


def test_an_attribute_that_goes_with_nothing_is_guessed_at_chance() -> None:
    """Shuffled among victims and auxiliary: a 95 % interval of MCC holds 0 in 19 of 20 seeds."""
    inside = 0
    for seed in range(20):
        records, y = drawn(1_500, seed)
        source = torch.Generator().manual_seed(seed + 100)
        records[:, 1] = records[torch.randperm(len(records), generator=source), 1]
        own, victims = records[:500], records[500:]
        model = fit_imputer(COLUMNS, WANTED, own, y[:500], family="boosting", seed=seed)
        guess = model.guess(victims, y[500:]).argmax(1).numpy()
        scores = attribute_scores(WANTED.truth(victims).numpy(), guess, np.arange(1_000), 3)
        inside += scores.mcc.low <= 0 <= scores.mcc.high
    assert inside >= 16  # Pr[fewer of 20 at 0.95] = 0.0026


@given(st.integers(0, 2**31 - 1), st.integers(1, 6), st.integers(2, 5))
def test_every_posterior_is_one(seed: int, rows: int, size: int) -> None:
    source = torch.Generator().manual_seed(seed)
    answers = torch.rand(rows, size, 3, generator=source).pow(40).softmax(-1)
    y = torch.randint(3, (rows,), generator=source)
    prior = torch.rand(size, generator=source) + 1e-6
    errors = torch.rand(3, 3, generator=source)
    for found in (
        confidence_posterior(answers, y, prior),
        map_posterior(answers, y, errors, prior),
        membership_posterior(answers, y, 1.0, prior),
        agreement_posterior(answers, answers[:, 0], prior),
    ):
        assert found.shape == (rows, size)
        assert torch.allclose(found.sum(1), torch.ones(rows, dtype=torch.float64))
        assert bool((found >= 0).all())
    ranks = confidence_cases(answers, y)
    assert bool(((ranks >= 0) & (ranks <= 1)).all())


# --- Edges ----------------------------------------------------------------------------------------


def test_probabilities_that_underflow_keep_their_prior() -> None:
    answers = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    found = confidence_posterior(answers, torch.tensor([1]), torch.tensor([0.3, 0.7]))
    assert found[0].tolist() == pytest.approx([0.3, 0.7])


def test_a_constant_model_tells_nothing() -> None:
    """Every estimator falls back on its prior."""
    answers, y = torch.full((4, 3, 2), 0.5), torch.tensor([0, 1, 0, 1])
    prior = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    for found in (
        confidence_posterior(answers, y, prior),
        map_posterior(answers, y, torch.tensor([[0.8, 0.2], [0.3, 0.7]]), prior),
        membership_posterior(answers, y, 0.5, prior),
    ):
        assert torch.allclose(found, prior.expand(4, 3))


def test_ties_go_to_the_first_candidate() -> None:
    answers = torch.full((1, 3, 2), 0.5)
    assert confidence_posterior(answers, torch.tensor([1])).argmax(1).item() == 0
    assert confidence_cases(answers, torch.tensor([0])).argmax(1).item() == 0


def test_a_value_that_the_attacker_never_met_stays_possible() -> None:
    """Laplace: 1 of 40 + 3; the others share the rest."""
    records, _ = drawn(400, 1)
    records = records[records[:, 1] < 2][:40]
    found = fit_imputer(COLUMNS, WANTED, records).guess(VICTIMS)
    assert found[:, 2].tolist() == pytest.approx([1 / 43] * 3)
    assert torch.allclose(found.sum(1), torch.ones(3, dtype=torch.float64))


def test_records_of_a_single_value_give_a_constant() -> None:
    records = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    model = fit_imputer(COLUMNS, WANTED, records)
    assert model.family == "constant"
    same(model.guess(VICTIMS), [[0.2, 0.6, 0.2]] * 3)


def test_a_missing_known_value_is_imputed_and_not_asked() -> None:
    records, _ = drawn(200, 2)
    records[0, 0] = torch.nan
    for family in ("logistic", "boosting"):
        model = fit_imputer(COLUMNS, WANTED, records, family=family)
        assert bool(model.guess(records[:1]).isfinite().all())
    with pytest.raises(ValueError, match="a known attribute is missing"):
        ask_candidates(deployment.deploy(Table(), expose="scores"), records[:1], WANTED)
    with pytest.raises(ValueError, match="a sensitive value is missing"):
        WANTED.truth(torch.tensor([[0.0, torch.nan]]))


def test_what_a_record_holds_in_the_sensitive_column_is_never_read() -> None:
    view = deployment.deploy(Table(), expose="scores")
    blank = VICTIMS.clone()
    blank[:, 1] = torch.nan
    assert torch.equal(ask_candidates(view, blank, WANTED), asked())
    model = fit_imputer(COLUMNS, WANTED, drawn(300, 3)[0])
    assert torch.equal(model.guess(blank), model.guess(VICTIMS))


def test_each_candidate_costs_a_query_and_a_small_budget_stops_before_the_first() -> None:
    view = deployment.deploy(Table(), expose="label", query_budget=9)
    ask_candidates(view, VICTIMS, WANTED)
    assert view.queries == 9
    with pytest.raises(deployment.QueryBudgetError, match="9 queries asked, 0 of 9 left"):
        ask_candidates(view, VICTIMS, WANTED)


def test_several_attributes_are_guessed_together() -> None:
    both = sensitive(COLUMNS, "a", "s")
    assert both.names[:4] == ("a0, s0", "a0, s1", "a0, s2", "a1, s0")
    assert both.truth(torch.tensor([[1.0, 2.0], [0.0, 1.0]])).tolist() == [5, 1]
    assert both.written(VICTIMS)[0].tolist() == both.values.tolist()


def test_one_of_several_is_summed_over_the_others() -> None:
    both, joint = sensitive(COLUMNS, "a", "s"), torch.tensor([[1.0, 2, 3, 10, 20, 30]])
    assert both.marginal(joint, 0).tolist() == [[6, 60]]
    assert both.marginal(joint, 1).tolist() == [[11, 22, 33]]
    assert torch.equal(WANTED.marginal(joint[:, :3], 0), joint[:, :3])
    with pytest.raises(IndexError, match="attributes 0 to 1, got 2"):
        both.marginal(joint, 2)


def test_the_sum_over_completions_by_hand() -> None:
    """With a unknown as well: P(s | y = 1) is the sum over a of P(a) P(s | a) P(1 | a, s)."""
    both = sensitive(COLUMNS, "a", "s")
    view = deployment.deploy(Table(), expose="scores")
    answers = ask_candidates(view, VICTIMS[:1], both)
    found = confidence_posterior(answers, Y[:1], (GIVEN_A / 2).flatten())
    expected = torch.tensor([0.05 + 0.06, 0.12 + 0.12, 0.18 + 0.48]).double()
    assert torch.allclose(both.marginal(found, 1)[0], expected / expected.sum(), atol=1e-6)


def test_a_number_is_guessed_by_interval() -> None:
    columns = (Column("age", unit="years"), COLUMNS[1])
    own = torch.tensor([[30.0, 0.0], [50.0, 0.0], [55.0, 0.0], [80.0, 0.0]])
    wanted = sensitive(columns, "age", cuts={"age": (50, 60)}, records=own)
    assert wanted.names == ("age under 50", "age 50 to 60", "age 60 or more")
    assert wanted.values.flatten().tolist() == [30, 50, 80]
    assert wanted.truth(torch.tensor([[49.9, 0.0], [50.0, 0.0], [60.0, 0.0]])).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ((), {}, "name one or more"),
        (("s", "s"), {}, "each once"),
        (("b",), {}, "of age, s, single"),
        (("age",), {}, "is numeric: give ascending cuts"),
        (("age",), {"cuts": {"age": (60, 50)}, "records": torch.ones(2, 3)}, "ascending cuts"),
        (("age",), {"cuts": {"age": (50,)}, "records": torch.ones(2, 3)}, "interval 2 of 2"),
        (("single",), {}, "a single value"),
    ],
)
def test_an_attribute_that_cannot_be_guessed_is_refused(names, options, message) -> None:
    columns = (Column("age"), COLUMNS[1], Column("single", ("only",)))
    with pytest.raises(ValueError, match=message):
        sensitive(columns, *names, **options)


@pytest.mark.parametrize("expose", ["features", "back"])
def test_a_view_without_answers_is_refused(expose: str) -> None:
    cohort = data.load_records("warfarin", profile="smoke", seed=0)
    from medpriv.models import build_target

    view = deployment.deploy(build_target(cohort), expose=expose, split="hidden1")
    wanted = sensitive(cohort.columns, "vkorc1")
    with pytest.raises(deployment.ThreatModelError, match="asking candidates needs scores"):
        ask_candidates(view, cohort.victims.x, wanted)
    with pytest.raises(deployment.ThreatModelError, match="hidden units needs weights"):
        fit_neurons(view, cohort.auxiliary.x, wanted)


def test_labels_are_refused_where_scores_are_needed() -> None:
    for attack in (confidence_posterior, confidence_cases):
        with pytest.raises(ValueError, match=r"needs scores, \(n, V, K\)"):
            attack(asked("label"), Y)


# --- Inside the network ---------------------------------------------------------------------------


class Planted(nn.Module):
    """Columns a, s → 30 units of noise and one that follows a, which goes with s."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 31)
        with torch.no_grad():
            self.hidden.weight.zero_()
            self.hidden.weight[17] = torch.tensor([5.0, 1.0])
        self.output = nn.Linear(31, 2)

    def forward(self, records: Tensor) -> Tensor:
        return self.output(self.hidden(records).relu())


def test_the_planted_unit_is_found_and_its_odds_are_those_of_the_table() -> None:
    records, _ = drawn(20_000, 4)
    view = deployment.deploy(Planted(), expose="weights")
    found = fit_neurons(view, records, WANTED, units=1, layers=("hidden",))
    assert found.units.flatten().tolist() == [17, 17, 17]
    assert found.correlation[2].item() == pytest.approx(0.4 / (0.24**0.5 * 2), abs=0.02)
    guess = found.guess(VICTIMS, torch.full((3,), 1 / 3)).argmax(1)
    assert guess.tolist() == [0, 0, 2]


def test_units_that_never_change_tell_nothing() -> None:
    records, _ = drawn(500, 5)
    flat = Planted()
    nn.init.zeros_(flat.hidden.weight)
    view = deployment.deploy(flat, expose="weights")
    prior = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    found = fit_neurons(view, records, WANTED, layers=("hidden",)).guess(VICTIMS, prior)
    assert torch.allclose(found, prior.expand(3, 3))
    with pytest.raises(ValueError, match="at least one unit"):
        fit_neurons(view, records, WANTED, units=0)
