"""Many models at once: each is what training it alone gives, and each patient is in half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data import load_records, load_reports
from medpriv.data.cohort import Part
from medpriv.models import ReportEncoder, as_logits
from medpriv.models.images import ImageCNN
from medpriv.models.reports import ReportClassifier
from medpriv.models.targets import build_target
from medpriv.runtime import memory
from medpriv.runtime.cache import cache_dir
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training import at_once, halves, many_models, predict, stack, train_many
from medpriv.training.loop import Recipe, fit
from medpriv.training.targets import train_target
from tiny import make_encoder

EXACT = Recipe(epochs=4, batch_size=16, learning_rate=3e-3, weight_decay=0.05, exact=True)
# In float32 a sum's rounding depends on its order: 1e-6 of a logit after a few steps. Adam divides
# by gradients that can be tiny, so a bound leaves room for more.
CLOSE = 1e-4


def part_of(x: Tensor | tuple[str, ...], y: Tensor, each: int = 1) -> Part:
    patient = np.array([f"p{row // each}" for row in range(len(y))])
    return Part(x, y, patient, pd.DataFrame(index=range(len(y))))


def uneven(part: Part, models: int = 4) -> np.ndarray:
    """Halves, and a model with few rows: other numbers of rows, of batches, and of rates."""
    inside = halves(part.patient, models, seed=1)
    inside[1, len(part) // 4 :] = False
    return inside


def images(rows: int = 60) -> Part:
    x = torch.rand(rows, 1, 16, 16, generator=torch_rng(0, "images"))
    return part_of(x, (x.mean((1, 2, 3)) > 0.5).long(), each=2)


def cnn(part: Part, seed: int) -> nn.Module:
    with seeded(seed, "cnn"):
        return ImageCNN(size=16)


def dense(part: Part, seed: int) -> nn.Module:
    with seeded(seed, "dense"):
        return nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.ReLU(), nn.Linear(8, 2))


def normed(part: Part, seed: int) -> nn.Module:
    with seeded(seed, "normed"):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Linear(196, 2),
        )  # fmt: skip


def dropping(part: Part, seed: int) -> nn.Module:
    with seeded(seed, "dropping"):
        return nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Dropout(0.5), nn.Linear(8, 2))


def alone(network: nn.Module, part: Part, seed: int, recipe: Recipe, device: str) -> nn.Module:
    fit(network, part.x, part.y, loss=F.cross_entropy, recipe=recipe, seed=seed, device=device)
    return network


@pytest.fixture(autouse=True)
def _no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPRIV_PROGRESS", "0")


# --- The same as alone ----------------------------------------------------------------------------


def test_record_models_are_those_that_train_target_gives(device: str) -> None:
    cohort = load_records("warfarin", patients=400, seed=0)
    part = cohort.members
    inside = uneven(part)
    many = train_many(cohort, part, inside, recipe=EXACT, seed=5, device=device)
    assert len(many) == 4
    found = many.logits(part.x)
    for number, seed in enumerate(many.seeds):
        own = replace(cohort, members=part.take(inside[number]))
        one = train_target(own, recipe=EXACT, seed=seed, device=device)
        torch.testing.assert_close(found[number], predict(one, part.x), rtol=0, atol=CLOSE)
        start = build_target(own, seed=seed)
        assert (predict(start, part.x) - found[number]).abs().max() > 0.1  # it has learnt
    assert len({row.numpy().tobytes() for row in found}) == 4


@pytest.mark.parametrize("make", [cnn, dense, normed])
@pytest.mark.parametrize("together", [1, 4])
def test_networks_are_those_that_fit_gives(
    make: Callable[[Part, int], nn.Module], together: int, device: str
) -> None:
    part = images()
    inside = uneven(part)
    many = train_many(make, part, inside, recipe=EXACT, seed=2, device=device, at_once=together)
    found = many.logits(part.x)
    for number, seed in enumerate(many.seeds):
        own = part.take(inside[number])
        one = alone(make(own, seed), own, seed, EXACT, device)
        bound = CLOSE if together > 1 else 0.0
        torch.testing.assert_close(found[number], predict(one, part.x), rtol=0, atol=bound)
        mine = many.model(number).state_dict()
        for name, value in one.state_dict().items():
            torch.testing.assert_close(mine[name], value, rtol=0, atol=bound)


def test_heads_of_report_classifiers_share_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    texts = load_reports("synthetic", patients=60, seed=0)
    part = texts.members
    encoder = ReportEncoder(str(make_encoder(tmp_path)))

    def make(own: Part, seed: int) -> nn.Module:
        with seeded(seed, "target"):
            return ReportClassifier(encoder, classes=len(texts.classes))

    asked: list[int] = []
    forward = ReportEncoder.forward
    monkeypatch.setattr(
        ReportEncoder, "forward",
        lambda self, x, **options: asked.append(len(x)) or forward(self, x, **options),
    )  # fmt: skip
    inside = uneven(part)
    many = train_many(make, part, inside, recipe=EXACT, seed=4, device=device)
    assert sum(asked) < 2 * len(part)  # each text once, and a few to look at the network
    known = predict(encoder, part.x)
    found = many.logits(part.x)
    assert torch.equal(found, many.logits(known))
    for number, seed in enumerate(many.seeds):
        own = part.take(inside[number])
        one = make(own, seed)
        alone(one.head, replace(own, x=known[inside[number]]), seed, EXACT, device)
        torch.testing.assert_close(found[number], predict(one.head, known), rtol=0, atol=CLOSE)
        mine = many.model(number)
        assert mine.encoder is encoder
        torch.testing.assert_close(predict(mine, part.x), found[number], rtol=0, atol=1e-6)


def test_report_models_of_a_cohort_begin_as_those_of_train_target() -> None:
    cohort = load_reports("synthetic", patients=40, seed=0)
    part = cohort.members
    inside = halves(part.patient, 2)
    recipe = replace(EXACT, epochs=1)
    many = train_many(cohort, part, inside, recipe=recipe, device="cpu")
    for number, seed in enumerate(many.seeds):
        own = replace(cohort, members=part.take(inside[number]))
        one = train_target(own, recipe=recipe, seed=seed, device="cpu")
        texts = part.x[:8]
        torch.testing.assert_close(
            predict(many.model(number), texts), predict(one, texts), rtol=0, atol=CLOSE
        )


def test_a_network_from_whose_weights_all_begin() -> None:
    part = images()
    start = dense(part, 0)
    before = [weight.clone() for weight in start.parameters()]
    many = train_many(start, part, uneven(part), recipe=EXACT, device="cpu")
    assert all(map(torch.equal, start.parameters(), before))  # stays untrained
    for number, seed in enumerate(many.seeds):
        one = alone(dense(part, 0), part.take(many.inside[number]), seed, EXACT, "cpu")
        torch.testing.assert_close(
            predict(many.model(number), part.x), predict(one, part.x), rtol=0, atol=CLOSE
        )
        assert type(many.model(number)) is nn.Sequential  # as it was given


def test_half_precision_where_the_device_has_it_natively() -> None:
    """In bfloat16 a product has 8 bits, and after 16 steps answers agree to some 0.05."""
    part = images()
    recipe = replace(EXACT, exact=False)
    many = train_many(dense, part, uneven(part), recipe=recipe, device="cpu")
    for number, seed in enumerate(many.seeds):
        own = part.take(many.inside[number])
        one = alone(dense(own, seed), own, seed, recipe, "cpu")
        gap = (predict(many.model(number), part.x) - predict(one, part.x)).abs().max()
        assert gap < 0.05


def test_frozen_weights_stay() -> None:
    part = images()
    network = dense(part, 0)
    network[1].requires_grad_(False)
    many = train_many(network, part, uneven(part), recipe=EXACT, device="cpu")
    for number in range(4):
        assert torch.equal(many.model(number)[1].weight, network[1].weight)
        assert not torch.equal(many.model(number)[3].weight, network[3].weight)


# --- However many at once -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:each of the numbers")  # these logits are small
def test_how_many_at_once_decides_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    part = images()
    inside = uneven(part, 6)
    found = []
    for number in (1, 2, 3, 6):
        monkeypatch.setenv("MEDPRIV_CACHE", str(cache_dir() / f"of {number}"))
        many = train_many(dense, part, inside, recipe=EXACT, device="cpu", at_once=number)
        found.append(many.logits(part.x))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=CLOSE)


def test_dropout_is_refused_with_the_remedy_and_right_alone() -> None:
    part = images()
    inside = uneven(part)
    with pytest.raises(ValueError, match="Sequential cannot be computed as one.*give at_once=1"):
        train_many(dropping, part, inside, recipe=EXACT, device="cpu")
    many = train_many(dropping, part, inside, recipe=EXACT, device="cpu", at_once=1)
    own = part.take(inside[2])
    one = alone(dropping(own, many.seeds[2]), own, many.seeds[2], EXACT, "cpu")
    assert torch.equal(predict(many.model(2), part.x), predict(one, part.x))


class Centred(nn.Module):
    """Takes the mean over the batch, which no list of layers tells."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(256, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense((x - x.mean(0)).flatten(1))


