"""Class inversion: what it finds, when it stops, what it needs, what it may ask."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from medpriv.attacks.images import class_inversion
from medpriv.attacks.images.class_inversion import (
    ClassInversion,
    invert_classes,
    mi_face,
    should_stop,
)
from medpriv.attacks.images.gradients import Probe
from medpriv.deployment import (
    QueryBudgetError,
    ThreatModelError,
    View,
    ViewDefense,
    deploy,
)
from medpriv.deployment.view import EXPOSURES
from medpriv.models import total_variation
from medpriv.models.images import ImageCNN
from medpriv.models.reports import ReportClassifier
from medpriv.runtime.seeds import seeded, torch_rng

SHAPE = (1, 4, 5)
# Three classes on 20 pixels: for each class and pixel its weight stands well above the others or
# well below them, so that the best image is known.
SIGNS = torch.randint(0, 2, (3, 20), generator=torch_rng(0, "signs")).float() * 2 - 1


def linear(weights: Tensor, bias: float = 0.0) -> nn.Module:
    """Logits weights @ pixels + bias on class 0."""
    layer = nn.Linear(weights.shape[1], len(weights))
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.zero_()[0] = bias
    return nn.Sequential(nn.Flatten(), layer)


def two_classes(expose: str = "weights", **options) -> View:
    """Class 1 against class 0 on 20 pixels; z_1 - z_0 = SIGNS[0] · x, up to the scale of 0.5."""
    weights = torch.stack([torch.zeros(20), 0.5 * SIGNS[0]])
    return deploy(linear(weights), expose=expose, **options)


def cnn(channels: int = 1, classes: int = 3) -> ImageCNN:
    with seeded(0, "test"):
        return ImageCNN(size=16, channels=channels, classes=classes)


THREE = Probe(directions=3)
#: Both forms, brief; a test that takes ``attack`` runs for each.
BRIEF: dict[str, Callable[..., ClassInversion]] = {
    "2015": lambda *given, **options: mi_face(
        *given, **{"steps": 4, "probe": THREE, "device": "cpu", **options}
    ),
    "modern": lambda *given, **options: invert_classes(
        *given,
        **{"steps": 4, "probe": THREE, "restarts": 2, "device": "cpu", **options},
    ),
}


@pytest.fixture(params=sorted(BRIEF))
def attack(request: pytest.FixtureRequest) -> Callable[..., ClassInversion]:
    return BRIEF[request.param]


# --- What it finds --------------------------------------------------------------------------------


@pytest.mark.parametrize("expose", ["weights", "scores"])
def test_a_linear_model_has_its_best_image_in_a_corner(expose: str, device: str) -> None:
    """z_1 - z_0 is linear in each pixel: white where its weight is positive, else black."""
    found = invert_classes(
        two_classes(expose),
        [0, 1],
        shape=SHAPE,
        tv=0,
        restarts=2,
        probe=Probe(directions=100, grain=1),
        steps=120,
        device=device,
    )
    corner = (SIGNS[0].view(SHAPE) > 0).float()
    torch.testing.assert_close(found.images, torch.stack([1 - corner, corner]), atol=0.02, rtol=0)
    best = torch.tensor([0.5 * (SIGNS[0] < 0).sum(), 0.5 * (SIGNS[0] > 0).sum()]).sigmoid()
    torch.testing.assert_close(found.scores, best, atol=0.01, rtol=0)


def test_the_margin_is_to_the_strongest_other_class() -> None:
    """The most over x of min(z_2 - z_0, z_2 - z_1), with z_2 - z_0 = (a + b) x and z_2 - z_1 = b x.

    Both grow most with the pixels where b is 1, and those where a is -1 give nothing to the first.
    """
    a, b = SIGNS[1], SIGNS[2]
    model = linear(torch.stack([torch.zeros(20), a, a + b]))
    found = invert_classes(
        deploy(model, expose="weights"), [2], shape=SHAPE, tv=0, steps=300, device="cpu"
    )
    optimum = min(2 * ((a > 0) & (b > 0)).sum().item(), (b > 0).sum().item())
    assert 0.97 * optimum < -found.history.amin().item() <= optimum + 1e-4
    logits = model(found.images)[0]
    margin = torch.stack([logits[2] - logits[0], logits[2] - logits[1]]).min()
    torch.testing.assert_close(margin, -found.history.amin(), atol=1e-4, rtol=0)


def test_mi_face_steps_as_the_paper_says() -> None:
    """One step by hand: the gradient of 1 - p_1 is -p_1 (1 - p_1) w for a logistic model."""
    view, start = two_classes(), torch.full(SHAPE, 0.5)
    found = mi_face(view, [1], shape=SHAPE, start=start, steps=1, learning_rate=0.8, device="cpu")
    w = 0.5 * SIGNS[0]
    p = torch.sigmoid(w @ start.flatten())
    x = (start.flatten() + 0.8 * p * (1 - p) * w).clamp(0, 1)
    torch.testing.assert_close(found.images.flatten(), x)
    torch.testing.assert_close(found.history[:, 0], 1 - torch.stack([p, torch.sigmoid(w @ x)]))
    torch.testing.assert_close(found.scores[0], torch.sigmoid(w @ x))


def test_mi_face_starts_black_and_stops_when_it_is_good_enough() -> None:
    """Class 0 has its way with the black image already; class 1 has to be worked for."""
    model = linear(torch.stack([torch.zeros(20), SIGNS[0]]), bias=3.0)
    view = deploy(model, expose="weights")
    found = mi_face(view, [0, 1], shape=SHAPE, good_enough=0.05, learning_rate=1.0, device="cpu")
    assert found.steps[0] == 0
    assert found.images[0].count_nonzero() == 0
    assert 0 < found.steps[1] < 500
    last = found.history[found.steps[1], 1]
    assert last <= 0.05 < found.history[found.steps[1] - 1, 1]
    assert found.history[1:, 0].isnan().all()
    assert len(found.history) == found.steps.max() + 1


def test_a_class_that_is_out_of_reach_stops_by_patience() -> None:
    """Nothing depends on the image: no cost is better than another."""
    view = deploy(linear(torch.zeros(2, 20)), expose="weights")
    found = mi_face(view, [0, 1], shape=SHAPE, patience=7, device="cpu")
    assert found.steps.tolist() == [7, 7]


@pytest.mark.parametrize("expose", ["weights", "scores"])
def test_what_is_returned_is_the_least_cost_seen(
    attack: Callable[..., ClassInversion], expose: str
) -> None:
    """Steps far too large overshoot; more of them never make the returned image worse."""
    costs = []
    for steps in range(1, 8):
        view = deploy(cnn(), expose=expose)
        found = attack(view, [0, 1, 2], shape=(1, 16, 16), steps=steps, learning_rate=200.0)
        costs.append(found.history.nan_to_num(torch.inf).amin(0))
        if attack is BRIEF["2015"]:
            torch.testing.assert_close(1 - found.scores, costs[-1], atol=1e-5, rtol=0)
    assert (torch.stack(costs).diff(dim=0) <= 1e-6).all()
    assert (found.history.diff(dim=0) > 0).any()  # or there was nothing to test


def test_of_the_restarts_the_one_of_least_cost_is_kept() -> None:
    def least(restarts: int) -> Tensor:
        view = deploy(cnn(), expose="weights")
        found = BRIEF["modern"](view, [0, 2], shape=(1, 16, 16), restarts=restarts)
        return found.history.amin(0)

    one, five = least(1), least(5)
    assert (five <= one + 1e-5).all()
    assert (five < one - 1e-3).any()


def test_tv_and_priors_pull(attack: Callable[..., ClassInversion]) -> None:
    """A prior that outweighs the model: the image goes where the prior is 0, at 0.7 grey."""
    found = attack(
        two_classes(),
        [0, 1],
        shape=SHAPE,
        steps=100,
        learning_rate=0.1,
        prior=lambda images: 10 * (images - 0.7).square().mean((1, 2, 3)),
    )
    away = (found.images - 0.7).abs().mean()
    free = attack(two_classes(), [0, 1], shape=SHAPE, steps=100, learning_rate=0.1)
    assert away < (free.images - 0.7).abs().mean()
    rough, smooth = (
        invert_classes(two_classes(), [1], shape=SHAPE, tv=tv, device="cpu").images
        for tv in (0.0, 100.0)
    )
    assert total_variation(smooth) < 0.5 * total_variation(rough)


def test_process_is_applied_after_each_step_and_clamped() -> None:
    better_white = int(SIGNS[0].sum() > 0)
    found = mi_face(
        two_classes(),
        [better_white],
        shape=SHAPE,
        steps=3,
        process=lambda images: 0 * images + 2,
        device="cpu",
    )
    assert (found.images == 1).all()


def test_shifts_move_all_images_alike_and_keep_their_values() -> None:
    images = torch.rand(2, 1, 6, 7)
    seen = [class_inversion._shifted(images, step, most=2, seed=0) for step in range(200)]
    assert all(moved.shape == images.shape for moved in seen)
    assert any(torch.equal(moved, images) for moved in seen)
    # By two down and two right: what was there, then the border repeated.
    corner = next(m for m in seen if torch.equal(m[..., 2:, 2:], images[..., :-2, :-2]))
    assert (corner[..., :3, :3] == images[..., :1, :1]).all()


# --- The stopping rule ----------------------------------------------------------------------------

COSTS = st.lists(st.floats(1 / 32, 1, width=32), min_size=1, max_size=30)
PATIENCE = st.integers(1, 12)


def stops(costs: list[float], patience: int, good_enough: float = 0.01) -> bool:
    return bool(should_stop(torch.tensor(costs), patience=patience, good_enough=good_enough))


@given(st.lists(st.floats(1 / 32, 1, width=32), min_size=1, max_size=30, unique=True), PATIENCE)
def test_falling_costs_never_stop(costs: list[float], patience: int) -> None:
    assert not stops(sorted(costs, reverse=True), patience)


@given(st.floats(0.02, 1), PATIENCE, st.integers(1, 30))
def test_a_constant_cost_stops_once_the_window_is_full(
    cost: float, patience: int, length: int
) -> None:
    assert stops([cost] * length, patience) == (length > patience)


@given(COSTS, PATIENCE, st.floats(-1, 0.01))
def test_a_cost_that_is_good_enough_stops_at_once(
    costs: list[float], patience: int, last: float
) -> None:
    assert stops([*costs, last], patience)
    assert stops([last], patience)


@given(COSTS, PATIENCE)
def test_it_is_the_rule_of_the_paper(costs: list[float], patience: int) -> None:
    """c_i ≥ max(c_{i-1}, ..., c_{i-β}), or c_i ≤ γ."""
    before = costs[:-1][-patience:]
    expected = costs[-1] <= 0.25 or (len(before) == patience and costs[-1] >= max(before))
    assert stops(costs, patience, 0.25) == expected


@given(COSTS, PATIENCE)
def test_only_the_window_counts(costs: list[float], patience: int) -> None:
    """So it is enough to hand on the tail; and better than the worst of it is good."""
    assert stops(costs, patience) == stops(costs[-patience - 1 :], patience)
    worst = max(costs[:-1][-patience:], default=1)
    assert not stops([*costs[:-1], worst - 0.01], patience)


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 3), min_size=1, max_size=9), PATIENCE)
def test_each_class_has_a_rule_of_its_own(rows: list[tuple[float, ...]], patience: int) -> None:
    costs = torch.tensor(rows)
    together = should_stop(costs, patience=patience, good_enough=0.1)
    alone = [stops(column.tolist(), patience, 0.1) for column in costs.T]
    assert together.tolist() == alone


# --- Scores in place of weights -------------------------------------------------------------------


def test_log_scores_take_the_place_of_logits() -> None:
    """Both forms: the costs of the same images are the same, seen either way."""
    for attack in BRIEF.values():
        first = [
            attack(deploy(cnn(), expose=expose), [0, 1, 2], shape=(1, 16, 16)).history[0]
            for expose in ("weights", "scores")
        ]
        torch.testing.assert_close(*first, atol=1e-4, rtol=1e-4)


def test_scores_that_are_rounded_to_0_are_no_error(attack: Callable[..., ClassInversion]) -> None:
    harsh = ViewDefense("one-hot", lambda answer: lambda x: answer(x).round())
    view = deploy(cnn(), expose="scores", defenses=[harsh])
    found = attack(view, [0, 1, 2], shape=(1, 16, 16))
    assert found.images.isfinite().all()
    assert set(found.scores.tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("shift", "passes"), [(0, 4 + 1), (1, 2 * 4 + 1)])
def test_weights_are_passed_once_a_step_unless_the_image_moves(shift: int, passes: int) -> None:
    """The cost is that of the unmoved image, so a moved one needs a pass of its own."""
    rows: list[int] = []

    class Counted(ImageCNN):
        def forward(self, images: Tensor) -> Tensor:
            rows.append(len(images))
            return super().forward(images)

    view = deploy(Counted(size=16, classes=3), expose="weights")
    BRIEF["modern"](view, [0, 1, 2], shape=(1, 16, 16), shift=shift)
    assert rows == [2 * 3] * passes + [3]  # the last answer is the view's


def test_one_pass_finds_what_two_do(
    attack: Callable[..., ClassInversion], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where some classes have stopped, and the others have not."""
    options = {"shape": (1, 16, 16), "steps": 20, "learning_rate": 0.5}
    if attack is BRIEF["2015"]:
        options |= {"good_enough": 0.6}
    view = deploy(cnn(), expose="weights")
    once = attack(view, [0, 1, 2], **options)
    opened = class_inversion.open_access
    monkeypatch.setattr(
        class_inversion, "open_access", lambda *a, **o: replace(opened(*a, **o), both=None)
    )
    twice = attack(view, [0, 1, 2], **options)
    assert once.steps.tolist() == twice.steps.tolist()
    torch.testing.assert_close(once.images, twice.images, atol=1e-4, rtol=0)
    torch.testing.assert_close(once.history, twice.history, equal_nan=True)
    if attack is BRIEF["2015"]:
        assert 0 < once.steps.min() < once.steps.max()


