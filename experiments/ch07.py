"""Sweeps of chapter 07: who holds one half of the network, and who asks for a patient by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, training
from medpriv.data.cohort import Cohort
from medpriv.data.sources.phantoms import make_phantoms
from medpriv.metrics.images import mse
from medpriv.runtime.profile import SEARCH_STEPS

SEEDS = (0, 1, 2)


def stronger_cell(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """One cell of ``07-attacks``: what attackers who hold one half of the network recover."""
    return from_the_front(dataset, seed, split) | from_the_back(dataset, seed, split)


def from_the_front(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """The columns of ``07-attacks`` about attackers who hold the front.

    SSIM, the mean over the first victims: ``search`` with the weights of the front, from the mean
    image; ``grey`` from grey, as published; ``restarts``, the best of three starts; ``learned``
    the inverse network, fitted on the front's own answers; ``both``, a search that starts there.
    ``mse_learned`` and ``mse_both`` are the squared errors of these two, ``weight`` that of the
    prior.
    """
    cohort, white = _deployed(dataset, seed, split, "weights")
    own, victims = cohort.auxiliary, cohort.victims.take(slice(0, 16))
    mean, shape, sent = own.x.mean(0, keepdim=True), own.x.shape[1:], white.intercept(victims.x)
    weight, _ = attacks.choose_tv_weight(white, own.x[:6], search=attacks.Search(100), start=mean)
    search = attacks.Search(SEARCH_STEPS.of("quick"), tv_weight=weight)
    fine = attacks.Search(60, learning_rate=0.01, tv_weight=0.01)

    def found(how: attacks.Search, start: Tensor | None) -> Tensor:
        options = {"shape": shape, "search": how, "start": start, "seed": seed}
        return attacks.recover(white, sent, **options).images

    guesses = {
        "search": found(search, mean),
        "grey": found(search, None),
        "restarts": found(replace(search, restarts=3), mean),
        "learned": attacks.fit_inverse_network(white, own.x, seed=seed).guess(sent),
    }
    guesses["both"] = found(fine, guesses["learned"])
    ssim = {name: metrics.ssim(victims.x, guess).mean() for name, guess in guesses.items()}
    errors = {f"mse_{n}": mse(victims.x, guesses[n]).mean() for n in ("learned", "both")}
    return {"weight": weight, **ssim, **errors}


def from_the_back(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """The columns of ``07-attacks`` about attackers who hold the back, and cannot ask.

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


TABLES = {
    "07-attacks": Table(
        stronger_cell,
        {"dataset": ["phantom", "mias"], "seed": SEEDS, "split": ["conv2", "conv4", "conv6"]},
    ),
    "07-people": Table(
        people_cell,
        [
            {"model": [model], "attack": ["2015", "modern", "scores"], "seed": SEEDS}
            for model in ("linear", "mlp", "cnn")
        ],
    ),
}
