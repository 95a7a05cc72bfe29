"""Sweeps of chapter 10: noise on the weights and training with noise, against their attackers."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, training
from medpriv.attacks.images.model_inversion import InverseNetwork
from medpriv.attacks.records.candidate_values import Sensitive
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
from medpriv.evaluation.attack_catalog.records import imputed
from medpriv.evaluation.attacks import attackers
from medpriv.evaluation.membership import People, members_and_others, trained_on_few

SPLITS = ["conv2", "conv4", "conv6"]
# Standard deviations: those of Wu et al. 2020, by a public summary, and in units of each tensor's
# own spread.
NOISES = (
    {"sigma": [0.02], "relative": [False]},
    {"sigma": [0.05], "relative": [False]},
    {"sigma": [0.3], "relative": [True]},
)
TIMES = 16
SEEDS = [0, 1, 2]
#: How long the inverse networks are trained: half of what chapter 06 does.
STEPS = 500
MEMBERS = 300
#: What is guessed.
SECRETS = {"warfarin": "vkorc1", "cardio": "cholesterol"}


def noise_cell(dataset: str, seed: int, split: str, sigma: float, relative: bool) -> dict[str, Any]:
    """One cell of ``10-noise``: what noise on the parameters leaves of the inverse network.

    The columns are SSIM, means over victims. ``undefended``. Noise drawn once: ``naive`` (inverse
    fitted without the noise), ``adaptive`` (through the deployed model), with its interval ``low``
    to ``high``. Drawn for each query: ``fresh_naive``, ``fresh`` (adaptive), and ``averaged`` over
    16 answers, of auxiliary images and victims alike. ``mean_image`` is the guess without a model.
    Then utility, as AUC and accuracy: ``auc`` and ``accuracy`` of the model as trained,
    ``auc_once`` and ``auc_fresh``, and so on. ``sigma`` is the noise's standard deviation, where
    ``relative`` in units of each tensor's own.
    """
    cohort = data.load_images(dataset, seed=seed)
    model = training.train_target(cohort, seed=seed)
    own, victims = cohort.auxiliary.x, cohort.victims

    def served(*defenses: Defense) -> deployment.View:
        return deployment.deploy(model, expose="back", split=split, defenses=defenses)

    @cache
    def inverse(view: deployment.View) -> InverseNetwork:
        images, queries = (own[:250], 250) if view is often else (own, max(len(own), 1_000))
        recipe = training.Recipe.of_steps(STEPS, queries, batch_size=8)
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
        # What the partner's answers are worth: the back, on the features that it gets.
        answered = replace(cohort.test, x=view.intercept(cohort.test.x))
        scores |= _worth(view.back(), answered, name)
    return scores


def _worth(model: nn.Module, part: Part, name: str = "") -> dict[str, float]:
    worth = training.utility(model, part)
    return {f"auc{name}": worth.auc.value, f"accuracy{name}": worth.accuracy.value}


def _trained(cohort: Cohort, epsilon: float, batch_size: int, seed: int) -> tuple[nn.Module, float]:
    """A target, trained with DP-SGD where epsilon is finite, and the epsilon spent."""
    if math.isinf(epsilon):
        return training.train_target(cohort, seed=seed), math.inf
    private = train_privately(cohort, Privately(epsilon, batch_size=batch_size), seed=seed)
    return private.model, private.epsilon


def private_images_cell(dataset: str, seed: int, epsilon: float) -> dict[str, Any]:
    """One cell of ``10-images``: a network trained with DP-SGD, and its victims at inference.

    The columns are SSIM of the inverse network at each split, the mean image's, and the network's
    AUC and accuracy. The victims were never in the training, so its promise is not about them.
    """
    cohort = data.load_images(dataset, seed=seed)
    own, victims = cohort.auxiliary.x, cohort.victims
    model, _ = _trained(cohort, epsilon, 128, seed)
    recipe = training.Recipe.of_steps(STEPS, max(len(own), 2_000), batch_size=8)
    scores = {"mean_image": metrics.ssim(victims.x, own.mean(0, True).expand_as(victims.x)).mean()}
    for split in SPLITS:
        view = deployment.deploy(model, expose="features", split=split)
        inverse = attacks.fit_inverse_network(view, own, seed=seed, recipe=recipe)
        guess = inverse.guess(view.intercept(victims.x))
        scores[split] = metrics.ssim(victims.x, guess).mean()
    return scores | _worth(model, cohort.test)


def members_cell(dataset: str, seed: int, epsilon: float) -> dict[str, Any]:
    """One cell of ``10-members``: 300 members, trained too long or with DP-SGD, and who knows them.

    Advantages: ``loss`` (threshold chosen on shadow models) and ``shadows`` (learned from them),
    each for the naive attacker, whose shadow models were trained without DP-SGD, and the adaptive
    one. ``lira`` is the share of members found at a false positive rate of 5 %. ``audit`` is the
    lower bound on epsilon from the adaptive loss attack, ``spent`` the accountant's. ``attribute``
    is the advantage of the attribute attack by confidence. Then test ``accuracy`` and ``auc``.
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

        shadows = attacks.membership.train_shadows(own, x, ask, models=8, seed=seed)
        scores, labels, inside = shadows.rows()
        margin = -attacks.membership.losses(scores, labels).numpy()
        threshold = attacks.membership.best_threshold(margin, inside.numpy())
        guesses = {
            "loss": attacks.membership.loss_attack(view, x, y).numpy() >= threshold,
            "shadows": attacks.membership.shadow_attack(view, x, y, shadows).numpy() > 0,
        }
        for what, guess in guesses.items():
            found = metrics.advantage(guess, people.member, who, draws=100)
            row[f"{what}{name}"] = found.value
        ranks = attacks.membership.lira_attack(view, x, y, shadows).numpy()
        found = metrics.rate_at(ranks, people.member, who, false=0.05, draws=100)
        row[f"lira{name}"] = found.value
    delta = 1 / (10 * MEMBERS)
    row["audit"] = metrics.epsilon_bound(guesses["loss"], people.member, delta=delta)
    wanted = attacks.sensitive(cohort.columns, SECRETS[dataset])
    row["attribute"] = _attribute_advantage(cohort, wanted, own, view, people, seed)
    return row | _worth(target, cohort.test)


