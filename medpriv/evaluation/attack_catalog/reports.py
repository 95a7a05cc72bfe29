"""The course's attacks on reports, each with its baseline and its metric."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from medpriv import attacks, data, metrics
from medpriv.attacks.records.candidate_values import labels_of
from medpriv.attacks.reports.masked_terms import Hidden
from medpriv.data.cohort import Cohort, Part
from medpriv.deployment import View
from medpriv.evaluation.attack_catalog.answers import asked_twice, mcc, tolerance
from medpriv.evaluation.attacks import Case
from medpriv.models.reports import ReportEncoder
from medpriv.runtime.cache import remembered
from medpriv.runtime.profile import WRITER_QUERIES_COMPARED
from medpriv.statistics import Estimate

#: The terms of which one is blacked out, for each known data set; of another one it is its most
#: common keywords.
TERMS = {
    "synthetic": ("HIV", "depression", "substance use", "diabetes", "hypertension", "COPD",
                  "heart failure", "cancer"),
    "openi": ("cardiomegaly", "effusion", "atelectasis", "pneumothorax", "edema", "pneumonia",
              "granuloma", "scoliosis"),
}  # fmt: skip
OWN, VICTIMS = 600, 150  # patients whose reports are used, at most
_WORDS = 60  # of a report that are read and written
_CANDIDATES = 50  # own reports among which the usual one is looked for


def facts(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """AUC of the facts that a linear probe reads from embeddings, the mean over facts."""
    own, victims = _parts(case)
    known = torch.tensor(_facts(case.cohort, own))
    reader = attacks.fit_fact_reader(fitted_on(own.x), known, patient=own.patient)
    return _auc(case, victims, reader.guess(used_on.intercept(victims.x)))


def other_facts(case: Case) -> Estimate:
    """The baseline: each fact from the patient's other facts, age and sex, without an embedding."""
    own, victims = _parts(case)
    return _auc(case, victims, from_other_facts(case.cohort, own, victims))


def from_other_facts(cohort: Cohort, own: Part, victims: Part) -> Tensor:
    """``(n, facts)``: how likely each fact of a victim is, given all her other facts, age and sex.

    Args:
        cohort: of reports.
        own: whose facts the attacker knows.
        victims: of whom he knows all facts but one.
    """
    known, told = (torch.tensor(_facts(cohort, part)) for part in (own, victims))
    reader = attacks.fit_cooccurrence(known, data.age_and_sex(own), penalty=1.0)
    return reader.guess(torch.cat([told, data.age_and_sex(victims)], dim=1))


