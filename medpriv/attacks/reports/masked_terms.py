"""Guessing the one term of a report that was blacked out, through a classifier of reports.

The text twin of attribute inference: the attacker has the report but for one term, and tries every
term that it could have been. The answers are read as for records
(:func:`medpriv.attacks.confidence_posterior` and the others take them). Without the model, the
baseline is what language itself says about the gap (:func:`fit_term_imputer`,
:func:`.fit_language_model`)::

    hidden = mask_terms(victims.x, terms)
    answers = ask_terms(view, hidden.texts, terms)  # (n, V, K)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.records.imputation import Learned
from medpriv.deployment import View

GAP = "____"
_WORD = re.compile(r"[\w'-]+|[^\w\s]")
_START, _END, _UNKNOWN = "<s>", "</s>", "<unknown>"


@dataclass(frozen=True)
class Hidden:
    """Reports in which one term was blacked out; made by :func:`.mask_terms`.

    Attributes:
        texts: n reports, with ``____`` wherever the term stood.
        truth: ``(n,)`` int64, which term it was.
        rows: ``(n,)`` int64, where each report stood among those given.
    """

    texts: tuple[str, ...]
    truth: Tensor
    rows: np.ndarray


def mask_terms(texts: Sequence[str], terms: Sequence[str]) -> Hidden:
    """Black out the one term that a report names; reports that name none or several are left out.

    A report that names two of the terms would give one away by the other. Upper and lower case
    are the same; a term is not found inside a longer word, nor inside a longer term.

    Raises:
        ValueError: fewer than two terms, one of them empty or twice, or no report is left.
    """
    folded = [term.casefold() for term in terms]
    if len(set(folded)) < max(2, len(terms)) or not all(term.strip() for term in folded):
        raise ValueError(f"name two or more terms, each once, got {tuple(terms)}")
    longest_first = sorted(folded, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w)", re.I)
    kept = []
    for row, text in enumerate(texts):
        named = {found.casefold() for found in pattern.findall(text)}
        if len(named) == 1:
            kept.append((row, pattern.sub(GAP, text), folded.index(named.pop())))
    if not kept:
        raise ValueError(f"none of {len(texts)} reports names exactly one of {', '.join(terms)}")
    rows, masked, truth = zip(*kept, strict=True)
    return Hidden(masked, torch.tensor(truth), np.array(rows))


def filled(texts: Sequence[str], terms: Sequence[str]) -> list[str]:
    """Every report with every term in its gap, report by report: ``n V`` texts."""
    return [text.replace(GAP, term) for text in texts for term in terms]


def ask_terms(view: View, texts: Sequence[str], terms: Sequence[str]) -> Tensor:
    """Ask about each of n reports with each of V terms in its gap; a query for each.

    Args:
        view: exposes ``scores`` or ``label``.
        texts: n reports with a gap, see :func:`mask_terms`.
        terms: V.

    Returns:
        ``(n, V, K)`` float32 scores, or ``(n, V)`` int64 labels, as the view gives.

    Raises:
        ThreatModelError: the view gives neither.
        QueryBudgetError: ``n V`` queries are more than are left; none is then spent.
        ValueError: a report has no gap.
    """
    view.require("label" if view.expose == "label" else "scores", "asking about terms")
    whole = [row for row, text in enumerate(texts) if GAP not in text]
    if whole:
        raise ValueError(f"report {whole[0]} has no gap ({GAP}) to fill; see mask_terms")
    return view(filled(texts, terms)).unflatten(0, (len(texts), len(terms)))


def fit_term_imputer(hidden: Hidden, terms: int) -> Learned:
    """Learn which of V terms goes with which words, on the attacker's own reports.

    A logistic regression on weighted words and pairs of words (TF-IDF), which guesses from n texts
    with a gap. A term that he never met gets what Laplace's rule would give it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    truth = hidden.truth.numpy()
    seen, unseen = np.unique(truth), 1 / (len(truth) + terms)
    if len(seen) == 1:
        return Learned(seen, unseen, terms, None)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD.pattern)
    classifier = make_pipeline(words, LogisticRegression(C=10.0, max_iter=300))
    return Learned(seen, unseen, terms, classifier.fit(list(hidden.texts), truth))


@dataclass(frozen=True)
class LanguageModel:
    """How likely a text is, word by word; made by :func:`.fit_language_model`.

    Attributes:
        order: how many words it looks at, the one it predicts included.
        vocabulary: how many different words it knows, unknown and end included.
    """

    order: int
    vocabulary: int
    _known: frozenset[str]
    _counts: dict[tuple[str, ...], int]
    _after: dict[tuple[str, ...], tuple[int, int]]  # a context: words that came, kinds of them

    def log_probability(self, texts: Sequence[str]) -> Tensor:
        """Natural logarithm of the probability of each text: ``(n,)`` float64."""
        return torch.tensor([self._of_text(text) for text in texts], dtype=torch.float64)

    def guess(self, texts: Sequence[str], terms: Sequence[str]) -> Tensor:
        """P(term | the rest), by how likely each filled text is: ``(n, V)`` float64."""
        scores = self.log_probability(filled(texts, terms))
        return F.softmax(scores.unflatten(0, (len(texts), len(terms))), dim=1)

    def _of_text(self, text: str) -> float:
        words = [word if word in self._known else _UNKNOWN for word in _words(text)]
        padded = [_START] * (self.order - 1) + words + [_END]
        places = range(self.order - 1, len(padded))
        chances = [self._next(padded[i], tuple(padded[i - self.order + 1 : i])) for i in places]
        return float(np.log(chances).sum())

    def _next(self, word: str, context: tuple[str, ...]) -> float:
        """Witten & Bell 1991: give to shorter contexts what new words got in this one."""
        chance = 1 / self.vocabulary
        for start in range(len(context), -1, -1):
            short = context[start:]
            if short in self._after:
                total, kinds = self._after[short]
                found = self._counts.get((*short, word), 0)
                chance = (found + kinds * chance) / (total + kinds)
        return chance


def fit_language_model(texts: Sequence[str], *, order: int = 3) -> LanguageModel:
    """Count the words of the attacker's reports, and which follow which, ``order`` at once.

    Raises:
        ValueError: there are no texts, or the order is below 1.
    """
    if not len(texts) or order < 1:
        raise ValueError(f"expected texts and an order of at least 1, got {len(texts)}, {order}")
    read = [_words(text) for text in texts]
    counts: Counter[tuple[str, ...]] = Counter()
    for words in read:
        padded = [_START] * (order - 1) + words + [_END]
        for end in range(order - 1, len(padded)):
            counts.update(
                tuple(padded[start : end + 1]) for start in range(end - order + 1, end + 1)
            )
    after: dict[tuple[str, ...], tuple[int, int]] = {}
    for gram, number in counts.items():
        total, kinds = after.get(gram[:-1], (0, 0))
        after[gram[:-1]] = total + number, kinds + 1
    known = frozenset(word for words in read for word in words)
    return LanguageModel(order, len(known) + 2, known, counts, after)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
