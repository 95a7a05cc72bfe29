"""Choose a victim and a split layer, see original and reconstruction with their scores.

One object, two faces: :meth:`Explorer.static` is plain HTML that works in the published page
with no kernel and no network; :meth:`Explorer.show` is the callback of an ipywidget.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from IPython.display import HTML
from torch import Tensor

from medpriv.course.boxes import cells, pngs, scores, style
from medpriv.course.figures import strip
from medpriv.runtime.hashing import content_hash

_PAGE = """
<div class="medpriv-box medpriv-explorer" id="{id}">
<style>
{style}
</style>
<div class="controls">
<label>Victim <input type="range" name="victim" min="1" max="{victims}" value="1" step="1">
<output>1</output></label>
<label>Split layer <input type="range" name="split" min="1" max="{splits}" value="1" step="1"
 aria-valuetext="{first}">
<output>{first}</output></label>
</div>
<div class="pictures">
<figure><img data-part="original" src="{original}" alt="Original image of victim 1">
<figcaption>original</figcaption></figure>
<figure>
<img data-part="guess" src="{guess}" alt="Reconstruction of victim 1 from {first}">
<figcaption>reconstruction<br><span data-part="score" aria-live="polite">{score}</span></figcaption>
</figure>
<figure>
<img data-part="nearest" src="{nearest}" alt="Auxiliary image closest to victim 1">
<figcaption>closest auxiliary image<br><span data-part="baseline">{baseline}</span></figcaption>
</figure>
</div>
<script type="application/json">{data}</script>
<script>
(function () {{
  const box = document.getElementById("{id}");
  const data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  const [victim, split] = box.querySelectorAll("input");
  const part = name => box.querySelector('[data-part="' + name + '"]');
  function draw() {{
    const row = data.victims[victim.value - 1], name = data.splits[split.value - 1];
    victim.nextElementSibling.textContent = victim.value;
    split.nextElementSibling.textContent = name;
    split.setAttribute("aria-valuetext", name);
    part("original").src = row.original;
    part("original").alt = "Original image of victim " + victim.value;
    part("guess").src = row.guesses[name].image;
    part("guess").alt = "Reconstruction of victim " + victim.value + " from " + name;
    part("score").textContent = row.guesses[name].score;
    part("nearest").src = row.nearest.image;
    part("nearest").alt = "Auxiliary image closest to victim " + victim.value;
    part("baseline").textContent = row.nearest.score;
  }}
  victim.addEventListener("input", draw);
  split.addEventListener("input", draw);
}})();
</script>
</div>
"""


@dataclass(frozen=True)
class Explorer:
    """Reconstructions to look through.

    Attributes:
        originals: ``(n, c, h, w)`` float32 in [0, 1], the victims' images.
        guesses: reconstructions of the same shape by split layer, from shallow to deep.
        nearest: the auxiliary image closest to each original.
    """

    originals: Tensor
    guesses: Mapping[str, Tensor]
    nearest: Tensor

    def show(self, victim: int, split: str) -> None:
        """Draw one victim at one split layer; made for ``ipywidgets.interact``.

        Args:
            victim: from 1 to n.
            split: a key of ``guesses``.
        """
        row = slice(victim - 1, victim)
        guess = self.guesses[split]
        strip(
            {
                "original": self.originals[row][0],
                "reconstruction": guess[row][0],
                "closest auxiliary": self.nearest[row][0],
            },
            {
                "reconstruction": scores(self.originals[row], guess[row])[0],
                "closest auxiliary": scores(self.originals[row], self.nearest[row])[0],
            },
        )

    def take(self, rows: slice) -> Explorer:
        """The same for some of the victims."""
        some = {split: guess[rows] for split, guess in self.guesses.items()}
        return Explorer(self.originals[rows], some, self.nearest[rows])

    def static(self) -> HTML:
        """The same as a figure with two sliders that needs no kernel."""
        data = self._data()
        first, split = data["victims"][0], data["splits"][0]
        name = f"explorer-{content_hash(self)[:8]}"
        return HTML(
            _PAGE.format(
                id=name,
                style=style(name, "repeat(3, minmax(0, 1fr))"),
                victims=len(self.originals),
                splits=len(self.guesses),
                first=split,
                original=first["original"],
                guess=first["guesses"][split]["image"],
                score=first["guesses"][split]["score"],
                nearest=first["nearest"]["image"],
                baseline=first["nearest"]["score"],
                data=json.dumps(data),
            )
        )

    def _data(self) -> dict:
        columns = {split: cells(self.originals, guess) for split, guess in self.guesses.items()}
        rows = zip(pngs(self.originals), cells(self.originals, self.nearest), strict=True)
        return {
            "splits": list(self.guesses),
            "victims": [
                {
                    "original": original,
                    "guesses": {split: column[row] for split, column in columns.items()},
                    "nearest": nearest,
                }
                for row, (original, nearest) in enumerate(rows)
            ],
        }
