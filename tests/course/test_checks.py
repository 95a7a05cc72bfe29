"""Check cells: what they say to a stub, a wrong answer, a right one, and one that breaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from answering import refused
from build_tools.chapter_text import read_chapter
from medpriv import attacks, data, deployment, metrics, models, training
from medpriv.course import exercises
from medpriv.course.catalog import CHAPTERS
from medpriv.course.checks import NOT_SOLVED, check

EXERCISES = [name for chapter in CHAPTERS for name in exercises.known(chapter)]

CALL = re.compile(r'course\.check\("([^"]+)", (\w+)(, insist=True)?\)')


def cells(chapter: str) -> list[str]:
    return [cell.source for cell in read_chapter(chapter).cells if cell.cell_type == "code"]


def calls() -> list[tuple[str, str, str, bool]]:
    """Chapter, exercise, the name of the answer, and whether it is the course's own."""
    return [
        (chapter, exercise, answer, bool(insist))
        for chapter in CHAPTERS
        for source in cells(chapter)
        for exercise, answer, insist in CALL.findall(source)
    ]


def answer_of(chapter: str, name: str) -> Any:
    """What the chapter's own cell defines under this name."""
    (source,) = [s for s in cells(chapter) if re.search(rf"^(def {name}\(|{name} = )", s, re.M)]
    definition = CALL.sub("", source).replace("course.", "")
    scope: dict[str, Any] = {
        "np": np,
        "torch": torch,
        "norm": norm,
        "metrics": metrics,
        "attacks": attacks,
        "data": data,
        "deployment": deployment,
        "models": models,
        "training": training,
    }
    exec(definition, scope)
    return scope[name]


# --- The chapters' own cells ----------------------------------------------------------------------


@pytest.mark.parametrize(("chapter", "exercise", "answer", "insist"), calls())
def test_the_stub_is_not_solved_and_the_solution_is_right(
    chapter: str, exercise: str, answer: str, insist: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    check(exercise, answer_of(chapter, answer), insist=insist)
    assert capsys.readouterr().out.strip() == ("Right." if insist else NOT_SOLVED)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_has_a_stub_and_a_solution(chapter: str) -> None:
    known = exercises.known(chapter)
    number = chapter.split("-")[0]
    assert known
    assert all(name.startswith(f"{number}-") for name in known)
    for insist in (False, True):
        used = [exercise for where, exercise, _, i in calls() if where == chapter and i == insist]
        assert sorted(used) == sorted(known)


# --- Wrong answers and what they are told ---------------------------------------------------------


def attack(
    budget_for: Callable[[int], int | None], rows: Callable[[int], int], split: str = "conv4"
) -> Callable:
    def answer(model, images, budget):
        view = deployment.deploy(
            model, expose="features", split=split, query_budget=budget_for(budget)
        )
        return attacks.fit_inverse_network(view, images[: rows(budget)], profile="smoke")

    return answer


def with_a_part_of_the_budget(model, images, budget):
    view = deployment.deploy(model, expose="features", split="conv4", query_budget=budget)
    own = images[: budget - 1]
    return attacks.fit_inverse_network(view, own, profile="smoke", queries=len(own))


def own(truth, guess):
    return metrics.ssim(truth, guess)


def other(truth, guess, by: int):
    return metrics.ssim(truth.roll(by, dims=0), guess)


@pytest.mark.parametrize(
    ("exercise", "answer", "hint"),
    [
        ("06-blank", lambda x: metrics.ssim(x, torch.ones_like(x)).mean(), "white image"),
        ("06-blank", lambda x: 0.0, "your function gives 0.0000, right is"),
        ("06-blank", lambda x: metrics.ssim(x, x * 0).max(), "zero everywhere, then take the mean"),
        ("06-blank", lambda x: None, "did you forget `return`"),
        ("06-blank", 0.3, "a function was expected, got float"),
        ("06-blank", lambda x: metrics.ssim(x, x * 0), "return one number, got 4; `.mean()`"),
        ("06-blank", lambda x: "black", "return one number, got str"),
        ("06-blank", lambda x: metrics.ssim(x, x.numpy() * 0).mean(), "guess must be a tensor"),
        ("06-blank", lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
        ("06-blank", lambda x: 1 / 0, "your code raised, in the line `"),
        ("06-blank", lambda: 1, "your code raised TypeError"),
        ("06-blank", lambda x: float("nan"), "Not yet"),
        ("06-budget", attack(lambda b: b, lambda b: 24), "the view refused (24 queries asked, 10"),
        ("06-budget", attack(lambda b: None, lambda b: 24), "deploy with query_budget=budget"),
        ("06-budget", attack(lambda b: None, lambda b: b), "deploy with query_budget=budget"),
        ("06-budget", with_a_part_of_the_budget, "your attacker asked 9 times; use the whole"),
        ("06-budget", attack(lambda b: b, lambda b: b, "conv2"), "conv2; the task says conv4"),
        ("06-budget", lambda model, images, budget: model, "return what fit_inverse_network"),
        ("06-control", lambda t, g: (other(t, g, 2) - own(t, g)).mean(), "the sign is turned"),
        ("06-control", lambda t, g: (own(t, g) - other(t, g, 1)).mean(), "move by two rows"),
        ("06-control", lambda t, g: own(t, g).mean(), "own image alone"),
        ("06-control", lambda t, g: 0.1, "the image two rows away"),
        ("06-control", lambda t, g: 0.0, "Not yet"),
    ],
)
def test_wrong_answers_get_a_hint_and_the_notebook_goes_on(
    exercise: str, answer: Any, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(exercise, answer, hint, capsys)


def test_right_answers_of_another_form(capsys: pytest.CaptureFixture[str]) -> None:
    check("06-blank", lambda x: float(sum(metrics.ssim(x, 0 * x)) / len(x)))
    check("06-control", lambda t, g: own(t, g).mean() - other(t, g, 2).mean())
    check("06-control", lambda t, g: own(t, g).mean() - other(t, g, -2).mean())
    check("06-control", lambda t, g: (own(t, g) - other(t, g, 2)).mean(keepdims=True))
    assert capsys.readouterr().out.split() == ["Right."] * 4


@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("stub", [..., lambda *_: ...], ids=["value", "function"])
def test_a_stub_is_told_apart_from_a_wrong_answer(
    exercise: str, stub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    check(exercise, stub)
    assert capsys.readouterr().out.strip() == NOT_SOLVED
    with pytest.raises(AssertionError, match=f"exercise {exercise}: Not solved yet"):
        check(exercise, stub, insist=True)


def test_an_unknown_exercise_lists_the_known() -> None:
    with pytest.raises(ValueError, match="'06-blink'; known: .*06-blank, 06-budget"):
        check("06-blink", ...)


def test_ctrl_c_in_a_readers_code_is_no_wrong_answer() -> None:
    def interrupted(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("06-blank", interrupted)


def test_an_unknown_exercise_is_refused_with_those_there_are() -> None:
    for name in ("06-nothing", "99-blank", "blank", ""):
        with pytest.raises(ValueError, match="unknown exercise.*06-blank.*12-"):
            exercises.find(name)
