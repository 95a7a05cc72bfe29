"""Which tests CI runs at which commit, in which precision, and in which order.

What is long runs at one commit in n. The turn is the number of commits, so each has its turn, and
nothing has to be remembered between runs.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tiny import ROOT

#: The test files have so many parts, and at each commit another one computes in float32. No n of a
#: ``sampled(n)`` has a factor in common with it: else some test would run only at commits at which
#: its file computes in bfloat16.
PARTS = 7


def by_turns() -> bool:
    """Whether this run leaves some tests to other commits: in CI, but where MEDPRIV_TURNS is 0."""
    return bool(os.environ.get("CI")) and os.environ.get("MEDPRIV_TURNS") != "0"


@functools.cache
def turn(root: Path = ROOT) -> int:
    """How many commits there are, along the first parent: each one moves every turn by one.

    Along all parents a merge would move it by more than one, and some would lose their turn.

    Raises:
        pytest.UsageError: if git does not know; one number for all commits would run the same
            tests each time, and the others never.
    """
    if _git(root, "rev-parse", "--is-shallow-repository") != "false":
        raise _unknown("this clone is shallow; `git fetch --unshallow` gives it all commits")
    return int(_git(root, "rev-list", "--count", "--first-parent", "HEAD"))


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise _unknown("git is not installed") from None
    if done.returncode:
        raise _unknown(f"git says {done.stderr.strip()!r}")
    return done.stdout.strip()


def _unknown(reason: str) -> pytest.UsageError:
    return pytest.UsageError(
        "where CI is set, the number of commits decides which tests run, and it is not known: "
        f"{reason}. To run all tests instead, set MEDPRIV_TURNS=0."
    )


def take_turns(items: Sequence[pytest.Item], now: int) -> None:
    """Skip of the tests marked ``sampled(n)`` all but one in n, another one at each turn."""
    places: Counter[str] = Counter()
    for item in items:
        marker = item.get_closest_marker("sampled")
        if marker is None or item.get_closest_marker("skip"):
            continue
        (of,) = marker.args
        if math.gcd(of, PARTS) > 1:
            raise pytest.UsageError(f"{item.nodeid}: sampled({of}) has a factor of {PARTS}")
        group = marker.kwargs.get("group", item.nodeid.partition("[")[0])
        if places[group] % of != now % of:
            item.add_marker(pytest.mark.skip(f"sampled: one in {of}, another at each commit"))
        places[group] += 1


def in_float32(nodeid: str, now: int) -> bool:
    """Whether the file of a test is in the part that computes in float32 at this turn."""
    file = nodeid.partition("::")[0]
    return hashlib.sha256(file.encode()).digest()[0] % PARTS == now % PARTS


def longest_first(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """What is slow comes first in each process's share, so that none ends with it alone.

    xdist's ``worksteal`` deals the tests out in shares of equal number, in their order.
    """
    slow = [i for i in items if i.get_closest_marker("slow") and not i.get_closest_marker("skip")]
    among_slow = set(slow)
    quick = [item for item in items if item not in among_slow]
    ordered: list[pytest.Item] = []
    for process in range(processes):
        # As xdist shares: of what is left, the part of one of the processes that are left.
        end = len(ordered) + (len(items) - len(ordered)) // (processes - process)
        ordered += slow[process::processes]
        share = max(0, end - len(ordered))
        ordered += quick[:share]
        quick = quick[share:]
    return ordered + quick