def _attribute_advantage(
    cohort: Cohort, wanted: Sensitive, own: Part, view: deployment.View, people: People, seed: int
) -> float:
    """How much oftener the attribute is guessed of members than of others: Yeom et al. 2018."""
    part, prior = people.part, imputed(cohort, wanted, own, people.part, seed)
    grid = attacks.ask_candidates(view, part.x, wanted)
    guess = attacks.confidence_posterior(grid, part.y, prior).argmax(1)
    right = (guess == wanted.truth(part.x)).numpy()
    return metrics.advantage(right, people.member, part.patient, draws=100).value


def answers_cell(dataset: str, seed: int, epsilon: float) -> dict[str, Any]:
    """One cell of ``10-answers``: a model of all members, and the letter about somebody else.

    Matthews' correlations over the victims, who are in no training: ``imputation`` without the
    model, ``letter`` from the label that the model gave about the patient, ``scores`` from its
    scores with two digits. Then test ``accuracy`` and ``auc``, and the epsilon ``spent``.
    """
    cohort = data.load_records(dataset, seed=seed)
    own, victims = cohort.auxiliary.take(slice(5_000)), cohort.victims
    model, spent = _trained(cohort, epsilon, 256, seed)
    wanted = attacks.sensitive(cohort.columns, SECRETS[dataset])
    truth = wanted.truth(victims.x)
    prior = imputed(cohort, wanted, own, victims, seed)
    view = deployment.deploy(model, expose="scores", defenses=[fewer_digits(2)])
    grid, said = attacks.ask_candidates(view, victims.x, wanted), view.intercept(victims.x)
    labels, letter = grid.argmax(-1), said.argmax(1)
    same = torch.eye(len(cohort.classes))
    guesses = {
        "imputation": prior,
        "letter": attacks.map_posterior(labels, letter, same, prior),
        "scores": attacks.agreement_posterior(grid, said, prior),
    }
    found = {name: mcc(guess, truth, victims.patient).value for name, guess in guesses.items()}
    return found | _worth(model, cohort.test) | {"spent": spent}


TABLES = {
    "10-noise": Table(
        noise_cell,
        [
            noise | {"dataset": [dataset], "seed": SEEDS, "split": SPLITS}
            for dataset in ("phantom", "mias")
            for noise in NOISES
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
