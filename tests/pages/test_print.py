"""A page as the reader's own printer gets it: no menus, dark on white, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from browsing import NEEDS_BROWSER, PAGES, SETTINGS, Reader

pytestmark = NEEDS_BROWSER

PAPER = {"width": 718, "height": 1047}  # A4 at 96 dots an inch, less margins of one centimetre

SCREEN_ONLY = ".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .prev-next-area"

# Text lighter than mid-grey vanishes on paper; what is folded may stay so.
PALE = """() => {
  const light = e => { const [r, g, b] = getComputedStyle(e).color.match(/[\\d.]+/g).map(Number);
    return (0.299 * r + 0.587 * g + 0.114 * b) / 255; };
  const ground = e => { for (; e; e = e.parentElement) {
      const [r, g, b, a = 1] = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number);
      if (a > 0.5) return (0.299 * r + 0.587 * g + 0.114 * b) / 255; }
    return 1; };
  return [...document.querySelectorAll('article p, article li, article td, article pre')]
    .filter(e => e.checkVisibility() && e.textContent.trim())
    .filter(e => ground(e) < 0.75 || light(e) > 0.6)
    .map(e => e.textContent.trim().slice(0, 60)).slice(0, 5);
}"""

CUT = """width => [...document.querySelectorAll('article *')]
  .filter(e => e.checkVisibility() && !e.closest('mjx-container, svg'))
  .filter(e => e.getBoundingClientRect().right > width + 1)
  .map(e => e.outerHTML.slice(0, 80)).slice(0, 5)"""


@pytest.fixture
def paper(reader: Reader) -> Iterator[Page]:
    reader.page.emulate_media(media="print")
    reader.page.set_viewport_size(PAPER)
    yield reader.page
    reader.page.emulate_media(media="screen", color_scheme=reader.setting.theme)
    window = {"width": reader.setting.width, "height": reader.setting.height}
    reader.page.set_viewport_size(window)


# Paper is as wide for a phone; what could go wrong in light could on the first page.
ASKED = [(SETTINGS[0], PAGES[0]), *((SETTINGS[1], name) for name in PAGES)]


@pytest.mark.parametrize(("reader", "name"), ASKED, indirect=["reader"], ids=str)
def test_a_page_prints_well(reader: Reader, paper: Page, name: str) -> None:
    reader.open(name)
    where = f"{name}.html from a {reader.setting.theme} screen"
    shown = [e.get_attribute("class") for e in paper.locator(SCREEN_ONLY).all() if e.is_visible()]
    assert not shown, f"{where}: on paper too: {shown}"
    assert paper.locator("h1:visible").count() == 1, where
    assert not paper.evaluate(PALE), f"{where}: pale: {paper.evaluate(PALE)}"
    cut = paper.evaluate(CUT, PAPER["width"])
    assert not cut, f"{where}: cut off: {cut}"
