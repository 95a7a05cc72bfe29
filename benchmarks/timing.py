"""How long something takes, and how much memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from medpriv.runtime.device import autocast, pick_device, to_device
from medpriv.training.loop import Loss, Recipe, fit

REPEATS = 3
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and what the work returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def fastest(work: Callable[[], object]) -> float:
    """The fastest of a few runs: what the work costs when nothing else is in the way."""
    return min(timed(work)[0] for _ in range(REPEATS))


def fastest_in_turn(*works: Callable[[], object]) -> list[float]:
    """The same of several, each run of one beside a run of the others: the hour is the same."""
    runs = [[timed(work)[0] for work in works] for _ in range(REPEATS)]
    return [min(column) for column in zip(*runs, strict=True)]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for what this process computes, by torch and by the libraries beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def cache_in(folder: str) -> Iterator[None]:
    """Another cache folder for a while."""
    before = os.environ.get("MEDPRIV_CACHE")
    os.environ["MEDPRIV_CACHE"] = folder
    try:
        yield
    finally:
        os.environ.pop("MEDPRIV_CACHE")
        if before is not None:
            os.environ["MEDPRIV_CACHE"] = before


def against_bare(
    fresh: Callable[[], nn.Module],
    inputs: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    batch_size: int,
    **options: object,
) -> tuple[float, float]:
    """Seconds of the course's training loop, and of the bare passes and steps on the same rows.

    Args:
        fresh: makes the untrained network.
        inputs: rows to train on.
        targets: what ``loss`` takes for each.
        loss: output and target → a scalar.
        batch_size: rows a step; two epochs are run.
        options: further ones of :func:`medpriv.training.loop.fit`.
    """

    def ours() -> None:
        recipe = Recipe(2, batch_size=batch_size)
        fit(fresh(), inputs, targets, loss=loss, recipe=recipe, seed=0, device="cpu", **options)

    def bare() -> None:
        device = pick_device("cpu")
        model = to_device(fresh(), device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
        pairs = zip(inputs.split(batch_size), targets.split(batch_size), strict=True)
        batches = [(to_device(x, device), y) for x, y in pairs]
        for _ in range(2):
            for x, y in batches:
                with autocast(device):
                    output = model(x)
                optimizer.zero_grad(set_to_none=True)
                loss(output.float(), y).backward()
                optimizer.step()

    runs = [(timed(ours)[0], timed(bare)[0]) for _ in range(REPEATS)]
    first, second = (float(np.median(column)) for column in zip(*runs, strict=True))
    return first, second


def peaks(
    what: str, work: Callable[[int], tuple[float, float]], numbers: tuple[int, ...]
) -> list[dict[str, object]]:
    """A row for each number of victims, each measured in a process of its own.

    Args:
        what: names the row; ``{}`` stands for the number.
        work: of a module, from a number to seconds and MB beyond the data themselves.
        numbers: of victims.
    """
    rows = []
    for number in numbers:
        with get_context("spawn").Pool(1) as pool:
            seconds, peak = pool.apply(work, (number,))
        said = f"peak {peak:.0f} MB beyond the victims' own data and guesses"
        row = {"what": what.format(f"{number:,}"), "ours": seconds, "peer": float("nan")}
        rows.append(row | {"is": said})
    return rows
