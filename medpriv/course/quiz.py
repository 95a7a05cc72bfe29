"""Quizzes with feedback on each answer, by jupyterquiz; the questions are JSON beside this file."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent / "quizzes"


def quiz_file(chapter: str) -> Path:
    """Where the questions of a chapter stand."""
    return FOLDER / f"{chapter}.json"


def questions(chapter: str, part: str) -> list[dict]:
    """The questions of one part (``"prediction"``, ``"quiz"``) of a chapter's quiz file.

    Raises:
        ValueError: the chapter has no quiz, or the quiz no such part.
    """
    file = quiz_file(chapter)
    if not file.exists():
        raise ValueError(f"{chapter} has no quiz: {file.name} is not in {FOLDER.name}")
    parts = json.loads(file.read_text(encoding="utf-8"))
    if part not in parts:
        raise ValueError(f"the quiz of {chapter} has no part {part!r}; it has: {', '.join(parts)}")
    return parts[part]


def quiz(chapter: str, part: str = "quiz") -> None:
    """Show a quiz. It runs in the page itself, with no kernel and no network.

    The questions hold no formulas, so jupyterquiz's calls of MathJax are left out: on a slow
    machine they fail while MathJax is on its way, or fetch another one.

    Args:
        chapter: the chapter's name.
        part: ``"prediction"`` or ``"quiz"``.
    """
    from IPython.display import publish_display_data
    from IPython.utils.capture import capture_output
    from jupyterquiz import display_quiz

    asked = questions(chapter, part)
    with capture_output(stdout=False, stderr=False) as shown:
        display_quiz(asked, shuffle_questions=False, shuffle_answers=False)
    for output in shown.outputs:
        data = {kind: _without_mathjax(text) for kind, text in output.data.items()}
        publish_display_data(data, output.metadata)


def _without_mathjax(text: str) -> str:
    return text.replace("typeof MathJax", "typeof undefined")
