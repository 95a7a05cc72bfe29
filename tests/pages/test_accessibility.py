"""What axe-core finds on each page, in both windows and both colour schemes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsing import BY_SPHINX, HTML, NEEDS_BROWSER, PAGES, SETTINGS, Reader

pytestmark = NEEDS_BROWSER

SERIOUS = ("serious", "critical")
# Colours differ by scheme, all else by window: so every rule where the scheme is new or the window
# is, and in the fourth setting none.
ALL = {"resultTypes": ["violations"]}
COLOURS = ALL | {"runOnly": ["color-contrast"]}
RULES = dict(zip(SETTINGS, (ALL, COLOURS, None, ALL), strict=True))
ASKED = [setting for setting, options in RULES.items() if options is not None]
# Buttons fade from one colour to another when a page comes up; judge the colour that stays.
ARRIVED = "document.getAnimations().forEach(e => e.finish())"
FOLDED = "document.querySelectorAll('details').forEach(e => { e.open = true; })"


@pytest.mark.parametrize("reader", ASKED, indirect=True, ids=str)
@pytest.mark.parametrize("name", [*PAGES, *BY_SPHINX])
def test_axe_finds_nothing_serious(reader: Reader, name: str) -> None:
    if name in BY_SPHINX and not (HTML / f"{name}.html").exists():
        pytest.skip(f"this book has no {name}")
    page = reader.open(name)
    page.evaluate(FOLDED)  # what is folded is read too
    page.evaluate(ARRIVED)
    found = Axe().run(page, options=RULES[reader.setting]).response["violations"]
    serious = [
        f"{rule['id']}: {rule['help']}\n    {node['target']} {node['html'][:160]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]
    assert not serious, f"{name}.html at {reader.setting}:\n" + "\n".join(serious)
