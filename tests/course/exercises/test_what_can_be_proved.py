"""The check cells of chapter 14: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import norm

from answering import test_right_answers, test_wrong_answers  # noqa: F401


def named(gallery, ratio, q):
    return norm.cdf(norm.ppf(1 / gallery) + np.sqrt(q) * ratio)


def ratio(gallery, most, q):
    return (norm.ppf(most) - norm.ppf(1 / gallery)) / np.sqrt(q)


def least(auc, gallery):
    return norm.cdf(norm.ppf(1 / gallery) + norm.ppf(auc) / np.sqrt(2))


RIGHT = [
    ("14-ball", named),
    ("14-ball", lambda n, r, q: torch.tensor(named(n, r, q))),
    ("14-ratio", ratio),
    ("14-client", least),
]

WRONG = [
    ("14-ball", lambda n, r, q: norm.cdf(norm.ppf(1 / n) + q * r), "not by q"),
    ("14-ball", lambda n, r, q: norm.cdf(np.sqrt(q) * r), "begin at the prior"),
    ("14-ball", lambda n, r, q: 1 / n, "right is"),
    ("14-ratio", lambda n, m, q: ratio(n, m, 1), "there are q of them"),
    ("14-ratio", lambda n, m, q: 1.0, "right is"),
    ("14-client", lambda a, n: named(n, norm.ppf(a), 1), "root of 2"),
    ("14-client", lambda a, n: a, "right is"),
]
