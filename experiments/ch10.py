"""Sweeps of chapter 10: noise on the weights and training with noise, against their attackers."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, training
from medpriv.attacks.images.inverse_network import InverseNetwork
from medpriv.data.cohort import Cohort, Part
from medpriv.defenses import (
    Privately,
    fewer_digits,
    fresh_parameters,
    noisy_parameters,
    train_privately,
)
from medpriv.deployment.service import Defense
from medpriv.evaluation.attack_catalog.answers import mcc
from medpriv.evaluation.attack_catalog.records import SENSITIVE
from medpriv.evaluation.attacks import attackers
from medpriv.evaluation.membership import People, members_and_others, trained_on_few

SPLITS = ["conv2", "conv4", "conv6"]
# Standard deviations: as in Wu et al. 2020, and in units of each tensor's own spread.
NOISES = ((0.02, False), (0.05, False), (0.3, True))
TIMES = 16
SEEDS = [0, 1, 2]
#: How long the inverse networks are trained: half of what chapter 06 does.
STEPS = 500
MEMBERS = 300
#: What is guessed: of cardio the second, cholesterol.
SECRETS = {"warfarin": SENSITIVE["warfarin"][0], "cardio": SENSITIVE["cardio"][1]}


def noise_cell(dataset: str, seed: int, split: str, sigma: float, relative: bool) -> dict[str, Any]:
    """One cell of ``10-noise``: what noise on the parameters leaves of the inverse network.

    The columns are SSIM, means over victims. ``undefended``. Noise drawn once: ``naive`` (inverse
    fitted without the noise), ``adaptive`` (through the deployed model), with its interval ``low``
    to ``high``. Drawn for each query: ``fresh_naive``, ``fresh`` (adaptive), and ``averaged`` over
    16 answers, of auxiliary images and victims alike. ``mean_image`` is the guess without a model.
    Then utility, as AUC and accuracy: ``auc`` and ``accuracy`` of the model as trained,
    ``auc_once`` and ``auc_fresh``, and so on.

    Args:
        dataset: whose patients.
        seed: of everything.
        split: the split layer.
        sigma: standard deviation of the noise.
        relative: in units of each tensor's own standard deviation.
    """
    cohort = data.load_images(dataset, seed=seed)
    model = training.train_target(cohort, seed=seed)
    own, victims = cohort.auxiliary.x, cohort.victims

    def served(*defenses: Defense) -> deployment.View:
        return deployment.deploy(model, expose="back", split=split, defenses=defenses)

    @cache
    def inverse(view: deployment.View) -> InverseNetwork:
        images, queries = (own[:250], 250) if view is often else (own, max(len(own), 1_000))
        recipe = training.Recipe(max(1, round(STEPS * 8 / queries)), batch_size=8)
        return attacks.fit_inverse_network(view, images, seed=seed, queries=queries, recipe=recipe)

    def ssim(fitted_on: deployment.View, used_on: deployment.View) -> np.ndarray:
        guess = inverse(fitted_on).guess(used_on.intercept(victims.x))
        return metrics.ssim(victims.x, guess)

    clean = served()
    once = served(noisy_parameters(sigma, relative=relative, seed=seed))
    fresh = served(fresh_parameters(sigma, relative=relative, seed=seed))
    often = attacks.averaged(fresh, TIMES)
    of_once = attackers(ssim, lambda: once, plain=clean)
    of_fresh = attackers(ssim, lambda: fresh, plain=clean, often=often)
    adaptive = metrics.mean_estimate(of_once["adaptive"], victims.patient)
    mean = own.mean(0, keepdim=True).expand_as(victims.x)
    scores = {
        "undefended": ssim(clean, clean).mean(),
        "naive": of_once["naive"].mean(),
        "adaptive": adaptive.value,
        "low": adaptive.low,
        "high": adaptive.high,
        "fresh_naive": of_fresh["naive"].mean(),
        "fresh": of_fresh["adaptive"].mean(),
        "averaged": of_fresh["averaged"].mean(),
        "mean_image": metrics.ssim(victims.x, mean).mean(),
    }
    for name, view in (("", clean), ("_once", once), ("_fresh", fresh)):
        worth = worth_behind(view, cohort.test)
        scores |= {f"auc{name}": worth.auc.value, f"accuracy{name}": worth.accuracy.value}
    return scores


def worth_behind(view: deployment.View, part: Part) -> training.Utility:
    """What the partner's answers are worth: the back of a split model, on the features it gets.

    Args:
        view: exposes ``back``.
        part: the patients asked about.
    """
    return training.utility(view.back(), replace(part, x=view.intercept(part.x)))


def private_images_cell(dataset: str, seed: int, epsilon: float) -> dict[str, Any]:
    """One cell of ``10-images``: a network trained with DP-SGD, and its victims at inference.

    The columns are SSIM of the inverse network at each split, the mean image's, and the network's
    AUC and accuracy. The victims were never in the training, so its promise is not about them.

    Args:
        dataset: whose patients.
        seed: of everything.
        epsilon: of the training; infinite without DP-SGD.
    """
    cohort = data.load_images(dataset, seed=seed)
    own, victims = cohort.auxiliary.x, cohort.victims
    model = (
        training.train_target(cohort, seed=seed)
        if math.isinf(epsilon)
        else train_privately(cohort, Privately(epsilon, batch_size=128), seed=seed).model
    )
    recipe = training.Recipe(max(1, round(STEPS * 8 / max(len(own), 2_000))), batch_size=8)
    scores = {"mean_image": metrics.ssim(victims.x, own.mean(0, True).expand_as(victims.x)).mean()}
    for split in SPLITS:
        view = deployment.deploy(model, expose="features", split=split)
        inverse = attacks.fit_inverse_network(view, own, seed=seed, recipe=recipe)
        guess = inverse.guess(view.intercept(victims.x))
        scores[split] = metrics.ssim(victims.x, guess).mean()
    worth = training.utility(model, cohort.test)
    return scores | {"auc": worth.auc.value, "accuracy": worth.accuracy.value}


def members_cell(dataset: str, seed: int, epsilon: float) -> dict[str, Any]:
    """One cell of ``10-members``: 300 members, trained too long or with DP-SGD, and who knows them.

    Advantages: ``loss`` (threshold chosen on shadow models) and ``shadows`` (learned from them),
    each for the naive attacker, whose shadow models were trained without DP-SGD, and the adaptive
    one. ``lira`` is the share of members found at a false positive rate of 5 %. ``audit`` is the
    lower bound on epsilon from the adaptive loss attack, ``spent`` the accountant's. ``attribute``
    is the advantage of the attribute attack by confidence. Then test ``accuracy`` and ``auc``.

    Args:
        dataset: whose patients.
        seed: of everything.
        epsilon: of the training; infinite without DP-SGD.
    """
    cohort = data.load_records(dataset, seed=seed)
    people, own = members_and_others(cohort, MEMBERS), cohort.auxiliary.first_patients(2 * MEMBERS)
    x, y, who = people.part.x, people.part.y, people.part.patient
    few = cohort.members.first_patients(MEMBERS)
    target, spent = trained_on_few(cohort, few, epsilon, seed=seed)
    view = deployment.deploy(target, expose="scores")
    row: dict[str, Any] = {"spent": spent}
    for name, knows in (("_naive", math.inf), ("", epsilon)):

        def ask(part: Part, number: int, knows: float = knows) -> deployment.View:
            model, _ = trained_on_few(cohort, part, knows, seed=number)
            return deployment.deploy(model, expose="scores")

        shadows = attacks.train_shadows(own, x, ask, models=8, seed=seed)
        scores, labels, inside = shadows.rows()
        margin = -attacks.losses(scores, labels).numpy()
        threshold = attacks.best_threshold(margin, inside.numpy())
        guesses = {
            "loss": attacks.loss_attack(view, x, y).numpy() >= threshold,
            "shadows": attacks.shadow_attack(view, x, y, shadows).numpy() > 0,
        }
        for what, guess in guesses.items():
            found = metrics.advantage(guess, people.member, who, draws=100)
            row[f"{what}{name}"] = found.value
        ranks = attacks.lira_attack(view, x, y, shadows).numpy()
        found = metrics.rate_at(ranks, people.member, who, false=0.05, draws=100)
        row[f"lira{name}"] = found.value
    delta = 1 / (10 * MEMBERS)
    row["audit"] = metrics.epsilon_bound(guesses["loss"], people.member, delta=delta)
    worth = training.utility(target, cohort.test)
    return {
        **row,
        "attribute": _attribute_advantage(cohort, SECRETS[dataset], own, view, people, seed),
        "accuracy": worth.accuracy.value,
        "auc": worth.auc.value,
    }


def _attribute_advantage(
    cohort: Cohort,
    secret: str,
    own: Part,
    view: deployment.View,
    people: People,
    seed: int,
) -> float:
    """How much oftener the attribute is guessed of members than of others: Yeom et al. 2018."""
    wanted, part = attacks.sensitive(cohort.columns, secret), people.part
    prior = attacks.fit_imputer(cohort.columns, wanted, own.x, family="logistic", seed=seed).guess(
        part.x
    )
    grid = attacks.ask_candidates(view, part.x, wanted)
    guess = attacks.confidence_posterior(grid, part.y, prior).argmax(1)
    right = (guess == wanted.truth(part.x)).numpy()
    return metrics.advantage(right, people.member, part.patient, draws=100).value


def answers_cell(dataset: str, seed: int, epsilon: float) -> dict[str, Any]:
    """One cell of ``10-answers``: a model of all members, and the letter about somebody else.

    Matthews' correlations over the victims, who are in no training: ``imputation`` without the
    model, ``letter`` from the label that the model gave about the patient, ``scores`` from its
    scores with two digits. Then test ``accuracy`` and ``auc``, and the epsilon ``spent``.

    Args:
        dataset: whose patients.
        seed: of everything.
        epsilon: of the training; infinite without DP-SGD.
    """
    cohort = data.load_records(dataset, seed=seed)
    own, victims = cohort.auxiliary.take(slice(5_000)), cohort.victims
    model, spent = training.train_target(cohort, seed=seed), math.inf
    if math.isfinite(epsilon):
        private = train_privately(cohort, Privately(epsilon, batch_size=256), seed=seed)
        model, spent = private.model, private.epsilon
    wanted = attacks.sensitive(cohort.columns, SECRETS[dataset])
    truth = wanted.truth(victims.x)
    prior = attacks.fit_imputer(cohort.columns, wanted, own.x, family="logistic", seed=seed).guess(
        victims.x
    )
    view = deployment.deploy(model, expose="scores", defenses=[fewer_digits(2)])
    grid, said = attacks.ask_candidates(view, victims.x, wanted), view.intercept(victims.x)
    labels, letter = grid.argmax(-1), said.argmax(1)
    same = torch.eye(len(cohort.classes))
    guesses = {
        "imputation": prior,
        "letter": attacks.map_posterior(labels, letter, same, prior),
        "scores": attacks.agreement_posterior(grid, said, prior),
    }
    worth = training.utility(model, cohort.test)
    return {
        **{name: mcc(guess, truth, victims.patient).value for name, guess in guesses.items()},
        "accuracy": worth.accuracy.value,
        "auc": worth.auc.value,
        "spent": spent,
    }


TABLES = {
    "10-noise": Table(
        noise_cell,
        [
            {
                "dataset": [dataset],
                "sigma": [sigma],
                "relative": [relative],
                "seed": SEEDS,
                "split": SPLITS,
            }
            for dataset in ("phantom", "mias")
            for sigma, relative in NOISES
        ],
    ),
    "10-members": Table(
        members_cell,
        {"dataset": list(SECRETS), "epsilon": [math.inf, 8.0, 3.0, 1.0], "seed": SEEDS},
    ),
    "10-answers": Table(
        answers_cell, {"dataset": list(SECRETS), "epsilon": [math.inf, 8.0, 3.0], "seed": SEEDS}
    ),
    "10-images": Table(
        private_images_cell,
        {"dataset": ["phantom", "mias"], "epsilon": [math.inf, 3.0], "seed": SEEDS},
    ),
}
