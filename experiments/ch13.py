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
from medpriv import attacks, data, deployment, metrics, training
from medpriv.attacks.membership import true_margin
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
SHUFFLES = 20
TAIL = 0.05
SEEDS = list(range(10))

Scores = NDArray[np.float64]


def records_cell(dataset: str, seed: int) -> dict[str, Any]:
    """One cell of ``13-records``: membership and an attribute of the same patients.

    The columns: ``inside`` and ``outside``, the accuracy on patients who were in the training and
    on the others; those of :func:`tail_of` for membership, and with ``attribute_`` before them for
    the attribute, where the statistic is what the attack says of the patient's true value;
    ``right_in`` and ``right_out``, how often it is guessed right, ``imputation`` without a model;
    those of :func:`together`; and ``tail_right``, ``rest_right``, how much oftener than by
    imputation the attribute is guessed right of those whom membership's tail holds, and of the
    others.
    """
    cohort = data.load_records(dataset, seed=seed)
    pool = cohort.members.first_patients(POOL[dataset])
    inside = training.halves(pool.patient, MODELS, seed=seed)
    models = training.train_many(cohort, pool, inside, recipe=USUAL, seed=seed)
    scores = models.scores(pool.x)
    member = margins(scores, pool.y)
    posterior, guessed = attribute(cohort, pool, models, SECRETS[dataset], seed)
    truth = attacks.sensitive(cohort.columns, SECRETS[dataset]).truth(pool.x)
    hit = (posterior.argmax(2) == truth).numpy()
    without = (guessed.argmax(1) == truth).numpy()
    told = posterior.gather(2, truth.expand(MODELS, -1)[..., None])[..., 0].numpy()
    tail = exposed_tail(member, inside, share=TAIL, seed=seed)
    gain = hit[tail.models].mean(0) - without
    rest = np.setdiff1d(np.arange(len(pool)), tail.chosen)
    right = (scores.argmax(2) == pool.y).numpy()
    return {
        "inside": right[inside].mean(),
        "outside": right[~inside].mean(),
        **tail_of(member, inside, seed),
        **{f"attribute_{name}": value for name, value in tail_of(told, inside, seed).items()},
        "right_in": hit[inside].mean(),
        "right_out": hit[~inside].mean(),
        "imputation": without.mean(),
        **together(member, told, inside, seed),
        "tail_right": gain[tail.chosen].mean(),
        "rest_right": gain[rest].mean(),
    }


def margins(scores: Tensor, y: Tensor) -> Scores:
    """Phi of each row by each model: ``(M, n, K)`` scores, ``(n,)`` labels → ``(M, n)``."""
    flat = true_margin(scores.flatten(0, 1), y.repeat(len(scores)))
    return flat.view(scores.shape[:2]).numpy()


def attribute(
    cohort: Cohort, pool: Part, models: ManyModels, name: str, seed: int
) -> tuple[Tensor, Tensor]:
    """What each model's confidence in the true outcome says of an attribute, times imputation.

    Returns:
        ``(M, n, V)`` posteriors, and the imputation's ``(n, V)``.
    """
    wanted = attacks.sensitive(cohort.columns, name)
    prior = imputed(cohort, wanted, cohort.auxiliary, pool, seed)
    rows = wanted.written(pool.x)
    grid = models.scores(rows.flatten(0, 1)).unflatten(1, rows.shape[:2])
    found = [attacks.confidence_posterior(one, pool.y, prior) for one in grid]
    return torch.stack(found), prior


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
        "rank": float(np.mean([_rank(*pair) for pair in pairs])),
        "rank_same": _rank(patient_auc(first, inside), patient_auc(second, inside)),
        "overlap": float(np.mean([tail_overlap(*pair, share=TAIL).share for pair in pairs])),
    }


def _rank(first: NDArray, second: NDArray) -> float:
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


# --- Images -------------------------------------------------------------------------------------

IMAGE_MODELS = 40
IMAGE_PATIENTS = 150
SIZE, SPLIT = 32, "conv4"
IMAGE_RECIPE = training.Recipe(15, weight_decay=1e-2)
INVERSE_STEPS = 400


def images_cell(dataset: str, seed: int) -> dict[str, Any]:
    """One cell of ``13-images``: membership, and inversion of what a model was trained on.

    Of a patient's images both figures are the mean. The columns: ``inside``, ``outside``,
    ``pooled`` and ``agreement`` as in :func:`records_cell`; ``ssim_in`` and ``ssim_out``, how alike
    reconstructions are of those who were in the training and of others; ``closest``, the same of
    the attacker's most similar image without a model; ``inversion``, the AUC over all patients of
    SSIM as a sign of membership; those of :func:`together`; ``rank_level``, the rank correlation of
    membership's exposure with how much SSIM her reconstructions have over the closest image, on
    models that did not measure the exposure, and ``overlap_level`` of the worst 5 %.
    """
    cohort = data.load_images(dataset, seed=seed, size=SIZE)
    pool = cohort.members.first_patients(IMAGE_PATIENTS)
    inside = training.halves(pool.patient, IMAGE_MODELS, seed=seed)
    models = training.train_many(cohort, pool, inside, recipe=IMAGE_RECIPE, seed=seed)
    scores = models.scores(pool.x)
    own = cohort.auxiliary.x
    found = np.stack(
        [_inverted(models, number, own, pool.x, seed) for number in range(IMAGE_MODELS)]
    )
    closest = metrics.ssim(pool.x, metrics.nearest_image(pool.x, own))
    member, alike = (by_patient(one, pool.patient) for one in (margins(scores, pool.y), found))
    had = by_patient(inside, pool.patient) > 0
    over = by_patient(found - closest, pool.patient)
    right = (scores.argmax(2) == pool.y).numpy()
    return {
        "inside": right[inside].mean(),
        "outside": right[~inside].mean(),
        "pooled": model_auc(member, had).value,
        "ssim_in": found[inside].mean(),
        "ssim_out": found[~inside].mean(),
        "closest": closest.mean(),
        "inversion": model_auc(alike, had).value,
        **together(member, alike, had, seed),
        **_with_level(member, had, over, seed),
    }


