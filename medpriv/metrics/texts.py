"""How close a reconstructed text is to the true one, and what a vocabulary looks like.

Texts are compared in the normal form of :func:`medpriv.data.normalise_text`, in which case,
punctuation and spacing do not count. Neither score knows what a word means: "no mass" and "a
mass" are close.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpriv.data.text import normalise_text
from medpriv.statistics import Estimate, estimates


def exact_match(truth: Sequence[str], guess: Sequence[str]) -> NDArray[np.float64]:
    """1 where the guess is the true text in normal form, else 0.

    Args:
        truth: n texts.
        guess: n texts.

    Returns:
        ``(n,)`` float64.

    Raises:
        ValueError: there are not as many guesses as texts, or one of them is no text.
    """
    pairs = _words(truth, guess)
    return np.array([float(ours == theirs) for ours, theirs in pairs])


def token_f1(truth: Sequence[str], guess: Sequence[str]) -> NDArray[np.float64]:
    """Harmonic mean of word precision and recall, words counted as often as they occur.

    The order of words does not matter (Rajpurkar et al. 2016, EMNLP, section 6.1). Two texts
    without a word score 1, a text against one without a word 0.

    Arguments, result and errors as for :func:`exact_match`; the values lie in [0, 1].
    """
    scores = []
    for ours, theirs in _words(truth, guess):
        shared = (Counter(ours) & Counter(theirs)).total()
        words = len(ours) + len(theirs)
        scores.append(2 * shared / words if words else 1.0)
    return np.array(scores)


def bleu(truth: Sequence[str], guess: Sequence[str]) -> NDArray[np.float64]:
    """BLEU of each guess: how many of its runs of one to four words stand in the true text.

    Papineni et al. 2002 (ACL), by sacrebleu, sentence by sentence with "effective order": a text
    of three words has no run of four, and is judged by shorter ones. Its smoothing counts the
    first length of run that is missing as half a run, the next as a quarter; a guess that is too
    short is marked down.

    Arguments and errors as for :func:`exact_match`; the values lie in [0, 1]. Two texts without a
    word score 1.
    """
    from sacrebleu.metrics import BLEU

    judge = BLEU(effective_order=True, tokenize="none")
    scores = []
    for ours, theirs in _words(truth, guess):
        if ours and theirs:
            found = judge.sentence_score(" ".join(theirs), [" ".join(ours)]).score / 100
            scores.append(min(found, 1.0))
        else:
            scores.append(float(ours == theirs))
    return np.array(scores)


def text_cosine(
    truth: Sequence[str], guess: Sequence[str], pool: Sequence[str]
) -> NDArray[np.float64]:
    """Cosine of TF-IDF weights: closeness that does not come from the attacked encoder.

    Args:
        truth: n texts.
        guess: n texts.
        pool: texts of others, from which the weights of words come.

    Returns:
        ``(n,)`` float64 in [0, 1]; 0 where a text has no word of the pool.

    Raises:
        ValueError: the pool holds no word, or there are not as many guesses as texts.
    """
    pairs = _words(truth, guess)
    weigh = _weights().fit(pool)
    if not pairs:
        return np.zeros(0)
    ours = weigh.transform([" ".join(words) for words, _ in pairs])
    theirs = weigh.transform([" ".join(words) for _, words in pairs])
    return np.asarray(ours.multiply(theirs).sum(axis=1)).ravel().clip(0, 1)


def statement_scores(
    truth: Sequence[frozenset],
    guess: Sequence[frozenset],
    patient: np.ndarray,
    *,
    kind: str | None = None,
    baseline: Sequence[frozenset] | None = None,
    draws: int = 500,
    seed: int = 0,
) -> tuple[Estimate, Estimate]:
    """Of all that the reports state, how much the guesses state too; and how much of it is true.

    Args:
        truth: for each of n reports what it states, see :func:`medpriv.data.report_statements`.
        guess: what each guess states.
        patient: ``(n,)`` the patient of each report.
        kind: count statements of this kind only, such as ``"diagnosis"``.
        baseline: other guesses; both estimates are then how much larger they are than theirs.
        draws: bootstrap resamples over patients.
        seed: decides the resamples.

    Returns:
        Recall and precision over all statements, each with a 95 % interval; NaN where nothing is
        stated.

    Raises:
        ValueError: there are not as many guesses as reports, or none.
    """
    lengths = {len(truth), len(guess), len(patient), len(truth if baseline is None else baseline)}
    if len(lengths) > 1:
        raise ValueError(f"expected as many guesses and patients as reports, got {sorted(lengths)}")
    if not len(truth):
        raise ValueError("expected at least one report, got none")

    def size(statements: frozenset) -> int:
        return sum(kind is None or one[0] == kind for one in statements)

    def shares(guess: Sequence[frozenset], counts: NDArray) -> NDArray[np.float64]:
        shared = np.array([size(a & b) for a, b in zip(truth, guess, strict=True)])
        totals = np.array([[size(a) for a in truth], [size(b) for b in guess]])
        drawn = totals @ counts.T
        return np.divide(counts @ shared, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)

    who = np.asarray(patient)
    stating = [len(np.unique(who[[size(one) > 0 for one in side]])) for side in (truth, guess)]
    recall, precision = estimates(
        shares, guess, baseline, patient, draws=draws, seed=seed, shares=stating
    )
    return recall, precision


def set_f1(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall of the words guessed for each text.

    Args:
        truth: ``(n, K)`` bool, which of K words stand in each text.
        guess: ``(n, K)`` bool, which were guessed.

    Returns:
        ``(n,)`` float64 in [0, 1]; 1 where no word stands and none is guessed.

    Raises:
        ValueError: the two are no tables of one shape.
    """
    truth, guess = np.asarray(truth, dtype=bool), np.asarray(guess, dtype=bool)
    if truth.ndim != 2 or truth.shape != guess.shape:
        raise ValueError(f"expected two tables (n, K), got {truth.shape} and {guess.shape}")
    shared, words = (truth & guess).sum(1), truth.sum(1) + guess.sum(1)
    return np.divide(2 * shared, words, out=np.ones(len(truth)), where=words > 0)


