"""Attacks of the course that no comparison runs, in the form of those that it runs.

How strong they are is measured elsewhere; here they need only run, or be refused, and nobody asks
for their baseline.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medpriv import attacks, data, metrics
from medpriv.attacks.images.class_inversion import ClassInversion
from medpriv.attacks.records.candidate_values import labels_of
from medpriv.attacks.reports.report_reconstruction import ReportDecoder
from medpriv.deployment import View
from medpriv.evaluation import Case
from medpriv.evaluation.attack_catalog.membership import no_advantage
from medpriv.evaluation.attacks import Attack
from medpriv.statistics import Estimate

FEW = 20  # victims of each attack


# --- Images ---------------------------------------------------------------------------------------


def _of_two_classes(found: ClassInversion) -> Estimate:
    return metrics.mean_estimate(found.scores.numpy(), np.arange(2))


def _mi_face(fitted_on: View, used_on: View, case: Case) -> Estimate:
    shape = tuple(case.cohort.victims.x.shape[1:])
    return _of_two_classes(attacks.mi_face(used_on, [0, 1], shape=shape, steps=2, device="cpu"))


def _classes(fitted_on: View, used_on: View, case: Case) -> Estimate:
    shape = tuple(case.cohort.victims.x.shape[1:])
    return _of_two_classes(
        attacks.invert_classes(
            used_on, [0, 1], shape=shape, restarts=1, steps=2, shift=1, device="cpu"
        )
    )


# --- Records --------------------------------------------------------------------------------------


def _patterns(fitted_on: View, used_on: View, case: Case) -> Estimate:
    cohort = case.cohort
    wanted = attacks.sensitive(cohort.columns, "vkorc1")
    own, victims = cohort.auxiliary.take(slice(FEW)), cohort.victims.take(slice(FEW))
    coin = torch.eye(len(cohort.classes)).mul(0.9).add(0.1 / len(cohort.classes))

    def labels(view: View, x: Tensor) -> Tensor:
        return labels_of(attacks.ask_candidates(view, x, wanted))

    patterns = attacks.fit_patterns(labels(fitted_on, own.x), coin)
    prior = torch.full((len(wanted),), 1 / len(wanted))
    found = attacks.pattern_posterior(
        labels(used_on, victims.x), victims.y, coin, patterns, prior
    ).argmax(1)
    right = (found == wanted.truth(victims.x)).double()
    return metrics.mean_estimate(right.numpy(), victims.patient)


def _near_duplicates(fitted_on: View, used_on: View, case: Case) -> Estimate:
    cohort, victims = case.cohort, case.cohort.victims.take(slice(FEW))
    often = attacks.averaged(used_on, 3, vary=attacks.neighbours(cohort.columns, 0.01))
    right = (labels_of(often(victims.x)) == victims.y).double()
    return metrics.mean_estimate(right.numpy(), victims.patient)


# --- Reports --------------------------------------------------------------------------------------


def _decoder(view: View, case: Case) -> tuple[ReportDecoder, tuple[str, ...]]:
    own = case.cohort.auxiliary.take(slice(FEW)).x
    return attacks.fit_report_decoder(view, own, profile="smoke", longest=20, device="cpu"), own


def _corrector(fitted_on: View, used_on: View, case: Case) -> Estimate:
    victims = case.cohort.victims.take(slice(4))
    decoder, _ = _decoder(fitted_on, case)
    sent = used_on.intercept(victims.x)
    steps = attacks.correct_reports(decoder, used_on, sent, steps=1, queries=2)
    return metrics.mean_estimate(metrics.token_f1(victims.x, steps[-1].reports), victims.patient)


def _slot(fitted_on: View, used_on: View, case: Case) -> Estimate:
    own, victims = case.cohort.auxiliary.x, case.cohort.victims.take(slice(FEW))
    name = next(slot for slot in data.report_slots(own) if slot.kind == "name")
    reader = attacks.fit_slot_reader(
        fitted_on, own, name, known=fitted_on(own), sentences=1, seed=case.seed
    )
    read = reader.guess(used_on.intercept(victims.x))
    right = [float(word == name.word(text)) for word, text in zip(read, victims.x, strict=True)]
    return metrics.mean_estimate(np.array(right), victims.patient)


_LISTS = {
    "images": (
        Attack("MI-Face", "images", "scores", _mi_face, no_advantage, "probability", fits=False),
        Attack("class inversion, scores", "images", "scores", _classes, no_advantage, "probability",
               fits=False),
    ),
    "records": (
        Attack("patterns of labels", "records", "label", _patterns, no_advantage, "accuracy"),
        Attack("near duplicates", "records", "label", _near_duplicates, no_advantage, "accuracy",
               fits=False),
    ),
    "reports": (
        Attack("corrector", "reports", "embedding", _corrector, no_advantage, "token F1"),
        Attack("slot reader", "reports", "embedding", _slot, no_advantage, "accuracy"),
    ),
}  # fmt: skip


def unlisted_attacks(modality: str) -> tuple[Attack, ...]:
    """What a comparison leaves out on images, records or reports."""
    return _LISTS[modality]
