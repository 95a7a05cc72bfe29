"""Finding one's way: search, previous and next, the colour switch, the menu, the keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from browsing import NEEDS_BROWSER, PAGES, SETTINGS, Reader, in_turn
from medpriv.course.catalog import CHAPTERS

pytestmark = NEEDS_BROWSER

# Where the focus is, by its name; a page must name all that it lets a reader reach.
FOCUSED = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const box = e.getBoundingClientRect();
  const label = e.labels?.[0]?.textContent || '';
  const image = e.querySelector?.('img')?.alt || '';
  return {
    number: (e.dataset.reached ||= String(window.reached = (window.reached || 0) + 1)),
    name: (e.getAttribute('aria-label') || e.textContent || e.title || label || image || '').trim(),
    html: e.outerHTML.slice(0, 120),
    seen: box.width > 0 && box.height > 0 && getComputedStyle(e).visibility !== 'hidden',
    marked: [e, ...e.children].some(part => {
      const style = getComputedStyle(part);
      return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
        || style.boxShadow !== 'none' || style.textDecorationLine !== 'none';
    }),
  };
}"""


@pytest.mark.parametrize("reader", SETTINGS[:1], indirect=True, ids=str)
def test_next_leads_through_the_book_and_previous_back(reader: Reader) -> None:
    page = reader.open(PAGES[0])
    for name in PAGES[1:]:
        page.locator("a.right-next").click()
        page.wait_for_url(f"{reader.address}{name}.html")
    assert page.locator("a.right-next").count() == 0
    for name in reversed(PAGES[:-1]):
        page.locator("a.left-prev").click()
        page.wait_for_url(f"{reader.address}{name}.html")
    assert page.locator("a.left-prev").count() == 0


@in_turn("name", list(CHAPTERS))
def test_search_finds_a_chapter_by_a_word_of_its_title(reader: Reader, name: str) -> None:
    page = reader.page
    wanted = max(re.findall("[a-z]+", CHAPTERS[name].title.lower()), key=len)
    page.goto(f"{reader.address}search.html?q={wanted}")
    hit = page.locator(f'#search-results li a[href*="chapters/{name}.html"]').first
    hit.click()  # waits for it
    page.wait_for_url(f"{reader.address}chapters/{name}.html*")


def test_the_colour_switch_changes_the_page_and_is_remembered(reader: Reader) -> None:
    page = reader.open(PAGES[0])
    scheme = "document.documentElement.dataset.theme"
    button = page.locator("button.theme-switch-button:visible").first
    seen = []
    for _ in range(3):  # by the system, light, dark
        seen.append(page.evaluate("document.documentElement.dataset.mode"))
        button.click()
    assert sorted(seen) == ["auto", "dark", "light"]
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        button.click()
    reader.open(PAGES[-1])
    assert page.evaluate(scheme) == "dark"
    page.evaluate("localStorage.clear()")


def test_the_menu_opens_and_leads_to_every_page(reader: Reader) -> None:
    page = reader.open(PAGES[0])
    menu = page.locator(".bd-sidebar-primary .bd-links")
    if not menu.is_visible():  # on a phone it is behind a button
        page.locator(
            "label[for=pst-primary-sidebar-checkbox]:visible, .primary-toggle:visible"
        ).first.click()
        expect(menu).to_be_visible()
    links = menu.locator("a.reference.internal")
    targets = [link.get_attribute("href") for link in links.all()]
    assert targets == ["#", *(f"{name.removeprefix('chapters/')}.html" for name in PAGES[1:])]
    links.nth(1).click()
    page.wait_for_url(f"{reader.address}{PAGES[1]}.html")


@in_turn("name", PAGES)
def test_the_keyboard_reaches_everything_and_is_never_caught(reader: Reader, name: str) -> None:
    page = reader.open(name)
    page.evaluate("window.scrollTo(0, 0)")
    total = page.locator(
        "a[href], button, input, summary, select, textarea, [tabindex='0']"
    ).count()
    reached: list[str] = []
    wrong = []
    for _ in range(total + 10):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        if now is None or now["number"] in reached:
            break
        reached.append(now["number"])
        if not now["name"]:
            wrong.append(f"no name: {now['html']}")
        if not now["seen"]:
            wrong.append(f"not to be seen: {now['html']}")
        if not now["marked"]:
            wrong.append(f"the focus does not show: {now['html']}")
    else:
        wrong.append("the focus never leaves the page")
    assert not wrong, f"{name}.html at {reader.setting}:\n" + "\n".join(dict.fromkeys(wrong))
    assert len(reached) > 10
