"""Sweep of chapter 05: what an attacker gains with more reports of his own."""

from __future__ import annotations

from typing import Any

import torch

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics
from medpriv.evaluation.attack_catalog.reports import from_other_facts
from medpriv.models import build_target
from medpriv.models.probes import FACT_PENALTY


def fact_cell(dataset: str, seed: int, reports: int) -> dict[str, Any]:
    """One cell of ``05-auxiliary``: AUC of facts read from embeddings, the mean over facts.

    The columns: ``embedding`` the attack; ``cooccurrence`` each fact from all other facts of the
    patient, and age and sex where they are known, without an embedding; ``facts`` how many were
    averaged. A fact that none or all of the victims have is left out. The attacker owns so many
    ``reports``.
    """
    cohort = data.load_reports(dataset, seed=seed)
    view = deployment.deploy(build_target(cohort), expose="embedding")
    own = cohort.auxiliary.first_patients(reports)
    known = torch.tensor(data.report_facts(cohort, own).to_numpy())
    truth = data.report_facts(cohort, cohort.victims).to_numpy()
    guesses = {
        "embedding": attacks.fit_fact_reader(view(own.x), known, penalty=FACT_PENALTY).guess(
            view.intercept(cohort.victims.x)
        ),
        "cooccurrence": from_other_facts(cohort, own, cohort.victims),
    }
    return {
        name: metrics.auc(truth, guess.numpy(), cohort.victims.patient).value
        for name, guess in guesses.items()
    } | {"facts": int((truth.any(0) & ~truth.all(0)).sum())}


TABLES = {
    "05-auxiliary": Table(
        fact_cell,
        {"dataset": ["synthetic", "openi"], "reports": [100, 300, 900], "seed": [0, 1, 2]},
    )
}
