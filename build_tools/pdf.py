"""The whole book in one PDF: the built pages put together, and printed by a browser.

No TeX: what is printed is what the pages show, with everything unfolded and nothing to click.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from posixpath import join, normpath
from typing import TYPE_CHECKING
from urllib.parse import quote, urldefrag, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader, PdfWriter
from pypdf.generic import Fit

import medpriv
from build_tools.book import BookError, build_book, toc_pages
from build_tools.export import Book, read_config
from medpriv.course.catalog import CHAPTERS, chapters_dir, read_chapter
from medpriv.course.quiz import questions
from medpriv.runtime.cache import atomic_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = (
    "make pdf prints with Chromium, and there is none. Install it with your system's packages "
    f"(it is looked for as {', '.join(NAMES)}), or let playwright fetch one: "
    "`.venv/bin/python -m playwright install chromium`"
)
# What only a screen can use.
INTERACTIVE = (
    "script, a.headerlink, button, .medpriv-box input, .medpriv-box label:has(select), "
    ".toggle-button, "
    ".sd-summary-state-marker, .d-print-none"
)
QUIZ = re.compile(r"""course\.quiz\(\s*["'](?P<chapter>[^"']+)["'](?:,\s*["'](?P<part>\w+)["'])?""")
READY = "() => window.MathJax?.startup?.promise.then(() => document.fonts.ready).then(() => true)"

PAGE = """\
<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{title}</title>
{styles}
<style>
{css}
</style>
<script>window.MathJax = {{options: {{processHtmlClass: "tex2jax_process|math"}}}}</script>
<script defer src="{mathjax}"></script>
</head>
<body>
<section class="cover">
<p class="cover-title">{title}</p>
<p>{authors}</p>
<p>Version {version}. Text and figures: CC BY 4.0. Code: BSD-3-Clause.<br>
<a href="{site}">{site}</a></p>
</section>
<section class="contents">
<h1>Contents</h1>
{contents}
</section>
<main class="bd-main"><div class="bd-content"><div class="bd-article-container">
{articles}
</div></div></main>
</body>
</html>
"""
# One a page of the book: its title at the top of each sheet.
SHEET = """\
@page {name} {{ @top-center {{ content: "{title}"; font: 8pt sans-serif; color: #555 }} }}
#{name} {{ page: {name} }}"""
CSS = """\
@page { size: A4; margin: 22mm 20mm 20mm;
  @bottom-center { content: counter(page); font: 8pt sans-serif; color: #555 } }
@page :first { @bottom-center { content: none } @top-center { content: none } }
html { font-size: 10pt }
body { display: block; background: white }
.cover { break-after: page; text-align: center; padding-top: 30% }
.cover-title { font-size: 26pt; font-weight: 600; line-height: 1.2; margin-bottom: 3rem }
.contents { break-after: page }
.contents ol { list-style: none; padding: 0 }
.contents li { display: flex; gap: 0.8rem; font-size: 9pt; line-height: 1.35; padding-left: 1.5rem }
.contents li.level-1 { font-size: 10pt; padding-left: 0; margin-top: 0.5rem; break-after: avoid }
.contents li::after { content: attr(data-page); margin-left: auto; padding-left: 2rem }
.contents .part { font-weight: 600; margin: 1rem 0 0; break-after: avoid }
.contents a { color: inherit; text-decoration: none }
.bd-article { break-before: page; padding: 0 !important }
.bd-article h1 { display: block !important; font-size: 2rem } /* hidden by the theme: a print of one
  page has its title elsewhere */
.quiz-print { border: 1px solid #999; border-radius: 6px; padding: 0.4rem 1rem; margin: 1rem 0;
  break-inside: avoid }
.quiz-print ul { list-style: "\\2610\\2002"; margin-bottom: 0.5rem }
.citation .backrefs { display: none }
"""


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
        return print_book(chapters_dir().resolve().parent, browser)


def print_book(root: Path, browser: Browser) -> Path:
    """Print the pages in ``_build/html`` into ``_build/pdf/NAME.pdf``."""
    folder = root / "_build" / "pdf"
    folder.mkdir(parents=True, exist_ok=True)
    book, articles = read_config(root), _articles(root)
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
    """A Chromium: the system's, else the one that playwright fetched.

    Raises:
        BookError: there is neither.
    """
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


# --- One page of all pages ------------------------------------------------------------------------


@dataclass(frozen=True)
class Heading:
    """A heading, for the contents and the outline."""

    id: str
    title: str
    level: int


@dataclass(frozen=True)
class Article:
    """A page of the book, made for paper; its first heading is its title."""

    page: str
    html: str
    headings: list[Heading]


def assemble(root: Path, articles: list[Article], numbers: Mapping[str, int]) -> str:
    """All pages of the built book as one, made for paper.

    Args:
        root: the repository; the pages are read from ``_build/html``.
        articles: the pages.
        numbers: the sheet on which an id stands, for the table of contents; may be empty.
    """
    html = root / "_build" / "html"
    book = read_config(root)
    named = (
        SHEET.format(name=slug(article.page), title=_css(article.headings[0].title))
        for article in articles
    )
    return PAGE.format(
        title=book.title,
        authors=book.authors,
        version=medpriv.__version__,
        site=book.site,
        styles=_styles(html, articles[0].page),
        css="\n".join([CSS, *named]),
        mathjax=(html / "_static" / "mathjax" / "tex-svg.js").as_uri(),
        contents=_contents(root, {article.page: article for article in articles}, numbers),
        articles="\n".join(article.html for article in articles),
    )


def slug(page: str) -> str:
    """A page's id: ``chapters/06-model-inversion`` → ``p-06-model-inversion``."""
    return "p-" + page.rpartition("/")[2]


def _articles(root: Path) -> list[Article]:
    pages = toc_pages(root / "_toc.yml")
    return [_article(root / "_build" / "html", page, pages) for page in pages]


def _article(html: Path, page: str, pages: list[str]) -> Article:
    """A page's text for paper, with ids and links that are good in one file of all pages."""
    soup = BeautifulSoup((html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    article = soup.select_one("article.bd-article")
    if article is None:
        raise BookError(f"{page}.html has no article")
    _show_quizzes(article, page)
    for element in article.select(INTERACTIVE):
        element.decompose()
    for fold in article.select("details"):
        fold["open"] = ""
    for image in article.select("img[src]"):
        if not str(image["src"]).startswith("data:"):
            image["src"] = (html / join(page, "..", str(image["src"]))).resolve().as_uri()
    for link in article.select("a[href]"):
        _redirect(link, page, pages)
    _name_apart(article, page)
    return Article(page, str(article), _headings(article, page))


def _headings(article: Tag, page: str) -> list[Heading]:
    """The title, and the headings under it; a heading's id is on the section around it."""
    found = []
    for heading in article.select("h1, h2"):
        level, around = int(heading.name[1]), heading.find_parent("section", id=True)
        name = slug(page) if level == 1 or around is None else str(around["id"])
        found.append(Heading(name, heading.get_text(" ", strip=True), level))
    return found


def _redirect(link: Tag, page: str, pages: list[str]) -> None:
    """Lead a link to where its target is in the one file; without one it is plain text."""
    target, anchor = urldefrag(str(link["href"]))
    if urlsplit(target).scheme:
        return
    to = normpath(join(page, "..", target)).removesuffix(".html") if target else page
    if to in pages:
        link["href"] = f"#{_named(to, anchor)}" if anchor else f"#{slug(to)}"
    else:
        link.unwrap()


def _named(page: str, anchor: str) -> str:
    return quote(f"{slug(page)}--{anchor}", safe="")


def _name_apart(article: Tag, page: str) -> None:
    """Ids that no other page has; explorers and films have style sheets that go by theirs."""
    seen = set()
    for element in article.select("[id]:not(.medpriv-box)"):
        name = _named(page, str(element["id"]))
        if name in seen:
            del element["id"]
            continue
        seen.add(name)
        element["id"] = name
    for key in ("aria-labelledby", "aria-describedby", "for"):
        for element in article.select(f"[{key}]"):
            element[key] = " ".join(_named(page, one) for one in str(element[key]).split())
    article["id"] = slug(page)


def _show_quizzes(article: Tag, page: str) -> None:
    """Put the questions where their buttons are drawn by a script."""
    places = article.select("[data-shufflequestions]")
    for place, asked in zip(places, _quizzes(page.rpartition("/")[2]), strict=True):
        parts = ["<div class='quiz-print'>"]
        for question in asked:
            answers = "".join(f"<li>{one['answer']}</li>" for one in question.get("answers", ()))
            parts.append(f"<p>{question['question']}</p><ul>{answers}</ul>")
        place.replace_with(BeautifulSoup("".join([*parts, "</div>"]), "html.parser"))


def _quizzes(name: str) -> list[list[dict]]:
    if name not in CHAPTERS:
        return []
    code = "\n".join(cell.source for cell in read_chapter(name).cells if cell.cell_type == "code")
    return [questions(one["chapter"], one["part"] or "quiz") for one in QUIZ.finditer(code)]


def _styles(html: Path, page: str) -> str:
    """The built pages' style sheets; what a query string says is for a browser's cache."""
    soup = BeautifulSoup((html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    paths = [str(link["href"]).partition("?")[0] for link in soup.select("link[rel=stylesheet]")]
    addresses = [(html / join(page, "..", path)).resolve().as_uri() for path in paths]
    return "\n".join(f'<link rel="stylesheet" href="{address}">' for address in addresses)


def _contents(root: Path, articles: dict[str, Article], numbers: Mapping[str, int]) -> str:
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))

    def entries(page: str) -> str:
        return "".join(
            f"<li class='level-{heading.level}' data-page='{numbers.get(heading.id, '')}'>"
            f"<a href='#{heading.id}'>{escape(heading.title)}</a></li>"
            for heading in articles[page].headings
        )

    lines = [f"<ol>{entries(toc['root'])}</ol>"]
    for part in toc.get("parts", [toc]):
        listed = "".join(entries(chapter["file"]) for chapter in part["chapters"])
        lines.append(f"<p class='part'>{part.get('caption', '')}</p><ol>{listed}</ol>")
    return "\n".join(lines)


def _css(text: str) -> str:
    """Text as the inside of a CSS string."""
    return text.replace("\\", r"\\").replace('"', r"\"")
