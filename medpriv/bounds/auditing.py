"""Whether a service keeps what is proved of it: an audit of defenses at inference.

A proof speaks of a mechanism, and a service is a program. So the program is asked about one of two
neighbouring inputs, many times, and a test tells which it was. With rates of true and false
positives by Clopper & Pearson 1934 (Biometrika 26:404), no test of a mechanism with curve of power
g finds more than g(false positives), so one that does has found a fault, or luck of a chance that
is stated. As in audits of training (Jagielski et al. 2020, NeurIPS, arXiv 2006.07709) the figure is
a lower bound on epsilon; that a service passes is no proof that it is sound.

Faults at inference are seen by whoever does more than ask once, and so there are four tests:

- *asked again*: the mean of all answers, over as many connections as are accepted. Finds a budget
  that begins anew for each connection;
- *another client*: the answer beside those that another client gets about both inputs. Finds coins
  or noise that are remembered under one key for everybody;
- *one request*: the answer beside those about both inputs in the same request. Finds a coin that is
  thrown for a whole batch;
- *started again*: the answer beside those of other processes, asked first thing. Finds a generator
  whose seed is in the program.

Any of them finds what tells too much at once, such as numbers that are clipped after the noise. A
threshold is chosen on half of the processes, and judged on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medpriv.bounds.judging import judged
from medpriv.bounds.power import Power
from medpriv.deployment import QueryBudgetError
from medpriv.deployment.view import Answer
from medpriv.runtime.arguments import choose, require_integer

#: What can be tested, in this order.
TESTS = ("asked again", "another client", "one request", "started again")
# A client's name → what answers him: a connection to a service.
Connect = Callable[[str], Answer]
# A number that no other process is given → a service that has just been started.
Start = Callable[[int], Connect]
_CONNECTIONS = 32  # that are tried where there is a budget for all


@dataclass(frozen=True)
class Audit:
    """What an audit has found.

    Attributes:
        tests: a row for each test that the service allowed: ``test``; ``answers``, how many about
            the patient it saw, of those that the claim counts; ``found`` and ``accused``, the
            shares of processes with the one and with the other input that it calls the one, on the
            half that judges; ``epsilon``, a lower bound; ``most``, the share found that the claim
            allows; ``least``, the lower end of the share found; ``broken``, whether that is more.
        error: how often a service that keeps its claim is called broken, at most.
    """

    tests: pd.DataFrame
    error: float

    @property
    def broken(self) -> bool:
        """Whether a test has found more than the claim allows."""
        return bool(self.tests["broken"].any())

    @property
    def epsilon(self) -> float:
        """The largest of the tests' lower bounds."""
        return float(self.tests["epsilon"].max())


def audit(
    start: Start,
    x: Tensor,
    other: Tensor,
    claim: Callable[[int], Power],
    *,
    budget: int | None = None,
    answers: int = 8,
    tests: Sequence[str] = TESTS,
    processes: int = 200,
    error: float = 1e-4,
    delta: float = 0.0,
) -> Audit:
    """Ask a service about one of two neighbouring inputs, and see whether it tells too much.

    Args:
        start: starts a process of the service, whose draws its operator makes anew each time; the
            number only stands in for what a computer draws them from.
        x: ``(1, ...)``, an input.
        other: another one of the same shape, as far from it as the claim allows.
        claim: how much q answers about one input may tell; such as
            ``lambda q: power.gaussian(2 * q**0.5 * radius / sigma)``.
        budget: how many answers about a patient the service says it gives in all; then more must
            not tell more.
        answers: how many are asked for of a service without a budget.
        tests: which are made. Leave out what the claim does not speak of: coins that are remembered
            for each client are alike in *one request*, and are meant to be.
        processes: with each of the inputs, for each test; an even number.
        error: how often a sound service may be called broken; each test has its part of it.
        delta: of the lower bounds on epsilon.

    Raises:
        ValueError: an argument is out of range, or the budget leaves no test.
    """
    require_integer("processes", processes, 4)
    require_integer("answers", answers, 1)
    if not (0 < error < 1 and 0 <= delta < 1) or processes % 2:
        raise ValueError(
            "expected an even number of processes, an error between 0 and 1 and delta from 0 to "
            f"below 1; got {processes}, {error}, {delta}"
        )
    if x.shape != other.shape or len(x) != 1:
        raise ValueError(
            f"expected two inputs (1, ...), got {tuple(x.shape)} and {tuple(other.shape)}"
        )
    numbers = iter(range(2**31))
    rows = []
    asking = answers if budget is None else budget
    for name in tests:
        ask = _ASKING[choose(name, TESTS, "test")]
        connections = 1 if budget is None else _CONNECTIONS
        test = partial(ask, answers=asking, connections=connections)
        found = _asked(test, start, numbers, x, other, processes)
        if found is None:
            continue
        seen, scores = found
        counted = seen if budget is None else min(seen, budget)
        rows.append(
            {"test": name, "answers": counted}
            | judged(*scores, claim(counted), error / len(tests) / 2, delta)
        )
    if not rows:
        raise ValueError("the service refuses every test; give it a budget of 1 or more")
    return Audit(pd.DataFrame(rows), error)