class Looking(Centred):
    """Decides by a value."""

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.flatten(1) if float(x.sum()) > 0 else -x.flatten(1))


@pytest.mark.parametrize("kind", [Centred, Looking])
def test_what_computed_as_one_is_something_else_is_refused(kind: type[nn.Module]) -> None:
    part = images()
    with seeded(0, "kind"):
        network = kind()
    with pytest.raises(ValueError, match=f"several of {kind.__name__} cannot.*give at_once=1"):
        train_many(network, part, uneven(part), recipe=EXACT, device="cpu")
    train_many(network, part, uneven(part), recipe=EXACT, device="cpu", at_once=1)


def test_convolutions_on_a_cpu_are_trained_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned: list[at_once.Plan] = []
    usual = at_once.plan
    monkeypatch.setattr(
        many_models, "plan", lambda *a, **k: planned.append(usual(*a, **k)) or planned[-1]
    )
    part = images()
    for make in (cnn, dense):
        train_many(make, part, uneven(part), recipe=EXACT, device="cpu")
    assert [how.at_once for how in planned] == [1, 4]


# --- Memory ---------------------------------------------------------------------------------------


WEIGHTS = 4 * (256 * 8 + 8 + 8 * 2 + 2)  # bytes of one of the dense networks


def planned(
    free: int, patch: pytest.MonkeyPatch, number: int | None = None, models: int = 100
) -> at_once.Plan:
    """For dense networks, in batches of 16 rows."""
    part = images()
    patch.setattr(at_once, "free_bytes", lambda device: free)
    return at_once.plan(
        dense(part, 0), part.x[:4], part.y[:4], 16, (models, len(part)),
        device=torch.device("cpu"), at_once=number,
    )  # fmt: skip


