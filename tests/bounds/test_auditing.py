"""The audit: five services that break what is proved of them, and the same five done rightly."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medpriv.bounds import power
from medpriv.bounds.auditing import TESTS, Connect, Start, audit
from medpriv.defenses import epsilon_of, randomised_response
from medpriv.defenses.ball import in_ball
from medpriv.deployment import QueryBudgetError

X, OTHER = torch.full((1, 2), -3.0), torch.full((1, 2), 3.0)
FLIPS, RADIUS, SIGMA, BUDGET = 0.4, 1.0, 2.0, 2
COIN = epsilon_of(FLIPS, 2)


def label(x: Tensor) -> Tensor:
    return (x[:, 0] > 0).long()


def features(x: Tensor) -> Tensor:
    return x


def of_coins(answers: int) -> power.Power:
    return power.pure(answers * COIN)


def of_noise(answers: int) -> power.Power:
    return power.gaussian(2 * math.sqrt(answers) * RADIUS / SIGMA)


def noise(number: int, *, broken: bool) -> Connect:
    """Broken: the seed is in the program."""
    served = in_ball(RADIUS, SIGMA, seed=0 if broken else number).apply(features)
    return lambda client: served


def memo(number: int, *, broken: bool) -> Connect:
    """Broken: one key's coins for everybody."""
    key = number.to_bytes(8, "little")
    return lambda client: randomised_response(
        FLIPS, 2, key=key, client="" if broken else client
    ).apply(label)


def budget(number: int, *, broken: bool) -> Connect:
    """Broken: each connection has a budget of its own."""
    served = randomised_response(FLIPS, 2, seed=number).apply(label)
    left = [BUDGET]

    def connect(client: str) -> Callable[[Tensor], Tensor]:
        own = [BUDGET] if broken else left

        def ask(x: Tensor) -> Tensor:
            if len(x) > own[0]:
                raise QueryBudgetError("no answers left")
            own[0] -= len(x)
            return served(x)

        return ask

    return connect


def clip(number: int, *, broken: bool) -> Connect:
    """Broken: clipped after the noise, which features outside of the ball drown."""
    if not broken:
        return noise(number, broken=False)
    noised = in_ball(1e6, SIGMA, seed=number).apply(features)
    served = in_ball(RADIUS, 0.0).apply(noised)
    return lambda client: served


def batch(number: int, *, broken: bool) -> Connect:
    """Broken: one coin for all rows of a request."""
    served = randomised_response(FLIPS, 2, seed=number).apply(label)

    def one_coin(x: Tensor) -> Tensor:
        flip = served(X) != label(X)
        return label(x) ^ flip.long()

    return lambda client: one_coin if broken else served


SERVICES = {
    noise: (of_noise, None, "started again"),
    memo: (of_coins, 1, "another client"),
    budget: (of_coins, BUDGET, "asked again"),
    clip: (of_noise, None, "another client"),
    batch: (of_coins, None, "one request"),
}


def audited(service: Callable[..., Connect], seed: int, *, broken: bool, processes: int = 200):
    claim, most, _ = SERVICES[service]
    # A client's own remembered coins are alike, as they should be.
    tests = [one for one in TESTS if service is not memo or one != "one request"]

    def start(number: int) -> Connect:
        return service(seed * 10**6 + number, broken=broken)

    return audit(start, X, OTHER, claim, budget=most, tests=tests, processes=processes)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.__name__)
def test_broken_services_are_found_and_sound_ones_are_not(
    service: Callable[..., Connect], seed: int
) -> None:
    # A sound one is called broken in 1 of 10,000 audits at most.
    found = audited(service, seed, broken=True)
    assert SERVICES[service][2] in set(found.tests["test"][found.tests["broken"]]), found.tests
    sound = audited(service, seed, broken=False)
    assert not sound.broken, sound.tests
    assert (sound.tests["least"] <= sound.tests["most"]).all()


def test_of_a_sound_coin_the_bound_is_below_what_is_proved_and_above_nothing() -> None:
    own = audited(batch, 0, broken=False, processes=800).tests.set_index("test")
    assert (own["epsilon"] <= own["answers"] * COIN).all()
    assert own.loc["asked again", "answers"] == 8
    assert own.loc["asked again", "epsilon"] > 0.3


def test_delta_is_taken_off() -> None:
    start: Start = lambda number: clip(number, broken=True)  # noqa: E731
    whole, less = (audit(start, X, OTHER, of_noise, delta=delta) for delta in (0.0, 0.3))
    assert 0 < less.epsilon < whole.epsilon


def test_bad_input() -> None:
    start: Start = lambda number: noise(number, broken=False)  # noqa: E731
    for call, message in (
        (lambda: audit(start, X, OTHER, of_noise, processes=5), "even"),
        (lambda: audit(start, X, OTHER[:, :1], of_noise), "two inputs"),
        (lambda: audit(start, X, OTHER, of_noise, error=0), "error between"),
        (lambda: audit(start, X, OTHER, of_noise, tests=["twice"]), "unknown test"),
    ):
        with pytest.raises(ValueError, match=message):
            call()

    def refuses(number: int) -> Connect:
        def ask(x: Tensor) -> Tensor:
            raise QueryBudgetError("none")

        return lambda client: ask

    with pytest.raises(ValueError, match="refuses every test"):
        audit(refuses, X, OTHER, of_noise)
