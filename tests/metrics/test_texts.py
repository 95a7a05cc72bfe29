"""Scores of texts: by hand, and properties; the nearest text against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from medpriv.data import normalise_text
from medpriv.metrics import (
    bleu,
    exact_match,
    set_f1,
    statement_scores,
    text_cosine,
    token_f1,
    vocabulary_growth,
)
from medpriv.metrics.texts import nearest_text

TEXTS = st.lists(st.text(alphabet="abcd. ,-AB", max_size=12), min_size=1, max_size=8)
WORDY = st.text(alphabet="abc ", min_size=1).filter(lambda text: bool(text.strip()))


# --- Scores ---------------------------------------------------------------------------------------


def test_exact_match_by_hand() -> None:
    truth = ["No acute disease.", "No acute disease.", "Nodule of 3 mm", "Clear"]
    guess = ["no  ACUTE disease", "acute disease, no", "Nodule of 4 mm", ""]
    assert exact_match(truth, guess).tolist() == [1, 0, 0, 0]


def test_token_f1_by_hand() -> None:
    # Shared words 2 of 3 and 2 of 4: precision 2/4, recall 2/3, F1 = 2*2/(3+4).
    assert token_f1(["no acute disease"], ["No acute bony injury!"])[0] == pytest.approx(4 / 7)
    # A word counts as often as it occurs.
    assert token_f1(["mass mass left"], ["mass"])[0] == pytest.approx(2 * 1 / 4)
    assert token_f1(["a b", "a", "", ""], ["b A", "b", "", "a"]).tolist() == [1, 0, 1, 0]


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.randoms())
def test_scores_lie_in_their_range_and_agree(texts: list[str], random) -> None:
    other = random.sample(texts, len(texts))
    f1, exact = token_f1(texts, other), exact_match(texts, other)
    assert ((f1 >= 0) & (f1 <= 1)).all()
    assert (f1[exact == 1] == 1).all()
    np.testing.assert_array_equal(f1, token_f1(other, texts))
    assert (token_f1(texts, texts) == 1).all()
    assert exact_match(texts, texts).all()


@pytest.mark.parametrize("score", [exact_match, token_f1])
def test_texts_and_guesses_go_in_pairs(score) -> None:
    with pytest.raises(ValueError, match="one guess for each of 2 texts, got 1"):
        score(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="expected a text"):
        score(["a"], [None])
    assert score([], []).shape == (0,)


# --- The nearest text -----------------------------------------------------------------------------


def by_hand(text: str, pool: list[str]) -> np.ndarray:
    """Cosines of TF-IDF weights (smoothed as scikit-learn's), one word at a time."""
    forms = [normalise_text(one).split() for one in pool]
    words = sorted({word for form in forms for word in form})
    rarity = [
        1 + np.log((1 + len(pool)) / (1 + sum(word in form for form in forms))) for word in words
    ]
    weight = [
        np.array([form.count(word) for word in words]) * rarity
        for form in (normalise_text(text).split(), *forms)
    ]
    unit = [row / (np.linalg.norm(row) or 1) for row in weight]
    return np.array([unit[0] @ row for row in unit[1:]])


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDY, min_size=1, max_size=6), st.lists(WORDY, min_size=1, max_size=6))
def test_the_nearest_has_the_largest_cosine(texts: list[str], pool: list[str]) -> None:
    for text, found in zip(texts, nearest_text(texts, pool, chunk=2), strict=True):
        cosines = by_hand(text, pool)
        assert cosines[pool.index(found)] == pytest.approx(cosines.max(), abs=1e-6)


def test_a_twin_comes_before_a_text_at_the_same_angle() -> None:
    assert nearest_text(["No no!"], ["no", "no no", "NO NO"]) == ("no no",)


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDY, min_size=1, max_size=6), st.data())
def test_a_twin_in_another_spelling_is_found(pool: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(pool))
    (found,) = nearest_text([f"  {text.upper()} - "], pool)
    assert token_f1([text], [found])[0] == 1


def test_equals_and_strangers_give_the_first() -> None:
    pool = ["Lungs clear.", "Heart large.", "lungs CLEAR"]
    assert nearest_text(["clear lungs", "fracture"], pool) == ("Lungs clear.", "Lungs clear.")
    assert nearest_text([], pool) == ()


