"""Tests by turns: each has its turn, in both precisions, and the slow ones begin first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny import ROOT
from turns import PARTS, by_turns, in_float32, longest_first, take_turns, turn

COMMIT = ("-c", "user.name=A", "-c", "user.email=a@b.example", "commit", "-q", "--allow-empty")


@dataclass(eq=False)
class Item:
    """As much of a collected test as turns look at."""

    nodeid: str
    marks: list[pytest.Mark] = field(default_factory=list)

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return next((mark for mark in self.marks if mark.name == name), None)

    def add_marker(self, marker: pytest.MarkDecorator) -> None:
        self.marks.append(marker.mark)


def item(nodeid: str, *markers: pytest.MarkDecorator) -> Item:
    return Item(nodeid, [marker.mark for marker in markers])


def running(items: list[Item]) -> list[str]:
    return [one.nodeid for one in items if not one.get_closest_marker("skip")]


# --- What is sampled ------------------------------------------------------------------------------


def collected() -> list[Item]:
    """A test of seven cases, two tests that take turns with each other, and others."""
    pair = pytest.mark.sampled(2, group="pair")
    return [
        item("a.py::plain"),
        *(item(f"a.py::cases[{case}]", pytest.mark.sampled(3)) for case in range(7)),
        item("a.py::one", pair),
        item("a.py::absent", pytest.mark.sampled(2, group="pair"), pytest.mark.skip("no data")),
        item("b.py::other", pair),
        item("b.py::alone", pytest.mark.sampled(4)),
    ]


def run_at(now: int) -> list[str]:
    items = collected()
    take_turns(items, now)
    return running(items)


@pytest.mark.parametrize(
    ("of", "some"),
    [
        (3, {f"a.py::cases[{case}]" for case in range(7)}),
        (2, {"a.py::one", "b.py::other"}),
        (4, {"b.py::alone"}),
        (1, {"a.py::plain"}),
    ],
)
@pytest.mark.parametrize("first", [0, 1, 290])
def test_each_runs_once_in_n_commits(of: int, some: set[str], first: int) -> None:
    ran = Counter(name for now in range(first, first + of) for name in run_at(now))
    assert {name: ran[name] for name in some} == dict.fromkeys(some, 1)


@pytest.mark.parametrize("now", range(6))
def test_a_commit_runs_one_in_n(now: int) -> None:
    ran = run_at(now)
    assert sum("cases" in name for name in ran) in (2, 3)
    assert ("a.py::one" in ran) != ("b.py::other" in ran)
    assert "a.py::plain" in ran
    assert "a.py::absent" not in ran  # which keeps no place among those of its group


def test_who_waits_says_so() -> None:
    items = [item("a.py::long", pytest.mark.sampled(2))]
    take_turns(items, 1)
    (_, skip) = items[0].marks
    assert skip.kwargs.get("reason", *skip.args) == "sampled: one in 2, another at each commit"


# --- In which precision ---------------------------------------------------------------------------


def test_each_file_computes_in_float32_once_in_seven_commits() -> None:
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")]
    for first in (0, 290):
        ran = Counter(
            name for now in range(first, first + PARTS) for name in files if in_float32(name, now)
        )
        assert ran == dict.fromkeys(files, 1)
    parts = [sum(in_float32(name, now) for name in files) for now in range(PARTS)]
    assert min(parts) > len(files) / PARTS / 3  # about as many each time


def test_all_tests_of_a_file_compute_alike() -> None:
    for now in range(PARTS):
        whole = in_float32("tests/test_a.py", now)
        assert in_float32("tests/test_a.py::test_x[tests::y]", now) == whole
        assert in_float32("tests/test_a.py::Kind::test_z", now) == whole


def test_what_is_sampled_has_its_turn_in_both_precisions() -> None:
    cases = [one.nodeid for one in collected() if one.get_closest_marker("sampled")]
    ran = {
        (name, in_float32(name, now)) for now in range(2 * 3 * 4 * PARTS) for name in run_at(now)
    }
    assert {(n, way) for n in cases for way in (True, False) if "absent" not in n} <= ran


@pytest.mark.parametrize("of", [PARTS, 2 * PARTS])
def test_a_period_with_a_common_factor_is_refused(of: int) -> None:
    with pytest.raises(pytest.UsageError, match=f"a.py::x: sampled.{of}. has a factor of {PARTS}"):
        take_turns([item("a.py::x", pytest.mark.sampled(of))], 0)


# --- In which order -------------------------------------------------------------------------------


def shares(items: list[Item], processes: int) -> list[list[Item]]:
    """As xdist's ``worksteal`` deals at the beginning."""
    dealt = []
    for process in range(processes):
        many = len(items) // (processes - process)
        dealt.append(items[:many])
        items = items[many:]
    return dealt


