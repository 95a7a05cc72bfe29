"""Sweeps of chapter 13 on images and reports: whether other attacks find the same patients.

What another attack takes of a patient at a model is set beside her exposure to membership
inference. Each figure of a pair is from models of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.ch13 import (
    MODELS,
    SEEDS,
    TAIL,
    Scores,
    gap,
    last_class,
    margins,
    spearman,
    tail_of,
    together,
)
from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics, training
from medpriv.data.cohort import Cohort, Part
from medpriv.metrics.per_patient import halves_of, model_auc, patient_auc
from medpriv.metrics.risk_comparison import tail_overlap
from medpriv.training.many_models import ManyModels

# --- Images -------------------------------------------------------------------------------------

IMAGE_MODELS = 40
IMAGE_PATIENTS = 150
SIZE, SPLIT = 32, "conv4"
IMAGE_RECIPE = training.Recipe(15, weight_decay=1e-2)
INVERSE_STEPS = 400


def images_cell(dataset: str, seed: int) -> dict[str, Any]:
    """One cell of ``13-images``: membership, and inversion of what a model was trained on.

    Of a patient's images all figures are the mean. The columns: ``patients``, ``inside``,
    ``outside``, ``pooled``, ``gap_class`` and ``agreement`` as in
    :func:`experiments.ch13.records_cell`; ``confirmed``, the AUC of the worst 5 % by one half of
    the models on the other (so few models test nobody); ``ssim_in`` and ``ssim_out``, how alike
    reconstructions are of those who were in the training and of others; ``closest``, the same of
    the attacker's most similar image without a model; ``found``, the share of reconstructions that
    are nearer to the patient's image than to any other; ``inversion``, the AUC over all patients of
    SSIM as a sign of membership, ``inversion_confirmed`` of its worst 5 %, and
    ``inversion_agreement``; those of :func:`experiments.ch13.together`; and the rank correlation
    of membership's exposure, ``rank_level`` with how much SSIM her reconstructions have over the
    closest image, ``rank_apart`` with the logarithm of how much farther the closest other image is
    than hers, both on models that did not measure the exposure, and ``overlap_level`` and
    ``overlap_apart`` of the worst 5 %.
    """
    cohort = data.load_images(dataset, seed=seed, size=SIZE)
    pool = cohort.members.first_patients(IMAGE_PATIENTS)
    inside = training.halves(pool.patient, IMAGE_MODELS, seed=seed)
    models = training.train_many(cohort, pool, inside, recipe=IMAGE_RECIPE, seed=seed)
    scores = models.scores(pool.x)
    own = cohort.auxiliary.x
    made = [_inverted(models, number, own, pool.x, seed) for number in range(IMAGE_MODELS)]
    found = np.stack([metrics.ssim(pool.x, one) for one in made])
    closest = metrics.ssim(pool.x, metrics.nearest_image(pool.x, own))
    member, alike = (by_patient(one, pool.patient) for one in (margins(scores, pool.y), found))
    had = by_patient(inside, pool.patient) > 0
    apart = np.stack([_apart(pool, one) for one in made])
    right = (scores.argmax(2) == pool.y).numpy()
    last = by_patient(last_class(cohort, pool)[None], pool.patient)[0] > 0
    return {
        "patients": pool.patients,
        "inside": right[inside].mean(),
        "outside": right[~inside].mean(),
        "pooled": model_auc(member, had).value,
        "gap_class": gap(member, had, last),
        **_halves(member, had, seed),
        "ssim_in": found[inside].mean(),
        "ssim_out": found[~inside].mean(),
        "closest": closest.mean(),
        "found": (apart > 0).mean(),
        "inversion": model_auc(alike, had).value,
        **{f"inversion_{name}": one for name, one in _halves(alike, had, seed).items()},
        **together(member, alike, had, seed),
        **_with_level("level", member, had, by_patient(found - closest, pool.patient), seed),
        **_with_level("apart", member, had, by_patient(apart, pool.patient), seed),
    }


def _inverted(models: ManyModels, number: int, own: Tensor, x: Tensor, seed: int) -> Tensor:
    """What the inverse network of one model makes of each image's features."""
    view = deployment.deploy(models.model(number), expose="features", split=SPLIT)
    recipe = training.Recipe.of_steps(INVERSE_STEPS, len(own), batch_size=16)
    made = attacks.fit_inverse_network(view, own, seed=seed, queries=len(own), recipe=recipe)
    return made.guess(view.intercept(x))


