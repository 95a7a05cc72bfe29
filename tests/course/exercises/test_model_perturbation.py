"""The check cells of chapter 10: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

import math

import numpy as np
import torch

from answering import test_right_answers, test_wrong_answers  # noqa: F401


def answers(sigma, wanted):
    return max(1, math.ceil((sigma / wanted) ** 2 - 1e-9))


def step(gradients, clip, noise, draw):
    length = gradients.norm(dim=1, keepdim=True)
    cut = gradients * (clip / length).clamp(max=1)
    return cut.sum(0) + noise * clip * torch.randn(gradients.shape[1], generator=draw)


def unclipped(gradients, clip, noise, draw):
    return gradients.sum(0) + noise * clip * torch.randn(gradients.shape[1], generator=draw)


def normalised(gradients, clip, noise, draw):
    cut = gradients / gradients.norm(dim=1, keepdim=True).clamp(min=1e-9) * clip
    return cut.sum(0) + noise * clip * torch.randn(gradients.shape[1], generator=draw)


def cut_sum(gradients, clip, noise, draw):
    total = gradients.sum(0)
    total = total * (clip / total.norm()).clamp(max=1)
    return total + noise * clip * torch.randn(gradients.shape[1], generator=draw)


def undefined(gradients, clip, noise, draw):
    length = gradients.norm(dim=1, keepdim=True)
    return (gradients / length * length.clamp(max=clip)).sum(0)


def noisy_rows(gradients, clip, noise, draw):
    length = gradients.norm(dim=1, keepdim=True)
    cut = gradients * (clip / length).clamp(max=1)
    return (cut + noise * clip * torch.randn(gradients.shape, generator=draw)).sum(0)


def audit(tpr, fpr, delta):
    bounds = [0.0]
    for high, low in ((tpr, fpr), (1 - fpr, 1 - tpr)):
        if high > delta:
            bounds.append(math.log((high - delta) / low))
    return max(bounds)


RIGHT = [
    ("10-answers", answers),
    ("10-answers", lambda s, w: np.int64(answers(s, w))),
    # The second hint, taken at its word: 0.3 / 0.1 is a little more than 3 for a computer.
    ("10-answers", lambda s, w: max(1, math.ceil((s / w) ** 2))),
    ("10-step", step),
    ("10-step", lambda g, c, n, d: step(g, c, n, d).numpy()),
    ("10-audit", audit),
    ("10-audit", lambda t, f, d: torch.tensor(audit(t, f, d))),
]

WRONG = [
    ("10-answers", lambda s, w: math.ceil((s / w) ** 2 - 1e-9) - 1, "4 answers, you return 3"),
    ("10-answers", lambda s, w: math.ceil(s / w - 1e-9), "square the ratio"),
    ("10-answers", lambda s, w: (s / w) ** 2 + 0.5, "a whole number"),
    ("10-answers", lambda s, w: 0, "at least one answer"),
    ("10-step", unclipped, "cut the rows"),
    ("10-step", normalised, "stay as they are"),
    ("10-step", cut_sum, "not the sum"),
    ("10-step", undefined, "row of zeros gives NaN"),
    ("10-step", lambda g, c, n, d: step(g, c, n, d) / len(g), "not the mean"),
    ("10-step", lambda g, c, n, d: step(g, 1.0, n, d), "without noise you return"),
    ("10-step", lambda g, c, n, d: step(g, c, n / c, d), "in units of clip"),
    ("10-step", noisy_rows, "add it once"),
    ("10-step", lambda g, c, n, d: step(g, c, 0.0, d), "standard deviation of 3"),
    ("10-step", lambda g, c, n, d: step(g, c, n, d).sum(), "one number for each of 2 columns"),
    ("10-audit", lambda t, f, d: math.log((t - d) / f) if t > d else 0.0, "other inequality"),
    ("10-audit", lambda t, f, d: math.log((1 - f - d) / (1 - t)), "first inequality"),
    ("10-audit", lambda t, f, d: audit(t, f, 0.0), "take delta off"),
    ("10-audit", lambda t, f, d: -1.0, "0 or more"),
    ("10-audit", lambda t, f, d: audit(t, f, d) + 0.1, "right is"),
    (
        "10-audit",
        lambda t, f, d: audit(t, f, d) if t > 0.1 else 1.0,
        "below delta that inequality says nothing",
    ),
]