def test_fewer_at_once_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    much = planned(10**9, monkeypatch)
    assert much.at_once == 64
    little = planned(much.bytes - 1, monkeypatch)
    assert 1 <= little.at_once < 64
    assert little.bytes < much.bytes
    with pytest.raises(MemoryError, match="100 models, 1 at once, need about .* are free"):
        planned(1000, monkeypatch)
    with pytest.raises(MemoryError, match="100 models, 64 at once.*at_once=") as error:
        planned(much.bytes - 1, monkeypatch, 64)
    assert at_once._said(much.bytes) in str(error.value)


def test_weights_and_what_a_batch_leaves_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (planned(10**9, monkeypatch, number, 64).bytes for number in (32, 64))
    row = 4 * (256 + 8 + 2)  # what each layer is given, and the logits
    each = (two - one) / 32
    assert 4 * WEIGHTS + 2 * 16 * row <= each <= 4 * WEIGHTS + 4 * 16 * row
    assert planned(10**9, monkeypatch, 1, 10_000).bytes == 4 * 10_000 * WEIGHTS  # to be written


def test_a_container_has_what_is_left_of_its_limit(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    free = memory.free_bytes(cpu, tmp_path)  # no container
    assert free > 0
    for name, said in {
        "max": "5000",
        "current": "4000",
        "stat": "anon 1\ninactive_file 300",
    }.items():
        (tmp_path / f"memory.{name}").write_text(f"{said}\n")
    assert memory.free_bytes(cpu, tmp_path) == 1300
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes(cpu, tmp_path) > 5000


# --- Kept, and resumed ----------------------------------------------------------------------------


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.usefixtures("own_cache")
def test_models_are_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    part = images()
    inside = uneven(part)
    first = train_many(dense, part, inside, recipe=EXACT, device="cpu")
    calls: list[int] = []
    usual = many_models.fit_together
    monkeypatch.setattr(
        many_models, "fit_together", lambda *a, **k: calls.append(1) or usual(*a, **k)
    )
    again = train_many(dense, part, inside, recipe=EXACT, device="cpu")
    assert torch.equal(again.logits(part.x), first.logits(part.x))
    assert calls == []
    other = inside.copy()
    other[0, :2] = ~other[0, :2]
    scaled = replace(part, x=part.x * 0.5)
    for changed in (
        {"part": scaled}, {"inside": other}, {"seed": 1}, {"recipe": replace(EXACT, epochs=1)},
        {"untrained": lambda own, seed: dense(own, seed + 1)},
    ):  # fmt: skip
        usually = {"untrained": dense, "part": part, "inside": inside, "recipe": EXACT}
        train_many(**usually | changed, device="cpu")
    assert len(calls) == 5  # that of the three models with equally many batches


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.mark.parametrize(("make", "number"), [(dense, None), (cnn, 1)])
@pytest.mark.parametrize("stop", [3, 6])
def test_an_interrupted_training_ends_with_the_same_weights(
    make: Callable[[Part, int], nn.Module],
    number: int | None,
    stop: int,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    part = images()
    inside = uneven(part)
    setup = {"recipe": EXACT, "device": "cpu", "at_once": number}
    # So that the state is kept after each epoch.
    monkeypatch.setattr(stack.time, "monotonic", iter(range(0, 10**6, 60)).__next__)
    wanted = train_many(make, part, inside, **setup).logits(part.x)
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "other"))
    epochs: list[int] = []
    from medpriv.training import loop

    for module in (loop, stack):
        usual = module._epoch

        def counted(*given, usual=usual):
            epochs.append(1)
            if len(epochs) == stop:
                raise Stopped
            return usual(*given)

        monkeypatch.setattr(module, "_epoch", counted)
    with pytest.raises(Stopped):
        train_many(make, part, inside, **setup)
    assert list((tmp_path / "other" / "checkpoints").glob("*.safetensors"))
    many = train_many(make, part, inside, **setup)
    assert torch.equal(many.logits(part.x), wanted)
    trainings = 2 if number is None else 4
    assert (
        len(epochs) == trainings * EXACT.epochs + 1
    )  # none of them twice, but the interrupted one
    assert not [left for left in (tmp_path / "other" / "checkpoints").iterdir() if left.is_file()]


