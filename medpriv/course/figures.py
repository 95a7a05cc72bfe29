"""Figures that chapters share: small images with scores under them, two texts side by side."""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from torch import Tensor

from medpriv.data import normalise_text

_WORD = re.compile(r"\S+")
# Told apart by line and slant; the ground colour only helps, and fits a dark page too.
_RIGHT = '<u style="background:rgba(0,140,60,.18)">{}</u>'
_WRONG = '<s style="background:rgba(200,40,0,.18)">{}</s>'
_LOST = "<i>{}</i>"
_CELL = "vertical-align:top;text-align:left;padding:.4em;white-space:normal"


def gallery(images: Tensor, titles: Sequence[str] = (), *, columns: int = 8) -> None:
    """Show images in a grid, row by row, and end the figure.

    Args:
        images: ``(n, c, h, w)`` float32 in [0, 1], c being 1 or 3.
        titles: one short line above each image, or none.
        columns: images a row.
    """
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.3 * columns, (1.5 if titles else 1.32) * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for number, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        _draw(axis, image)
        if titles:
            axis.set_title(titles[number], fontsize=8)
    figure.tight_layout(pad=0.4)
    plt.show()


def strip(images: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Show named images, each with its note underneath, and end the figure.

    Up to four stand in one row, more in rows of three, so that a phone can show the labels.

    Args:
        images: ``(c, h, w)`` float32 in [0, 1] by title.
        notes: a line of text by the same titles, such as a score.
    """
    columns = len(images) if len(images) <= 4 else 3
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.1 * columns, 2.65 * rows), squeeze=False)
    for axis in axes.flat[len(images) :]:
        axis.axis("off")
    for axis, (title, image) in zip(axes.flat, images.items(), strict=False):
        _draw(axis, image)
        axis.set_title(title, fontsize=11)
        axis.set_xticks([])
        axis.set_yticks([])
        for side in axis.spines.values():
            side.set_visible(False)
        axis.set_xlabel((notes or {}).get(title, ""), fontsize=11)
    figure.tight_layout(pad=0.5)
    plt.show()


def pixels(image: Tensor) -> np.ndarray:
    """``(c, h, w)`` float32 in [0, 1] → ``(h, w)`` or ``(h, w, 3)`` uint8."""
    array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


def _draw(axis: Axes, image: Tensor) -> None:
    # Shown as stored, without stretching each image to its own brightest pixel.
    axis.imshow(pixels(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


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