def is_slow(one: Item) -> bool:
    return bool(one.get_closest_marker("slow")) and not one.get_closest_marker("skip")


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_each_process_begins_with_its_share_of_what_is_slow(processes: int) -> None:
    slow = {3, 4, 5, 11, 20, 30, 31, 49}
    items = [item(f"{at}", *[pytest.mark.slow] * (at in slow)) for at in range(50)]
    items[7] = item("7", pytest.mark.slow, pytest.mark.skip("another commit"))
    ordered = longest_first(items, processes)
    assert sorted(ordered, key=items.index) == items
    dealt = shares(ordered, processes)
    many = [sum(map(is_slow, share)) for share in dealt]
    assert max(many) - min(many) <= 1
    for share, slowly in zip(dealt, many, strict=True):
        assert all(map(is_slow, share[:slowly]))
    quick = [one for share in dealt for one in share if not is_slow(one)]
    assert quick == [one for one in items if not is_slow(one)]  # neighbours share what they trained


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 8))
def test_none_is_lost_or_run_twice(slow: list[bool], processes: int) -> None:
    items = [item(f"{at}", *[pytest.mark.slow] * one) for at, one in enumerate(slow)]
    assert sorted(longest_first(items, processes), key=items.index) == items


# --- Which turn it is -----------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Three commits, of which the last merges a branch of two."""
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, *COMMIT, "-m", "1")
    git(folder, "checkout", "-q", "-b", "side")
    git(folder, *COMMIT, "-m", "a")
    git(folder, *COMMIT, "-m", "b")
    git(folder, "checkout", "-q", "main")
    git(folder, *COMMIT, "-m", "2")
    git(folder, *COMMIT[:4], "merge", "-q", "--no-ff", "-m", "3", "side")
    return folder


def test_a_merge_moves_the_turn_by_one(clone: Path) -> None:
    assert turn(clone) == 3


def test_a_shallow_clone_is_refused(clone: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", clone.as_uri(), "shallow")
    with pytest.raises(pytest.UsageError, match="this clone is shallow; `git fetch --unshallow`"):
        turn(tmp_path / "shallow")


def test_without_a_repository_or_git_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(pytest.UsageError, match="git says .*not a git repository.*MEDPRIV_TURNS=0"):
        turn(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.UsageError, match="git is not installed. To run all tests.*=0"):
        turn(tmp_path)


@pytest.mark.parametrize(
    ("ci", "turns", "taken"),
    [("1", None, True), ("1", "", True), ("1", "0", False), (None, None, False), ("", "", False)],
)
def test_turns_are_taken_in_ci(
    ci: str | None, turns: str | None, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CI", ci), ("MEDPRIV_TURNS", turns)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert by_turns() == taken


def test_a_run_that_does_not_know_its_turn_stops(tmp_path: Path) -> None:
    """Before any process begins, and with nothing but the message."""
    unwanted = {"PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"}
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "1", "tests/test_turns.py"],
        cwd=ROOT,
        env=environment | {"CI": "1", "MEDPRIV_TURNS": "", "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert re.fullmatch(
        r"ERROR: where CI .*git is not installed.*MEDPRIV_TURNS=0\.\s*", done.stderr
    )
    assert done.stdout == ""