def test_single_letters_and_digits_are_words() -> None:
    pool = ["nodule of 3 mm", "nodule of 4 mm"]
    assert nearest_text(["Nodule of 4 mm."], pool) == (pool[1],)


def test_a_pool_without_words() -> None:
    with pytest.raises(ValueError, match="empty vocabulary"):
        nearest_text(["a"], ["...", ""])


# --- Vocabulary -----------------------------------------------------------------------------------


def test_vocabulary_growth_by_hand() -> None:
    assert vocabulary_growth(["No mass. No nodule", "A MASS"]).tolist() == [1, 2, 2, 3, 4, 4]
    assert vocabulary_growth(["..."]).shape == (0,)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_vocabulary_grows_by_at_most_one_a_word(texts: list[str]) -> None:
    growth = vocabulary_growth(texts)
    words = [word for text in texts for word in normalise_text(text).split()]
    assert len(growth) == len(words)
    assert set(np.diff(growth, prepend=0)) <= {0, 1}
    assert not len(words) or growth[-1] == len(set(words))


def test_f1_of_sets_by_hand() -> None:
    truth = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    guess = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    assert set_f1(truth, guess).tolist() == [0.4, 0.0, 1.0, 1.0]


@given(arrays(bool, (6, 5)), arrays(bool, (6, 5)))
def test_f1_of_sets_is_scikit_learns(truth: np.ndarray, guess: np.ndarray) -> None:
    oracle = [
        f1_score(ours, theirs, zero_division=1.0) for ours, theirs in zip(truth, guess, strict=True)
    ]
    assert set_f1(truth, guess) == pytest.approx(oracle)


def test_f1_of_sets_of_other_shapes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"two tables \(n, K\), got \(2, 3\) and \(2, 4\)"):
        set_f1(np.zeros((2, 3), bool), np.zeros((2, 4), bool))


# --- BLEU, TF-IDF, statements -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("truth", "guess"),
    [
        ("no acute cardiopulmonary abnormality is seen", "no acute abnormality is seen today"),
        ("the heart is normal in size", "the heart is enlarged"),
        ("clear lungs", "clear lungs and heart"),
    ],
)
def test_bleu_is_sacrebleus(truth: str, guess: str) -> None:
    import sacrebleu

    oracle = sacrebleu.sentence_bleu(guess, [truth], tokenize="none", use_effective_order=True)
    assert bleu([truth], [guess])[0] == pytest.approx(oracle.score / 100)


def test_bleu_by_hand() -> None:
    """Three of four words, two of three pairs, one of two triples, no run of four (smoothed)."""
    found = bleu(["a b c d"], ["a b c x"])[0]
    assert found == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)
    assert bleu(["A, b!", "", "a", ""], ["a b", "", "", "a"]).tolist() == [1, 1, 0, 0]


def test_text_cosine_is_scikit_learns() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import cosine_similarity

    pool = ["clear lungs", "clear heart", "small nodule", "lungs and heart"]
    truth, guess = ["clear lungs and heart", "small zebra"], ["clear heart", "zebra"]
    weigh = TfidfVectorizer().fit(pool)
    oracle = cosine_similarity(weigh.transform(truth), weigh.transform(guess)).diagonal()
    np.testing.assert_allclose(text_cosine(truth, guess, pool), oracle, atol=1e-12)


def test_statements_by_hand() -> None:
    hiv, copd, age = ("diagnosis", "hiv"), ("diagnosis", "copd"), ("age", "40")
    truth = [frozenset({hiv, age}), frozenset({copd}), frozenset()]
    guess = [frozenset({hiv}), frozenset({hiv, copd}), frozenset({age})]
    who = np.arange(3)
    recall, precision = statement_scores(truth, guess, who)
    assert (recall.value, precision.value) == pytest.approx((2 / 3, 2 / 4))
    recall, precision = statement_scores(truth, guess, who, kind="diagnosis")
    assert (recall.value, precision.value) == pytest.approx((1, 2 / 3))
    gain, _ = statement_scores(truth, guess, who, baseline=guess)
    off = 1 - 0.025 ** (1 / 2)  # of the two of whom something is stated another may differ
    assert (gain.value, gain.low, gain.high) == (0, pytest.approx(-off), pytest.approx(off))
    nothing, _ = statement_scores([frozenset()], [frozenset()], who[:1])
    assert np.isnan(nothing.value)
    with pytest.raises(ValueError, match="as many guesses"):
        statement_scores(truth, guess[:2], who)
