"""The check cells of chapter 11: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

import torch

from answering import test_right_answers, test_wrong_answers  # noqa: F401


def miss(seen, features, share):
    kept = seen != 0
    away = (features - seen * (1 - share)).square() * kept
    return away.sum(1) / kept.sum(1)


def enlarged(seen, features, share):
    return miss(seen, features, 0.0)


def over_all(seen, features, share):
    return ((features - seen * (1 - share)).square() * (seen != 0)).mean(1)


def collection(answers, within=1e-3):
    same = torch.cdist(answers, answers, p=float("inf")) <= within
    new = ~same.tril(diagonal=-1).any(dim=1)
    return int(new.sum()), answers[new].mean(0)


def tables(x, z):
    found = []
    for rows in (x, z):
        d = torch.cdist(rows, rows)
        found.append(d - d.mean(1, keepdim=True) - d.mean(0) + d.mean())
    return found


def squared(a, b):
    return (a * b).mean() / (a.square().mean() * b.square().mean()).sqrt()


def correlation(x, z):
    return squared(*tables(x, z)).sqrt()


def honest(x, z):
    from medpriv.models import distance_correlation

    return distance_correlation(x, z)


RIGHT = [
    ("11-zeros", miss),
    ("11-zeros", lambda s, f, p: miss(s, f, p).tolist()),
    ("11-count", collection),
    ("11-count", lambda a: (torch.tensor(collection(a)[0]), collection(a)[1].numpy())),
    ("11-plain", correlation),
    ("11-plain", lambda x, z: float(correlation(x, z))),
]

WRONG = [
    ("11-zeros", enlarged, "multiply what was sent by 1 - share"),
    ("11-zeros", over_all, "divide by those that were sent"),
    ("11-zeros", lambda s, f, p: (f - s * (1 - p)).square().mean(1), "leave out where seen is 0"),
    ("11-zeros", lambda s, f, p: miss(s, f, p).mean(), "one error a row"),
    ("11-zeros", lambda s, f, p: 2 * miss(s, f, p), "for the first row"),
    ("11-zeros", lambda s, f, p: "much", "got str"),
    ("11-count", lambda a: collection(a)[0], "return two things"),
    ("11-count", lambda a: (collection(a)[0], a.mean(0)), "the mean of all answers"),
    ("11-count", lambda a: collection(a, 0.0), "allow for 0.001"),
    ("11-count", lambda a: (1, collection(a)[1]), "3 different answers"),
    ("11-count", lambda a: (collection(a)[0], 2 * collection(a)[1]), "the mean begins with"),
    ("11-plain", lambda x, z: squared(*tables(x, z)), "take the square root"),
    ("11-plain", honest, "U-centred"),
    (
        "11-plain",
        lambda x, z: squared(torch.cdist(x, x), torch.cdist(z, z)).sqrt(),
        "centre rows and columns",
    ),
    ("11-plain", lambda x, z: 0.5, "right is"),
]
