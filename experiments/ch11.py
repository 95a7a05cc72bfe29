"""Sweeps of chapter 11: what is left in features and embeddings behind each defense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, models, training
from medpriv.data.cohort import Cohort
from medpriv.defenses import (
    dropped,
    learn_noise,
    noised,
    rounded,
)
from medpriv.defenses.adapters import train_adapter
from medpriv.defenses.compression import projected
from medpriv.deployment import ViewDefense
from medpriv.evaluation.attack_catalog.reports import from_other_facts
from medpriv.runtime.cache import remembered
from medpriv.runtime.seeds import seeded
from medpriv.training.loop import fit

REPORT_DEFENSES = (
    "nothing", "noise 0.05", "noise 0.1", "dropout 0.5", "4 bits", "64 dimensions", "learned 1",
    "learned 3", "adapter 0", "NoPeek 1", "opponent 1", "opponent 10",
)  # fmt: skip
TENSORS = 16  # in a collection of learned noise
TIMES = 16  # answers that are averaged
OWN = 600  # reports of the attacker


def drawn(defense: str, unit: float | None = None) -> ViewDefense | None:
    """The defense of that name, where it needs no training; noise without a unit is relative."""
    kind, _, strength = defense.partition(" ")
    if kind == "noise":
        return noised(float(strength), relative=unit is None)
    if kind == "dropout":
        return dropped(float(strength))
    if strength == "bits":
        return rounded(int(kind))
    return projected(int(kind)) if strength == "dimensions" else None


def reports_cell(dataset: str, seed: int, defense: str) -> dict[str, Any]:
    """One cell of ``11-reports``: facts read from the embeddings of reports behind one defense.

    AUC, the mean over facts: ``naive``, a probe fitted on embeddings as they are; ``adaptive``
    through the defense; ``averaged`` on the means of 16 answers, where answers differ;
    ``cooccurrence`` from the patient's other facts. ``use`` is the AUC of the task on the test
    patients, by the head that the service has. Where the width changes there is no naive attacker,
    and the head is fitted anew.
    """
    cohort, rows, head = _embedded(dataset, seed)
    facts = {name: data.report_facts(cohort, part) for name, part in cohort.parts().items()}
    own = cohort.auxiliary.first_patients(OWN)
    known = torch.tensor(facts["auxiliary"].iloc[: len(own)].to_numpy())
    secret = torch.tensor(facts["members"].to_numpy())
    kept, served = _kept(cohort, rows, head, secret, seed, defense)
    truth, patient = facts["victims"].to_numpy(), cohort.victims.patient

    def told(times: int, naive: bool = False) -> float:
        """AUC of facts from the mean of so many answers."""
        seen = {
            name: torch.stack([kept(rows[name]) for _ in range(times)]).mean(0)
            for name in ("auxiliary", "victims")
        }
        learn = rows["auxiliary"] if naive else seen["auxiliary"]
        reader = attacks.fit_fact_reader(learn, known)
        guess = reader.guess(seen["victims"])
        return metrics.auc(truth, guess.numpy(), patient).value

    again = from_other_facts(cohort, own, cohort.victims)
    test, nan = kept(rows["test"]), float("nan")
    random = not torch.equal(kept(rows["test"][:4]), kept(rows["test"][:4]))
    return {
        "use": training.utility(served, replace(cohort.test, x=test), draws=50).auc.value,
        "naive": told(1, naive=True) if test.shape == rows["test"].shape else nan,
        "adaptive": told(1),
        "averaged": told(TIMES) if random else nan,
        "cooccurrence": metrics.auc(truth, again.numpy(), patient).value,
    }


def _kept(
    cohort: Cohort, rows: dict[str, Tensor], head: nn.Module, facts: Tensor, seed: int,
    defense: str,
) -> tuple[Any, nn.Module]:  # fmt: skip
    """How embeddings are changed, and the head that then reads them."""
    kind, _, strength = defense.partition(" ")
    y = cohort.members.y
    if kind in ("adapter", "NoPeek", "opponent"):
        secret = facts if kind == "opponent" else None
        found = train_adapter(rows["members"], y, float(strength), secret=secret, seed=seed)
        return found.defense().apply(lambda x: x), found.head
    if kind == "learned":
        noise = learn_noise(
            head, rows["members"], y, scale=float(strength), tensors=TENSORS, seed=seed
        )
        return noise.defense(seed=seed).apply(lambda x: x), head
    one = drawn(defense, unit=1.0)
    if one is None:
        return lambda x: x, head
    kept = one.apply(lambda x: x)
    if kept(rows["test"][:1]).shape[1] == rows["test"].shape[1]:
        return kept, head
    return kept, _head(cohort, kept(rows["members"]), seed)


@remembered(3)  # the seeds of a data set
def _embedded(dataset: str, seed: int) -> tuple[Cohort, dict[str, Tensor], nn.Module]:
    """A cohort of reports, the embeddings of its parts, and the head of its target model."""
    cohort = data.load_reports(dataset, seed=seed)
    view = deployment.deploy(models.build_target(cohort, seed=seed), expose="embedding")
    rows = {
        name: view(part.first_patients(OWN).x if name == "auxiliary" else part.x)
        for name, part in cohort.parts().items()
    }
    return cohort, rows, _head(cohort, rows["members"], seed)


def _head(cohort: Cohort, rows: Tensor, seed: int) -> nn.Module:
    """A head trained like a target model's, on rows of any width."""
    with seeded(seed, "head"):
        head = nn.Sequential(
            nn.Linear(rows.shape[1], 128), nn.ReLU(), nn.Linear(128, len(cohort.classes))
        )
    fit(
        head, rows, cohort.members.y, loss=nn.functional.cross_entropy,
        recipe=training.target_recipe(cohort, "quick"), seed=seed, what="head",
    )  # fmt: skip
    return head


TABLES = {
    "11-reports": Table(
        reports_cell,
        {"dataset": ["synthetic", "openi"], "defense": REPORT_DEFENSES, "seed": [0, 1, 2]},
    ),
}
