"""Sweeps of chapters 04 and 05: what an attacker gains with more records or reports of his own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from medpriv import attacks, data, deployment, metrics, training
from medpriv.evaluation.attack_catalog.reports import FACT_PENALTY
from medpriv.models import build_target

ATTRIBUTES = {
    "warfarin": ("vkorc1",),
    "cardio": ("gender", "cholesterol", "smoke", "alco"),
}
RECORDS = (50, 500, 5_000)
REPORTS = (100, 300, 900)
STEP = 0.01  # what one digit is worth in a score that is printed with two


def attribute_cell(dataset: str, attribute: str, seed: int, records: int) -> dict[str, Any]:
    """One cell of ``04-auxiliary``: Matthews' correlation of guesses about the victims.

    The columns: ``imputation`` without the model, ``balanced`` the same naming the value whose
    probability rose most over its share, ``imputation_y`` with the true outcome; ``outcome`` the
    model's confidence in the true outcome, times the imputation; ``answer`` the API's answer
    about the patient, ``scores`` its scores with two digits, both times the imputation;
    ``neurons`` the white box, times the imputation.

    Args:
        dataset: whose patients.
        attribute: what is guessed.
        seed: of everything.
        records: how many auxiliary records the attacker owns.
    """
    cohort = data.load_records(dataset, seed=seed)
    model = training.train_target(cohort, seed=seed)
    own, victims = cohort.auxiliary.first_patients(records), cohort.victims
    wanted = attacks.sensitive(cohort.columns, attribute)
    view = deployment.deploy(model, expose="scores")
    grid = attacks.ask_candidates(view, victims.x, wanted)
    said = view.intercept(victims.x)

    def imputed(with_y: bool) -> Tensor:
        y = (own.y, victims.y) if with_y else (None, None)
        made = attacks.fit_imputer(cohort.columns, wanted, own.x, y[0], seed=seed)
        return made.guess(victims.x, y[1])

    prior = imputed(with_y=False)
    same = torch.eye(len(cohort.classes))
    printed = (said / STEP).round() * STEP
    neurons = attacks.fit_neurons(deployment.deploy(model, expose="weights"), own.x, wanted)
    found = {
        "imputation": prior,
        "balanced": prior / attacks.marginal_prior(own.x, wanted),
        "imputation_y": imputed(with_y=True),
        "outcome": attacks.confidence_posterior(grid, victims.y, prior),
        "answer": attacks.map_posterior(grid, said.argmax(1), same, prior),
        "scores": attacks.agreement_posterior(grid, printed, prior, tolerance=STEP / 2),
        "neurons": neurons.guess(victims.x, prior),
    }
    truth = wanted.truth(victims.x).numpy()
    return {name: mcc_of(posterior, truth, victims.patient) for name, posterior in found.items()}


def mcc_of(posterior: Tensor, truth: np.ndarray, patient: np.ndarray) -> float:
    """Matthews' correlation of the likeliest candidates, ``(n, V)``, with the true ones."""
    guess = posterior.argmax(1).numpy()
    return metrics.attribute_scores(truth, guess, patient, posterior.shape[1]).mcc.value


def attribute_settings() -> list[dict[str, Any]]:
    """The settings of ``04-auxiliary``."""
    return [
        {"dataset": dataset, "attribute": attribute, "seed": seed, "records": records}
        for dataset, attributes in ATTRIBUTES.items()
        for attribute in attributes
        for seed in (0, 1, 2)
        for records in RECORDS
    ]


def fact_cell(dataset: str, seed: int, reports: int) -> dict[str, Any]:
    """One cell of ``05-auxiliary``: AUC of facts read from embeddings, the mean over facts.

    The columns: ``embedding`` the attack; ``cooccurrence`` each fact from all other facts of the
    patient, and age and sex where they are known, without an embedding; ``facts`` how many were
    averaged. A fact that none or all of the victims have is left out.

    Args:
        dataset: whose reports.
        seed: of everything.
        reports: how many auxiliary reports the attacker owns.
    """
    cohort = data.load_reports(dataset, seed=seed)
    view = deployment.deploy(build_target(cohort), expose="embedding")
    own = cohort.auxiliary.first_patients(reports)
    known = torch.tensor(data.report_facts(cohort, own).to_numpy())
    truth = data.report_facts(cohort, cohort.victims).to_numpy()
    guesses = {
        "embedding": attacks.fit_fact_reader(
            view(own.x), known, penalty=FACT_PENALTY
        ).guess(view.intercept(cohort.victims.x)),
        "cooccurrence": attacks.fit_cooccurrence(
            known, data.age_and_sex(own), penalty=1.0
        ).guess(torch.cat([torch.tensor(truth), data.age_and_sex(cohort.victims)], dim=1)),
    }
    return {
        name: metrics.auc(truth, guess.numpy(), cohort.victims.patient).value
        for name, guess in guesses.items()
    } | {"facts": int((truth.any(0) & ~truth.all(0)).sum())}


def fact_settings() -> list[dict[str, Any]]:
    """The settings of ``05-auxiliary``."""
    return [
        {"dataset": dataset, "seed": seed, "reports": reports}
        for dataset in ("synthetic", "openi")
        for seed in (0, 1, 2)
        for reports in REPORTS
    ]
