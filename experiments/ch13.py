"""Sweeps of chapter 13: who leaks, whether to other attacks too, and what helps them.

Each cell trains many models on random halves of a pool of patients. A patient's exposure to an
attack is the AUC of what the attack gives of her, over models that had her against models that had
not. Tails are chosen on one half of the models and judged on the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.recording import Table
from medpriv import attacks, data, deployment, training
from medpriv.attacks.membership import true_margin
from medpriv.attacks.records.candidate_values import Sensitive
from medpriv.data.cohort import Cohort, Part
from medpriv.defenses import Privately, train_privately
from medpriv.evaluation.attack_catalog.records import imputed
from medpriv.metrics.exposure import exposed_if_shuffled, exposed_tail
from medpriv.metrics.per_patient import halves_of, model_auc, patient_auc
from medpriv.metrics.risk_comparison import rank_correlation, tail_overlap
from medpriv.training.many_models import ManyModels

MODELS = 200
POOL = {"warfarin": 600, "cardio": 2_000}
USUAL = training.Recipe(40, batch_size=128, weight_decay=1e-3, exact=True)
#: What is guessed of a record.
SECRETS = {"warfarin": "vkorc1", "cardio": "gender"}
SEX = {"warfarin": "sex", "cardio": "gender"}
SHUFFLES = 20
TAIL = 0.05
SEEDS = list(range(10))

Scores = NDArray[np.float64]


def records_cell(dataset: str, seed: int) -> dict[str, Any]:
    """One cell of ``13-records``: membership and an attribute of the same patients.

    The columns: ``inside`` and ``outside``, the accuracy on patients who were in the training and
    on the others; those of :func:`tail_of` for membership; ``gap_class`` and ``gap_sex``, by how
    much the mean AUC of patients of the last class, and of women, is above that of the others;
    ``imputation``, how often the attribute is guessed right without a model; and of two attacks on
    it those of :func:`beside`: from the confidence in the true outcome, and, with ``units_`` before
    them, from hidden units, which reads neither the outcome nor any answer.
    """
    cohort = data.load_records(dataset, seed=seed)
    pool = cohort.members.first_patients(POOL[dataset])
    inside = training.halves(pool.patient, MODELS, seed=seed)
    models = training.train_many(cohort, pool, inside, recipe=USUAL, seed=seed)
    scores = models.scores(pool.x)
    member = margins(scores, pool.y)
    wanted = attacks.sensitive(cohort.columns, SECRETS[dataset])
    truth = wanted.truth(pool.x)
    prior = imputed(cohort, wanted, cohort.auxiliary, pool, seed)
    without = (prior.argmax(1) == truth).numpy()
    by_confidence = from_confidence(models, pool, wanted, prior)
    by_units = from_units(models, cohort.auxiliary, pool, wanted, prior)
    right = (scores.argmax(2) == pool.y).numpy()
    return {
        "inside": right[inside].mean(),
        "outside": right[~inside].mean(),
        **tail_of(member, inside, seed),
        "gap_class": gap(member, inside, last_class(cohort, pool)),
        "gap_sex": gap(member, inside, _women(cohort, pool)),
        "imputation": without.mean(),
        **beside(member, by_confidence, truth, without, inside, seed),
        **{
            f"units_{name}": value
            for name, value in beside(member, by_units, truth, without, inside, seed).items()
        },
    }


def beside(
    member: Scores, posterior: Tensor, truth: Tensor, without: NDArray, inside: NDArray, seed: int
) -> dict[str, float]:
    """An attack on an attribute beside membership inference.

    The columns: those of :func:`tail_of`, with ``attribute_`` before them, where the statistic is
    what the attack says of the patient's true value; ``right_in`` and ``right_out``, how often it
    guesses right; those of :func:`together`; and ``tail_right``, ``rest_right``, how much oftener
    than by imputation it guesses right of those whom membership's tail holds, and of the others.
    """
    hit = (posterior.argmax(2) == truth).numpy()
    told = posterior.gather(2, truth.expand(len(posterior), -1)[..., None])[..., 0].numpy()
    tail = exposed_tail(member, inside, share=TAIL, seed=seed)
    gain = hit[tail.models].mean(0) - without
    rest = np.setdiff1d(np.arange(len(truth)), tail.chosen)
    return {
        **{f"attribute_{name}": value for name, value in tail_of(told, inside, seed).items()},
        "right_in": hit[inside].mean(),
        "right_out": hit[~inside].mean(),
        **together(member, told, inside, seed),
        "tail_right": gain[tail.chosen].mean(),
        "rest_right": gain[rest].mean(),
    }


def gap(score: Scores, inside: NDArray, group: NDArray[np.bool_]) -> float:
    """By how much the mean AUC of a group of patients is above that of the others."""
    each = patient_auc(score, inside)
    return float(each[group].mean() - each[~group].mean())


def last_class(cohort: Cohort, part: Part) -> NDArray[np.bool_]:
    """Whose class is the last: the high dose, the disease, the finding."""
    return part.y.numpy() == len(cohort.classes) - 1


def _women(cohort: Cohort, pool: Part) -> NDArray[np.bool_]:
    sex = attacks.sensitive(cohort.columns, SEX[cohort.card.name])
    return (sex.truth(pool.x) == sex.names.index("female")).numpy()


def margins(scores: Tensor, y: Tensor) -> Scores:
    """Phi of each row by each model: ``(M, n, K)`` scores, ``(n,)`` labels → ``(M, n)``."""
    flat = true_margin(scores.flatten(0, 1), y.repeat(len(scores)))
    return flat.view(scores.shape[:2]).numpy()


def from_confidence(models: ManyModels, pool: Part, wanted: Sensitive, prior: Tensor) -> Tensor:
    """Each model's confidence in the true outcome, times imputation: posteriors ``(M, n, V)``."""
    rows = wanted.written(pool.x)
    grid = models.scores(rows.flatten(0, 1)).unflatten(1, rows.shape[:2])
    return torch.stack([attacks.confidence_posterior(one, pool.y, prior) for one in grid])


