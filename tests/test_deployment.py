"""What an attacker can see of a deployed model, and nothing more."""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from medpriv.data.cohort import Column
from medpriv.defenses import dropped, fresh_parameters, noised
from medpriv.deployment import (
    QueryBudgetError,
    ThreatModelError,
    View,
    ViewDefense,
    deploy,
)
from medpriv.deployment.service import ModelDefense, QueryDefense
from medpriv.deployment.view import EXPOSURES, Answer
from medpriv.models import front
from medpriv.models.images import ImageCNN
from medpriv.models.records import RecordMLP
from medpriv.models.reports import ReportClassifier, ReportEncoder
from medpriv.runtime.device import to_device
from medpriv.runtime.seeds import seeded, torch_rng

SIZE = 16
TEXTS = ("no acute finding", "small nodule", "", "zebra")


class Letters(nn.Module):
    """An encoder that needs no transformer: how often each letter occurs, at length 1."""

    width = 26

    def forward(self, texts: Sequence[str]) -> Tensor:
        counts = [[text.count(chr(97 + letter)) for letter in range(26)] for text in texts]
        return nn.functional.normalize(torch.tensor(counts).reshape(-1, 26).float(), dim=1)


def cnn(seed: int = 0) -> ImageCNN:
    with seeded(seed, "test"):
        return ImageCNN(size=SIZE, classes=3).eval()


def reader() -> ReportClassifier:
    with seeded(0, "test"):
        return ReportClassifier(Letters(), classes=2).eval()


def images(number: int = 7, seed: int = 0) -> Tensor:
    return torch.rand(number, 1, SIZE, SIZE, generator=torch_rng(seed, "images"))


def exposed(expose: str, split: str | None = None, **options: Any) -> tuple[View, Any]:
    """A view of this kind, and something to ask it about."""
    if expose == "embedding":
        return deploy(reader(), expose="embedding", **options), TEXTS
    return deploy(cnn(), expose=expose, split=split, **options), images()


# What each kind of view gives, by hand: a label follows from scores; the weights of the whole
# model give its answers, the weights of a front give its features.
GIVES = {
    ("label", None): {"label"},
    ("scores", None): {"scores", "label"},
    ("features", "conv4"): {"features"},
    ("embedding", None): {"embedding"},
    ("weights", None): {"weights", "scores", "label"},
    ("weights", "conv4"): {"weights", "features"},
    ("back", "conv4"): {"back", "features"},
}


# --- What each exposure returns -------------------------------------------------------------------


def test_label_is_the_predicted_class() -> None:
    view, x = exposed("label")
    answer = view(x)
    assert answer.dtype == torch.int64
    assert answer.tolist() == cnn()(x).argmax(dim=1).tolist()


def test_scores_are_probabilities() -> None:
    view, x = exposed("scores")
    scores = view(x)
    assert scores.dtype == torch.float32
    assert scores.shape == (len(x), 3)
    assert (scores >= 0).all()
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(len(x)))
    logits = cnn()(x)
    torch.testing.assert_close(scores, logits.exp() / logits.exp().sum(dim=1, keepdim=True))


@pytest.mark.parametrize("split", ["conv1", "conv2", "conv4", "conv6", "dense1"])
def test_features_are_those_of_the_front(split: str) -> None:
    view, x = exposed("features", split)
    torch.testing.assert_close(view(x), front(cnn(), split)(x))


def test_embedding_is_the_encoders() -> None:
    view, texts = exposed("embedding")
    torch.testing.assert_close(view(texts), Letters()(texts))


def test_features_of_records() -> None:
    records = torch.tensor([[0.0, 40.0], [1.0, 60.0], [1.0, 71.0]])
    with seeded(0, "test"):
        model = RecordMLP([Column("sex", ("f", "m")), Column("age")], records).eval()
    view = deploy(model, expose="features", split="hidden1")
    torch.testing.assert_close(view(records), model.hidden1(model.encode(records)))


