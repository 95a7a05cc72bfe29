"""The attacks on images beside their peers, in one run: seconds, strength, ratios, memory.

Each function returns rows for the table of ``run.py``. Both sides of a row use the same target,
view, auxiliary images and victims; a peer's hyper-parameters are those of its paper or package.
"""

from __future__ import annotations

import numpy as np
import torch
from timing import against_bare, peaks, timed
from torch import Tensor
from torch.nn import functional as F

from he2019 import fit_reference
from medpriv import attacks, data, deployment, metrics, training
from medpriv.data.cohort import Cohort
from medpriv.models import PixelShuffleDecoder
from medpriv.models.images import ImageCNN
from medpriv.models.losses import structural_loss
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe

SPLITS = ("conv2", "conv4", "conv6")
LENGTHS = (50, 100, 200, 400, 800, 1600)  # steps of our inverse, for time to reach a score


def phantoms() -> tuple[Cohort, torch.nn.Module]:
    """The cohort and target of the chapters."""
    cohort = data.load_images("phantom", seed=0)
    return cohort, training.train_target(cohort, seed=0, device="cpu")


def inverse_network() -> list[dict[str, object]]:
    """Time to the reference's SSIM, and SSIM in the reference's time, at each split."""
    cohort, target = phantoms()
    rows = []
    for split in SPLITS:
        view = deployment.deploy(target, expose="features", split=split)
        own, victims = cohort.auxiliary.x, cohort.victims.x
        sent = view.intercept(victims)
        peer, decoder = timed(lambda view=view, own=own: fit_reference(view, own))
        theirs = _ssim(victims, training.predict(decoder, sent).clamp(0, 1))
        reached, within = None, (0.0, 0.0)
        for steps in LENGTHS:
            recipe = Recipe(max(1, round(steps * 8 / len(own))), batch_size=8)
            seconds, inverse = timed(
                lambda view=view, own=own, recipe=recipe: attacks.fit_inverse_network(
                    view, own, queries=len(own), recipe=recipe, device="cpu"
                )
            )
            ours = _ssim(victims, inverse.guess(sent))
            if reached is None and ours >= theirs:
                reached = seconds
            if seconds <= peer:
                within = max(within, (ours, seconds))
        rows.append(
            {
                "what": f"inverse network at {split}, to the same SSIM",
                "ours": reached if reached is not None else float("nan"),
                "peer": peer,
                "is": f"He et al. 2019, SSIM {theirs:.3f}; ours in its time {within[0]:.3f}",
            }
        )
    return rows


def _ssim(truth: Tensor, guess: Tensor) -> float:
    return float(metrics.ssim(truth, guess).mean())


def recovery() -> list[dict[str, object]]:
    """Thirty-two victims in one batch against one at a time, with the same search."""
    cohort, target = phantoms()
    victims = cohort.victims.x[:32]
    view = deployment.deploy(target, expose="weights", split="conv2")
    sent, shape = view.intercept(victims), victims.shape[1:]
    search = attacks.Search(100)

    def together() -> Tensor:
        return attacks.recover(view, sent, shape=shape, search=search, device="cpu").images

    def one_by_one() -> Tensor:
        single = [
            attacks.recover(view, row[None], shape=shape, search=search, device="cpu").images
            for row in sent
        ]
        return torch.cat(single)

    ours, batch = timed(together)
    peer, alone = timed(one_by_one)
    scores = f"SSIM {_ssim(victims, batch):.3f} and {_ssim(victims, alone):.3f}"
    row = {"what": "recovery of 32 victims", "ours": ours, "peer": peer}
    return [row | {"is": f"one at a time, {scores}"}]


def overhead() -> list[dict[str, object]]:
    """The attack's training loop against the bare passes and steps on the same tensors."""
    images = torch.rand(1024, 1, 64, 64, generator=torch_rng(0, "bench"))
    with seeded(0, "bench"):
        view = deployment.deploy(ImageCNN(), expose="features", split="conv4")
    features = view(images)

    def loss(guess: Tensor, truth: Tensor) -> Tensor:
        return F.mse_loss(guess, truth) + 0.05 * structural_loss(guess, truth)

    def fresh() -> torch.nn.Module:
        with seeded(0, "bench"):
            return PixelShuffleDecoder(features, channels=1, size=64)

    first, second = against_bare(fresh, features, images, loss, batch_size=8)
    return [
        {"what": "training loop of the attack", "ours": first, "peer": second,
         "is": "the bare passes and steps"}
    ]  # fmt: skip


