"""The check cells of chapter 12: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

import numpy as np

from answering import test_right_answers, test_wrong_answers  # noqa: F401


def share(scores, baseline, undefended):
    best = np.nanmax(scores, axis=1)
    return ((best - baseline) / (undefended - baseline)).clip(0, 1)


def with_nan(scores, baseline, undefended):
    return share(np.where(np.isnan(scores).any(1, keepdims=True), 9, scores), 0, 1) * np.nan


def unclipped(scores, baseline, undefended):
    return (np.nanmax(scores, axis=1) - baseline) / (undefended - baseline)


def mean_attacker(scores, baseline, undefended):
    return share(np.nanmean(scores, axis=1, keepdims=True), baseline, undefended)


def on_front(leak, utility):
    return np.array(
        [
            not np.any(
                (leak <= leak[i]) & (utility >= utility[i])
                & ((leak < leak[i]) | (utility > utility[i]))
            )
            for i in range(len(leak))
        ]
    )  # fmt: skip


def with_itself(leak, utility):
    return np.array(
        [not np.any((leak <= a) & (utility >= b)) for a, b in zip(leak, utility, strict=True)]
    )


def strictly(leak, utility):
    return np.array(
        [not np.any((leak < a) & (utility > b)) for a, b in zip(leak, utility, strict=True)]
    )


EVEN, ODD, EVERY = slice(0, None, 2), slice(1, None, 2), slice(None)


def chosen(leak, utility, limit, by=EVEN, worth=None, told=ODD, strict=False):
    mean = leak[by].mean(0)
    allowed = mean < limit if strict else mean <= limit
    which = np.where(allowed, utility[worth or by].mean(0), -1).argmax()
    return int(which), leak[told, which].mean()


def last_allowed(leak, utility, limit):
    which = np.flatnonzero(leak[EVEN].mean(0) <= limit)[-1]
    return which, leak[ODD, which].mean()


RIGHT = [
    ("12-left", share),
    ("12-left", lambda s, b, u: share(s, b, u).tolist()),
    ("12-front", on_front),
    ("12-front", lambda x, y: on_front(x, y).tolist()),
    ("12-choose", chosen),
    ("12-choose", lambda x, y, m: [np.int64(chosen(x, y, m)[0]), chosen(x, y, m)[1]]),
]

WRONG = [
    ("12-left", with_nan, "some shares are NaN"),
    ("12-left", lambda s, b, u: share(np.nan_to_num(s), b, u), "no attacker with a score of 0"),
    ("12-left", unclipped, "between 0 and 1"),
    ("12-left", mean_attacker, "takes the best way"),
    ("12-left", lambda s, b, u: share(s[:, 1:2], b, u), "the adaptive attacker alone"),
    ("12-left", lambda s, b, u: (np.nanmax(s, 1) / u).clip(0, 1), "take the baseline off"),
    ("12-left", lambda s, b, u: share(s, b, u) / 2, "for the third defense"),
    ("12-left", lambda s, b, u: share(s, b, u).mean(), "one share for each defense"),
    ("12-left", lambda s, b, u: "none", "got str"),
    ("12-front", lambda x, y: ~on_front(x, y), "turn it round"),
    ("12-front", with_itself, "as good as itself"),
    ("12-front", strictly, "is beaten, too"),
    ("12-front", lambda x, y: np.ones(len(x)), "beaten by another; you say it is not"),
    ("12-front", lambda x, y: on_front(x, y)[:1], "true or false for each"),
    ("12-choose", lambda x, y, m: chosen(x, y, m)[0], "return two things"),
    ("12-choose", lambda x, y, m: chosen(x, y, m, by=EVERY), "choose with the even ones"),
    ("12-choose", lambda x, y, m: chosen(x, y, 9), "it has to keep the limit"),
    ("12-choose", lambda x, y, m: chosen(x, y, m, worth=EVERY), "you choose defense"),
    ("12-choose", lambda x, y, m: chosen(x, y, m, worth=ODD), "you choose defense"),
    ("12-choose", lambda x, y, m: chosen(x, y[:1], m), "you choose defense"),
    ("12-choose", lambda x, y, m: chosen(x, y, m, strict=True), "you choose defense"),
    ("12-choose", last_allowed, "you choose defense"),
    ("12-choose", lambda x, y, m: (x[::2].mean(0).argmin(), 0.1), "that leaks least"),
    ("12-choose", lambda x, y, m: (-1, 0.1), "you choose defense -1"),
    ("12-choose", lambda x, y, m: chosen(x, y, m, told=EVEN), "report the others'"),
    ("12-choose", lambda x, y, m: (chosen(x, y, m)[0], 0.0), "you report 0.000"),
]
