"""Shared by all tests: an empty cache, the devices present, real data, and a tiny chapter."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from medpriv.course.catalog import CHAPTERS
from medpriv.runtime.device import available_devices
from tiny import ROOT, SPEC, Tiny, make_tiny

# Importing dcor gives the whole process, through numba, an OpenMP thread for each core. Two threads
# that wait for each other, beside another test, are ten times slower than one.
os.environ.setdefault("NUMBA_NUM_THREADS", str(torch.get_num_threads()))

# No deadline: a test never judges a time. In CI the same examples each time, so that a change is
# blamed for what it broke; elsewhere new ones.
settings.register_profile("medpriv", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("medpriv")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs real data where there are none, and in CI what another commit runs."""
    folder = os.environ.get("MEDPRIV_DATA")
    if not (folder and Path(folder).is_dir()):
        reason = f"MEDPRIV_DATA names no folder: {folder}" if folder else "MEDPRIV_DATA is not set"
        _skip([item for item in items if item.get_closest_marker("real")], reason)
    if os.environ.get("CI"):
        _take_turns(items)
    items[:] = _longest_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _skip(items: list[pytest.Item], reason: str) -> None:
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


def _take_turns(items: list[pytest.Item]) -> None:
    """Of the tests marked ``sampled(n)`` each commit runs one in n, and each runs in its turn."""
    places: Counter[str] = Counter()
    for item in items:
        marker = item.get_closest_marker("sampled")
        if marker is None or item.get_closest_marker("skip"):
            continue
        (of,) = marker.args
        group = marker.kwargs.get("group", item.nodeid.partition("[")[0])
        if places[group] % of != turn() % of:
            _skip([item], f"sampled: one in {of}, another at each commit")
        places[group] += 1


def _longest_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """What is slow comes first in each process's share, so that none ends with it alone.

    xdist's ``worksteal`` deals the tests out in shares of equal number, in their order.
    """
    slow = [i for i in items if i.get_closest_marker("slow") and not i.get_closest_marker("skip")]
    quick = [item for item in items if item not in set(slow)]
    ordered: list[pytest.Item] = []
    for process in range(processes):
        ordered += slow[process::processes]
        share = len(items) * (process + 1) // processes - len(ordered)
        ordered += quick[:share]
        quick = quick[share:]
    return ordered + quick


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests start from an empty cache and leave the reader's alone.

    All processes of a run share it: a target is trained once for those that attack it.
    """
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # a process has a folder of its own in that of the run
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPRIV_CACHE", str(place / "cache"))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """In CI an eighth of the test files computes in float32, another eighth for each commit.

    A bound that holds only where bfloat16 is native fails on most processors. Whole files, since
    the tests of one share what they have trained.
    """
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get("CI") and _eighth(item.nodeid.partition("::")[0]) == turn() % 8:
            patch.setenv("MEDPRIV_BF16", "0")
        return (yield)


def _eighth(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % 8


@functools.cache
def turn() -> int:
    """How many commits there are: each one moves the turn of what is sampled by one."""
    done = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return int(done.stdout.strip() or 0)


@pytest.fixture(params=available_devices())
def device(request: pytest.FixtureRequest) -> str:
    """Each device type that this machine has."""
    return request.param


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A tiny book that the package takes for its own; no other chapter exists."""
    for name in reversed(list(CHAPTERS)):  # undone in reverse: the order comes back
        monkeypatch.delitem(CHAPTERS, name)
    monkeypatch.setitem(CHAPTERS, SPEC.name, SPEC)
    monkeypatch.setenv("MEDPRIV_CHAPTERS", str(tmp_path / "tiny" / "chapters"))
    return make_tiny(tmp_path / "tiny")
