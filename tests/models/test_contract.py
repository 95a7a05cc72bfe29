"""Networks of the reader's own, through everything that takes a model in."""

from __future__ import annotations

import json
import threading
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18

from medpriv.attacks import fit_inverse_network
from medpriv.attacks.membership import loss_attack
from medpriv.data import load_images, load_records
from medpriv.data.cohort import Cohort, Part
from medpriv.defenses import Privately, fresh_parameters, noised, train_privately
from medpriv.deployment import deploy
from medpriv.metrics import advantage
from medpriv.models import as_logits, back, front
from medpriv.runtime.hashing import content_hash, identity
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training import Recipe, predict, train_target, utility


def numbers(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch_rng(0, "rows"))


def small(outputs: int = 3) -> nn.Sequential:
    with seeded(0, "test"):
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs)).eval()


@pytest.fixture(scope="module")
def records() -> Cohort:
    return load_records(profile="smoke", patients=200)


@pytest.fixture(scope="module")
def pictures() -> Cohort:
    return load_images(profile="smoke", patients=60)


# --- What a model answers with --------------------------------------------------------------------


class Wrapped(nn.Module):
    """The small network, with its answer put into something."""

    def __init__(self, last: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net, self.last = small(), last

    def forward(self, x: Tensor) -> Any:
        return self.last(self.net(x))


class Output(dict):
    """As transformers' outputs: a dictionary whose entries are attributes, too."""

    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(
    "last", [lambda z: {"logits": z, "hidden": z}, lambda z: Output(logits=z), lambda z: (z,)]
)
def test_of_an_output_object_the_logits_are_taken(last: Callable[[Tensor], Any]) -> None:
    x = numbers(5, 4)
    scores = deploy(Wrapped(last), expose="scores")(x)
    torch.testing.assert_close(scores, small()(x).softmax(1))


REFUSED = {
    "one column": (small(1), r"answer with logits, and gives numbers of shape \(5, 1\)"),
    "softmax twice": (Wrapped(lambda z: z.softmax(1)), "each row is a distribution"),
    "pair": (Wrapped(lambda z: (z, z)), "gives a tuple, and one tensor is expected"),
    "other dictionary": (Wrapped(lambda z: {"out": z, "aux": z}), "gives a dict with out, aux"),
    "text": (Wrapped(lambda z: "no"), "gives a str"),
    "maps": (Wrapped(lambda z: z[:, :, None]), r"shape \(5, 3, 1\)"),
    "infinite": (Wrapped(lambda z: z / 0), "NaN or infinite"),
    "fewer rows": (Wrapped(lambda z: z[:2]), "an answer for each of 5 rows"),
}


@pytest.mark.parametrize("expose", ["scores", "label"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_logits_is_refused_and_costs_nothing(name: str, expose: str) -> None:
    model, message = REFUSED[name]
    view = deploy(model, expose=expose, query_budget=5)
    with pytest.raises(ValueError, match=message):
        view(numbers(5, 4))
    assert view.queries == 0


def test_a_sigmoid_of_each_class_is_warned_of() -> None:
    x = numbers(20, 4)
    view = deploy(Wrapped(lambda z: z.sigmoid()), expose="scores")
    with pytest.warns(RuntimeWarning, match="lies between 0 and 1, which logits seldom do"):
        view(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view(x)  # once is enough
        deploy(small(), expose="scores")(x)
    told = as_logits(small().append(nn.Sigmoid()))
    before = content_hash(identity(told))
    with pytest.warns(RuntimeWarning, match="between 0 and 1"):
        predict(told.eval(), x)
    assert content_hash(identity(told)) == before  # having been asked makes no other model of it
    model = as_logits(Wrapped(lambda z: z.sigmoid()), "probabilities", column=1)
    yes = deploy(model, expose="scores")(x)[:, 1]
    torch.testing.assert_close(yes, small()(x).sigmoid()[:, 1])


@pytest.mark.parametrize("name", ["one column", "softmax twice", "maps"])
def test_and_by_training_and_utility(name: str, records: Cohort) -> None:
    width, model = records.members.x.shape[1], REFUSED[name][0]
    wide = nn.Sequential(nn.Linear(width, 4), model)
    for take in (
        lambda: train_target(records, profile="smoke", model=wide),
        lambda: train_privately(records, Privately(8.0, epochs=1), model=wide, device="cpu"),
        lambda: utility(wide, records.test),
    ):
        with pytest.raises(ValueError, match="answer with logits|must return logits"):
            take()


def test_one_logit_for_yes() -> None:
    x, model = numbers(6, 4), small(1)
    scores = deploy(model, expose="scores", outputs="sigmoid")(x)
    yes = model(x).sigmoid()
    torch.testing.assert_close(scores, torch.cat([1 - yes, yes], dim=1))
    labels = deploy(model, expose="label", outputs="sigmoid")(x)
    assert labels.tolist() == (yes[:, 0] > 0.5).long().tolist()
    flat = deploy(Flat(model), expose="scores", outputs="sigmoid")
    torch.testing.assert_close(flat(x), scores)


class Flat(nn.Module):
    """Answers ``(n,)``."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, 0]


def test_one_finding_of_several() -> None:
    x, model = numbers(6, 4), small(3)
    scores = deploy(as_logits(model, "sigmoid", column=2), expose="scores")(x)
    torch.testing.assert_close(scores[:, 1], model(x).sigmoid()[:, 2])
    with pytest.raises(ValueError, match="no column 3"):
        as_logits(model, "sigmoid", column=3)(x)
    with pytest.raises(ValueError, match="gives numbers of shape"):
        as_logits(model, "sigmoid")(x)
    with pytest.raises(ValueError, match="column= says which"):
        as_logits(model, column=1)


def test_probabilities() -> None:
    x, model = numbers(6, 4), Wrapped(lambda z: z.softmax(1))
    expected = small()(x).softmax(1)
    torch.testing.assert_close(deploy(model, expose="scores", outputs="probabilities")(x), expected)
    one = Wrapped(lambda z: z.softmax(1)[:, 1])
    view = deploy(one, expose="scores", outputs="probabilities")
    torch.testing.assert_close(view(x)[:, 1], expected[:, 1])
    with pytest.raises(ValueError, match="no probabilities that sum to 1"):
        deploy(small(), expose="scores", outputs="probabilities")(x)


def test_one_logit_is_trained_as_by_bce(records: Cohort) -> None:
    """Two-class cross-entropy of (0, z) is BCE of z."""
    two = replace(records, classes=("no", "yes"), members=two_classes(records.members))
    with seeded(0, "test"):
        net = nn.Linear(records.members.x.shape[1], 1)
    recipe = Recipe(epochs=1, batch_size=len(two.members), learning_rate=1e-2, exact=True)
    trained = train_target(two, recipe=recipe, model=as_logits(net, "sigmoid"), device="cpu")
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.0)
    y = two.members.y.float()
    F.binary_cross_entropy_with_logits(net(two.members.x)[:, 0], y).backward()
    optimizer.step()
    torch.testing.assert_close(trained.model.weight, net.weight)
    assert deploy(trained, expose="scores")(two.members.x).shape == (len(y), 2)


def two_classes(part: Part) -> Part:
    return replace(part, y=part.y.clamp(max=1))


# --- Functions ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forest(records: Cohort) -> RandomForestClassifier:
    model = RandomForestClassifier(20, random_state=0)
    return model.fit(records.members.x.numpy(), records.members.y.numpy())


def test_a_random_forest(records: Cohort, forest: RandomForestClassifier) -> None:
    x = records.test.x
    expected = torch.from_numpy(forest.predict_proba(x.numpy())).float()
    view = deploy(forest.predict_proba, expose="scores", outputs="probabilities")
    torch.testing.assert_close(view(x), expected)
    assert view.queries == len(x)
    labels = deploy(forest.predict, expose="label", outputs="labels")
    assert labels(x).tolist() == forest.predict(x.numpy()).tolist()
    with pytest.raises(ValueError, match="a softmax would be taken twice"):
        deploy(forest.predict_proba, expose="scores")(x)


def test_of_a_function_nothing_but_answers_can_be_had(forest: RandomForestClassifier) -> None:
    ask = forest.predict_proba
    for expose, more in (("weights", {}), ("features", {"split": "a"}), ("back", {"split": "a"})):
        with pytest.raises(ValueError, match="nothing is known but its answers"):
            deploy(ask, expose=expose, outputs="probabilities", **more)
    with pytest.raises(ValueError, match="has no scores; use expose='label'"):
        deploy(forest.predict, expose="scores", outputs="labels")
    with pytest.raises(TypeError, match="changes a network, and the model is a function"):
        deploy(ask, expose="scores", outputs="probabilities", defenses=[fresh_parameters(0.1)])
    with pytest.raises(TypeError, match="expected a network or a function"):
        deploy("resnet.pt", expose="scores")
    defended = deploy(ask, expose="scores", outputs="probabilities", defenses=[noised(0.1)])
    assert defended.defenses


class Answering(BaseHTTPRequestHandler):
    """A service over HTTP; it fails when it is asked about one row."""

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200 if len(rows) > 1 else 503)
        self.end_headers()
        scores = small()(torch.tensor(rows)).softmax(1).tolist()
        self.wfile.write(json.dumps(scores).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_service_over_http(address: str) -> None:
    def ask(rows: np.ndarray) -> Any:
        request = urllib.request.Request(address, json.dumps(rows.tolist()).encode())
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    view = deploy(ask, expose="scores", outputs="probabilities", query_budget=10)
    x = numbers(6, 4)
    torch.testing.assert_close(view(x), small()(x).softmax(1))
    with pytest.raises(urllib.error.HTTPError):
        view(x[:1])
    assert view.queries == 6  # a failed query costs nothing


# --- What a model is given ------------------------------------------------------------------------


class Writes(nn.Module):
    """Normalises in place, as the first of its lines, and begins with a ReLU in place."""

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.relu, self.conv = nn.ReLU(inplace=True), nn.Conv2d(1, 4, 3, stride=2)
        self.fc = nn.Linear(4 * ((size - 3) // 2 + 1) ** 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x.sub_(0.2).div_(0.1)
        x = self.conv(self.relu(x))
        self.relu(x)
        return self.fc(x.view(len(x), -1))


def made(model: Callable[..., nn.Module], *given: Any) -> nn.Module:
    with seeded(0, "test"):
        return model(*given).eval()


def test_what_a_model_writes_into_is_its_own_copy(pictures: Cohort) -> None:
    model, x = made(Writes), numbers(5, 1, 8, 8)
    before, expected = x.clone(), made(Writes)(x.clone())
    view = deploy(model, expose="scores")
    assert view(x).equal(view(x))
    torch.testing.assert_close(view(x), expected.softmax(1))
    torch.testing.assert_close(predict(model, x), expected)
    features = deploy(model, expose="features", split="conv")
    torch.testing.assert_close(features(x), model.conv(((x - 0.2) / 0.1).relu()))
    assert x.equal(before)
    members = pictures.members.x.clone()
    trained = train_target(pictures, profile="smoke", model=made(Writes, 64))
    train_privately(pictures, Privately(8.0, epochs=1), model=made(Writes, 64), device="cpu")
    utility(trained, pictures.test)
    assert pictures.members.x.equal(members)


def test_a_cut_that_would_lose_what_is_written_in_place_is_refused() -> None:
    model = made(Writes)
    with pytest.raises(ValueError, match="cannot be cut|writes in place|cannot be traced"):
        back(model, "conv")
    with pytest.raises(ValueError, match="the front alone cannot be had"):
        deploy(model, expose="weights", split="conv")


def test_the_back_leaves_the_features_as_they_are() -> None:
    with seeded(0, "test"):
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 2)).eval()
    view = deploy(net, expose="back", split="0")
    x = numbers(5, 4)
    features = view(x)
    before = features.clone()
    torch.testing.assert_close(view.back()(features), net(x))
    assert features.equal(before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_and_kind_of_rows_do_not_matter(dtype: torch.dtype) -> None:
    x, near = numbers(5, 4), {"atol": 0.02, "rtol": 0.02}
    expected = small()(x).softmax(1)
    scores = deploy(small().to(dtype), expose="scores")(x)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected, **near)
    torch.testing.assert_close(deploy(small(), expose="scores")(x.to(dtype)), expected, **near)
    assert predict(small().to(dtype), x).dtype == torch.float32
    weights = deploy(small().to(dtype), expose="weights").weights()
    assert {weight.dtype for weight in weights.parameters()} == {torch.float32}
    if dtype != torch.float64:
        with pytest.raises(ValueError, match="weights in half precision"):
            train_target(
                load_records(profile="smoke", patients=100),
                profile="smoke", model=nn.Linear(9, 3).to(dtype),
            )  # fmt: skip


def test_arrays_and_what_is_no_rows() -> None:
    view, x = deploy(small(), expose="scores"), numbers(5, 4)
    expected = view(x)
    assert view(x.numpy()).equal(expected)
    assert view(x.numpy().astype(np.float64)).equal(expected)
    torch.testing.assert_close(view(x.T.contiguous().T), expected)
    whole = torch.arange(20).reshape(5, 4)
    assert view(whole).equal(view(whole.float()))
    for rows, error, message in (
        (x[0], TypeError, r"got shape \(4,\); a single row needs"),
        ([[1.0, 2.0]], TypeError, "got list"),
        (torch.tensor(1.0), TypeError, "got shape"),
        (x.to(torch.complex64), TypeError, "expected real numbers"),
        (torch.full((2, 4), torch.nan), ValueError, "NaN or an infinite"),
    ):
        asked = view.queries
        with pytest.raises(error, match=message):
            view(rows)
        with pytest.raises(error, match=message):
            view.intercept(rows)
        assert view.queries == asked


def test_pictures_of_bytes_and_a_single_one_are_refused(pictures: Cohort) -> None:
    for model in (made(Writes), train_target(pictures, profile="smoke")):
        size = 8 if isinstance(model, Writes) else 64
        view, x = deploy(model, expose="scores"), numbers(2, 1, size, size)
        with pytest.raises(ValueError, match="got bytes of 0 to 255"):
            view((255 * x).byte())
        with pytest.raises(ValueError, match="x\\[None\\]"):
            view(x[0])


class Shaky(nn.Module):
    """Dropout that is never off."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 50)
        self.out = nn.Linear(50, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.dropout(self.fc(x), 0.3))


def test_a_model_that_answers_anew_each_time_is_asked_each_time() -> None:
    for expose, split in (("scores", None), ("features", "dropout")):
        view = deploy(made(Shaky), expose=expose, split=split)
        answers = view.again(numbers(3, 4), 4)
        assert not any(answers[0].equal(other) for other in answers[1:])
        assert view.queries == 12
    steady = deploy(small(), expose="scores").again(numbers(3, 4), 3)
    assert steady[0].equal(steady[2])


# --- Around a model, and where it is cut ----------------------------------------------------------


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_is_around_a_model_does_not_matter() -> None:
    with seeded(0, "test"):
        net = resnet18(num_classes=2).eval()
    x = numbers(2, 3, 32, 32)
    expected, features = net(x).softmax(1), front(net, "layer1")(x)
    for model in (nn.DataParallel(net), torch.compile(net, backend="eager")):
        torch.testing.assert_close(deploy(model, expose="scores")(x), expected)
        view = deploy(model, expose="features", split="layer1")
        torch.testing.assert_close(view(x), features)
    script = torch.jit.script(net)
    torch.testing.assert_close(deploy(script, expose="scores")(x), expected)
    with pytest.raises(ValueError, match="give the module that it was made of"):
        deploy(script, expose="features", split="layer1")


class Branch(nn.Module):
    """What it does depends on the data, and one layer gives a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.pair, self.b = nn.Linear(4, 6), Pair(), nn.Linear(6, 2)

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        x = self.a(x)
        if x.sum() > 0:
            x = 2 * x
        return self.b(self.pair(x)[0])


class Pair(nn.Module):
    """Two tensors."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_a_network_that_cannot_be_traced_is_run_up_to_a_layer() -> None:
    model, x = made(Branch), numbers(5, 4)
    torch.testing.assert_close(deploy(model, expose="features", split="a")(x), model.a(x))
    with pytest.raises(ValueError, match="cannot be traced"):
        deploy(model, expose="back", split="a").back()
    with pytest.raises(ValueError, match="gives a tuple, and one tensor is expected"):
        deploy(model, expose="features", split="pair")(x)
    for wrong in ("", None):
        with pytest.raises(ValueError, match="needs a split layer"):
            deploy(model, expose="features", split=wrong)


class Optional(nn.Module):
    """A second argument that nobody gives."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.b(self.a(x))


def test_arguments_that_nobody_gives() -> None:
    model, x = made(Optional), numbers(5, 4)
    view = deploy(model, expose="back", split="a")
    torch.testing.assert_close(view.back()(view(x)), model(x))


def test_a_model_of_transformers() -> None:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=32, patch_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, num_channels=1,
    )  # fmt: skip
    with seeded(0, "test"):
        vit = ViTForImageClassification(config).eval()
    x = numbers(3, 1, 32, 32)
    torch.testing.assert_close(deploy(vit, expose="scores")(x), vit(x).logits.softmax(1))
    tokens = deploy(vit, expose="features", split="vit.layers.1")
    assert tokens(x).shape == (3, 5, 16)


def test_images_are_read_from_the_tokens_of_patches() -> None:
    from transformers import ViTConfig, ViTForImageClassification

    cohort = load_images(profile="smoke", patients=80, size=32)
    own, victims = cohort.auxiliary.x, cohort.victims.x
    config = ViTConfig(
        image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, num_channels=1,
    )  # fmt: skip
    with seeded(0, "test"):
        vit = ViTForImageClassification(config).eval()
    view = deploy(vit, expose="features", split="vit.layers.0")
    inverse = fit_inverse_network(view, own, profile="smoke")
    guess = inverse.guess(view.intercept(victims))
    errors = [float((one - victims).square().mean()) for one in (guess, own.mean(0, keepdim=True))]
    assert errors[0] < errors[1] / 4


# --- Training -------------------------------------------------------------------------------------


class Tied(nn.Module):
    """One convolution under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=4)
        self.backbone = nn.Sequential(self.conv, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.fc = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.backbone(x))


def test_one_tensor_under_two_names(pictures: Cohort) -> None:
    first = train_target(pictures, profile="smoke", model=made(Tied))
    again = train_target(pictures, profile="smoke", model=made(Tied))  # from the cache
    assert isinstance(again, Tied)
    assert again.conv.weight is again.backbone[0].weight
    assert first.conv.weight.equal(again.conv.weight)


def test_a_last_batch_of_one_row_under_batch_norm(records: Cohort) -> None:
    width, rows = records.members.x.shape[1], len(records.members)
    net = nn.Sequential(nn.Linear(width, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    train_target(records, model=net, recipe=Recipe(epochs=1, batch_size=rows - 1))


def test_layers_without_a_size(records: Cohort) -> None:
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    trained = train_target(records, profile="smoke", model=net, seed=3)
    again = train_target(records, profile="smoke", model=net, seed=3)
    assert trained[0].weight.equal(again[0].weight)


def test_a_model_whose_weights_are_all_frozen(records: Cohort) -> None:
    net = nn.Linear(records.members.x.shape[1], 3).requires_grad_(False)
    for train in (
        lambda: train_target(records, profile="smoke", model=net),
        lambda: train_privately(records, Privately(8.0, epochs=1), model=net, device="cpu"),
    ):
        with pytest.raises(ValueError, match="no weight of Linear can be trained"):
            train()


class Steps(nn.Module):
    """Starts from equal weights, answers alike, and is trained otherwise."""

    def __init__(self, width: int, *, detach: bool = False, at: float = 50.0) -> None:
        super().__init__()
        self.detach, self.at = detach, at
        self.front = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, 16), nn.ReLU())
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.front(x)
        return self.head(x.detach() if self.detach else x).clamp(-self.at, self.at)


def test_what_is_trained_otherwise_is_another_model(records: Cohort) -> None:
    def moved(freeze: bool = False, **options: Any) -> float:
        with seeded(0, "test"):
            net = Steps(records.members.x.shape[1], **options)
        net.front[1].weight.requires_grad_(not freeze)
        start = net.front[1].weight.detach().clone()
        recipe = Recipe(epochs=2, batch_size=32, exact=True)
        trained = train_target(records, recipe=recipe, model=net)
        return float((trained.front[1].weight.detach() - start).abs().max())

    assert moved() > 0
    assert moved(freeze=True) == 0
    assert moved(detach=True) == 0  # the first two are in the cache by now


@pytest.mark.slow
@pytest.mark.sampled(2, group="own networks")
def test_dp_sgd_of_a_resnet(pictures: Cohort) -> None:
    with seeded(0, "test"):
        net = resnet18(num_classes=2)
        net.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    how = Privately(8.0, epochs=1, batch_size=8)
    private = train_privately(pictures, how, model=net, device="cpu").model
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in private.modules())
    assert "layer1.0.conv1.weight" in private.state_dict()
    assert deploy(private, expose="scores")(pictures.victims.x).isfinite().all()


# --- Any network ----------------------------------------------------------------------------------


class Drawn(nn.Module):
    """A network of drawn parts: batch norm, dropout, in place, a skip, tied weights."""

    def __init__(self, width: int, norm: bool, drop: bool, inplace: bool, skip: bool, tied: bool):
        super().__init__()
        self.enter = nn.Linear(width, 6)
        self.norm = nn.BatchNorm1d(6) if norm else nn.Identity()
        self.drop = nn.Dropout(0.5 if drop else 0.0)
        self.relu = nn.ReLU(inplace=inplace)
        self.inner = nn.Linear(6, 6)
        self.again = self.inner if tied else nn.Linear(6, 6)
        self.leave = nn.Linear(6, 3)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.enter(x)))
        y = self.again(self.relu(self.inner(self.drop(x))))
        if self.skip:
            y += x
        return self.leave(y)


