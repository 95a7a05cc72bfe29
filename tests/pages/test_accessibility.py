"""What axe-core finds on each page, in both windows and both colour schemes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsing import BY_SPHINX, HTML, NEEDS_BROWSER, PAGES, SETTINGS, TWO, Reader

pytestmark = NEEDS_BROWSER

SERIOUS = ("serious", "critical")
# Each page in each window and in each scheme once. What only a wide window shows in the dark, the
# bars at its sides, is the same on every page.
EVERY = [*PAGES, *BY_SPHINX]
WIDE_DARK = (PAGES[0], "chapters/06-model-inversion")
ASKED = [
    *((setting, name) for setting in TWO for name in EVERY),
    *((SETTINGS[1], name) for name in WIDE_DARK),
]
# Buttons fade from one colour to another when a page comes up; judge the colour that stays.
ARRIVED = "document.getAnimations().forEach(e => e.finish())"
FOLDED = "document.querySelectorAll('details').forEach(e => { e.open = true; })"


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("reader", "name"), ASKED, indirect=["reader"], ids=str)
def test_axe_finds_nothing_serious(reader: Reader, name: str) -> None:
    if name in BY_SPHINX and not (HTML / f"{name}.html").exists():
        pytest.skip(f"this book has no {name}")
    page = reader.open(name)
    page.evaluate(FOLDED)  # what is folded is read too
    page.evaluate(ARRIVED)
    found = Axe().run(page).response["violations"]
    serious = [
        f"{rule['id']}: {rule['help']}\n    {node['target']} {node['html'][:160]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]
    assert not serious, f"{name}.html at {reader.setting}:\n" + "\n".join(serious)