@pytest.mark.parametrize(("expose", "split"), GIVES)
def test_answers_are_contiguous_on_the_cpu_and_carry_no_gradient(
    expose: str, split: str | None
) -> None:
    view, x = exposed(expose, split)
    if isinstance(x, Tensor):
        x = x.clone().requires_grad_()
    for answer in (view(x), view.intercept(x)):
        assert answer.device.type == "cpu"
        assert answer.is_contiguous()
        assert not answer.requires_grad
        assert answer.grad_fn is None


@pytest.mark.parametrize(("expose", "split"), GIVES)
def test_no_rows_give_no_rows(expose: str, split: str | None) -> None:
    view, x = exposed(expose, split)
    answer = view(x[:0])
    assert answer.shape == (0, *view(x).shape[1:])


@given(
    rows=st.integers(0, 9), batch=st.integers(1, 10), key=st.sampled_from(sorted(GIVES, key=str))
)
def test_chunks_do_not_change_answers(rows: int, batch: int, key: tuple[str, str | None]) -> None:
    whole, x = exposed(*key)
    parts, _ = exposed(*key, batch_size=batch)
    torch.testing.assert_close(parts(x[:rows]), whole(x[:rows]), rtol=1e-5, atol=1e-6)


def test_a_model_in_training_mode_is_served_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(SIZE**2, 2)).train()
    view = deploy(model, expose="scores")
    assert torch.equal(view(images()), view(images()))
    assert model.training  # the owner's own model is left as it was


