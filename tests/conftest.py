"""Shared by all tests: an empty cache, the devices present, real data, and a tiny chapter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from medpriv.course.catalog import CHAPTERS
from medpriv.runtime.device import available_devices
from tiny import SPEC, Tiny, make_tiny
from turns import by_turns, in_float32, longest_first, take_turns, turn

# Importing dcor gives the whole process, through numba, an OpenMP thread for each core. Two threads
# that wait for each other, beside another test, are ten times slower than one.
os.environ.setdefault("NUMBA_NUM_THREADS", str(torch.get_num_threads()))

# No deadline: a test never judges a time. In CI the same examples each time, so that a change is
# blamed for what it broke; elsewhere new ones.
settings.register_profile("medpriv", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("medpriv")


def pytest_configure() -> None:
    """Where tests run by turns, say before anything else that the turn is not known."""
    if by_turns():
        turn()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs real data where there are none, and in CI what another commit runs."""
    folder = os.environ.get("MEDPRIV_DATA")
    if not (folder and Path(folder).is_dir()):
        reason = f"MEDPRIV_DATA names no folder: {folder}" if folder else "MEDPRIV_DATA is not set"
        _skip([item for item in items if item.get_closest_marker("real")], reason)
    if by_turns():
        take_turns(items, turn())
    items[:] = longest_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _skip(items: list[pytest.Item], reason: str) -> None:
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


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
    """Each test starts from the same seed; in CI a part of the files computes in float32.

    A network that a test or its fixtures make without a seed is else another one in each order of
    the tests. Another part of the files for each commit, since a bound that holds only where
    bfloat16 is native fails on most processors. Whole files, since the tests of one share what
    they have trained.
    """
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        if by_turns() and in_float32(item.nodeid, turn()):
            patch.setenv("MEDPRIV_BF16", "0")
        return (yield)


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