FLAGS = st.tuples(*[st.booleans()] * 5)
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])


@settings(max_examples=25, deadline=None)
@given(FLAGS, DTYPES, st.integers(1, 9))
def test_any_network_answers_as_its_plain_float32_self(
    flags: tuple[bool, ...], dtype: torch.dtype, rows: int
) -> None:
    """The error allowed is that of the precision: 2e-2 in half, else 1e-5."""
    x, model = numbers(rows, 5), made(Drawn, 5, *flags)
    expected = model(x.clone()).detach()
    near = 2e-2 if dtype in (torch.float16, torch.bfloat16) else 1e-5
    near = {"atol": near, "rtol": near}
    model = model.to(dtype)
    before = x.clone()
    torch.testing.assert_close(deploy(model, expose="scores")(x), expected.softmax(1), **near)
    torch.testing.assert_close(predict(model, x), expected, **near)
    view = deploy(model, expose="back", split="enter")
    torch.testing.assert_close(view.back()(view(x)), expected, **near)
    assert deploy(model, expose="label")(x).tolist() == predict(model, x).argmax(1).tolist()
    assert x.equal(before)


@settings(max_examples=5, deadline=None)
@given(FLAGS)
def test_any_network_is_trained_as_by_a_plain_loop(flags: tuple[bool, ...]) -> None:
    records = load_records(profile="smoke", patients=200)
    x, y = records.members.x, records.members.y
    # Dropout draws its own numbers, so that it is left out here.
    model = made(Drawn, x.shape[1], flags[0], False, *flags[2:])
    before = x.clone()
    recipe = Recipe(epochs=1, batch_size=len(x), learning_rate=1e-2, exact=True)
    trained = train_target(records, model=model, recipe=recipe, device="cpu")
    plain = made(Drawn, x.shape[1], flags[0], False, *flags[2:]).train()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.0)
    F.cross_entropy(plain(x.clone()), y).backward()
    optimizer.step()
    for found, weight in zip(trained.parameters(), plain.parameters(), strict=True):
        told = weight.grad.abs() > 1e-5  # Adam's first step goes by the sign alone
        torch.testing.assert_close(found[told], weight[told], atol=1e-4, rtol=1e-3)
    assert x.equal(before)