def test_a_front_without_parameters_can_be_served() -> None:
    model = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(SIZE**2 // 4, 2))
    view = deploy(model, expose="features", split="0")
    torch.testing.assert_close(view(images()), nn.functional.avg_pool2d(images(), 2))


# On an accelerator convolutions may run in TF32, whose mantissa has 10 bits: a relative error of
# about 5e-4 a product, hence 5e-3 on features of order 1.
@pytest.mark.parametrize(("expose", "split"), [key for key in GIVES if key[0] != "embedding"])
def test_each_device_gives_the_cpus_answers(expose: str, split: str | None, device: str) -> None:
    model = to_device(cnn(), torch.device(device))
    view = deploy(model, expose=expose, split=split)
    expected = deploy(cnn(), expose=expose, split=split)(images())
    torch.testing.assert_close(view(images()), expected, rtol=5e-3, atol=5e-3)


def test_what_is_handed_out_lies_on_the_cpu_wherever_the_service_runs(device: str) -> None:
    model = to_device(cnn(), torch.device(device))
    handed = (
        deploy(model, expose="weights").weights(),
        deploy(model, expose="weights", split="conv4").weights(),
        deploy(model, expose="back", split="conv4").back(),
    )
    for part in handed:
        assert {weight.device.type for weight in part.parameters()} == {"cpu"}


# --- Who may ask for what -------------------------------------------------------------------------


@pytest.mark.parametrize("need", EXPOSURES)
@pytest.mark.parametrize(("expose", "split"), GIVES)
def test_every_exposure_against_every_need(expose: str, split: str | None, need: str) -> None:
    view, _ = exposed(expose, split)
    if need in GIVES[expose, split]:
        view.require(need, "this attack")
        return
    with pytest.raises(ThreatModelError) as refusal:
        view.require(need, "this attack")
    message = str(refusal.value)
    assert f"this attack needs {need}" in message
    assert f"exposes {expose}" in message
    assert isinstance(refusal.value, PermissionError)


@pytest.mark.parametrize(("expose", "split"), [key for key in GIVES if key[0] != "weights"])
def test_only_a_view_of_weights_opens_them(expose: str, split: str | None) -> None:
    view, _ = exposed(expose, split)
    with pytest.raises(ThreatModelError, match="reading the weights needs weights"):
        view.weights()


def test_an_unknown_need_is_no_threat_model() -> None:
    view, _ = exposed("label")
    with pytest.raises(ValueError, match="unknown exposure 'logits'.*label, scores, features"):
        view.require("logits", "this attack")


# --- Weights --------------------------------------------------------------------------------------


def test_weights_are_a_copy_that_cannot_change_what_is_served() -> None:
    view, x = exposed("weights")
    before = view(x)
    copied = view.weights()
    torch.testing.assert_close(copied(x).softmax(dim=1), before)
    with torch.no_grad():
        for weight in copied.parameters():
            weight.zero_()
    assert torch.equal(view(x), before)
    for kept, expected in zip(view.weights().parameters(), cnn().parameters(), strict=True):
        assert torch.equal(kept, expected)


def test_weights_at_a_split_hold_the_front_only() -> None:
    view, x = exposed("weights", "conv4")
    copied = view.weights()
    torch.testing.assert_close(copied(x), view(x))
    expected = sum(
        weight.numel()
        for name, weight in cnn().named_parameters()
        if name.startswith(("conv1", "conv2", "conv3", "conv4"))
    )
    assert sum(weight.numel() for weight in copied.parameters()) == expected


def test_the_back_continues_where_the_features_stop() -> None:
    view, x = exposed("back", "conv4")
    torch.testing.assert_close(view.back()(view(x)), cnn()(x))
    with torch.no_grad():
        for weight in view.back().parameters():
            weight.zero_()
    torch.testing.assert_close(view.back()(view.intercept(x)), cnn()(x))
    assert view.queries == len(x)


@pytest.mark.parametrize(("expose", "split"), [key for key in GIVES if key[0] != "back"])
def test_only_the_partner_holds_the_back(expose: str, split: str | None) -> None:
    view, _ = exposed(expose, split)
    with pytest.raises(ThreatModelError, match="reading the weights behind the split needs back"):
        view.back()


def test_gradients_through_copied_weights_stay_in_the_copy() -> None:
    view, x = exposed("weights")
    copied = view.weights()
    copied(x).sum().backward()
    assert all(weight.grad is None for weight in view.weights().parameters())


# --- Budget ---------------------------------------------------------------------------------------


@given(budget=st.integers(0, 12), requests=st.lists(st.integers(0, 6), max_size=8))
def test_the_budget_counts_stops_and_spends_nothing_on_refusal(
    budget: int, requests: list[int]
) -> None:
    view = deploy(lookup(), expose="scores", query_budget=budget)
    spent = 0
    for number in requests:
        rows = torch.zeros(number, 2)
        if spent + number > budget:
            with pytest.raises(QueryBudgetError, match=f"{number} queries asked, {budget - spent}"):
                view(rows)
        else:
            view(rows)
            spent += number
        view.intercept(rows)  # free, also when the budget is spent
        assert view.queries == spent <= budget


def lookup() -> nn.Module:
    with seeded(0, "test"):
        return nn.Linear(2, 2)


def test_without_a_budget_queries_are_counted_all_the_same() -> None:
    view = deploy(lookup(), expose="label")
    for _ in range(3):
        view(torch.zeros(5, 2))
    assert view.queries == 15


def test_a_query_that_cannot_be_answered_costs_nothing() -> None:
    view = deploy(lookup(), expose="label", query_budget=5)
    with pytest.raises(RuntimeError, match="shape"):
        view(torch.zeros(5, 3))
    assert view.queries == 0


def test_each_deployment_counts_for_itself() -> None:
    model = lookup()
    first, second = (deploy(model, expose="label", query_budget=4) for _ in range(2))
    first(torch.zeros(4, 2))
    assert (first.queries, second.queries) == (4, 0)


def test_intercepted_traffic_is_what_the_client_would_get() -> None:
    view, x = exposed("features", "conv2", query_budget=0)
    torch.testing.assert_close(view.intercept(x), front(cnn(), "conv2")(x))
    assert view.queries == 0


# --- Nothing leads to the model -------------------------------------------------------------------


def reachable(start: object) -> list[object]:
    """Everything that attributes (``vars`` and ``dir``), keys and items lead to from ``start``.

    Excepted are the name-mangled closures (``_View__answer``) and Python's own dunder attributes,
    but for those that lead from a method to its object. Python has no secrets: whoever digs through
    ``__closure__`` or the garbage collector gets at the model. The promise is that no attack does
    so by accident.
    """
    seen: dict[int, object] = {}
    waiting = [start]
    while waiting:
        value = waiting.pop()
        # A number holds nothing, and each look at its parts makes new ones.
        if id(value) in seen or isinstance(value, (str, int, float, type, types.ModuleType)):
            continue
        seen[id(value)] = value
        if isinstance(value, (nn.Module, Tensor)):
            continue  # found what should not be there
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += value
        names = set(dir(value)) | set(getattr(value, "__dict__", ()))
        waiting += [getattr(value, name, None) for name in names if open_name(name)]
    return list(seen.values())


def open_name(name: str) -> bool:
    if name.startswith("_View__"):
        return False
    return not name.startswith("__") or name in ("__self__", "__func__", "__wrapped__")


@pytest.mark.parametrize(("expose", "split"), GIVES)
def test_no_attribute_leads_to_the_model(expose: str, split: str | None) -> None:
    same = ViewDefense("same", lambda answer: lambda x: answer(x))
    view, x = exposed(expose, split, defenses=[same, halved()])
    view(x)
    assert not [value for value in reachable(view) if isinstance(value, (nn.Module, Tensor))]
    # The mangled names hold functions, never the model itself.
    assert not [value for value in vars(view).values() if isinstance(value, (nn.Module, Tensor))]


def test_the_walk_would_notice_a_leak() -> None:
    view, _ = exposed("label")
    view.helper = types.SimpleNamespace(tools=[{"net": cnn()}])
    assert any(isinstance(value, nn.Module) for value in reachable(view))


def test_the_representation_says_what_the_view_gives() -> None:
    view, x = exposed("features", "conv4", query_budget=20, defenses=[halved()])
    view(x)
    assert repr(view) == "View(features at conv4; 7 queries, budget 20; defenses: halved)"
    view, x = exposed("label")
    assert repr(view) == "View(label; 0 queries, no query budget; defenses: none)"
    view(x[:1])
    assert repr(view) == "View(label; 1 query, no query budget; defenses: none)"


# --- Defenses -------------------------------------------------------------------------------------


def rounded(answer: Answer) -> Answer:
    return lambda x: answer(x).round(decimals=1)


def halved() -> ModelDefense:
    def apply(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(0.5)
        return model

    return ModelDefense("halved", apply)


def shifted() -> ModelDefense:
    def apply(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(1.0)
        return model

    return ModelDefense("shifted", apply)


def one() -> nn.Module:
    """f(x) = 4x, so that what a defense does can be worked out by hand."""
    model = nn.Sequential(OrderedDict(layer=nn.Linear(1, 1, bias=False), end=nn.Identity()))
    with torch.no_grad():
        model.layer.weight.fill_(4.0)
    return model


def test_defenses_compose_in_the_given_order() -> None:
    doubled = ViewDefense("doubled", lambda answer: lambda x: answer(x) * 2)
    plus = ViewDefense("plus", lambda answer: lambda x: answer(x) + 3)

    def served(*defenses: ModelDefense | ViewDefense) -> float:
        view = deploy(one(), expose="features", split="layer", defenses=defenses)
        return view(torch.ones(1, 1)).item()

    assert served() == 4
    assert served(halved(), shifted()) == 4 / 2 + 1
    assert served(shifted(), halved()) == (4 + 1) / 2
    assert served(doubled, plus) == 4 * 2 + 3
    assert served(plus, doubled) == (4 + 3) * 2
    # Models first, whatever the order in the list.
    assert served(doubled, halved(), plus, shifted()) == (4 / 2 + 1) * 2 + 3


def test_the_names_of_the_defenses_are_kept_in_order() -> None:
    view, _ = exposed("scores", defenses=[ViewDefense("rounding", rounded), halved()])
    assert view.defenses == ("rounding", "halved")


def test_a_model_defense_reaches_the_weights_and_leaves_the_owners_model_alone() -> None:
    model = one()
    view = deploy(model, expose="weights", defenses=[halved()])
    assert view.weights().layer.weight.item() == 2
    assert model.layer.weight.item() == 4


def test_a_view_defense_also_stands_between_the_victims_and_the_attacker() -> None:
    view, x = exposed("scores", defenses=[ViewDefense("rounding", rounded)])
    assert torch.equal(view.intercept(x), view(x))
    assert torch.equal(view(x), view(x).round(decimals=1))


def test_later_changes_of_the_model_do_not_reach_the_view() -> None:
    model = cnn()
    view = deploy(model, expose="features", split="conv2")
    before = view(images())
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert torch.equal(view(images()), before)


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expose": "logits"}, "unknown exposure 'logits'; expected one of: label, scores"),
        ({"expose": "features"}, "needs a split layer"),
        ({"expose": "scores", "split": "conv2"}, "takes no split layer, got split='conv2'"),
        ({"expose": "label", "query_budget": -1}, "query_budget must be an integer of.* 0, got -1"),
        ({"expose": "features", "split": "conv9"}, "unknown split 'conv9'.*conv1, conv2"),
    ],
)
def test_what_cannot_be_deployed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deploy(cnn(), **options)


def test_a_defense_of_neither_kind() -> None:
    with pytest.raises(TypeError, match="a QueryDefense or a ViewDefense, got function"):
        deploy(cnn(), expose="label", defenses=[rounded])


def test_a_model_of_texts_takes_no_query_defense() -> None:
    model = ReportClassifier(ReportEncoder())
    nothing = QueryDefense("nothing", lambda model: model)
    for expose, split in (("scores", None), ("embedding", None), ("features", "layer2")):
        with pytest.raises(TypeError, match="reads texts; defend its answers with a ViewDefense"):
            deploy(model, expose=expose, split=split, defenses=[nothing])


def test_an_image_model_gives_no_embedding() -> None:
    with pytest.raises(TypeError, match="ImageCNN gives no embedding; use expose='features'"):
        deploy(cnn(), expose="embedding")


def test_what_is_left_can_be_asked_before_anything_is_spent() -> None:
    view = deploy(lookup(), expose="label", query_budget=5)
    assert view.left == 5
    view.afford(5)
    with pytest.raises(QueryBudgetError, match="6 queries asked, 5 of 5 left"):
        view.afford(6)
    assert view.queries == 0
    assert deploy(lookup(), expose="label").left == float("inf")


class Counted(nn.Module):
    """The sum of each row; says how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        CALLS.clear()

    def forward(self, x: Tensor) -> Tensor:
        CALLS.append(len(x))
        return torch.stack([x.flatten(1).sum(1), x.flatten(1).mean(1)], dim=1)


CALLS: list[int] = []


@pytest.mark.parametrize("intercepted", [False, True])
def test_asked_again_it_answers_as_to_so_many_calls_and_computes_once(intercepted: bool) -> None:
    defenses = [noised(0.5, seed=3), dropped(0.3, seed=4)]
    one, other = (deploy(Counted(), expose="scores", defenses=defenses) for _ in range(2))
    rows = images(5)
    expected = [one.intercept(rows) if intercepted else one(rows) for _ in range(4)]
    CALLS.clear()
    found = other.again(rows, 4, intercepted=intercepted)
    assert CALLS == [5, 5, 5]  # twice to see whether it is steady, then once
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(found[0], found[1])
    assert other.queries == one.queries == (0 if intercepted else 20)
    other(rows)
    assert CALLS == [5, 5, 5, 5]  # nothing is held afterwards


def test_asked_again_what_a_defense_writes_over_is_another_ones_no_more() -> None:
    def spoil(answer: Answer) -> Answer:
        return lambda x: answer(x).add_(1.0)

    view = deploy(Counted(), expose="scores", defenses=[ViewDefense("spoilt", spoil)])
    first, second = view.again(images(3), 2)
    assert torch.equal(first, second)


def test_asked_again_a_model_that_is_new_each_time_is_computed_each_time() -> None:
    views = [deploy(cnn(), expose="scores", defenses=[fresh_parameters(0.2)]) for _ in range(2)]
    found = views[0].again(images(3), 3)
    expected = [views[1](images(3)) for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(found[0], found[1])


def test_asked_again_beyond_the_budget_spends_nothing() -> None:
    view = deploy(Counted(), expose="scores", query_budget=9)
    with pytest.raises(QueryBudgetError):
        view.again(images(5), 2)
    assert view.queries == 0
    assert CALLS == []
    assert len(view.again(images(3), 3)) == 3
    assert view.left == 0
