"""Adapters behind an encoder: useful for the task, and telling less the more that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from medpriv.attacks import fit_fact_reader
from medpriv.data import load_reports, report_facts
from medpriv.data.cohort import Cohort
from medpriv.defenses import learn_noise
from medpriv.defenses.adapters import EmbeddingAdapter, train_adapter
from medpriv.defenses.adversarial import Opponent, fit_against
from medpriv.defenses.no_peek import fit_no_peek
from medpriv.defenses.split_training import Halves
from medpriv.deployment import deploy
from medpriv.models import build_target, distance_correlation
from medpriv.models.reports import ReportClassifier
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe
from medpriv.training.utility_scores import predict, utility

RECIPE = Recipe(epochs=15, batch_size=32, exact=True)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPRIV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return load_reports("synthetic", profile="smoke")


@pytest.fixture(scope="module")
def target(cohort: Cohort) -> ReportClassifier:
    return build_target(cohort)


@pytest.fixture(scope="module")
def embedded(cohort: Cohort, target: ReportClassifier) -> Tensor:
    return deploy(target, expose="embedding")(cohort.members.x)


# --- Known answers: of sixteen numbers the first is the label's, the second a fact's --------------


def signals() -> tuple[Tensor, Tensor, Tensor]:
    """Rows of length 1, labels and facts that have nothing to do with each other."""
    x = torch.randn(1500, 16, generator=torch_rng(0, "signals"))
    return nn.functional.normalize(x, dim=1), (x[:, 0] > 0).long(), x[:, 1:2] > 0


def parts() -> tuple[EmbeddingAdapter, nn.Module, Opponent]:
    with seeded(0, "parts"):
        head = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 2))
        opponent = Opponent(nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 1)))
        return EmbeddingAdapter(16), head, opponent


LONGER = Recipe(epochs=20, batch_size=64, learning_rate=3e-3, exact=True)


def test_what_is_shared_depends_less_on_the_embedding_as_the_weight_grows() -> None:
    x, y, _ = signals()
    found = []
    for weight in (0.0, 0.3, 0.6):
        adapter, head, _ = parts()
        fit_no_peek(Halves(adapter, head, 2), x[:1000], y[:1000], weight, recipe=LONGER, seed=0)
        rows = predict(adapter, x[1000:])
        found.append(float(distance_correlation(x[1000:], rows)))
        assert (predict(head, rows).argmax(1) == y[1000:]).double().mean().item() > 0.9
    assert found[0] - 0.02 > found[1] > found[2]


def test_a_fact_is_harder_to_read_behind_an_opponent() -> None:
    x, y, fact = signals()
    right = []
    for weight in (0.0, 1.0):
        adapter, head, opponent = parts()
        fit_against(
            Halves(adapter, head, 2), opponent, x[:1000], y[:1000], fact[:1000].float(), weight,
            error=nn.functional.binary_cross_entropy_with_logits, alone=0.6931, recipe=LONGER,
            seed=0,
        )  # fmt: skip
        rows = predict(adapter, x)
        reader = fit_fact_reader(rows[:1000], fact[:1000], penalty=1.0)
        guess = reader.guess(rows[1000:]) > 0.5
        right.append((guess == fact[1000:]).double().mean().item())
        assert (predict(head, rows[1000:]).argmax(1) == y[1000:]).double().mean().item() > 0.9
    assert right[0] > 0.65
    assert right[1] < right[0] - 0.1


# --- On a cohort ----------------------------------------------------------------------------------


def test_the_view_gives_unit_rows_of_the_same_width_that_the_head_can_use(
    cohort: Cohort, target: ReportClassifier, embedded: Tensor
) -> None:
    adapted = train_adapter(embedded, cohort.members.y, 0.0, recipe=RECIPE)
    view = deploy(target, expose="embedding", defenses=[adapted.defense()])
    rows = view(cohort.test.x)
    assert rows.shape == (len(cohort.test), target.encoder.width)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    plain = deploy(target, expose="embedding")(cohort.test.x)
    assert not torch.allclose(rows, plain, atol=0.1)
    assert utility(adapted.head, replace(cohort.test, x=rows)).auc.value > 0.6


@pytest.mark.parametrize("facts", [False, True])
def test_it_is_reproducible_and_remembered(
    cohort: Cohort, embedded: Tensor, facts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = torch.tensor(report_facts(cohort, cohort.members).to_numpy()) if facts else None
    options = {"secret": secret, "profile": "smoke", "device": "cpu"}
    y = cohort.members.y
    first = train_adapter(embedded, y, 1.0, seed=5, **options)
    for name in ("fit_no_peek", "fit_against"):
        monkeypatch.setattr(f"medpriv.defenses.adapters.{name}", None)
    again = train_adapter(embedded, y, 1.0, seed=5, **options)
    pairs = zip(first.adapter.parameters(), again.adapter.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(TypeError):
        train_adapter(embedded, y, 1.0, seed=6, **options)


def test_noise_can_be_learned_for_an_embedding(
    cohort: Cohort, target: ReportClassifier, embedded: Tensor
) -> None:
    learned = learn_noise(target.head, embedded, cohort.members.y, tensors=3, profile="smoke")
    view = deploy(target, expose="embedding", defenses=[learned.defense()])
    assert view(cohort.test.x[:4]).shape == (4, target.encoder.width)


def test_bad_input(embedded: Tensor, cohort: Cohort) -> None:
    y = cohort.members.y
    with pytest.raises(ValueError, match="0 or more"):
        train_adapter(embedded, y, -1.0)
    for rows, labels, facts in (
        (embedded, y, torch.zeros(3, 2)),
        (embedded, y[:5], None),
        (embedded[0], y, None),
    ):
        with pytest.raises(ValueError, match="expected embeddings"):
            train_adapter(rows, labels, 1.0, secret=facts)
    adapted = train_adapter(embedded, y, 0.0, profile="smoke")
    served = adapted.defense().apply
    for bad in (torch.zeros(2, 3), torch.zeros(2, 384).long()):
        with pytest.raises(ValueError, match="expose='embedding'"):
            served(lambda _, bad=bad: bad)(None)