# --- What is refused ------------------------------------------------------------------------------


def test_inside_that_does_not_fit() -> None:
    part = images()
    good = uneven(part)
    for wrong in (good[:, 1:], good.astype(int), good[0], good[:0]):
        with pytest.raises(ValueError, match=r"expected inside of shape \(models, 60\), bool"):
            train_many(dense, part, wrong, recipe=EXACT, device="cpu")
    good[2] = False
    with pytest.raises(ValueError, match="models without any: \\[2\\]"):
        train_many(dense, part, good, recipe=EXACT, device="cpu")


def test_networks_of_several_kinds_or_without_enough_classes() -> None:
    part = images()
    inside = uneven(part)

    def varied(own: Part, seed: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(256, 2 + len(own) % 2))

    inside[3, np.flatnonzero(inside[3])[0]] = False
    with pytest.raises(ValueError, match="networks of one architecture"):
        train_many(varied, part, inside, recipe=EXACT, device="cpu")
    many_classes = replace(part, y=torch.arange(60) % 3)
    with pytest.raises(ValueError, match="one for each of the classes"):
        train_many(dense, many_classes, inside, recipe=EXACT, device="cpu")


def test_networks_that_read_texts_have_to_be_report_classifiers() -> None:
    texts = part_of(("a", "b", "c", "d"), torch.arange(4) % 2)
    with pytest.raises(ValueError, match="a ReportClassifier is trained here"):
        train_many(nn.Linear(2, 2), texts, halves(texts.patient, 2), recipe=EXACT, device="cpu")