def nearest(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """Token F1 of the attacker's own report with the nearest embedding."""
    own, victims = _parts(case)
    found = attacks.nearest_report(own.x, fitted_on(own.x), used_on.intercept(victims.x))
    return _f1(victims, found)


def decoder(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """Token F1 of what :func:`medpriv.attacks.fit_report_decoder` writes."""
    own, victims = _parts(case)
    different = len(data.drop_duplicate_texts(own.x))
    found = attacks.fit_report_decoder(
        fitted_on, own.x, profile=case.profile, seed=case.seed, device=case.device,
        queries=max(different, WRITER_QUERIES_COMPARED.of(case.profile)), longest=_WORDS,
    )  # fmt: skip
    return _f1(victims, found.guess(used_on.intercept(victims.x)))


def usual_report(case: Case) -> Estimate:
    """The baseline: one report for all, of the attacker's own the one most like his others."""
    own, victims = _parts(case)
    some = own.x[:_CANDIDATES]
    likeness = [metrics.token_f1(some, [text] * len(some)).mean() for text in some]
    return _f1(victims, [some[int(np.argmax(likeness))]] * len(victims))


def masked_term(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """MCC of the term that was blacked out, from one answer about the whole report.

    As :func:`medpriv.evaluation.attack_catalog.records.answer` for records.
    """
    own, _ = _parts(case)
    terms, hidden, about, prior = gaps(case)
    twice = asked_twice(fitted_on, own.x, len(case.cohort.classes))
    grid = attacks.ask_terms(used_on, hidden.texts, terms)
    letter = labels_of(used_on.intercept(about.x))
    return _term_mcc(case, attacks.map_posterior(grid, letter, twice, prior))


def masked_term_by_scores(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """MCC of the term with which the whole report is scored as it was."""
    own, _ = _parts(case)
    terms, hidden, about, prior = gaps(case)
    apart = tolerance(fitted_on, own.x)
    grid = attacks.ask_terms(used_on, hidden.texts, terms)
    seen = used_on.intercept(about.x)
    return _term_mcc(case, attacks.agreement_posterior(grid, seen, prior, tolerance=apart))


def words_around(case: Case) -> Estimate:
    """The baseline: the term from the words around the gap."""
    return _term_mcc(case, gaps(case)[3])


def tokens(fitted_on: View, used_on: View, case: Case) -> Estimate:
    """The share of tokens that are read from the features of each."""
    own, victims = _parts(case)
    split = _tokeniser(case)
    reader = attacks.fit_token_reader(fitted_on, own.x, split)
    return _tokens_right(case, victims, reader.guess(used_on.intercept(victims.x)))


def usual_token(case: Case) -> Estimate:
    """The baseline: the most common token, everywhere."""
    own, victims = _parts(case)
    split = _tokeniser(case)
    found = [token for text in own.x for token in split(text)]
    names, counts = np.unique(found, return_counts=True)
    usual = str(names[counts.argmax()])
    return _tokens_right(case, victims, [[usual] * len(split(text)) for text in victims.x])


def _parts(case: Case) -> tuple[Part, Part]:
    cohort = case.cohort
    return cohort.auxiliary.first_patients(OWN), cohort.victims.first_patients(VICTIMS)


def _facts(cohort: Cohort, part: Part) -> np.ndarray:
    return data.report_facts(cohort, part).to_numpy()


def _auc(case: Case, victims: Part, scores: Tensor) -> Estimate:
    return metrics.auc(_facts(case.cohort, victims), scores.numpy(), victims.patient)


def _f1(victims: Part, guess: tuple[str, ...] | list[str]) -> Estimate:
    return metrics.mean_estimate(metrics.token_f1(victims.x, guess), victims.patient)


@remembered(2)
def gaps(case: Case) -> tuple[tuple[str, ...], Hidden, Part, Tensor]:
    """Terms, the victims' reports with a gap, the rows these are of, and the imputation."""
    own, victims = _parts(case)
    words = case.cohort.auxiliary.x
    terms = TERMS.get(case.cohort.card.name) or tuple(
        data.keywords(words, 8, alike=0.9, names=False)
    )
    hidden, known = attacks.mask_terms(victims.x, terms), attacks.mask_terms(own.x, terms)
    prior = attacks.fit_term_imputer(known, len(terms)).guess(hidden.texts)
    return terms, hidden, victims.take(hidden.rows), prior


def _term_mcc(case: Case, posterior: Tensor) -> Estimate:
    _, hidden, about, _ = gaps(case)
    return mcc(posterior, hidden.truth, about.patient)


def _tokens_right(case: Case, victims: Part, read: list[list[str]]) -> Estimate:
    split = _tokeniser(case)
    share = [
        np.mean([a == b for a, b in zip(split(text), found, strict=True)])
        for text, found in zip(victims.x, read, strict=True)
    ]
    return metrics.mean_estimate(np.array(share), victims.patient)


def _tokeniser(case: Case) -> Callable[[str], list[str]]:
    """A text → its tokens, as the encoder cuts it: of the reader's own network, its own."""
    own = getattr(case.untrained if case.model is None else case.model, "encoder", None)
    whole = own if isinstance(own, ReportEncoder) else _encoder(case.encoder)

    def cut(text: str) -> list[str]:
        numbers = whole.tokenizer(text, truncation=True, max_length=whole.max_tokens)["input_ids"]
        return whole.tokenizer.convert_ids_to_tokens(numbers)

    return cut


@remembered(1)
def _encoder(name: str) -> ReportEncoder:
    return ReportEncoder(name)
