"""Sweeps of chapter 09: what a coin on each answer leaves to attackers who know of it or do not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from experiments.ch04_ch05 import mcc_of
from medpriv import attacks, data, deployment, training
from medpriv.defenses import randomised_response, response_matrix
from medpriv.evaluation.attack_catalog.reports import TERMS

FLIPS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
ATTRIBUTES = {"warfarin": ("vkorc1",), "cardio": ("gender", "cholesterol")}
TERM_FLIPS = (0.0, 0.2, 0.4)
TIMES = 33
KEY = b"kept by the service"


def flips_cell(dataset: str, attribute: str, seed: int, flips: float) -> dict[str, Any]:
    """One cell of ``09-flips``: an attribute guessed through labels of which some are flipped.

    Accuracies: ``test`` of the answers; ``paper`` of the attack as Wu et al. 2020 have it, from the
    true outcome, with shares of values and an error model from before the defense; ``common`` of
    the most common value. MCCs: ``imputation``; from the true outcome ``outcome`` (error model
    from before) and ``outcome_adaptive`` (measured through the defense); from one answer about the
    patient ``naive``, ``adaptive`` (each answer by itself), ``together`` (all answers weighed
    together), ``averaged`` over 33 answers, ``remembered`` with one key for everybody, and ``own``
    with coins of each client's own.

    Args:
        dataset: whose patients.
        attribute: what is guessed.
        seed: of everything.
        flips: the chance of another label.
    """
    cohort = data.load_records(dataset, seed=seed)
    model, classes = training.train_target(cohort, seed=seed), len(cohort.classes)
    own, victims = cohort.auxiliary.take(slice(5_000)), cohort.victims.take(slice(2_000))
    wanted = attacks.sensitive(cohort.columns, attribute)
    share = attacks.marginal_prior(own.x, wanted)
    prior = attacks.fit_imputer(
        cohort.columns, wanted, own.x, family="logistic", seed=seed
    ).guess(victims.x)

    def served(**coins: Any) -> deployment.View:
        coin = randomised_response(flips, classes, seed=seed, **coins)
        return deployment.deploy(model, expose="label", defenses=[coin] if flips else [])

    plain, fresh = deployment.deploy(model, expose="label"), served()
    often = attacks.averaged(fresh, TIMES)
    letter = fresh.intercept(victims.x)
    grid = attacks.ask_candidates(fresh, victims.x, wanted)
    before = attacks.confusion(own.y, plain(own.x), classes)
    through = attacks.confusion(own.y, fresh(own.x), classes)
    same, once = torch.eye(classes), response_matrix(flips, classes)
    twice = once @ once  # the letter's coin, and that of the answer
    clinic, other = (served(key=KEY, client=name) for name in ("clinic", "attacker"))
    remembered = clinic.intercept(victims.x)
    truth = wanted.truth(victims.x).numpy()

    def mcc(posterior: Tensor) -> float:
        return mcc_of(posterior, truth, victims.patient)

    def asked(view: deployment.View) -> Tensor:
        return attacks.ask_candidates(view, victims.x, wanted)

    paper = attacks.map_posterior(grid, victims.y, before, share).argmax(1).numpy()
    patterns = attacks.fit_patterns(attacks.ask_candidates(served(), own.x, wanted), once)
    return {
        "test": float((fresh(cohort.test.x) == cohort.test.y).double().mean()),
        "paper": float((paper == truth).mean()),
        "common": float((truth == int(share.argmax())).mean()),
        "imputation": mcc(prior),
        "outcome": mcc(attacks.map_posterior(grid, victims.y, before, prior)),
        "outcome_adaptive": mcc(attacks.map_posterior(grid, victims.y, through, prior)),
        "naive": mcc(attacks.map_posterior(grid, letter, same, prior)),
        "adaptive": mcc(attacks.map_posterior(grid, letter, twice, prior)),
        "together": mcc(attacks.pattern_posterior(grid, letter, once, patterns, prior)),
        "averaged": mcc(attacks.map_posterior(asked(often), letter, once, prior)),
        "remembered": mcc(attacks.map_posterior(asked(clinic), remembered, same, prior)),
        "own": mcc(attacks.map_posterior(asked(other), remembered, twice, prior)),
    }


def flips_settings() -> list[dict[str, Any]]:
    """The settings of ``09-flips``."""
    return [
        {"dataset": dataset, "attribute": attribute, "seed": seed, "flips": flips}
        for dataset, attributes in ATTRIBUTES.items()
        for attribute in attributes
        for seed in (0, 1, 2)
        for flips in FLIPS
    ]


def terms_cell(dataset: str, seed: int, flips: float) -> dict[str, Any]:
    """One cell of ``09-terms``: a blacked-out term of a report, guessed through flipped labels.

    The columns are MCCs: ``imputation`` from the words around the gap; from one answer about the
    report ``naive``, ``adaptive`` and ``remembered`` with one key for everybody.

    Args:
        dataset: whose reports.
        seed: of everything.
        flips: the chance of another label.
    """
    cohort, terms = data.load_reports(dataset, seed=seed), TERMS[dataset]
    model, classes = training.train_target(cohort, seed=seed), len(cohort.classes)
    own, some = cohort.auxiliary.first_patients(600), cohort.victims.first_patients(150)
    hidden = attacks.mask_terms(some.x, terms)
    about, truth = some.take(hidden.rows), hidden.truth.numpy()
    known = attacks.mask_terms(own.x, terms)
    prior = attacks.fit_term_imputer(known, len(terms)).guess(hidden.texts)

    def served(**coins: Any) -> deployment.View:
        coin = randomised_response(flips, classes, seed=seed, **coins)
        return deployment.deploy(model, expose="label", defenses=[coin] if flips else [])

    def mcc(posterior: Tensor) -> float:
        return mcc_of(posterior, truth, about.patient)

    fresh, remembering, same = served(), served(key=KEY), torch.eye(classes)
    once = response_matrix(flips, classes)
    letter, grid = fresh.intercept(about.x), attacks.ask_terms(fresh, hidden.texts, terms)
    return {
        "imputation": mcc(prior),
        "naive": mcc(attacks.map_posterior(grid, letter, same, prior)),
        "adaptive": mcc(attacks.map_posterior(grid, letter, once @ once, prior)),
        "remembered": mcc(
            attacks.map_posterior(
                attacks.ask_terms(remembering, hidden.texts, terms),
                remembering.intercept(about.x), same, prior,
            )
        ),
    }  # fmt: skip


def terms_settings() -> list[dict[str, Any]]:
    """The settings of ``09-terms``."""
    return [
        {"dataset": dataset, "seed": seed, "flips": flips}
        for dataset in TERMS
        for seed in (0, 1, 2)
        for flips in TERM_FLIPS
    ]