def _inverted(models: ManyModels, number: int, own: Tensor, x: Tensor, seed: int) -> Scores:
    """SSIM of each image with what the inverse network of one model makes of its features."""
    view = deployment.deploy(models.model(number), expose="features", split=SPLIT)
    recipe = training.Recipe.of_steps(INVERSE_STEPS, len(own), batch_size=16)
    made = attacks.fit_inverse_network(view, own, seed=seed, queries=len(own), recipe=recipe)
    return metrics.ssim(x, made.guess(view.intercept(x)))


def by_patient(values: NDArray, patient: NDArray) -> Scores:
    """The mean over each patient's rows: ``(M, rows)`` → ``(M, patients)``, sorted by name."""
    names, place = np.unique(patient, return_inverse=True)
    mine = np.eye(len(names))[place]
    return values @ (mine / mine.sum(0))


def _with_level(member: Scores, inside: NDArray, level: Scores, seed: int) -> dict[str, float]:
    """Exposure to membership beside what another attack takes from her, trained on or not."""
    a, b = halves_of(len(member), seed)
    pairs = [
        (patient_auc(member[one], inside[one]), level[other].mean(0))
        for one, other in ((a, b), (b, a))
    ]
    first, second = (patient_auc(member[one], inside[one]) for one in (a, b))
    return {
        "agreement": _rank(first, second),
        "rank_level": float(np.mean([_rank(*pair) for pair in pairs])),
        "overlap_level": float(np.mean([tail_overlap(*pair, share=TAIL).share for pair in pairs])),
    }


# --- Reports ------------------------------------------------------------------------------------

REPORT_PATIENTS = 400
REPORT_RECIPE = training.Recipe(60, batch_size=128, weight_decay=1e-3, exact=True)


def reports_cell(dataset: str, seed: int) -> dict[str, Any]:
    """One cell of ``13-reports``: membership in the head's training, and what embeddings tell.

    The encoder is trained on no patient here, so that what an embedding tells of her does not
    depend on who trained the head. The columns: ``inside``, ``outside`` and those of
    :func:`tail_of`; ``facts``, the share of a patient's facts that are read right, and ``copied``,
    the same of the nearest of the attacker's reports; ``f1`` of what his decoder writes, and
    ``nearest`` of that report; ``rank_facts``, ``overlap_facts``, ``rank_text`` and
    ``overlap_text``, of exposure to membership with the gain of either over the nearest report.
    """
    cohort = data.load_reports(dataset, seed=seed)
    pool, own = cohort.members.first_patients(REPORT_PATIENTS), cohort.auxiliary
    inside = training.halves(pool.patient, MODELS, seed=seed)
    models = training.train_many(cohort, pool, inside, recipe=REPORT_RECIPE, seed=seed)
    view = deployment.deploy(models.model(0), expose="embedding")
    known, seen = view(own.x), view.intercept(pool.x)
    scores = models.scores(pool.x)
    member = by_patient(margins(scores, pool.y), pool.patient)
    had = by_patient(inside, pool.patient) > 0
    facts, copied = _facts_right(cohort, own, pool, known, seen)
    near = metrics.token_f1(pool.x, attacks.nearest_report(own.x, known, seen))
    decoder = attacks.fit_report_decoder(view, own.x, seed=seed, queries=DECODED, longest=WORDS)
    written = metrics.token_f1(pool.x, decoder.guess(seen))
    right = (scores.argmax(2) == pool.y).numpy()
    found: dict[str, Any] = {
        "inside": right[inside].mean(),
        "outside": right[~inside].mean(),
        **tail_of(member, had, seed),
        "facts": facts.mean(),
        "copied": copied.mean(),
        "f1": written.mean(),
        "nearest": near.mean(),
    }
    exposure = patient_auc(member, had)
    for name, gain in {"facts": facts - copied, "text": written - near}.items():
        gain = by_patient(gain[None], pool.patient)[0]
        found[f"rank_{name}"] = _rank(exposure, gain)
        found[f"overlap_{name}"] = tail_overlap(exposure, gain, share=TAIL).share
    return found


DECODED, WORDS = 1_000, 60  # reports sent to fit the decoder, and words of each that are written


def _facts_right(
    cohort: Cohort, own: Part, pool: Part, known: Tensor, seen: Tensor
) -> tuple[NDArray, NDArray]:
    """``(n,)`` of each report the share of facts read right, and of those of the nearest report."""
    facts, truth = (data.report_facts(cohort, part).to_numpy(dtype=bool) for part in (own, pool))
    reader = attacks.fit_fact_reader(known, torch.tensor(facts))
    likeness = torch.nn.functional.normalize(seen) @ torch.nn.functional.normalize(known).T
    copied = facts[likeness.argmax(1).numpy()]
    return (
        ((reader.guess(seen).numpy() > 0.5) == truth).mean(1),
        (copied == truth).mean(1),
    )


TABLES = {
    "13-records": Table(records_cell, {"dataset": list(POOL), "seed": SEEDS}),
    "13-images": Table(images_cell, {"dataset": ["phantom"], "seed": SEEDS}),
    "13-reports": Table(reports_cell, {"dataset": ["synthetic", "openi"], "seed": SEEDS}),
    "13-helps": Table(
        helps_cell, {"dataset": ["warfarin"], "way": list(WAYS), "seed": [0, 1, 2]}
    ),
}
