"""Sweeps of chapter 08: twins among real reports, and what is written through other views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from torch import Tensor

from experiments.recording import Table
from medpriv import attacks, data, deployment, metrics
from medpriv.attacks.reports.report_reconstruction import ReportDecoder
from medpriv.attacks.reports.slot_reader import SlotReader
from medpriv.data.cohort import Cohort, Part
from medpriv.defenses import rounded
from medpriv.defenses.compression import projected
from medpriv.evaluation.attacks import attackers
from medpriv.models import build_target
from medpriv.models.probes import FACT_PENALTY
from medpriv.runtime.seeds import rng

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
READ, ASKED = 500, 700  # reports of who reads names, and texts that he has sent, as in the chapter


def twins_cell(twins: bool, seed: int) -> dict[str, Any]:
    """One cell of ``08-twins``: the nearest report of Open-i, with and without verbatim twins.

    The columns: ``reports`` of the attacker; ``twin`` the share of victims whose text, cut to 40
    words, he owns; ``f1`` and ``exact`` of the nearest of his reports by cosine. With ``twins``
    reports that repeat another are kept.
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


def views_cell(dataset: str, seed: int, view: str) -> dict[str, Any]:
    """One cell of ``08-views``: what is written from an embedding that is shared in another form.

    The columns hold the recall of statements, and F1 with the ending ``_f1``: ``nearest`` of the
    attacker's reports; ``naive``, a decoder fitted on embeddings as they are, without another
    width; ``adaptive``, one fitted through the view; ``corrected``, the same with 40 queries for
    each of the first victims and what is read beforehand, ``uncorrected`` for the same victims
    without, and ``both``, what is corrected or read from the embedding, with the precision
    ``both_true``. ``name`` is how many of the victims' names their reader reads. ``use`` is the AUC
    of normal against abnormal, read by a probe fitted through the view, one of :data:`VIEWS`.
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
    decoder, guesses = _written(plain, served, own, there, seed)
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
    guesses["uncorrected"] = guesses["adaptive"][:CORRECTED]
    guesses["corrected"] = first[-1].reports
    both = [
        said | read
        for said, read in zip(
            data.report_statements(cohort, guesses["corrected"]),
            reader.guess(there[:CORRECTED]),
            strict=True,
        )
    ]
    recall, precision = _statements(cohort, victims, both)
    name = _share_of_names(slots["name"], truth, there) if "name" in slots else float("nan")
    row = {"both": recall, "both_true": precision, "name": name}
    for who in ("nearest", "naive", "adaptive", "uncorrected", "corrected"):
        row[who] = row[f"{who}_f1"] = float("nan")
        if who in guesses:
            guess = guesses[who]
            row[who], _ = _statements(cohort, victims, data.report_statements(cohort, guess))
            row[f"{who}_f1"] = metrics.token_f1(truth[: len(guess)], guess).mean()
    abnormal = part.y.bool()[:, None]
    probe = attacks.fit_fact_reader(served(own), abnormal, penalty=FACT_PENALTY)
    read = probe.guess(there).numpy()[:, 0]
    return row | {"use": metrics.auc(victims.y.bool().numpy(), read, victims.patient).value}


def names_cell(further: int, seed: int) -> dict[str, Any]:
    """One cell of ``08-names``: names read from a telephone book with further names in it.

    The further names are made of the beginning of one name and the end of another. The columns:
    ``candidates`` in all, ``patients`` whose report has a name, and the share of them who are
    called by their family name, ``read``, with its interval ``low`` to ``high``.
    """
    cohort = data.load_reports("synthetic", seed=seed)
    part = cohort.auxiliary.first_patients(READ)
    victims, own = data.unseen_reports(cohort.victims, part), part.x
    view = deployment.deploy(build_target(cohort, seed=seed), expose="embedding")
    slot = next(one for one in data.report_slots(own) if one.kind == "name")
    slot = replace(slot, words=slot.words + further_names(slot.words, further, seed))
    asked = [*own, *attacks.varied_reports(own, ASKED - len(own), seed=seed)]
    reader = attacks.fit_slot_reader(view, own, slot, known=view(asked), seed=seed)
    truth, read = map(slot.word, victims.x), reader.guess(view.intercept(victims.x))
    rows = [(n, word) for n, word in enumerate(truth) if word]
    hits = np.array([float(read[n] == word) for n, word in rows])
    found = metrics.mean_estimate(hits, victims.patient[[n for n, _ in rows]])
    share = {"read": found.value, "low": found.low, "high": found.high}
    return {"candidates": len(slot.words), "patients": len(rows), **share}


def further_names(names: Sequence[str], number: int, seed: int) -> tuple[str, ...]:
    """Names that are not among these, each the beginning of one and the end of another."""
    draw, found = rng(seed, "further names"), {}
    while len(found) < number:
        first, last = (names[place] for place in draw.integers(len(names), size=2))
        made = first[: (len(first) + 1) // 2] + last[(len(last) + 1) // 2 :]
        if made not in names:
            found[made] = None
    return tuple(found)


def _written(
    plain: deployment.View, served: deployment.View, own: tuple[str, ...], there: Tensor, seed: int
) -> tuple[ReportDecoder, dict[str, tuple[str, ...]]]:
    """A decoder fitted through the view; what a look-up, a naive decoder and it make of answers."""

    @cache
    def writer(on: deployment.View) -> ReportDecoder:
        return attacks.fit_report_decoder(on, own, seed=seed, queries=QUERIES)

    decoder = writer(served)
    nearest = attacks.nearest_report(decoder.own, decoder.embeddings[: len(decoder.own)], there)
    same_width = there.shape[1] == plain(own[:1]).shape[1]
    found = attackers(
        lambda fitted_on, _: writer(fitted_on).guess(there),
        lambda: served,
        plain=plain if served.defenses and same_width else None,
    )
    if not same_width:
        del found["naive"]
    return decoder, {"nearest": nearest, **found}


def _statements(cohort: Cohort, victims: Part, said: list[Any]) -> tuple[float, float]:
    """Recall and precision of statements about the first victims."""
    few = victims.take(slice(len(said)))
    found = metrics.statement_scores(data.report_statements(cohort, few.x), said, few.patient)
    return found[0].value, found[1].value


def _share_of_names(reader: SlotReader, truth: tuple[str, ...], there: Tensor) -> float:
    """Of the reports with a name, the share of which it is read."""
    pairs = zip(map(reader.slot.word, truth), reader.guess(there), strict=True)
    return float(np.mean([word == read for word, read in pairs if word]))


TABLES = {
    "08-twins": Table(twins_cell, {"twins": [True, False], "seed": [0, 1, 2]}),
    "08-names": Table(names_cell, {"further": [0, 5_000], "seed": [0, 1, 2]}),
    "08-views": Table(
        views_cell, {"dataset": ["synthetic"], "seed": [0, 1, 2], "view": list(VIEWS)}
    ),
}