def _apart(pool: Part, made: Tensor) -> Scores:
    """``(n,)`` the log of how much farther the closest other patient's image is than the true."""
    error = torch.cdist(made.flatten(1).double(), pool.x.flatten(1).double()).square().numpy()
    same = pool.patient[:, None] == pool.patient
    return np.log(np.where(same, np.inf, error).min(1) / error.diagonal())


def _halves(score: Scores, inside: NDArray, seed: int) -> dict[str, float]:
    """The worst 5 % by one half of the models on the other, and the halves' rank correlation."""
    one, other = (patient_auc(score[half], inside[half]) for half in halves_of(len(score), seed))
    size = max(1, round(TAIL * len(one)))
    worst = [
        judge[np.argsort(-chose)[:size]].mean() for chose, judge in ((one, other), (other, one))
    ]
    return {"confirmed": float(np.mean(worst)), "agreement": spearman(one, other)}


def by_patient(values: NDArray, patient: NDArray) -> Scores:
    """The mean over each patient's rows: ``(M, rows)`` → ``(M, patients)``, sorted by name."""
    _, place = np.unique(patient, return_inverse=True)
    mine = np.eye(place.max() + 1)[place]
    return values @ (mine / mine.sum(0))


def _with_level(
    name: str, member: Scores, inside: NDArray, level: Scores, seed: int
) -> dict[str, float]:
    """Exposure to membership beside what another attack takes from her, trained on or not."""
    a, b = halves_of(len(member), seed)
    pairs = [
        (patient_auc(member[one], inside[one]), level[other].mean(0))
        for one, other in ((a, b), (b, a))
    ]
    shares = [tail_overlap(*pair, share=TAIL).share for pair in pairs]
    return {
        f"rank_{name}": float(np.mean([spearman(*pair) for pair in pairs])),
        f"overlap_{name}": float(np.mean(shares)),
    }


# --- Reports ------------------------------------------------------------------------------------

REPORT_PATIENTS = 400
REPORT_RECIPE = training.Recipe(60, batch_size=128, weight_decay=1e-3, exact=True)


def reports_cell(dataset: str, seed: int) -> dict[str, Any]:
    """One cell of ``13-reports``: membership in the head's training, and what embeddings tell.

    The encoder is trained on no patient here, so that what an embedding tells of her does not
    depend on who trained the head. The columns: ``inside``, ``outside``, ``gap_class`` and those of
    :func:`experiments.ch13.tail_of`; ``facts``, the share of a patient's facts that are read right,
    and ``copied``, the same of the nearest of the attacker's reports; ``f1`` of what his decoder
    writes, and ``nearest`` of that report; ``rank_facts``, ``overlap_facts``, ``rank_text`` and
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
    last = by_patient(last_class(cohort, pool)[None], pool.patient)[0] > 0
    found: dict[str, Any] = {
        "inside": right[inside].mean(),
        "outside": right[~inside].mean(),
        **tail_of(member, had, seed),
        "gap_class": gap(member, had, last),
        "facts": facts.mean(),
        "copied": copied.mean(),
        "f1": written.mean(),
        "nearest": near.mean(),
    }
    exposure = patient_auc(member, had)
    for name, gain in {"facts": facts - copied, "text": written - near}.items():
        gain = by_patient(gain[None], pool.patient)[0]
        found[f"rank_{name}"] = spearman(exposure, gain)
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
    "13-images": Table(images_cell, {"dataset": ["phantom"], "seed": SEEDS}),
    "13-reports": Table(reports_cell, {"dataset": ["synthetic", "openi"], "seed": SEEDS}),
}