# --- What it needs, and what it may ask -----------------------------------------------------------


def exposures() -> list[tuple[str, str | None]]:
    splits = {"features": ["conv2"], "back": ["conv2"], "weights": [None, "conv2"]}
    return [(expose, split) for expose in EXPOSURES for split in splits.get(expose, [None])]


class Bag(nn.Module):
    """An encoder, so that a view can expose an embedding."""

    width = 4

    def forward(self, texts: list[str]) -> Tensor:
        return torch.zeros(len(texts), self.width)


@pytest.mark.parametrize(("expose", "split"), exposures())
def test_it_works_with_scores_or_whole_weights_only(
    attack: Callable[..., ClassInversion], expose: str, split: str | None
) -> None:
    model = ReportClassifier(Bag()) if expose == "embedding" else cnn()
    view = deploy(model, expose=expose, split=split)
    if expose in ("scores", "weights") and split is None:
        assert attack(view, [0, 1], shape=(1, 16, 16)).images.shape == (2, 1, 16, 16)
        return
    with pytest.raises(ThreatModelError, match="class inversion needs scores .* exposes " + expose):
        attack(view, [0, 1], shape=(1, 16, 16))
    assert view.queries == 0


def test_queries_are_counted_exactly() -> None:
    """Each class: 2m + 1 a step and restart, a last look, and at the very end one question."""
    view = deploy(cnn(), expose="scores")
    view(torch.zeros(5, 1, 16, 16))  # asked before
    six = Probe(directions=6)
    found = invert_classes(
        view,
        [0, 2],
        shape=(1, 16, 16),
        steps=3,
        restarts=4,
        probe=six,
        device="cpu",
    )
    assert found.queries == view.queries - 5 == 2 * (4 * (3 * 13 + 1) + 1)
    assert found.steps.tolist() == [3, 3]


