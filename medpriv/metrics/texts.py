"""How close a reconstructed text is to the true one, and what a vocabulary looks like.

Texts are compared in the normal form of :func:`medpriv.data.normalise_text`, in which case,
punctuation and spacing do not count. Neither score knows what a word means: "no mass" and "a
mass" are close.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from medpriv.data.text import normalise_text


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
    from sklearn.feature_extraction.text import TfidfVectorizer

    weigh = TfidfVectorizer(preprocessor=normalise_text, tokenizer=str.split, token_pattern=None)
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


def _words(truth: Sequence[str], guess: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    if len(truth) != len(guess):
        raise ValueError(f"expected one guess for each of {len(truth)} texts, got {len(guess)}")
    return [
        (normalise_text(ours).split(), normalise_text(theirs).split())
        for ours, theirs in zip(truth, guess, strict=True)
    ]
