"""A report and a guess at it beside each other, with what was recovered marked in both."""

from __future__ import annotations

import difflib
import html
import re

from IPython.display import HTML

from medpriv.data import normalise_text

_WORD = re.compile(r"\S+")
# Told apart by line and slant; the ground colour only helps, and fits a dark page too.
_RIGHT = '<u style="background:rgba(0,140,60,.18)">{}</u>'
_WRONG = '<s style="background:rgba(200,40,0,.18)">{}</s>'
_LOST = "<i>{}</i>"
_CELL = "vertical-align:top;text-align:left;padding:.4em;white-space:normal"


def side_by_side(truth: str, guess: str) -> HTML:
    """Two texts in two columns; words that agree, in order, are underlined in both.

    In the report the words that were not recovered are in italics, in the guess the wrong ones are
    struck through. Case and punctuation do not count.

    Args:
        truth: the report. Show reports of made-up patients only.
        guess: its reconstruction.
    """
    ours, theirs = _WORD.findall(truth), _WORD.findall(guess)
    matcher = difflib.SequenceMatcher(
        a=[normalise_text(word) for word in ours],
        b=[normalise_text(word) for word in theirs],
        autojunk=False,
    )
    in_truth, in_guess = set(), set()
    for block in matcher.get_matching_blocks():
        in_truth |= set(range(block.a, block.a + block.size))
        in_guess |= set(range(block.b, block.b + block.size))
    cells = (_marked(ours, in_truth, _LOST), _marked(theirs, in_guess, _WRONG))
    heads = ("The report", "What was written from its embedding")
    head = "".join(f'<th scope="col" style="{_CELL}">{text}</th>' for text in heads)
    body = "".join(f'<td style="{_CELL};width:50%">{cell}</td>' for cell in cells)
    table = f"<thead><tr>{head}</tr></thead><tbody><tr>{body}</tr></tbody>"
    return HTML(f'<table class="dataframe">{table}</table>')  # in the style of pandas' tables


def _marked(words: list[str], right: set[int], otherwise: str) -> str:
    """Words with their marks; neighbours of one kind share one, as a reader sees it."""
    parts: list[tuple[bool, list[str]]] = []
    for place, word in enumerate(words):
        kind = place in right
        if not parts or parts[-1][0] != kind:
            parts.append((kind, []))
        parts[-1][1].append(word)
    return " ".join(
        (_RIGHT if kind else otherwise).format(html.escape(" ".join(run))) for kind, run in parts
    )
