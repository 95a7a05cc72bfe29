"""Sweeps of chapter 14 that train: certified splits beside noise alone, DP-SGD for patients."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from experiments.recording import Table
from medpriv import attacks, data, defenses, deployment, training
from medpriv.bounds import ball, dp_sgd, gallery, power
from medpriv.data.cohort import Cohort, Part
from medpriv.defenses.certified_split import train_certified
from medpriv.models.split import back, front
from medpriv.runtime.seeds import rng, torch_rng
from medpriv.training.utility_scores import predict

SEEDS = [0, 1, 2]
SIZE, SPLIT, GALLERY = 32, "conv4", 100
#: How often each picture of the test part is answered, for the AUC of one answer.
TIMES = 20

# --- A certified split ---------------------------------------------------------------------------


def front_cell(dataset: str, seed: int, defense: str, ratio: float) -> dict[str, Any]:
    """One cell of ``14-front``: what a split with noise is good for, and what it gives away.

    ``ratio`` is C / σ of the certified split; of ``noise``, on the same layer's features and
    without a ball, their root mean square distance from the centre divided by σ. The columns:
    ``auc`` of one answer; ``undefended``; ``squashed``, the best AUC of the undefended score
    squashed into [-C, C], with the same noise; ``auc_ceiling``, of anybody behind such a ball. Of a
    gallery of 100 pictures who was answered, by the best attacker: ``once``, ``often`` (16 answers)
    and what is proved, ``once_ceiling`` and ``often_ceiling``: without a ball of this gallery
    alone.
    """
    cohort = data.load_images(dataset, seed=seed, size=SIZE)
    model = training.train_target(cohort, seed=seed).cpu()
    case = (cohort.test.y == 1).numpy()
    plain = _margin(predict(model, cohort.test.x))
    row = {"undefended": roc_auc_score(case, plain)}
    if defense == "ball":
        made = train_certified(cohort, SPLIT, ratio, seed=seed, model=model)
        net, sigma, basis, centre = made.model.cpu(), made.sigma, made.basis, made.centre
        ceilings = [ball.gallery_ceiling(GALLERY, ratio, 1, answers) for answers in (1, 16)]
        row["squashed"] = best_squashed(plain, case, ratio)
        row["auc_ceiling"] = ball.auc_ceiling(ratio, 1)
    else:
        net, ceilings = model, []
        features = predict(front(net, SPLIT), cohort.members.x).flatten(1)
        centre = features.mean(0)
        sigma = float((features - centre).square().sum(1).mean().sqrt()) / ratio
        basis = None
        row |= {"squashed": math.nan, "auc_ceiling": math.nan}
    rest, draws = back(net, SPLIT), torch_rng(seed, "front")

    def told(features: Tensor) -> Tensor:
        if basis is None:
            return features + sigma * torch.randn(features.shape, generator=draws)
        noise = sigma * torch.randn(len(features), basis.shape[1], generator=draws) @ basis.T
        return features + noise.view_as(features)

    test = predict(front(net, SPLIT), cohort.test.x)
    heard = [roc_auc_score(case, _margin(predict(rest, told(test)))) for _ in range(TIMES)]
    row["auc"] = float(np.mean(heard))
    codes = predict(front(net, SPLIT), cohort.victims.x[:GALLERY]).flatten(1) - centre
    codes = codes if basis is None else codes @ basis
    for nth, (name, answers) in enumerate((("once", 1), ("often", 16))):
        best = gallery.best_in_gallery(codes, sigma, answers=answers, seed=seed)
        row[name] = best.success
        row[f"{name}_ceiling"] = ceilings[nth] if ceilings else best.ceiling
    return row | {"candidates": len(codes)}


def _margin(logits: Tensor) -> NDArray[np.float64]:
    return (logits[:, 1] - logits[:, 0]).double().numpy()


def best_squashed(score: NDArray[np.float64], case: NDArray[np.bool_], ratio: float) -> float:
    """The best AUC of a score squashed into [-C, C], by any slope and cut, with noise of C / ratio.

    Args:
        score: ``(n,)``, the larger the more like a case.
        case: ``(n,)``.
        ratio: C / σ.
    """

    def expected(slope: float, cut: float) -> float:
        told = ratio * np.tanh(slope * (score - cut))
        return float(ndtr((told[case][:, None] - told[~case][None]) / math.sqrt(2)).mean())

    slopes = np.geomspace(0.1, 20, 12) / score.std()
    cuts = np.quantile(score, np.linspace(0.1, 0.9, 13))
    return max(expected(slope, cut) for slope in slopes for cut in cuts)


# --- DP-SGD for patients -------------------------------------------------------------------------

VISITS, ROWS_A_STEP = 4, 64


def patients_cell(dataset: str, seed: int, unit: str, epsilon: float, patients: int) -> dict:
    """One cell of ``14-patients``: rows or patients protected with the same epsilon.

    Each patient has four visits: her record, with its measured numbers moved by a tenth of their
    spread. The columns: ``auc`` and ``accuracy`` on other patients; ``noise``, ``delta``, ``rate``
    and ``steps``, all of which depend on how many members there are; ``membership``, the AUC by
    which patients of the training are told from others by the mean loss over their visits;
    and ``ceiling``, of that AUC for anybody, where a patient is exchanged for another: of rows by
    four steps out and four in. Without DP-SGD (an infinite epsilon) that is 1.
    """
    cohort = data.load_records(dataset, seed=seed)
    inside = _visits(cohort, cohort.members.first_patients(patients), seed)
    outside = _visits(cohort, cohort.test.first_patients(patients), seed)
    few = replace(cohort, members=inside)
    row = {"noise": 0.0, "delta": 0.0, "rate": 1.0, "steps": 0, "ceiling": 1.0}
    if math.isinf(epsilon):
        model: nn.Module = training.train_target(few, seed=seed)
    else:
        size = ROWS_A_STEP if unit == "row" else ROWS_A_STEP // VISITS
        made = defenses.train_privately(
            few, defenses.Privately(epsilon, batch_size=size), unit=unit, seed=seed
        )
        model = made.model
        curve = dp_sgd.training_power(made.noise, made.rate, made.steps)
        times = VISITS if unit == "row" else 1
        both = power.chained(*[curve.found] * times, *[curve.missed] * times)
        row = {name: getattr(made, name) for name in ("noise", "delta", "rate", "steps")}
        row["ceiling"] = power.auc(both)
    view = deployment.deploy(model, expose="scores")
    told = [-_mean_loss(view, part) for part in (inside, outside)]
    member = np.repeat([True, False], [len(one) for one in told])
    worth = training.utility(model, _visits(cohort, cohort.victims, seed))
    found = {"membership": float(roc_auc_score(member, np.concatenate(told)))}
    return row | found | {"auc": worth.auc.value, "accuracy": worth.accuracy.value}


def _visits(cohort: Cohort, part: Part, seed: int) -> Part:
    """The same patients, four rows each."""
    rows = part.take(np.arange(len(part)).repeat(VISITS))
    measured = torch.tensor([not column.categorical for column in cohort.columns])
    noise = torch.from_numpy(rng(seed, "visits").standard_normal(rows.x.shape)).float()
    return replace(rows, x=rows.x + noise * measured * cohort.auxiliary.x.std(0) / 10)


def _mean_loss(view: deployment.View, part: Part) -> NDArray[np.float64]:
    losses = attacks.membership.losses(view(part.x), part.y).numpy()
    owner = np.unique(part.patient, return_inverse=True)[1]
    return np.bincount(owner, losses) / np.bincount(owner)


TABLES = {
    "14-front": Table(
        front_cell,
        {
            "dataset": ["phantom", "pneumoniamnist"],
            "defense": ["ball", "noise"],
            "ratio": [0.5, 1.0, 1.5, 2.0, 3.0],
            "seed": SEEDS,
        },
    ),
    "14-patients": Table(
        patients_cell,
        [
            {
                "dataset": ["warfarin"],
                "epsilon": [1.0, 8.0],
                "patients": [300, 1500],
                "seed": SEEDS,
                "unit": ["row", "patient"],
            },
            {
                "dataset": ["warfarin"],
                "epsilon": [math.inf],
                "patients": [300, 1500],
                "seed": SEEDS,
                "unit": ["row"],
            },
        ],
    ),
}