def memory() -> list[dict[str, object]]:
    """Peak memory of recovering 100, 1,000 and 10,000 victims."""
    return peaks("guesses for {} victims", _recover_many, (100, 1_000, 10_000))


def _recover_many(number: int) -> tuple[float, float]:
    from medpriv.runtime.memory import peak_bytes

    with seeded(0, "bench"):
        target = ImageCNN()
    view = deployment.deploy(target, expose="features", split="conv4")
    images = torch.rand(64, 1, 64, 64, generator=torch_rng(0, "bench"))
    recipe = Recipe(1, batch_size=8)
    inverse = attacks.fit_inverse_network(view, images, queries=64, recipe=recipe, device="cpu")
    sent = view.intercept(images).repeat(-(-number // 64), 1, 1, 1)[:number]
    seconds, guess = timed(lambda: inverse.guess(sent))
    held = sent.nbytes + 2 * guess.nbytes  # the result, and the result clamped
    return seconds, (peak_bytes() - held) / 2**20


def class_inversion() -> list[dict[str, object]]:
    """The modern form against ART's MIFace, one start for each class of the same classifier.

    ART reads the classifier's outputs as probabilities: on logits it would give up a class whose
    first logit is below 0.01. Its step and window are its defaults; 10,000 steps are too, and are
    always all taken, since it goes on where a cost is small.
    """
    cohort, target = phantoms()
    shape = tuple(cohort.auxiliary.x.shape[1:])
    classes = list(range(len(cohort.classes)))
    means = torch.stack([cohort.members.x[cohort.members.y == label].mean(0) for label in classes])
    view = deployment.deploy(target, expose="weights")

    def ours() -> Tensor:
        found = attacks.invert_classes(view, classes, shape=shape, restarts=1, device="cpu")
        return found.images

    def score(images: Tensor) -> str:
        return (
            f"p {_probability(view, images, classes):.3f}, SSIM to the class mean "
            f"{_ssim(means, images):.3f}"
        )

    rows = []
    for steps in (500, 10_000):
        peer, guessed = timed(lambda steps=steps: _mi_face_of_art(target, classes, shape, steps))
        seconds, found = timed(ours)
        row = {"what": "class inversion, both classes", "ours": seconds, "peer": peer}
        named = f"ART's MIFace, {steps:,} steps"
        rows.append(row | {"is": f"{named}; ours {score(found)}, its {score(guessed)}"})
    return rows


def _mi_face_of_art(
    target: torch.nn.Module, classes: list[int], shape: tuple[int, ...], steps: int
) -> Tensor:
    art = _art()
    classifier = art.PyTorchClassifier(
        model=torch.nn.Sequential(target, torch.nn.Softmax(dim=1)),
        loss=torch.nn.NLLLoss(),  # it must be given one; the attack does not use it
        input_shape=shape,
        nb_classes=len(classes),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    attack = art.MIFace(classifier, max_iter=steps, verbose=False)
    start = np.zeros((len(classes), *shape), dtype=np.float32)
    return torch.from_numpy(attack.infer(start, y=np.array(classes))).clamp(0, 1)


def _probability(view: deployment.View, images: Tensor, classes: list[int]) -> float:
    return float(view(images.float())[range(len(classes)), classes].mean())


def _art():
    """ART's two classes; it is needed by the benchmark only, and `make bench` installs it."""
    from types import SimpleNamespace

    from art.attacks.inference.model_inversion import MIFace
    from art.estimators.classification import PyTorchClassifier

    return SimpleNamespace(MIFace=MIFace, PyTorchClassifier=PyTorchClassifier)


PARTS = (inverse_network, recovery, class_inversion, overhead, memory)
