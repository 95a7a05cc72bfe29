"""Choose attack, defense and strength: what either attacker makes of a victim, and what it costs.

Plain HTML that works in the published page with no kernel and no network.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass

from IPython.display import HTML
from torch import Tensor

from medpriv.course.boxes import cells, pngs, style
from medpriv.runtime.hashing import content_hash

_PAGE = """
<div class="medpriv-box medpriv-defenses" id="{id}">
<style>
{style}
</style>
<div class="controls">
<label>Attack <select name="attack">{attacks}</select></label>
<label>Defense <select name="defense">{defenses}</select></label>
<label>Strength <select name="strength">{strengths}</select></label>
<label>Victim <select name="victim">{victims}</select></label>
</div>
<div class="pictures">
<figure><img data-part="original" src="{original}" alt="Original image of victim 1">
<figcaption>original</figcaption></figure>
<figure><img data-part="naive" src="{naive[image]}"
 alt="What an attacker who does not know of the defense makes of victim 1">
<figcaption>does not know of it<br><span data-part="naive-score">{naive[score]}</span></figcaption>
</figure>
<figure><img data-part="adaptive" src="{adaptive[image]}"
 alt="What an attacker who adapts to the defense makes of victim 1">
<figcaption>adapts<br><span data-part="adaptive-score">{adaptive[score]}</span></figcaption>
</figure>
<figure><img data-part="baseline" src="{baseline[image]}" alt="The same guess without the model">
<figcaption>without the model<br><span data-part="baseline-score">{baseline[score]}</span>
</figcaption></figure>
</div>
<p data-part="said" aria-live="polite">{said}</p>
<script type="application/json">{data}</script>
<script>
(function () {{
  const box = document.getElementById("{id}");
  const data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  const select = name => box.querySelector('select[name="' + name + '"]');
  const part = name => box.querySelector('[data-part="' + name + '"]');
  const [attack, defense, strength, victim] =
    ["attack", "defense", "strength", "victim"].map(select);
  // What goes with the choice so far; the old choice stays where it can.
  function offer(list, names) {{
    const before = list.value, found = [...new Set(names)];
    list.replaceChildren(...found.map(name => new Option(name, name)));
    if (found.includes(before)) list.value = before;
  }}
  function draw() {{
    let rows = data.rows.filter(row => row.attack === attack.value);
    offer(defense, rows.map(row => row.defense));
    rows = rows.filter(row => row.defense === defense.value);
    offer(strength, rows.map(row => row.strength));
    const row = rows.find(row => row.strength === strength.value), at = victim.value - 1;
    part("original").src = data.originals[at];
    part("original").alt = "Original image of victim " + victim.value;
    for (const [name, shown] of [["naive", row.naive], ["adaptive", row.adaptive],
                                 ["baseline", data.baseline]]) {{
      part(name).src = shown[at].image;
      part(name + "-score").textContent = shown[at].score;
    }}
    part("naive").alt = "What an attacker who does not know of the defense makes of victim "
      + victim.value;
    part("adaptive").alt = "What an attacker who adapts to the defense makes of victim "
      + victim.value;
    part("said").textContent = row.said[at];
  }}
  for (const list of [attack, defense, strength, victim]) list.addEventListener("change", draw);
}})();
</script>
</div>
"""


@dataclass(frozen=True)
class Shown:
    """What an attack leaves of a defense.

    Attributes:
        attack: its name.
        defense: its name.
        strength: as it is to be read, such as ``sigma 0.05``; unique for attack and defense.
        naive: ``(n, c, h, w)`` float32 in [0, 1], by the attacker who does not know of it.
        adaptive: the same by the one who adapts.
        utility: AUC of what an honest client gets.
    """

    attack: str
    defense: str
    strength: str
    naive: Tensor
    adaptive: Tensor
    utility: float


@dataclass(frozen=True)
class DefenseExplorer:
    """Reconstructions to look through, by attack, defense and strength.

    Attributes:
        originals: ``(n, c, h, w)`` float32 in [0, 1], a few victims; pictures of made-up patients
            only.
        baseline: the same guess without the model, of the same shape.
        shown: what there is to choose; the first is shown first.
    """

    originals: Tensor
    baseline: Tensor
    shown: Sequence[Shown]

    def static(self) -> HTML:
        """The figure, with four lists to choose from.

        Raises:
            ValueError: there is nothing to show, or one choice is there twice.
        """
        choices = [(one.attack, one.defense, one.strength) for one in self.shown]
        if not choices or len(set(choices)) < len(choices):
            raise ValueError("expected one or more choices of attack, defense and strength, each "
                             f"once, got {choices}")  # fmt: skip
        data = self._data()
        first = data["rows"][0]
        same_attack = [row for row in data["rows"] if row["attack"] == first["attack"]]
        same = [row for row in same_attack if row["defense"] == first["defense"]]
        name = f"defenses-{content_hash(self)[:8]}"
        return HTML(
            _PAGE.format(
                id=name,
                style=style(name, "repeat(4, minmax(0, 1fr))"),
                attacks=_options([row["attack"] for row in data["rows"]]),
                defenses=_options([row["defense"] for row in same_attack]),
                strengths=_options([row["strength"] for row in same]),
                victims=_options([str(n + 1) for n in range(len(self.originals))]),
                original=data["originals"][0],
                naive=first["naive"][0],
                adaptive=first["adaptive"][0],
                baseline=data["baseline"][0],
                said=first["said"][0],
                # No "</script>" in a name can end it.
                data=json.dumps(data).replace("</", "<\\/"),
            )
        )

    def _data(self) -> dict:
        baseline = cells(self.originals, self.baseline)
        return {
            "originals": pngs(self.originals),
            "baseline": baseline,
            "rows": [self._row(one, baseline) for one in self.shown],
        }

    def _row(self, one: Shown, baseline: list[dict[str, str]]) -> dict:
        naive, adaptive = cells(self.originals, one.naive), cells(self.originals, one.adaptive)
        return {
            "attack": one.attack,
            "defense": one.defense,
            "strength": one.strength,
            "naive": naive,
            "adaptive": adaptive,
            "said": [
                f"{one.attack} against {one.defense}, {one.strength}: {there['score']} for the "
                f"attacker who does not know of it, {own['score']} for the one who adapts, "
                f"{without['score']} without the model. Utility: AUC {one.utility:.2f}."
                for there, own, without in zip(naive, adaptive, baseline, strict=True)
            ],
        }


def _options(names: Sequence[str]) -> str:
    return "".join(f"<option>{html.escape(name)}</option>" for name in dict.fromkeys(names))