def from_units(
    models: ManyModels, own: Part, pool: Part, wanted: Sensitive, prior: Tensor
) -> Tensor:
    """The hidden units of each model that go with a value, times imputation: ``(M, n, V)``."""
    found = []
    for number in range(len(models)):
        view = deployment.deploy(models.model(number), expose="weights")
        found.append(attacks.fit_neurons(view, own.x, wanted).guess(pool.x, prior))
    return torch.stack(found)


def tail_of(score: Scores, inside: NDArray, seed: int) -> dict[str, float]:
    """The average and the tail of one attack.

    The columns: ``pooled``, the AUC of one model over all patients; ``median`` of the patients';
    ``selected`` and ``confirmed``, the mean AUC of the worst 5 % on the half of the models that
    chose them and on the other; ``others`` there; ``exposed``, the share of patients called so;
    ``agreement``, the rank correlation of the halves; ``false``, of 20 shuffled memberships the
    share in which anybody is called exposed.
    """
    tail = exposed_tail(score, inside, share=TAIL, seed=seed)
    shuffled = exposed_if_shuffled(score, inside, shuffles=SHUFFLES, share=TAIL, seed=seed)
    return {
        "pooled": model_auc(score, inside).value,
        "median": float(np.median(patient_auc(score, inside))),
        "selected": tail.selected,
        "confirmed": tail.confirmed.value,
        "others": tail.others.value,
        "exposed": tail.share.value,
        "agreement": tail.agreement.value,
        "false": float((shuffled > 0).mean()),
    }


def together(first: Scores, second: Scores, inside: NDArray, seed: int) -> dict[str, float]:
    """Whether two attacks expose the same patients; each risk from models of its own.

    The columns: ``rank``, the rank correlation, the mean over which half of the models each risk
    is from; ``rank_same``, of both from the same models, whose luck they share; ``overlap``, the
    share of the one's worst 5 % among the other's, as ``rank``.
    """
    a, b = halves_of(len(first), seed)
    risk = {
        (number, half): patient_auc(score[rows], inside[rows])
        for number, score in enumerate((first, second))
        for half, rows in enumerate((a, b))
    }
    pairs = [(risk[0, 0], risk[1, 1]), (risk[0, 1], risk[1, 0])]
    return {
        "rank": float(np.mean([spearman(*pair) for pair in pairs])),
        "rank_same": spearman(patient_auc(first, inside), patient_auc(second, inside)),
        "overlap": float(np.mean([tail_overlap(*pair, share=TAIL).share for pair in pairs])),
    }


