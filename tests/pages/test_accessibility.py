"""What axe-core finds on each page; on two of them in both windows and both colour schemes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsing import BY_SPHINX, HTML, NEEDS_BROWSER, PAGES, SETTINGS, TWO, Reader

pytestmark = NEEDS_BROWSER

SERIOUS = ("serious", "critical")
# Colours are the book's, not a page's: each page in one window and one scheme, two pages in all.
# (What the course draws itself is judged in both schemes on every page by test_reading.)
EVERY = [*PAGES, *BY_SPHINX]
ALL_FOUR = (PAGES[0], "chapters/06-model-inversion")
ASKED = [
    *((TWO[number % 2], name) for number, name in enumerate(EVERY) if name not in ALL_FOUR),
    *((setting, name) for setting in SETTINGS for name in ALL_FOUR),
]
# Buttons fade from one colour to another when a page comes up; judge the colour that stays.
ARRIVED = "document.getAnimations().forEach(e => e.finish())"
FOLDED = "document.querySelectorAll('details').forEach(e => { e.open = true; })"


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
