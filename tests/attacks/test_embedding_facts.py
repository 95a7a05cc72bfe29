"""Facts read from embeddings: scikit-learn as oracle, and answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from medpriv.attacks import fit_cooccurrence, fit_fact_reader, prevalence
from medpriv.attacks.embedding_facts import _fit
from medpriv.data.cohort import Column
from medpriv.deployment import QueryBudgetError, ThreatModelError, View, deploy
from medpriv.models import RecordMLP


def drawn(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs of 5 numbers; four facts that go with them, more or less."""
    source = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 5, generator=source)
    noise = torch.randn(rows, 4, generator=source)
    return x, x[:, :4] * torch.tensor([3.0, 1.0, 0.3, 0.0]) + noise > 0.5


class Numbers(View):
    """A view whose reports are positions in a table of embeddings."""

    def __init__(self, table: Tensor, budget: int | None = None) -> None:
        super().__init__(
            lambda reports: table[[int(one) for one in reports]],
            expose="embedding", split=None, query_budget=budget, defenses=(),
            open_weights=nn.Identity, open_back=nn.Identity,
        )  # fmt: skip


@pytest.mark.parametrize("penalty", [1.0, 30.0])
def test_each_fact_is_scikit_learns_logistic_regression(penalty: float) -> None:
    x, facts = drawn(300, 0)
    view = Numbers(x)
    found = fit_fact_reader(view, [str(i) for i in range(300)], facts, penalty=penalty)
    scaled = (x - x.mean(0)) / x.std(0, correction=0)
    for number in range(4):
        oracle = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=2000)
        oracle.fit(scaled.numpy(), facts[:, number].numpy())
        expected = oracle.predict_proba(scaled.numpy())[:, 1]
        assert np.allclose(found.probabilities(x)[:, number], expected, atol=1e-4)
    assert view.queries == 300


def test_the_penalty_is_chosen_on_the_attackers_rows() -> None:
    """Pure noise wants the strongest, a clear rule the weakest."""
    x, facts = drawn(200, 1)
    assert _fit(x, facts[:, 3:], None).penalty == 1000
    assert _fit(x, x[:, :1] > 0, None).penalty == 1


def test_a_fact_that_nobody_has_stays_at_laplaces_rule() -> None:
    x, facts = drawn(98, 2)
    facts[:, 1], facts[:, 2] = False, True
    found = _fit(x, facts, 1.0)
    assert torch.allclose(found.probabilities(x)[:, 1], torch.tensor(0.01).double())
    assert torch.allclose(found.probabilities(x)[:, 2], torch.tensor(0.99).double())
    assert torch.allclose(prevalence(facts, 3)[:, 1], torch.tensor(0.01).double())


def test_cooccurrence_reads_the_other_facts_and_never_the_one_it_guesses() -> None:
    """Of three facts the second copies the first, in nine of ten; the third is a coin."""
    source = torch.Generator().manual_seed(3)
    first, third = torch.rand(2, 5000, generator=source) < 0.5
    second = first ^ (torch.rand(5000, generator=source) < 0.1)
    facts = torch.stack([first, second, third], dim=1)
    found = fit_cooccurrence(facts, penalty=1.0)
    rows = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    guess = found.probabilities(rows)
    assert guess[:2, 0].tolist() == pytest.approx([0.9, 0.9], abs=0.03)
    assert guess[2, 0].item() == pytest.approx(0.1, abs=0.03)
    assert guess[:, 2].tolist() == pytest.approx([0.5] * 3, abs=0.05)
    assert bool((found.weights.diagonal() == 0).all())


def test_a_budget_and_the_wrong_view_stop_the_attack() -> None:
    x, facts = drawn(20, 4)
    reports = [str(i) for i in range(20)]
    with pytest.raises(QueryBudgetError, match="20 queries asked, 19 of 19 left"):
        fit_fact_reader(Numbers(x, 19), reports, facts)
    model = RecordMLP((Column("a"), Column("b")), torch.zeros(2, 2))
    view = deploy(model, expose="scores")
    with pytest.raises(ThreatModelError, match="facts from an embedding needs embedding"):
        fit_fact_reader(view, reports, facts)


def test_rows_that_cannot_be_learned_from_are_refused() -> None:
    x, facts = drawn(20, 5)
    with pytest.raises(ValueError, match="at least 4 patients"):
        _fit(x[:3], facts[:3], 1.0)
    with pytest.raises(ValueError, match="at least 4 patients"):
        _fit(x, facts[:19], 1.0)
    x[3, 1] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        _fit(x, facts, 1.0)