def test_layers_without_a_size_get_one() -> None:
    part = images()
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    found = []
    for _ in range(2):
        torch.rand(3)  # what else draws does not matter
        found.append(train_many(lazy, part, uneven(part), recipe=EXACT, device="cpu"))
    assert torch.equal(found[0].logits(part.x), found[1].logits(part.x))
    assert found[0].model(0)[1].weight.shape == (2, 256)


def test_a_loss_that_is_not_finite() -> None:
    part = images()
    wild = replace(EXACT, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="loss of 4 of 4 models.*after epoch [12]"):
        train_many(dense, part, halves(part.patient, 4), recipe=wild, device="cpu")


# --- Answers --------------------------------------------------------------------------------------


def test_answers_are_those_of_each_model() -> None:
    part = images()
    many = train_many(dense, part, uneven(part), recipe=EXACT, device="cpu")
    found = many.logits(part.x[:7])
    assert found.shape == (4, 7, 2)
    assert found.dtype == torch.float32
    for number in range(4):
        network = many.model(number)
        assert not network.training
        assert torch.equal(predict(as_logits(network), part.x[:7]), found[number])
        with torch.no_grad():  # independent of the others, and of what comes next
            network[1].weight.zero_()
    assert torch.equal(many.logits(part.x[:7]), found)
    assert torch.equal(many.scores(part.x[:7]), found.softmax(2))
    with pytest.raises(IndexError):
        many.model(4)


# --- Halves ---------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=60).filter(lambda rows: len(set(rows)) > 1),
    st.integers(1, 12),
    st.integers(0, 10**6),
)
def test_each_patient_is_in_half_of_the_models_with_all_rows(
    rows: list[int], pairs: int, seed: int
) -> None:
    patient = np.array([f"p{row}" for row in rows])
    inside = halves(patient, 2 * pairs, seed)
    assert inside.shape == (2 * pairs, len(patient))
    assert inside.dtype == bool
    assert np.array_equal(inside, halves(patient, 2 * pairs, seed))
    names, first, where = np.unique(patient, return_index=True, return_inverse=True)
    assert np.array_equal(inside, inside[:, first][:, where])  # all rows together
    assert (inside[:, first].sum(0) == pairs).all()
    sizes = inside[:, first].sum(1)
    assert set(sizes) <= {len(names) // 2, -(-len(names) // 2)}


def test_halves_of_two_patients_have_nothing_to_do_with_each_other() -> None:
    """Over 2,000 draws each of 6 models is as likely as another, and so is each pair.

    With 4 patients in half of 4 models the correlation of two is -1/3, since the models are equal
    in size. A mean of 2,000 draws of a correlation, whose spread is below 1, is within 0.09 of it
    but in one of 10,000 seeds.
    """
    patient = np.array(["a", "b", "c", "d"])
    found = np.stack([halves(patient, 4, seed) for seed in range(2_000)])  # (draws, M, n)
    signs = found * 2.0 - 1
    between = np.einsum("dmi,dmj->dij", signs, signs).mean(0) / 4
    np.testing.assert_allclose(between, np.where(np.eye(4), 1, -1 / 3), atol=0.09)
    models = np.einsum("dmi,dni->dmn", signs, signs).mean(0) / 4
    np.testing.assert_allclose(models, np.where(np.eye(4), 1, -1 / 3), atol=0.09)


@pytest.mark.parametrize(("models", "patients"), [(3, 4), (0, 4), (2, 1), (2.0, 4)])
def test_halves_need_an_even_number_and_two_patients(models: int, patients: int) -> None:
    with pytest.raises(ValueError, match="models"):
        halves(np.arange(patients).astype(str), models)
