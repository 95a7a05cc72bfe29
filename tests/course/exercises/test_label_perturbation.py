"""The check cells of chapter 09: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

import numpy as np
import torch

from answering import test_right_answers, test_wrong_answers  # noqa: F401


def epsilon(p, k):
    return np.log((1 - p) * (k - 1) / p)


def table(errors, p):
    k = len(errors)
    coin = torch.full((k, k), p / (k - 1)).fill_diagonal_(1 - p)
    return errors @ coin.to(errors)


def shares(answers, p, k):
    seen = np.bincount(answers, minlength=k) / len(answers)
    return (seen - p / (k - 1)) / (1 - p - p / (k - 1))


RIGHT = [
    ("09-epsilon", epsilon),
    ("09-epsilon", lambda p, k: torch.tensor(epsilon(p, k))),
    ("09-table", table),
    ("09-table", lambda c, p: table(c, p).numpy()),
    ("09-survey", shares),
    ("09-survey", lambda a, p, k: torch.tensor(shares(a, p, k))),
]

WRONG = [
    ("09-epsilon", lambda p, k: np.log((1 - p) / p), "one of k - 1"),
    ("09-epsilon", lambda p, k: np.log2((1 - p) * (k - 1) / p), "natural logarithm"),
    ("09-epsilon", lambda p, k: (1 - p) * (k - 1) / p, "take its logarithm"),
    ("09-epsilon", lambda p, k: 1.0, "right is 2.1972"),
    ("09-table", lambda c, p: c, "in the first row"),
    ("09-table", lambda c, p: 2 * table(c, p), "must add up to 1"),
    ("09-table", lambda c, p: table(torch.eye(len(c)).to(c), p) @ c, "in the other order"),
    ("09-table", lambda c, p: c[0], "return a table"),
    ("09-survey", lambda a, p, k: np.bincount(a, minlength=k) / len(a), "undo what the coin"),
    ("09-survey", lambda a, p, k: shares(a, p, k) * len(a), "divide the counts"),
    ("09-survey", lambda a, p, k: shares(a, p, k)[:1], "return 2 shares"),
    ("09-survey", lambda a, p, k: shares(a, p / 2, k), "right is"),
]
