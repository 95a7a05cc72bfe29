"""Quiz files: every question can be answered, and every answer says why."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from build_tools.chapter_text import read_chapter
from medpriv.course import quiz as show
from medpriv.course.catalog import CHAPTERS
from medpriv.course.quiz import FOLDER, questions

FILES = sorted(FOLDER.glob("*.json"))
# What jupyterquiz calls them.
ONE, MANY, NUMBER, TEXT = "multiple_choice", "many_choice", "numeric", "string"


def all_questions(file: Path) -> list[dict]:
    parts = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(parts, dict)
    return [question for part in parts.values() for question in part]


def test_every_chapter_with_a_quiz_file_is_a_chapter() -> None:
    assert FILES
    assert {file.stem for file in FILES} <= set(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_part_is_shown_in_its_chapter_and_every_shown_part_exists(chapter: str) -> None:
    code = "\n".join(c.source for c in read_chapter(chapter).cells if c.cell_type == "code")
    shown = {"quiz"} if f'course.quiz("{chapter}")' in code else set()
    parts = set(json.loads((FOLDER / f"{chapter}.json").read_text(encoding="utf-8")))
    shown |= {part for part in parts if f'course.quiz("{chapter}", "{part}")' in code}
    assert shown == parts >= {"prediction", "quiz"}
    assert all(questions(chapter, part) for part in parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_questions_have_right_answers_and_feedback_for_each(file: Path) -> None:
    for question in all_questions(file):
        text = question["question"]
        assert text.strip()
        assert question["type"] in (ONE, MANY, NUMBER, TEXT), text
        answers = question["answers"]
        assert all(answer.get("feedback", "").strip() for answer in answers), text
        right = [answer for answer in answers if answer["correct"] is True]
        assert all(answer["correct"] in (True, False) for answer in answers), text
        assert len(right) == 1 if question["type"] == ONE else right, text
        if question["type"] in (ONE, MANY):
            assert len({answer["answer"] for answer in answers}) == len(answers) >= 2, text
            assert len(right) < len(answers), text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_right_answer_is_not_always_in_the_same_place(file: Path) -> None:
    single = [q for q in all_questions(file) if q["type"] == ONE]
    places = {[answer["correct"] for answer in q["answers"]].index(True) for q in single}
    assert len(single) < 3 or len(places) > 1


@pytest.mark.parametrize("chapter", [file.stem for file in FILES])
def test_a_quiz_is_shown_with_its_questions_and_fetches_nothing(
    chapter: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple] = []
    monkeypatch.setattr("jupyterquiz.display_quiz", lambda *a, **k: given.append((a, k)))
    show(chapter)
    ((asked,), options) = given[0]
    assert asked == questions(chapter, "quiz")
    assert options == {"shuffle_questions": False, "shuffle_answers": False}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_question_holds_a_formula(file: Path) -> None:
    assert not re.search(r"\$|\\\\\(", file.read_text(encoding="utf-8"))  # none would be typeset


def test_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no part 'exam'; it has: prediction, quiz"):
        questions("06-model-inversion", "exam")
    with pytest.raises(ValueError, match="99-none has no quiz: 99-none.json"):
        questions("99-none", "quiz")
