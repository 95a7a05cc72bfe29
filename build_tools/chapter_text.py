"""The text notebooks in ``chapters/``: what they hold, and which parameters they take.

A chapter without its full header would be shown and not run, and a parameter that is misspelled
would change nothing. Both are refused here, before anything runs.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import yaml
from nbformat import NotebookNode
from papermill.inspection import inspect_notebook

from medpriv.course.catalog import ChapterError, chapters_dir, check_value, spec
from medpriv.runtime.arguments import choose
from medpriv.runtime.device import DEVICES
from medpriv.runtime.profile import PROFILES


def book_root() -> Path:
    """The folder that holds ``chapters`` and ``_build``: the clone, or the one that tests made."""
    return chapters_dir().resolve().parent


def chapter_file(name: str) -> Path:
    """The path of a chapter's text notebook.

    Raises:
        ChapterError: the chapter is unknown, or its file is not there.
    """
    path = chapters_dir() / f"{spec(name).name}.md"
    if not path.is_file():
        raise ChapterError(
            f"chapter {name} has no text at {path}; run from a clone of the repository, or point "
            "MEDPRIV_CHAPTERS at its folder chapters/"
        )
    return path


def read_chapter(name: str) -> NotebookNode:
    """A chapter as a notebook without outputs, paired through jupytext.

    Raises:
        ChapterError: the file is missing, is no UTF-8 text, or has no full jupytext header.
    """
    path = chapter_file(name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ChapterError(f"{path.name} is no UTF-8 text: {error}") from error
    check_header(text, path.name)
    return jupytext.reads(text, fmt="md:myst")


def check_header(text: str, name: str) -> None:
    """Insist on jupytext's header: without it the build shows the cells and runs none of them.

    Raises:
        ChapterError: a part of the header is missing; the message names it.
    """
    header = _front_matter(text)
    format_name = _dig(header, "jupytext", "text_representation", "format_name")
    missing = [
        wanted
        for wanted, present in (
            ("jupytext.text_representation.format_name: myst", format_name == "myst"),
            ("kernelspec.name", _dig(header, "kernelspec", "name")),
            ("kernelspec.display_name", _dig(header, "kernelspec", "display_name")),
        )
        if not present
    ]
    if missing:
        raise ChapterError(
            f"{name} has no complete jupytext header, so none of its cells would run; missing: "
            f"{', '.join(missing)}. Copy the header of another chapter to its first line"
        )


def _front_matter(text: str) -> Any:
    if not text.startswith("---\n"):
        return None
    try:
        return yaml.safe_load(text[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return None


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


# --- Parameters -----------------------------------------------------------------------------------


def defaults(name: str) -> dict[str, Any]:
    """Names and default values in a chapter's ``parameters`` cell.

    Raises:
        ChapterError: there is no such cell, or a default in it is no plain value.
    """
    found = inspect_notebook(read_chapter(name))
    if not found:
        raise ChapterError(f"{name}.md has no cell tagged `parameters` that assigns a value")
    try:
        return {key: ast.literal_eval(entry["default"]) for key, entry in found.items()}
    except (ValueError, SyntaxError) as error:
        raise ChapterError(
            f"the parameters cell of {name}.md must assign plain values only: {error}"
        ) from error


def known_values(name: str, parameter: str) -> str:
    """What may be given for a parameter, in words for a reader."""
    datasets = ", ".join(spec(name).known_datasets())
    known = {
        "profile": ", ".join(PROFILES),
        "dataset": f"{datasets}, or the path of your own file",
        "seed": "an integer from 0 on",
        "device": ", ".join(DEVICES),
        "encoder": "packaged, or a folder or the name of a model on the Hugging Face hub",
    }
    return known.get(parameter, f"a value like {defaults(name)[parameter]!r}")


def check_parameters(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Turn parameters typed on a command line into the values to run a chapter with.

    Only those given are returned, in the types of the chapter's defaults; a path of the reader's
    own data becomes absolute, since the kernel works in another folder.

    Raises:
        ChapterError: a name is unknown, or a value cannot be used; the message lists what can.
    """
    known = defaults(name)
    checked: dict[str, Any] = {}
    for key, text in given.items():
        if key not in known:
            raise ChapterError(
                f"chapter {name} has no parameter {key!r}; expected one of: {', '.join(known)}"
            )
        try:
            checked[key] = check_value(spec(name), key, _typed(text, known[key]))
        except ValueError as error:
            raise ChapterError(f"parameter {key}: {error}") from error
    return checked


def _typed(text: str, default: Any) -> Any:
    """``text`` in the type of ``default``; text that does not fit comes back as it is."""
    if isinstance(default, bool):
        return choose(text.lower(), ("true", "false"), "truth value") == "true"
    if not isinstance(default, (int, float)):
        return text
    try:
        return type(default)(text)
    except ValueError as error:
        wanted = "an integer" if isinstance(default, int) else "a number"
        raise ValueError(f"expected {wanted}, got {text!r}") from error