# --- What is asked --------------------------------------------------------------------------------

# Answers (q, ...) about the patient, and two references (2, ...) or none.
_Seen = tuple[Tensor, Tensor | None]


def _again(
    start: Start, numbers: Iterator[int], own: Tensor, both: Tensor, answers: int, connections: int
) -> _Seen:
    connect, found = start(next(numbers)), []
    for _ in range(connections):
        try:
            found.append(connect("client")(own.expand(answers, *own.shape[1:])))
        except QueryBudgetError:
            break
    if not found:
        raise QueryBudgetError("not even the budget is answered")
    return torch.cat(found), None


def _another(start: Start, numbers: Iterator[int], own: Tensor, both: Tensor, **_: int) -> _Seen:
    connect = start(next(numbers))
    return connect("client")(own), connect("another")(both)


def _together(start: Start, numbers: Iterator[int], own: Tensor, both: Tensor, **_: int) -> _Seen:
    found = start(next(numbers))("client")(torch.cat([own, both]))
    return found[:1], found[1:]


def _restarted(start: Start, numbers: Iterator[int], own: Tensor, both: Tensor, **_: int) -> _Seen:
    first, *others = (start(next(numbers))("client")(row) for row in (own, both[:1], both[1:]))
    return first, torch.cat(others)


_ASKING = dict(zip(TESTS, (_again, _another, _together, _restarted), strict=True))


def _asked(
    test: Callable[..., _Seen],
    start: Start,
    numbers: Iterator[int],
    x: Tensor,
    other: Tensor,
    processes: int,
) -> tuple[int, tuple[NDArray[np.float64], NDArray[np.float64]]] | None:
    """How many answers were seen, and the scores of both worlds; nothing where it is refused."""
    both = torch.cat([x, other])
    worlds: list[list[_Seen]] = []
    try:
        for own in (x, other):
            worlds.append([test(start, numbers, own, both) for _ in range(processes)])
    except QueryBudgetError:
        return None
    seen = max(len(given) for world in worlds for given, _ in world)
    if worlds[0][0][1] is None:
        means = [_means([given for given, _ in world]) for world in worlds]
        width = max(one.shape[1] for one in means)
        return seen, _projected(*(F.pad(one, (0, width - one.shape[1])) for one in means))
    nearer = [np.array([_nearer(*one) for one in world]) for world in worlds]
    return seen, (nearer[0], nearer[1])


def _means(given: list[Tensor]) -> Tensor:
    """``(processes, d)``: the mean answer of each, of labels how often each is told."""
    if given[0].dtype == torch.int64:
        classes = 1 + max(int(one.max()) for one in given)
        return torch.stack([F.one_hot(one, classes).double().mean(0) for one in given])
    return torch.stack([one.double().flatten(1).mean(0) for one in given])


def _projected(one: Tensor, other: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along the way from one world's mean to the other's, on the half that chooses."""
    half = len(one) // 2
    way = one[:half].mean(0) - other[:half].mean(0)
    spread = (one[:half].var(0) + other[:half].var(0)).clamp(min=1e-12)
    return tuple((each @ (way / spread)).numpy() for each in (one, other))


def _nearer(given: Tensor, references: Tensor) -> float:
    """By how much the answer is nearer to the first reference than to the second."""
    if given.dtype == torch.int64:
        far = (references != given).double()
    else:
        far = (references - given).double().flatten(1).norm(dim=1)
    return float(far[1] - far[0])
