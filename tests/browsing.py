"""The built book as a reader meets it: pages, windows, and what went wrong in one.

Chromium comes from the operating system, not from playwright, which would download its own.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Route,
    TimeoutError,
    sync_playwright,
)

from build_tools.book import toc_pages
from tiny import ROOT

HTML = ROOT / "_build" / "html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGES = toc_pages(ROOT / "_toc.yml")
BY_SPHINX = ["genindex", "search"]  # linked from every page, in no table of contents

QUIET = (
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
NEEDS_BROWSER = [
    *NEEDS_CHROMIUM,
    pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="run make book first"),
]

SETTLED = "() => !document.querySelector('.math') || window.MathJax?.startup?.promise"

# What a board shows, in the form of its frames.
SEEN = """async box => {
  const figures = [...box.querySelectorAll('figure')];
  const text = (place, name) => place.querySelector(name)?.textContent || '';
  await Promise.all(figures.map(figure => figure.querySelector('img').decode()));
  return {
    choice: [...box.querySelectorAll('output, select')].map(control => control.value),
    pictures: figures.map(figure => {
      const image = figure.querySelector('img');
      return {image: image.src, alt: image.alt, score: text(figure, '.score')};
    }),
    said: text(box, '.said'),
  };
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET)) as browser,
    ):
        yield browser


@dataclass(frozen=True)
class Setting:
    """A window and a colour scheme."""

    width: int
    height: int
    theme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.theme}"


SETTINGS = [
    Setting(width, height, theme)
    for width, height in ((1280, 900), (390, 844))  # a laptop, a phone
    for theme in ("light", "dark")
]
# Each window once and each colour scheme once.
TWO = [SETTINGS[0], SETTINGS[-1]]
in_two_settings = pytest.mark.parametrize("reader", TWO, indirect=True, ids=str)


def in_turn(name: str, pages: list[str]) -> pytest.MarkDecorator:
    """For what takes long: the first page in both settings, the others in one and the other."""
    asked = [(TWO[number % 2], page) for number, page in enumerate(pages)]
    asked.append((TWO[1], pages[0]))
    return pytest.mark.parametrize(("reader", name), asked, indirect=["reader"], ids=str)


@dataclass
class Reader:
    """One window with one colour scheme, and all that went wrong in it since it was asked."""

    page: Page
    address: str
    setting: Setting
    blocked: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def open(self, name: str) -> Page:
        """Load a page and wait until it has settled."""
        self.errors.clear()
        self.page.goto(f"{self.address}{name}.html")
        if name == "index":
            self.page.wait_for_url(f"{self.address}{PAGES[0]}.html")
        try:
            self.page.wait_for_function(SETTLED, timeout=15_000)
            self.page.evaluate("() => window.MathJax?.startup?.promise.then(() => null)")
        except TimeoutError:
            self.errors.append("MathJax did not start")
        return self.page

    def hear(self, message: ConsoleMessage) -> None:
        refused = message.text.startswith("Failed to load resource: net::ERR_")
        expected = refused and message.location["url"] in self.blocked
        if message.type == "error" and not expected:
            self.errors.append(f"console: {message.text} ({message.location['url']})")

    def fail(self, error: Error) -> None:
        self.errors.append(f"uncaught: {error}")

    def block(self, route: Route) -> None:
        self.blocked.add(route.request.url)
        route.abort()
