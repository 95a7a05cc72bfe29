"""Evidence for words, and the map from words to embeddings: scikit-learn as oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from medpriv.attacks.reports.word_evidence import fit_text_map, fit_word_evidence, word_shares
from medpriv.runtime.seeds import torch_rng


def drawn(rows: int = 40, width: int = 6, words: int = 5) -> tuple[Tensor, Tensor]:
    draw = torch_rng(0, "drawn")
    x = torch.randn(rows, width, generator=draw)
    return x, x[:, :words] + 0.5 * torch.randn(rows, words, generator=draw) > 0.3


def log_odds(share: np.ndarray, slope: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    usual = np.clip(share, 1e-4, 1 - 1e-3)
    likely = np.clip(np.maximum(usual + slope * predicted, 0.05 * usual), None, 1 - 1e-3)
    return np.log(likely / (1 - likely)) - np.log(usual / (1 - usual))


def test_what_is_left_out_is_what_a_regression_without_the_row_says() -> None:
    x, present = drawn()
    evidence, left_out = fit_word_evidence(x, present, penalty=3.0)
    z, y = evidence.standardised(x).double().numpy(), present.double().numpy()
    share = y.mean(0)
    predicted = np.empty_like(y)
    for row in range(len(z)):
        others = np.arange(len(z)) != row
        oracle = Ridge(alpha=3.0).fit(z[others], y[others])
        predicted[row] = oracle.predict(z[row : row + 1])[0] - share
    slope = np.clip(((y - share) * predicted).sum(0) / (predicted**2).sum(0), 0, 1)
    expected = log_odds(share, slope, predicted)
    np.testing.assert_allclose(left_out.numpy(), expected, rtol=2e-3, atol=2e-3)


def test_an_embedding_that_says_nothing_is_no_evidence() -> None:
    """Of 200 words drawn beside the embedding, the slope lets next to nothing through."""
    draw = torch_rng(1, "noise")
    x, present = torch.randn(300, 8, generator=draw), torch.rand(300, 200, generator=draw) < 0.3
    evidence, _ = fit_word_evidence(x, present)
    assert evidence.of(torch.randn(50, 8, generator=draw)).abs().mean() < 0.05


def test_a_word_that_all_or_none_of_the_reports_have_gets_no_evidence() -> None:
    x, present = drawn()
    present[:, 0], present[:, 1] = True, False
    evidence, left_out = fit_word_evidence(x, present)
    assert left_out[:, :2].abs().max() < 1e-5
    assert evidence.of(3 * x)[:, :2].abs().max() < 1e-5


def test_equal_embeddings_have_a_defined_result() -> None:
    evidence, left_out = fit_word_evidence(torch.ones(5, 3), torch.eye(5, dtype=torch.bool))
    assert torch.isfinite(left_out).all()
    assert torch.isfinite(evidence.of(torch.ones(2, 3))).all()


@pytest.mark.parametrize(("rows", "words"), [(30, 8), (8, 30)])
def test_the_map_of_texts_is_a_ridge_regression_in_both_forms(rows: int, words: int) -> None:
    draw = torch_rng(2, "map")
    x, y = torch.rand(rows, words, generator=draw), torch.randn(rows, 4, generator=draw)
    oracle = Ridge(alpha=0.1).fit(x.double().numpy(), y.double().numpy())
    weights, origin = fit_text_map(x, y, penalty=0.1)
    found = x @ weights + origin
    np.testing.assert_allclose(found.numpy(), oracle.predict(x.double().numpy()), atol=1e-4)


def test_shares_of_words_by_hand() -> None:
    report = torch.tensor([[3, 4, 3, 1, 0], [1, 0, 0, 0, 0]])
    expected = torch.tensor([[0, 0, 0, 2 / 3, 1 / 3], [0.0] * 5])
    torch.testing.assert_close(word_shares(report, 5, first=3), expected)
