"""The whole book in one PDF: the built pages, put together for paper and printed by a browser.

No TeX: what is printed is what the pages show. Page numbers in the contents need a first printing,
and the outline is written here, because Chromium's is not right.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pypdf import PdfReader, PdfWriter
from pypdf.generic import Fit

from build_tools.book import Book, BookError, build_book, read_config
from build_tools.chapter_text import book_root
from build_tools.paper import Article, assemble, read_articles
from medpriv.runtime.cache import atomic_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = (
    "make pdf prints with Chromium, and there is none. Install it with your system's packages "
    f"(it is looked for as {', '.join(NAMES)}), or let playwright fetch one: "
    "`.venv/bin/python -m playwright install chromium`"
)
READY = "() => window.MathJax?.startup?.promise.then(() => document.fonts.ready).then(() => true)"


def build_pdf() -> Path:
    """Build the book, print it, and return the path of ``_build/pdf/NAME.pdf``.

    Raises:
        BookError: the pages could not be built, or there is no browser to print them.
        ChapterError, RunError: as :func:`build_tools.book.build_book`.
    """
    with _browser():
        pass  # it may be missing, and building takes minutes
    # Not inside: playwright keeps an event loop running, in which notebooks may hang.
    build_book()
    with _browser() as browser:
        return print_book(book_root(), browser)


def print_book(root: Path, browser: Browser) -> Path:
    """Print the pages in ``_build/html`` into ``_build/pdf/NAME.pdf``."""
    folder = root / "_build" / "pdf"
    folder.mkdir(parents=True, exist_ok=True)
    book, articles = read_config(root), read_articles(root)
    sheet = folder / "book.html"
    # Twice: on which sheet a section begins is known only when it has been printed.
    sheet.write_text(assemble(root, articles, {}), encoding="utf-8")
    places = destinations(PdfReader(io.BytesIO(_print(browser, sheet))))
    numbers = {name: number for name, (number, _) in places.items()}
    sheet.write_text(assemble(root, articles, numbers), encoding="utf-8")
    path = folder / f"{book.repository.rpartition('/')[2]}.pdf"
    with atomic_path(path) as part:
        _finished(_print(browser, sheet), book, articles).write(part)
    return path


# --- Printing -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _browser() -> Iterator[Browser]:
    """A Chromium: the system's, else the one that playwright fetched; without both an error."""
    from playwright.sync_api import Error, sync_playwright  # slow, and only a PDF needs it

    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), None)
        try:
            browser = playwright.chromium.launch(executable_path=path)
        except Error as error:
            raise BookError(NO_BROWSER if path is None else str(error)) from error
        with browser:
            yield browser


def _print(browser: Browser, page: Path) -> bytes:
    tab = browser.new_page()
    try:
        # The quick way to be sure that nothing is fetched: every other address is refused.
        tab.route(re.compile(r"^(?!file:|data:)"), lambda route: route.abort())
        tab.goto(page.as_uri())
        tab.wait_for_function(READY, timeout=120_000)
        return tab.pdf(prefer_css_page_size=True, print_background=True, tagged=True)
    finally:
        tab.close()


def destinations(printed: PdfReader) -> dict[str, tuple[int, float]]:
    """Where what is linked to stands in a printed book: id → sheet, from 1, and height on it."""
    found = {}
    for name, destination in printed.named_destinations.items():
        number = printed.get_destination_page_number(destination)
        if number is not None:
            found[name.removeprefix("/")] = (number + 1, float(destination.top or 0))
    return found


def _finished(printed: bytes, book: Book, articles: list[Article]) -> PdfWriter:
    """A printed book with its authors and an outline.

    Chromium would write an outline too, but not a right one: it runs the words of a heading on two
    lines together, and names one twice that it moves to the next sheet.
    """
    writer = PdfWriter(io.BytesIO(printed), incremental=True)
    writer.add_metadata({"/Author": book.authors})
    places = destinations(PdfReader(io.BytesIO(printed)))
    for article in articles:
        above = None
        for heading in article.headings:
            number, top = places[heading.id]
            item = writer.add_outline_item(
                title=heading.title,
                page_number=number - 1,
                parent=above if heading.level > 1 else None,
                fit=Fit.xyz(left=0, top=top),
                is_open=False,
            )
            above = item if heading.level == 1 else above
    return writer
