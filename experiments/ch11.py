"""Sweeps of chapter 11: what is left in features and embeddings behind each defense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, models, training
from medpriv.attacks.images.model_inversion import InverseNetwork
from medpriv.data.cohort import Cohort
from medpriv.defenses import (
    dropped,
    further_recipe,
    learn_noise,
    noised,
    rounded,
    train_adversarially,
    train_no_peek,
)
from medpriv.defenses.adapters import train_adapter
from medpriv.defenses.compression import projected
from medpriv.deployment import ViewDefense
from medpriv.evaluation.attack_catalog.reports import from_other_facts
from medpriv.runtime.cache import remembered
from medpriv.runtime.seeds import seeded
from medpriv.training.loop import fit

IMAGE_DEFENSES = (
    "nothing", "noise 1", "dropout 0.5", "4 bits", "2 bits", "one shift", "learned 1", "learned 3",
    "NoPeek 10", "opponent 10",
)  # fmt: skip
OTHERS = ("noise 0.5", "dropout 0.9", "NoPeek 1", "opponent 1")  # other strengths
DEEP = ("nothing", "noise 1", "NoPeek 10", "opponent 10")  # at the other splits
REPORT_DEFENSES = (
    "nothing", "noise 0.05", "noise 0.1", "dropout 0.5", "4 bits", "64 dimensions", "learned 1",
    "learned 3", "adapter 0", "NoPeek 1", "opponent 1", "opponent 10",
)  # fmt: skip
TENSORS = 16  # in a collection of learned noise
TIMES = 16  # answers that are averaged
QUERIES = 1_080  # images sent to fit an inverse
QUERIES_AVERAGED = 270  # of which each is sent so many times
STEPS = 270  # of each inverse
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


def images_cell(dataset: str, seed: int, split: str, defense: str) -> dict[str, Any]:
    """One cell of ``11-images``: inverse networks at a split behind one defense.

    ``auc`` and ``accuracy`` are those of the back half on what the view answers about the test
    patients. SSIM, the mean over victims: ``naive``, an inverse fitted on the undefended front;
    ``adaptive`` through the defense, with its interval ``low`` to ``high``; ``averaged`` on the
    means of 16 answers to each of fewer images, where answers differ; ``opponent`` of the decoder
    that an adversarial training had; ``mean_image`` and ``black`` without the model.
    ``dependence`` is the U-centred distance correlation of victims' images and features. All
    inverses are trained for as long, about a quarter of chapter 06's quick training.
    """
    cohort = data.load_images(dataset, seed=seed)
    target = training.train_target(cohort, seed=seed)
    victims, own = cohort.victims, cohort.auxiliary.x
    served, kept, opponent = _defended(cohort, target, seed, split, defense)
    view = deployment.deploy(served, expose="features", split=split, defenses=kept)
    sent = view.intercept(victims.x)
    through = _fit(view, own, seed)
    worth = training.utility(
        models.back(served, split), replace(cohort.test, x=view(cohort.test.x)), draws=50
    )
    guesses = {
        "naive": _naive(dataset, seed, split).guess(sent),
        "adaptive": through.guess(sent),
        "mean_image": own.mean(0, keepdim=True).expand_as(victims.x),
        "black": torch.zeros_like(victims.x),
    }
    if not torch.equal(view.intercept(victims.x[:4]), view.intercept(victims.x[:4])):
        often = attacks.averaged(view, TIMES)
        fitted = _fit(often, own, seed, QUERIES_AVERAGED)
        guesses["averaged"] = fitted.guess(often.intercept(victims.x))
    if opponent is not None:
        guesses["opponent"] = opponent.guess(sent)
    ssim = {name: metrics.ssim(victims.x, guess) for name, guess in guesses.items()}
    estimate = metrics.mean_estimate(ssim["adaptive"], victims.patient)
    row = {"auc": worth.auc.value, "accuracy": worth.accuracy.value, "majority": worth.majority}
    for name in ("naive", "adaptive", "averaged", "opponent", "mean_image", "black"):
        row[name] = ssim[name].mean() if name in ssim else float("nan")
    dependence = models.distance_correlation(victims.x, sent)
    return {**row, "low": estimate.low, "high": estimate.high, "dependence": float(dependence)}


def _defended(
    cohort: Cohort, target: nn.Module, seed: int, split: str, defense: str
) -> tuple[nn.Module, list[ViewDefense], Any]:
    """The model that is served, the defenses of its answers, and the opponent of its training."""
    kind, _, strength = defense.partition(" ")
    how = {"seed": seed, "model": target, "recipe": further_recipe("quick", len(cohort.members))}
    if kind == "NoPeek":
        return train_no_peek(cohort, split, float(strength), **how), [], None
    if kind == "opponent":
        found = train_adversarially(cohort, split, float(strength), **how)
        return found.model, [], found
    if kind in ("one", "learned"):
        scale, tensors = (1.0, 1) if kind == "one" else (float(strength), TENSORS)
        plain = deployment.deploy(target, expose="features", split=split)
        noise = learn_noise(
            models.back(target, split), plain(cohort.members.x), cohort.members.y, scale=scale,
            tensors=tensors, seed=seed,
        )  # fmt: skip
        return target, [noise.defense(seed=seed)], None
    one = drawn(defense)
    return target, [] if one is None else [one], None


def _fit(view: deployment.View, own: Tensor, seed: int, queries: int = QUERIES) -> InverseNetwork:
    recipe = training.Recipe.of_steps(STEPS, queries, batch_size=8)
    some = own[:queries]
    return attacks.fit_inverse_network(view, some, seed=seed, queries=queries, recipe=recipe)


@remembered(1)
def _naive(dataset: str, seed: int, split: str) -> InverseNetwork:
    cohort = data.load_images(dataset, seed=seed)
    target = training.train_target(cohort, seed=seed)
    plain = deployment.deploy(target, expose="features", split=split)
    return _fit(plain, cohort.auxiliary.x, seed)


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
    "11-images": Table(
        images_cell,
        [
            {"seed": [seed], "dataset": [dataset], "split": [split], "defense": defenses}
            for seed in (0, 1, 2)
            for dataset, split, defenses in (
                ("phantom", "conv4", IMAGE_DEFENSES + OTHERS),
                ("mias", "conv4", IMAGE_DEFENSES),
                ("phantom", "conv2", DEEP),
                ("phantom", "conv6", DEEP),
            )
        ],
    ),
    "11-reports": Table(
        reports_cell,
        {"dataset": ["synthetic", "openi"], "defense": REPORT_DEFENSES, "seed": [0, 1, 2]},
    ),
}
