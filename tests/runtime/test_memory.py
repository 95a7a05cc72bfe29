"""What a process keeps for a while."""

from __future__ import annotations

from medpriv.runtime.cache import Memory


def test_the_last_few_are_made_once_and_the_one_used_longest_ago_goes() -> None:
    made: list[str] = []

    def get(key: str) -> str:
        return kept.get(key, lambda: made.append(key) or key.upper())

    kept: Memory[str] = Memory(2)
    assert [get(key) for key in "abab"] == ["A", "B", "A", "B"]
    assert made == ["a", "b"]
    get("a")
    get("c")  # b goes: a was used after it
    get("a")
    assert made == ["a", "b", "c"]
    get("b")
    assert made == ["a", "b", "c", "b"]


def test_what_could_not_be_made_is_tried_again() -> None:
    kept: Memory[int] = Memory(2)

    def fails() -> int:
        raise OSError("no space")

    for _ in range(2):
        try:
            kept.get("a", fails)
        except OSError:
            continue
        raise AssertionError("nothing was raised")
    assert kept.get("a", lambda: 1) == 1