def spearman(first: NDArray, second: NDArray) -> float:
    """The rank correlation, without an interval: those are over seeds."""
    return rank_correlation(first, second, draws=2).value


@dataclass(frozen=True)
class Way:
    """What is done for the patients of a pool, otherwise trained by :data:`USUAL`.

    Attributes:
        epochs: passes over the data.
        pool: how many patients, in units of the usual.
        epsilon: of DP-SGD for each row, which is each patient here; infinite without it.
        dropped: whether those who are found exposed are left out, and all models trained anew.
    """

    epochs: int = 40
    pool: float = 1.0
    epsilon: float = math.inf
    dropped: bool = False


WAYS = {
    "as usual": Way(),
    "10 epochs": Way(epochs=10),
    "half the patients": Way(pool=0.5),
    "twice the patients": Way(pool=2.0),
    "without the exposed": Way(dropped=True),
    "DP-SGD, 8": Way(epsilon=8.0),
}
PRIVATE_MODELS = 100  # one after the other


def helps_cell(dataset: str, seed: int, way: str) -> dict[str, Any]:
    """One cell of ``13-helps``: what one of :data:`WAYS` leaves, and what it costs.

    The columns: those of :func:`tail_of`; ``accuracy`` on the cohort's test patients, the mean over
    the models; ``patients`` of the pool, each in half of the trainings. Where the exposed are
    dropped, ``before`` is the mean AUC that the patients of the new tail had before, on models
    that did not choose it, and ``dropped`` how many were left out.
    """
    what = WAYS[way]
    cohort = data.load_records(dataset, seed=seed)
    pool = cohort.members.first_patients(round(what.pool * POOL[dataset]))
    if not what.dropped:
        inside, scores, accuracy = _trained(cohort, pool, what, seed)
        found = tail_of(margins(scores, pool.y), inside, seed)
        return found | {"accuracy": accuracy, "patients": len(pool)} | _NOTHING
    inside, scores, _ = _trained(cohort, pool, Way(), seed)
    before = margins(scores, pool.y)
    tail = exposed_tail(before, inside, share=TAIL, seed=seed)
    stay = np.ones(len(pool), dtype=bool)
    stay[tail.chosen[tail.exposed]] = False
    fewer = pool.take(stay)
    inside_now, scores, accuracy = _trained(cohort, fewer, Way(), seed + 1_000)
    now = margins(scores, fewer.y)
    new = np.flatnonzero(stay)[exposed_tail(now, inside_now, share=TAIL, seed=seed).chosen]
    return tail_of(now, inside_now, seed) | {
        "accuracy": accuracy,
        "patients": len(fewer),
        "before": patient_auc(before, inside)[new].mean(),
        "dropped": (~stay).sum(),
    }


_NOTHING = {"before": math.nan, "dropped": 0}


def _trained(
    cohort: Cohort, pool: Part, way: Way, seed: int
) -> tuple[NDArray[np.bool_], Tensor, float]:
    """Who was in each model, the pool's scores by each, and the mean accuracy on test patients."""
    if math.isinf(way.epsilon):
        inside = training.halves(pool.patient, MODELS, seed=seed)
        recipe = replace(USUAL, epochs=way.epochs)
        models = training.train_many(cohort, pool, inside, recipe=recipe, seed=seed)
        scores, tested = models.scores(pool.x), models.scores(cohort.test.x)
    else:
        inside = training.halves(pool.patient, PRIVATE_MODELS, seed=seed)
        how = Privately(way.epsilon, epochs=30)
        each = []
        for number, own in enumerate(inside):
            part = replace(cohort, members=pool.take(own))
            model = train_privately(part, how, seed=PRIVATE_MODELS * seed + number).model
            each.append([training.predict(model, x).softmax(1) for x in (pool.x, cohort.test.x)])
        scores, tested = (torch.stack(parts) for parts in zip(*each, strict=True))
    right = tested.argmax(2) == cohort.test.y
    return inside, scores, float(right.double().mean())


TABLES = {
    "13-records": Table(records_cell, {"dataset": list(POOL), "seed": SEEDS}),
    "13-helps": Table(helps_cell, {"dataset": ["warfarin"], "way": list(WAYS), "seed": [0, 1, 2]}),
}
