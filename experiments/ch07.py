"""Sweeps of chapter 07: who holds one half of the network, and who asks for a patient by name."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, training
from medpriv.attacks.images.model_inversion import InverseNetwork
from medpriv.data.cohort import Cohort, Part
from medpriv.data.sources.phantoms import make_phantoms
from medpriv.runtime.profile import SEARCH_STEPS

SEEDS = (0, 1, 2)
HELD = 6  # own images, of three patients, that choose lambda: no inverse network has seen them
# For lambda, in units of the mean squared feature, which differs by a factor of 15 among networks.
RELATIVE_WEIGHTS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
ON = attacks.Search(120, learning_rate=0.03, dark=0.08)  # from the inverse network's guess


@dataclass(frozen=True)
class Armed:
    """What an attacker with the front has before he searches: ``weight`` is relative."""

    cohort: Cohort
    view: deployment.View
    inverse: InverseNetwork
    weight: float
    unit: float

    def find(self, victims: Part, start: Tensor | None, search: attacks.Search) -> Tensor:
        """The images of a search with his lambda for what passes by of the victims."""
        sent = self.view.intercept(victims.x)
        search = replace(search, tv_weight=self.weight * self.unit)
        options = {"shape": victims.x.shape[1:], "search": search, "start": start}
        return attacks.recover(self.view, sent, **options).images


@functools.cache
def armed(dataset: str, seed: int, split: str) -> Armed:
    """He fits an inverse network, and chooses lambda in searches that start at its guesses."""
    cohort, view = _deployed(dataset, seed, split, "weights")
    own = cohort.auxiliary.x
    inverse = attacks.fit_inverse_network(view, own[HELD:], seed=seed)
    known = own[:HELD]
    seen = view(known)
    unit = float(seen.square().mean())
    weight, _ = attacks.choose_tv_weight(
        view, known, weights=[unit * one for one in RELATIVE_WEIGHTS],
        search=replace(ON, steps=60), start=inverse.guess(seen),
    )  # fmt: skip
    return Armed(cohort, view, inverse, weight / unit, unit)


def search_cell(dataset: str, seed: int, split: str, start: str, steps: int) -> dict[str, Any]:
    """One cell of ``07-search``: what a search with the weights recovers, by start and length.

    It starts at the ``mean`` image or at the guess of an ``inverse`` network, fitted on the front's
    own answers; after 0 steps it has the start. SSIM over the whole image and ``inside`` the
    breast, the mean over the first victims; ``low`` and ``high`` are the interval of the latter
    over patients. ``other`` and ``inside_other`` are those of the closest image of somebody else,
    ``left`` the share of the squared features that it misses, ``weight`` lambda over the mean
    squared feature.
    """
    he = armed(dataset, seed, split)
    own, victims = he.cohort.auxiliary.x, he.cohort.victims.take(slice(0, 16))
    sent = he.view.intercept(victims.x)
    guess = he.inverse.guess(sent) if start == "inverse" else own.mean(0, keepdim=True)
    if steps:
        how = ON if start == "inverse" else attacks.Search(steps)
        guess = he.find(victims, guess, replace(how, steps=steps))
    guess = guess.expand_as(victims.x)
    found, other = (
        metrics.image_scores(victims.x, one, victims.mask)
        for one in (guess, metrics.nearest_image(victims.x, own))
    )
    inside = metrics.mean_estimate(found.ssim_inside, victims.patient)
    left = (training.predict(he.view.weights(), guess) - sent).square().mean() / he.unit
    return {
        "ssim": found.ssim.mean(),
        "inside": inside.value,
        "low": inside.low,
        "high": inside.high,
        "mse": found.mse.mean(),
        "left": float(left),
        "other": other.ssim.mean(),
        "inside_other": other.ssim_inside.mean(),
        "weight": he.weight,
    }


def back_cell(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """One cell of ``07-attacks``: what an attacker recovers who holds the back, and cannot ask.

    SSIM, the mean over the first victims: ``traffic`` without a query; ``labels`` the same as
    published, without a look at the traffic.
    """
    cohort, partner = _deployed(dataset, seed, split, "back")
    own, victims = cohort.auxiliary, cohort.victims.take(slice(0, 16))
    mean, shape, sent = own.x.mean(0, keepdim=True), own.x.shape[1:], partner.intercept(victims.x)
    passed = partner.intercept(cohort.victims.x)
    found = {}
    for name, traffic in (("traffic", 10.0), ("labels", 0.0)):
        shadow = attacks.fit_shadow_front(partner, passed, own.x, own.y, traffic=traffic, seed=seed)
        weight, _ = attacks.choose_tv_weight(
            shadow.front, own.x[:6], search=attacks.Search(100), start=mean
        )
        search = attacks.Search(SEARCH_STEPS.of("quick"), tv_weight=weight)
        guess = attacks.recover(shadow.front, sent, shape=shape, search=search, start=mean).images
        found[name] = metrics.ssim(victims.x, guess).mean()
    return found


def _deployed(dataset: str, seed: int, split: str, expose: str) -> tuple[Cohort, deployment.View]:
    cohort = data.load_images(dataset, seed=seed)
    model = training.train_target(cohort, seed=seed)
    return cohort, deployment.deploy(model, expose=expose, split=split)


def people_cell(seed: int, model: str, attack: str) -> dict[str, Any]:
    """One cell of ``07-people``: a recogniser of phantom patients, and whom its classes give away.

    The attack ``2015`` is MI-Face from the weights and the mean image; ``scores`` the same from
    scores alone; ``modern`` is :func:`medpriv.attacks.invert_classes` from the weights.

    The columns: ``accuracy`` of the recogniser on the patients' other breasts, ``score``, the mean
    probability of the classes for what was found, its ``ssim`` with the patients' images, and
    ``rank1``, the share of them found through their other breast, by a matcher that saw neither.
    """
    people = data.load_images("phantom", seed=seed)
    two = metrics.pairs(people.members)
    first, second = two.first[:60], two.second[:60]
    lefts = people.auxiliary.attributes["laterality"].to_numpy() == "left"
    mean = people.auxiliary.x[torch.from_numpy(lefts)].mean(0)
    own, other = people.members.x[first], people.members.x[second]
    name = people.members.patient[first]
    recogniser = training.train_recogniser(own, kind=model, seed=seed)
    view = deployment.deploy(recogniser, expose="scores" if attack == "scores" else "weights")
    shape, classes = own.shape[1:], range(len(own))
    if attack == "modern":
        guess = attacks.invert_classes(view, classes, shape=shape, restarts=1, tv=10.0, seed=seed)
    else:
        options = {"start": mean, "seed": seed, "probe": attacks.Probe(directions=20)}
        guess = attacks.mi_face(view, classes, shape=shape, steps=150, **options)
    made = make_phantoms(4000, seed=seed + 1000, size=own.shape[-1])
    originals = torch.from_numpy(made.images)[:, None]
    matcher = metrics.fit_matcher(originals, made.patient, seed=seed)
    found = metrics.reidentification(matcher, guess.images, name, other, name)
    answers = training.predict(recogniser, other.flip(-1)).argmax(1)
    return {
        "accuracy": (answers == torch.arange(len(own))).float().mean().item(),
        "score": guess.scores.mean().item(),
        "ssim": metrics.ssim(own, guess.images).mean(),
        "rank1": found.rank1.value,
        "auc": found.auc.value,
        "chance": found.chance,
        "queries": guess.queries,
    }


EVERYBODY = {"dataset": ["phantom", "mias"], "seed": SEEDS}
TABLES = {
    "07-attacks": Table(back_cell, EVERYBODY | {"split": ["conv2", "conv4", "conv6"]}),
    "07-search": Table(
        search_cell,
        [
            EVERYBODY | {"split": [split], "start": [start], "steps": steps}
            for split, start, steps in (
                ("conv6", "inverse", [0, 30, 60, 120]),
                ("conv6", "mean", [120]),
                ("conv6", "inverse", [240]),
                ("conv6", "mean", [0, 60, 300]),
            )
        ],
    ),
    "07-people": Table(
        people_cell,
        [
            {"model": [model], "attack": ["2015", "modern", "scores"], "seed": SEEDS}
            for model in ("linear", "mlp", "cnn")
        ],
    ),
}
