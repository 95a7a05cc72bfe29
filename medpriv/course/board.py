"""A figure with controls: one piece of HTML that works in the published page.

It needs no kernel and no network. What stands there before its script runs, and on paper, is one
of its frames. Its form, its look and its script are ``assets/board.*``; the outer element has the
class ``medpriv-box``, by which the book's style sheet and the PDF know it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from IPython.display import HTML
from PIL import Image
from torch import Tensor

from medpriv.course.figures import pixels
from medpriv.metrics import ssim

# By their names from here, so that the key of a chapter with a board holds them.
_ASSETS = ("assets/board.html", "assets/board.css", "assets/board.js")
_TEMPLATES = jinja2.Environment(
    loader=jinja2.DictLoader(
        {name: (Path(__file__).parent / name).read_text(encoding="utf-8") for name in _ASSETS}
    ),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_MOST_IN_A_ROW = 4


@dataclass(frozen=True)
class Control:
    """A slider, or a list that offers what goes with the choices before it.

    Attributes:
        label: what it chooses, one word.
        positions: what a slider can be set to; of a list, none.
        told: the same as a screen reader says it, if otherwise.
    """

    label: str
    positions: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A picture as text.

    Attributes:
        image: an address that holds the picture itself.
        alt: the text in its place.
        score: a line under it, or nothing.
    """

    image: str
    alt: str
    score: str = ""


@dataclass(frozen=True)
class Frame:
    """What is shown for one choice.

    Attributes:
        choice: a value for each control.
        pictures: in their order; a place has a score in all frames or in none.
        said: a sentence about them, or nothing.
    """

    choice: tuple[str, ...]
    pictures: tuple[Picture, ...]
    said: str = ""


def board(
    kind: str,
    controls: Sequence[Control],
    captions: Mapping[str, bool],
    frames: Sequence[Frame],
    *,
    start: int = 0,
    plays: bool = False,
) -> HTML:
    """A figure that shows one of its frames at a time, as its controls choose.

    Args:
        kind: a word for its class, ``medpriv-KIND``.
        controls: sliders and lists; a frame is there for all that they let a reader choose.
        captions: for each picture, and whether a screen reader tells when its score changes.
        frames: at least one, each choice once.
        start: which of them is shown first.
        plays: whether a button plays through the positions of the only control, a slider.
    """
    first = frames[start]
    images = list(dict.fromkeys(one.image for frame in frames for one in frame.pictures))
    number = {image: at for at, image in enumerate(images)}
    rows = -(-len(captions) // _MOST_IN_A_ROW)
    page = _TEMPLATES.get_template(_ASSETS[0]).render(
        kind=kind,
        controls=[_control(one, at, frames, first) for at, one in enumerate(controls)],
        places=[
            {"caption": caption, "live": live} | vars(picture)
            for (caption, live), picture in zip(captions.items(), first.pictures, strict=True)
        ],
        in_a_row=-(-len(captions) // rows),
        said=first.said,
        plays=plays,
        data={
            "positions": [one.positions or None for one in controls],
            "told": [one.told or one.positions for one in controls],
            "images": images,
            "frames": [
                vars(frame)
                | {"pictures": [vars(one) | {"image": number[one.image]} for one in frame.pictures]}
                for frame in frames
            ],
        },
    )
    return HTML(page)


def _control(one: Control, place: int, frames: Sequence[Frame], first: Frame) -> dict[str, Any]:
    before, choice = first.choice[:place], first.choice[place]
    alike = [frame.choice[place] for frame in frames if frame.choice[:place] == before]
    offered = dict.fromkeys(alike)
    at = one.positions.index(choice) if one.positions else 0
    return vars(one) | {"told": one.told or one.positions, "at": at, "offered": offered}


def pictures(
    images: Iterable[Tensor], alts: Sequence[str], truth: Tensor | None = None
) -> list[Picture]:
    """Pictures, with how alike each is to the truth, where that is given.

    Args:
        images: ``(n, c, h, w)`` float32 in [0, 1], c being 1 or 3.
        alts: the text in the place of each.
        truth: what the images are guesses at, of the same shape.
    """
    notes = [""] * len(alts) if truth is None else scores(truth, images)
    return [
        Picture(png(image), alt, note) for image, alt, note in zip(images, alts, notes, strict=True)
    ]


def scores(truth: Tensor, guess: Tensor) -> list[str]:
    """How alike each guess is to the truth, as a line under it; both as for :func:`pictures`."""
    return [f"SSIM {value:.2f}" for value in ssim(truth, guess)]


def png(image: Tensor) -> str:
    """An image ``(c, h, w)`` float32 in [0, 1] as an address that holds the picture itself."""
    buffer = io.BytesIO()
    Image.fromarray(pixels(image)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