def nearest_text(texts: Sequence[str], pool: Sequence[str], *, chunk: int = 256) -> tuple[str, ...]:
    """For each text the one of ``pool`` with the largest cosine of TF-IDF weights.

    As a baseline: what an attacker who has nothing but texts of his own hands back. The weights
    come from the pool only. Among equals the first is taken, and so is the first of all where a
    text shares no word with the pool; but a text with the same normal form comes before all
    others, since the cosine cannot tell "no no" from "no".

    Args:
        texts: n texts to look up.
        pool: m texts, the auxiliary ones.
        chunk: texts at once; memory does not grow with n.

    Returns:
        n texts from the pool.

    Raises:
        ValueError: the pool holds no word, or something is no text.
    """
    weigh = _weights()
    known = weigh.fit_transform(pool)
    twins = {normalise_text(text): text for text in reversed(pool)}  # the first one stays
    nearest: list[str] = []
    for start in range(0, len(texts), chunk):
        some = texts[start : start + chunk]
        cosine = (weigh.transform(some) @ known.T).toarray()
        # Rounded, so that the same sum in another order stays equal and the first one is taken.
        best = cosine.round(9).argmax(axis=1)
        nearest += [
            twins.get(normalise_text(text), pool[row]) for text, row in zip(some, best, strict=True)
        ]
    return tuple(nearest)


def vocabulary_growth(texts: Iterable[str]) -> NDArray[np.int64]:
    """How many different words have been met after each word, reading the texts in order.

    In a natural language the count keeps growing, about as a power of the words read (Heaps'
    law); from a grammar it levels off.

    Args:
        texts: any number of texts; their normal forms are read.

    Returns:
        ``(words,)`` int64, never falling; the last is the size of the vocabulary.

    Raises:
        ValueError: something is no text.
    """
    met: set[str] = set()
    sizes = []
    for text in texts:
        for word in normalise_text(text).split():
            met.add(word)
            sizes.append(len(met))
    return np.array(sizes, dtype=np.int64)


def _weights() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(preprocessor=normalise_text, tokenizer=str.split, token_pattern=None)


def _words(truth: Sequence[str], guess: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    if len(truth) != len(guess):
        raise ValueError(f"expected one guess for each of {len(truth)} texts, got {len(guess)}")
    return [
        (normalise_text(ours).split(), normalise_text(theirs).split())
        for ours, theirs in zip(truth, guess, strict=True)
    ]
