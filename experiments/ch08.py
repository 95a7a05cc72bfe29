"""Sweeps of chapter 08: twins among real reports, and what is written through other views."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from medpriv import attacks, data, deployment, metrics
from medpriv.defenses import rounded
from medpriv.defenses.compression import projected
from medpriv.evaluation.attack_catalog.reports import FACT_PENALTY
from medpriv.models import build_target

WORDS = 40  # to which Open-i's reports are cut
VIEWS = {
    "as it is": (),
    "8 bits": (rounded(8),),
    "4 bits": (rounded(4),),
    "64 dimensions": (projected(64),),
}
OWN = 600  # reports of the attacker
CORRECTED = 30  # victims whose guesses are corrected
QUERIES = 1_000  # texts sent to fit a decoder


def twins_cell(twins: bool, seed: int) -> dict[str, Any]:
    """One cell of ``08-twins``: the nearest report of Open-i, with and without verbatim twins.

    The columns: ``reports`` of the attacker; ``twin`` the share of victims whose text, cut to 40
    words, he owns; ``f1`` and ``exact`` of the nearest of his reports by cosine.

    Args:
        twins: keep reports that repeat another.
        seed: decides who is a victim.
    """
    cohort = data.load_reports("openi", profile="full", seed=seed, deduplicate=not twins)
    own, victims = (data.first_words(part, WORDS) for part in (cohort.auxiliary, cohort.victims))
    if not twins:  # what was distinct may have become alike when it was cut
        victims = data.unseen_reports(victims, own)
    view = deployment.deploy(build_target(cohort), expose="embedding")
    nearest = attacks.nearest_report(own.x, view(own.x), view.intercept(victims.x))
    new = data.unseen_reports(victims, own)
    return {
        "reports": len(own),
        "twin": 1 - len(new) / len(victims),
        "f1": metrics.token_f1(victims.x, nearest).mean(),
        "exact": metrics.exact_match(victims.x, nearest).mean(),
    }


def twins_settings() -> list[dict[str, Any]]:
    """The settings of ``08-twins``."""
    return [{"twins": twins, "seed": seed} for twins in (True, False) for seed in (0, 1, 2)]


def views_cell(dataset: str, seed: int, view: str) -> dict[str, Any]:
    """One cell of ``08-views``: what is written from an embedding that is shared in another form.

    The columns hold the recall of statements, and F1 with the ending ``_f1``: ``nearest`` of the
    attacker's reports; ``naive``, a decoder fitted on embeddings as they are, without another
    width; ``adaptive``, one fitted through the view; ``corrected``, the same with 40 queries for
    each of the first victims and what is read beforehand, ``uncorrected`` for the same victims
    without, and ``both``, what is corrected or read from the embedding, with the precision
    ``both_true``. ``name`` is how many of the victims' names their reader reads. ``use`` is the AUC
    of normal against abnormal, read by a probe fitted through the view.

    Args:
        dataset: whose reports.
        seed: of everything.
        view: one of :data:`VIEWS`.
    """
    cohort = data.load_reports(dataset, seed=seed)
    words = WORDS if dataset == "openi" else None
    part = cohort.auxiliary.first_patients(OWN)
    victims = data.unseen_reports(*(data.first_words(one, words) for one in (cohort.victims, part)))
    own, truth = data.first_words(part, words).x, victims.x
    target = build_target(cohort)
    plain = deployment.deploy(target, expose="embedding")
    served = deployment.deploy(target, expose="embedding", defenses=VIEWS[view])
    there = served.intercept(truth)
    decoder = attacks.fit_report_decoder(served, own, seed=seed, queries=QUERIES)
    slots = {
        slot.kind: attacks.fit_slot_reader(served, own, slot, known=decoder.embeddings, seed=seed)
        for slot in data.report_slots(own)
    }
    reader = attacks.fit_statement_reader(
        decoder, partial(data.report_statements, cohort), without=slots
    )
    first = attacks.correct_reports(
        decoder, served, there[:CORRECTED], slots=tuple(slots.values()), seed=seed,
        statements=reader,
    )  # fmt: skip
    guesses = {
        "nearest": attacks.nearest_report(
            decoder.own, decoder.embeddings[: len(decoder.own)], there
        ),
        "adaptive": decoder.guess(there),
    }
    if view == "as it is":
        guesses["naive"] = guesses["adaptive"]
    elif there.shape[1] == plain(own[:1]).shape[1]:
        naive = attacks.fit_report_decoder(plain, own, seed=seed, queries=QUERIES)
        guesses["naive"] = naive.guess(there)
    guesses["uncorrected"] = guesses["adaptive"][:CORRECTED]
    guesses["corrected"] = first[-1].reports
    stated = data.report_statements(cohort, truth)
    row: dict[str, Any] = {}
    said = {}
    for name in ("nearest", "naive", "adaptive", "uncorrected", "corrected"):
        guess = guesses.get(name)
        row[name] = row[f"{name}_f1"] = float("nan")
        if guess is None:
            continue
        said[name] = data.report_statements(cohort, guess)
        number = len(guess)
        recall, _ = metrics.statement_scores(stated[:number], said[name], victims.patient[:number])
        row[name] = recall.value
        row[f"{name}_f1"] = metrics.token_f1(truth[:number], guess).mean()
    both = [a | b for a, b in zip(said["corrected"], reader.guess(there[:CORRECTED]), strict=True)]
    found = metrics.statement_scores(stated[:CORRECTED], both, victims.patient[:CORRECTED])
    row["both"], row["both_true"] = (one.value for one in found)
    row["name"] = float("nan")
    if "name" in slots:
        named = slots["name"]
        pairs = zip(map(named.slot.word, truth), named.guess(there), strict=True)
        row["name"] = float(np.mean([word == read for word, read in pairs if word]))
    abnormal = part.y.bool()[:, None]
    probe = attacks.fit_fact_reader(served(own), abnormal, penalty=FACT_PENALTY)
    read = probe.guess(there).numpy()[:, 0]
    row["use"] = metrics.auc(victims.y.bool().numpy(), read, victims.patient).value
    return row


def views_settings() -> list[dict[str, Any]]:
    """The settings of ``08-views``."""
    return [
        {"dataset": "synthetic", "seed": seed, "view": view} for seed in (0, 1, 2) for view in VIEWS
    ]