def test_a_class_that_has_stopped_asks_no_more() -> None:
    model = linear(torch.stack([torch.zeros(20), SIGNS[0]]), bias=3.0)
    view, five = deploy(model, expose="scores"), Probe(directions=5, grain=1)
    found = mi_face(
        view,
        [0, 1],
        shape=SHAPE,
        good_enough=0.05,
        steps=9,
        probe=five,
        device="cpu",
    )
    assert found.steps[0] == 0 < found.steps[1]
    assert found.queries == view.queries == sum(s * 11 + 1 + 1 for s in found.steps.tolist())


def test_weights_cost_only_the_last_question(attack: Callable[..., ClassInversion]) -> None:
    view = deploy(cnn(), expose="weights")
    found = attack(view, [0, 1, 2], shape=(1, 16, 16))
    assert found.queries == view.queries == 3
    torch.testing.assert_close(found.scores, view(found.images).diagonal())


@pytest.mark.parametrize("budget", [34, 45, 60, 61, 62, 1000])
def test_a_budget_is_never_exceeded_and_ends_the_attack(budget: int) -> None:
    """2 classes, 1 restart, 3 directions: 4 + 14 s for s steps, and no error."""
    view = deploy(cnn(), expose="scores", query_budget=budget)
    found = invert_classes(
        view,
        [0, 1],
        shape=(1, 16, 16),
        steps=4,
        restarts=1,
        probe=THREE,
        device="cpu",
    )
    steps = min(4, (budget - 4) // 14)
    assert found.steps.tolist() == [steps, steps]
    assert found.queries == view.queries == 4 + 14 * steps <= budget
    unlimited = invert_classes(
        deploy(cnn(), expose="scores"),
        [0, 1],
        shape=(1, 16, 16),
        steps=steps,
        restarts=1,
        probe=THREE,
        device="cpu",
    )
    assert torch.equal(found.images, unlimited.images)


def test_a_budget_below_one_step_spends_nothing(attack: Callable[..., ClassInversion]) -> None:
    view = deploy(cnn(), expose="scores", query_budget=17)
    with pytest.raises(QueryBudgetError, match=r"at least \d+ queries .* 17 of 17 are left"):
        attack(view, [0, 1], shape=(1, 16, 16))
    assert view.queries == 0
    stolen = deploy(cnn(), expose="weights", query_budget=1)
    with pytest.raises(QueryBudgetError, match="at least 2 queries .* 1 of 1 are left"):
        attack(stolen, [0, 1], shape=(1, 16, 16))


# --- Shapes, seeds, independence ------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("expose", ["weights", "scores"])
def test_shapes_and_ranges(
    attack: Callable[..., ClassInversion], channels: int, expose: str, device: str
) -> None:
    view = deploy(cnn(channels), expose=expose)
    shape = (channels, 16, 16)
    found = attack(view, torch.tensor([2, 0]), shape=shape, learning_rate=5.0, device=device)
    assert found.images.shape == (2, *shape)
    assert found.images.dtype == found.scores.dtype == found.history.dtype == torch.float32
    assert 0 <= found.images.min() <= found.images.max() <= 1
    assert found.scores.shape == found.steps.shape == (2,)
    assert found.history.shape == (int(found.steps.max()) + 1, 2)
    assert found.images.device.type == found.history.device.type == "cpu"
    assert not any(part.requires_grad for part in (found.images, found.scores, found.history))


@pytest.mark.parametrize("expose", ["weights", "scores"])
def test_the_same_seed_gives_the_same_images_and_another_does_not(
    attack: Callable[..., ClassInversion], expose: str, device: str
) -> None:
    def images(seed: int) -> Tensor:
        view = deploy(cnn(), expose=expose)
        options = {"shift": 1} if attack is BRIEF["modern"] else {}
        return attack(view, [0, 1], shape=(1, 16, 16), seed=seed, device=device, **options).images

    first, again, other = images(3), images(3), images(4)
    assert torch.equal(first, again)
    if not (attack is BRIEF["2015"] and expose == "weights"):  # nothing is random there
        assert not torch.equal(first, other)


def test_the_global_random_state_is_left_alone(attack: Callable[..., ClassInversion]) -> None:
    before = torch.random.get_rng_state()
    attack(deploy(cnn(), expose="scores"), [0], shape=(1, 16, 16))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("expose", ["weights", "scores"])
def test_a_class_does_not_depend_on_the_others(
    attack: Callable[..., ClassInversion], expose: str
) -> None:
    """To rounding: sums of a larger batch round differently. A budget would be shared."""
    view = deploy(cnn(), expose=expose)
    together = attack(view, [2, 0, 1], shape=(1, 16, 16))
    alone = attack(view, [0], shape=(1, 16, 16))
    torch.testing.assert_close(together.images[1:2], alone.images, atol=1e-3, rtol=0)
    assert together.steps[1] == alone.steps[0]


def test_a_start_may_differ_between_classes() -> None:
    starts = torch.rand(2, *SHAPE, generator=torch_rng(5))
    for given_start in (starts, starts[0]):
        found = mi_face(
            two_classes(), [1, 1], shape=SHAPE, start=given_start, learning_rate=1e-9, device="cpu"
        )
        torch.testing.assert_close(found.images, given_start.expand(2, *SHAPE), atol=1e-5, rtol=0)


# --- Arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": []}, "one or more class numbers"),
        ({"classes": [-1]}, "0 or above"),
        ({"classes": [0.5]}, "class numbers"),
        ({"classes": [0, 2]}, "this model has 2, and class 2 was asked for"),
        ({"shape": (4, 5)}, r"shape must be \(channels, height, width\).*got \(4, 5\)"),
        ({"steps": 0}, "steps must be 1 or more, got 0"),
        ({"device": "abacus"}, "unknown device"),
    ],
)
def test_arguments_out_of_range(
    attack: Callable[..., ClassInversion], options: dict, message: str
) -> None:
    options = {"classes": [0], "shape": SHAPE, **options}
    with pytest.raises(ValueError, match=message):
        attack(two_classes("scores"), options.pop("classes"), **options)


def test_starts_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"start must have shape \(1, 4, 5\), or \(2, 1, 4, 5\)"):
        mi_face(two_classes(), [0, 1], shape=SHAPE, start=torch.zeros(3, *SHAPE))
    for value in (-0.1, 255.0, math.nan):
        with pytest.raises(ValueError, match=r"start must lie in \[0, 1\]"):
            mi_face(two_classes(), [0], shape=SHAPE, start=torch.full(SHAPE, value))


def test_a_cost_that_is_not_finite_is_an_error(attack: Callable[..., ClassInversion]) -> None:
    with pytest.raises(FloatingPointError, match="not finite after step 0"):
        attack(two_classes(), [0], shape=SHAPE, prior=lambda x: x.sum((1, 2, 3)) * torch.nan)