# --- Labels ---------------------------------------------------------------------------------------


def test_labels_of_any_kind_are_class_numbers() -> None:
    x, y = numbers(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    view = deploy(small(), expose="scores")
    expected = loss_attack(view, x, y)
    for same in (y.numpy(), y.float(), y[:, None], y.int(), y.tolist(), y.double().numpy()):
        assert loss_attack(view, x, same).equal(expected)
        part = Part(x, same, np.arange(6).astype(str), pd.DataFrame(index=range(6)))
        assert part.y.equal(y)
    for wrong, message in (
        (F.one_hot(y), "Of one-hot rows take"),
        (y / 4, "one class number a row"),
        (np.array(["a", "b", "c", "a", "b", "c"]), "numbers them"),
        (y[:5], "n labels from 0 to K - 1"),
        (y + 1, "n labels from 0 to K - 1"),
        (y - 1, "n labels from 0 to K - 1"),
    ):
        with pytest.raises(ValueError, match=message):
            loss_attack(view, x, wrong)


def test_scores_are_no_guess_of_membership() -> None:
    member, patient = np.array([True, False, True]), np.array(["a", "b", "c"])
    with pytest.raises(ValueError, match="compare them with a threshold"):
        advantage(np.array([0.2, 0.1, 0.9]), member, patient)
    with pytest.raises(ValueError, match="True or False"):
        advantage(member, np.array([0.2, 0.1, 0.9]), patient)
    assert advantage(np.array([1, 0, 1]), member, patient).value == 1
