"""What the figures with controls share: their look, and pictures and scores as text.

Such a figure is one piece of HTML that works in the published page: no kernel, no network. Its
outer element has the class ``medpriv-box``, by which the book's style sheet and the PDF know it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image
from torch import Tensor

from medpriv.course.figures import pixels
from medpriv.metrics import ssim

_STYLE = """
#{id} {{ border: 1px solid currentColor; border-radius: 6px; padding: 0.8rem; max-width: 40rem }}
#{id} .controls {{ display: flex; flex-wrap: wrap; gap: 0.4rem 2rem; align-items: center }}
#{id} .controls input {{ vertical-align: middle }}
#{id} .pictures {{ display: grid; grid-template-columns: {columns}; gap: 0.5rem }}
#{id} figure {{ margin: 0.6rem 0 0; padding: 0; text-align: center }}
#{id} img {{ width: 100%; padding: 0; image-rendering: pixelated; background: #000 }}
#{id} figcaption {{ margin: 0; padding: 0; font-size: 0.8rem; font-weight: 400; color: inherit }}
"""


def style(name: str, columns: str) -> str:
    """The style sheet of the box whose id is ``name``.

    Args:
        name: the id; what is in the box has the classes ``controls`` and ``pictures``.
        columns: of the pictures, as CSS's ``grid-template-columns`` has them.
    """
    return _STYLE.format(id=name, columns=columns).strip()


def cells(truth: Tensor, guess: Tensor) -> list[dict[str, str]]:
    """Each guess as ``image``, see :func:`pngs`, with its ``score``.

    Args:
        truth: ``(n, c, h, w)`` float32 in [0, 1], c being 1 or 3.
        guess: the same.
    """
    return [
        {"image": image, "score": score}
        for image, score in zip(pngs(guess), scores(truth, guess), strict=True)
    ]


def scores(truth: Tensor, guess: Tensor) -> list[str]:
    """How alike each guess is to the truth, as a line under it; arguments as for :func:`cells`."""
    return [f"SSIM {value:.2f}" for value in ssim(truth, guess)]


def pngs(images: Iterable[Tensor]) -> list[str]:
    """Images ``(c, h, w)`` float32 in [0, 1] as addresses that hold the picture itself."""
    return [_png(pixels(image)) for image in images]


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
