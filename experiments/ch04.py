"""Sweep of chapter 04: what an attacker gains with more records of his own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from experiments.recording import Table
from medpriv import attacks, data, deployment, training
from medpriv.evaluation.attack_catalog.answers import mcc
from medpriv.evaluation.attack_catalog.records import SENSITIVE

STEP = 0.01  # what one digit is worth in a score that is printed with two


def attribute_cell(dataset: str, attribute: str, seed: int, records: int) -> dict[str, Any]:
    """One cell of ``04-auxiliary``: Matthews' correlation of guesses about the victims.

    The columns: ``imputation`` without the model, ``balanced`` the same naming the value whose
    probability rose most over its share, ``imputation_y`` with the true outcome; ``outcome`` the
    model's confidence in the true outcome, times the imputation; ``answer`` the API's answer
    about the patient, ``scores`` its scores with two digits, both times the imputation;
    ``neurons`` the white box, times the imputation. The attacker owns so many ``records``.
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
    truth = wanted.truth(victims.x)
    return {name: mcc(guess, truth, victims.patient).value for name, guess in found.items()}


TABLES = {
    "04-auxiliary": Table(
        attribute_cell,
        [
            {
                "dataset": [dataset],
                "attribute": SENSITIVE[dataset],
                "records": [50, 500, 5_000],
                "seed": [0, 1, 2],
            }
            for dataset in ("warfarin", "cardio")
        ],
    )
}
