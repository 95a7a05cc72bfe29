"""Sweeps of chapter 09: what a coin on each answer leaves to attackers who know of it or do not."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from experiments.recording import Table
from medpriv import attacks, data, deployment, training
from medpriv.defenses import randomised_response, response_matrix
from medpriv.evaluation import Case
from medpriv.evaluation.attack_catalog import records, reports
from medpriv.evaluation.attack_catalog.answers import mcc

TIMES = 33
KEY = b"kept by the service"


def flips_cell(dataset: str, attribute: str, seed: int, flips: float) -> dict[str, Any]:
    """One cell of ``09-flips``: an attribute guessed through labels of which some are flipped.

    Accuracies: ``test`` of the answers; ``paper`` of an attack that does not adapt, from the true
    outcome, with shares of values and an error model from before the defense; ``common`` of
    the most common value. MCCs: ``imputation``; from the true outcome ``outcome`` (error model
    from before) and ``outcome_adaptive`` (measured through the defense); from one answer about the
    patient ``naive``, ``adaptive`` (each answer by itself), ``together`` (all answers weighed
    together), ``averaged`` over 33 answers, ``remembered`` with one key for everybody, and ``own``
    with coins of each client's own. ``flips`` is the chance of another label.
    """
    case = Case(data.load_records(dataset, seed=seed), seed)
    cohort, classes = case.cohort, len(case.cohort.classes)
    model = training.train_target(cohort, seed=seed)
    wanted, own, victims = records.parts(case, attribute)
    share, prior = attacks.marginal_prior(own.x, wanted), records.prior(case, attribute)
    served = partial(_served, model, classes, flips, seed)
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
    truth = wanted.truth(victims.x)

    def scored(posterior: Tensor) -> float:
        return mcc(posterior, truth, victims.patient).value

    def asked(view: deployment.View) -> Tensor:
        return attacks.ask_candidates(view, victims.x, wanted)

    paper = attacks.map_posterior(grid, victims.y, before, share).argmax(1)
    patterns = attacks.fit_patterns(attacks.ask_candidates(served(), own.x, wanted), once)
    return {
        "test": float((fresh(cohort.test.x) == cohort.test.y).double().mean()),
        "paper": float((paper == truth).double().mean()),
        "common": float((truth == int(share.argmax())).double().mean()),
        "imputation": scored(prior),
        "outcome": scored(attacks.map_posterior(grid, victims.y, before, prior)),
        "outcome_adaptive": scored(attacks.map_posterior(grid, victims.y, through, prior)),
        "naive": scored(attacks.map_posterior(grid, letter, same, prior)),
        "adaptive": scored(attacks.map_posterior(grid, letter, twice, prior)),
        "together": scored(attacks.pattern_posterior(grid, letter, once, patterns, prior)),
        "averaged": scored(attacks.map_posterior(asked(often), letter, once, prior)),
        "remembered": scored(attacks.map_posterior(asked(clinic), remembered, same, prior)),
        "own": scored(attacks.map_posterior(asked(other), remembered, twice, prior)),
    }


def terms_cell(dataset: str, seed: int, flips: float) -> dict[str, Any]:
    """One cell of ``09-terms``: a blacked-out term of a report, guessed through flipped labels.

    The columns are MCCs: ``imputation`` from the words around the gap; from one answer about the
    report ``naive``, ``adaptive`` and ``remembered`` with one key for everybody. ``flips`` is the
    chance of another label.
    """
    case = Case(data.load_reports(dataset, seed=seed), seed)
    model, classes = training.train_target(case.cohort, seed=seed), len(case.cohort.classes)
    terms, hidden, about, prior = reports.gaps(case)
    served = partial(_served, model, classes, flips, seed)

    def scored(posterior: Tensor) -> float:
        return mcc(posterior, hidden.truth, about.patient).value

    fresh, remembering, same = served(), served(key=KEY), torch.eye(classes)
    once = response_matrix(flips, classes)
    letter, grid = fresh.intercept(about.x), attacks.ask_terms(fresh, hidden.texts, terms)
    return {
        "imputation": scored(prior),
        "naive": scored(attacks.map_posterior(grid, letter, same, prior)),
        "adaptive": scored(attacks.map_posterior(grid, letter, once @ once, prior)),
        "remembered": scored(
            attacks.map_posterior(
                attacks.ask_terms(remembering, hidden.texts, terms),
                remembering.intercept(about.x), same, prior,
            )
        ),
    }  # fmt: skip


def _served(
    model: nn.Module, classes: int, flips: float, seed: int, **coins: Any
) -> deployment.View:
    coin = randomised_response(flips, classes, seed=seed, **coins)
    return deployment.deploy(model, expose="label", defenses=[coin] if flips else [])


TABLES = {
    "09-flips": Table(
        flips_cell,
        [
            {
                "dataset": [dataset],
                "attribute": attributes,
                "flips": [0.0, 0.05, 0.1, 0.2, 0.3, 0.4],
                "seed": [0, 1, 2],
            }
            for dataset, attributes in {
                "warfarin": ["vkorc1"],
                "cardio": ["gender", "cholesterol"],
            }.items()
        ],
    ),
    "09-terms": Table(
        terms_cell, {"dataset": list(reports.TERMS), "flips": [0.0, 0.2, 0.4], "seed": [0, 1, 2]}
    ),
}
