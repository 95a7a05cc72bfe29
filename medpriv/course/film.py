"""Watch a search for an image: what the attacker has after each number of steps, layer by layer.

The sibling of :class:`medpriv.course.explorer.Explorer`: plain HTML that works in the published
page with no kernel and no network. Nothing plays until a reader asks for it, and what stands there
without a script, as on paper, is the end of the search.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from IPython.display import HTML
from torch import Tensor

from medpriv.course.boxes import cells, pngs, style
from medpriv.runtime.hashing import content_hash

_PAGE = """
<div class="medpriv-box medpriv-film" id="{id}">
<style>
{style}
#{id} .controls {{ column-gap: 1rem }}
#{id} .controls output {{ display: inline-block; min-width: 4ch }}
#{id} .controls button {{ min-width: 5rem; padding: 0.2rem 0.8rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid currentColor; border-radius: 4px; cursor: pointer }}
</style>
<div class="controls">
<label>Step <input type="range" name="step" min="0" max="{last}" value="{last}" step="1"
 autocomplete="off" aria-valuetext="{told}">
<output>{step}</output></label>
<button type="button">Play</button>
</div>
<div class="pictures">
<figure><img data-part="original" src="{original}" alt="Original image">
<figcaption>original</figcaption></figure>
{guesses}
</div>
<script type="application/json">{data}</script>
<script>
(function () {{
  const box = document.getElementById("{id}");
  const data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  const step = box.querySelector("input"), button = box.querySelector("button");
  const parts = name => box.querySelectorAll('[data-part="' + name + '"]');
  const last = data.frames.length - 1;
  let timer = null;
  function show(number) {{
    const frame = data.frames[number];
    step.value = number;
    step.setAttribute("aria-valuetext", frame.told);
    step.nextElementSibling.textContent = frame.step;
    data.splits.forEach((name, at) => {{
      parts("guess")[at].src = frame.guesses[name].image;
      parts("guess")[at].alt = "Recovery from " + name + " " + frame.told;
      parts("score")[at].textContent = frame.guesses[name].score;
    }});
  }}
  function play(on) {{
    clearInterval(timer);
    timer = on ? setInterval(advance, {pause}) : null;
    button.textContent = on ? "Pause" : "Play";
    // Four frames a second are too many to be read out.
    parts("caption").forEach(e => e.setAttribute("aria-live", on ? "off" : "polite"));
  }}
  function advance() {{
    show(Math.min(Number(step.value) + 1, last));
    if (Number(step.value) === last) play(false);
  }}
  button.addEventListener("click", () => {{
    const on = timer === null;
    play(on);
    if (on && Number(step.value) === last) show(0);
  }});
  step.addEventListener("input", () => {{
    play(false);
    show(Number(step.value));
  }});
}})();
</script>
</div>
"""
_GUESS = """\
<figure><img data-part="guess" src="{image}" alt="Recovery from {split} {told}">
<figcaption data-part="caption" aria-live="polite" aria-atomic="true">{split}<br>
<span data-part="score">{score}</span></figcaption></figure>"""
_PAUSE = 250  # milliseconds between two frames


@dataclass(frozen=True)
class Film:
    """The course of a search for one victim's image, at several split layers.

    Attributes:
        original: ``(c, h, w)`` float32 in [0, 1], the victim's image, c being 1 or 3.
        steps: the numbers of steps after which the images were kept, ascending; 0 is the start.
        courses: the images on the way by split layer, from shallow to deep, each
            ``(len(steps), c, h, w)`` float32 in [0, 1].

    Raises:
        ValueError: there is no step or no split, steps do not ascend, or shapes do not match.
    """

    original: Tensor
    steps: tuple[int, ...]
    courses: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if self.original.ndim != 3:
            raise ValueError(
                f"original must be one image (c, h, w), got {tuple(self.original.shape)}"
            )
        if not self.steps or any(after <= before for before, after in pairwise(self.steps)):
            raise ValueError(f"steps must be at least one number, ascending, got {self.steps}")
        if not self.courses:
            raise ValueError("courses must hold the images of at least one split layer, got none")
        wanted = (len(self.steps), *self.original.shape)
        for split, course in self.courses.items():
            if tuple(course.shape) != wanted:
                raise ValueError(
                    f"the course at {split} must be {wanted}, an image like the original for each "
                    f"of the steps, got {tuple(course.shape)}"
                )

    def html(self) -> HTML:
        """The film as a figure with a slider and a button that needs no kernel.

        Raises:
            ValueError: an image is not in [0, 1], or smaller than SSIM's window of 11 pixels.
        """
        name, data = f"film-{content_hash(self)[:8]}", self._data()
        end = data["frames"][-1]
        guesses = [
            _GUESS.format(split=split, told=end["told"], **cell)
            for split, cell in end["guesses"].items()
        ]
        return HTML(
            _PAGE.format(
                id=name,
                style=style(name, _columns(1 + len(guesses))),
                last=len(self.steps) - 1,
                told=end["told"],
                step=end["step"],
                original=pngs([self.original])[0],
                guesses="\n".join(guesses),
                pause=_PAUSE,
                data=json.dumps(data),
            )
        )

    def _data(self) -> dict:
        columns = {
            split: cells(self.original.expand_as(course), course)
            for split, course in self.courses.items()
        }
        return {
            "splits": list(columns),
            "frames": [
                {
                    "step": str(step),
                    "told": f"after {step} step{'' if step == 1 else 's'}",
                    "guesses": {split: column[row] for split, column in columns.items()},
                }
                for row, step in enumerate(self.steps)
            ],
        }


def _columns(pictures: int) -> str:
    """Up to four in a row, rows as equal as can be; as many as there is room for on a phone."""
    rows = -(-pictures // 4)
    # A width that leaves no room for one picture more.
    least = f"100% / {-(-pictures // rows) + 1}"
    return f"repeat(auto-fit, minmax(max(7.5rem, {least}), 1fr))"
