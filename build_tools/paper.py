"""All pages of the built book as one, made for paper.

On a screen a page unfolds, asks and answers; paper does not. So everything is unfolded, quizzes
show their questions, and links and ids are made good in one file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from posixpath import join, normpath
from urllib.parse import quote, urldefrag, urlsplit

from bs4 import BeautifulSoup, Tag

import medpriv
from build_tools.book import BookError, filled, read_config, toc_pages, toc_parts
from build_tools.chapter_text import read_chapter
from medpriv.course.catalog import CHAPTERS
from medpriv.course.quiz import questions

# What only a screen can use.
INTERACTIVE = (
    "script, a.headerlink, button, .medpriv-box input, .medpriv-box label:has(select), "
    ".toggle-button, .sd-summary-state-marker, .d-print-none"
)
QUIZ = re.compile(r"""course\.quiz\(\s*["'](?P<chapter>[^"']+)["'](?:,\s*["'](?P<part>\w+)["'])?""")
# One a page of the book: its title at the top of each sheet.
SHEET = """\
@page {name} {{ @top-center {{ content: "{title}"; font: 8pt sans-serif; color: #555 }} }}
#{name} {{ page: {name} }}"""


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
    """The articles as one page, with styles from ``_build/html``.

    ``numbers`` has the sheet on which an id stands, for the table of contents; it may be empty.
    """
    html = root / "_build" / "html"
    book = read_config(root)
    named = (
        SHEET.format(name=slug(article.page), title=_css(article.headings[0].title))
        for article in articles
    )
    return filled(
        "paper.html",
        title=book.title,
        authors=book.authors,
        version=medpriv.__version__,
        site=book.site,
        styles=_styles(html, articles[0].page),
        css="\n".join([filled("paper.css"), *named]),
        mathjax=(html / "_static" / "mathjax" / "tex-svg.js").as_uri(),
        contents=_contents(root, {article.page: article for article in articles}, numbers),
        articles="\n".join(article.html for article in articles),
    )


def slug(page: str) -> str:
    """A page's id: ``chapters/06-model-inversion`` → ``p-06-model-inversion``."""
    return "p-" + page.rpartition("/")[2]


def read_articles(root: Path) -> list[Article]:
    """Every page of the built book, in the order of the table of contents."""
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
    """Ids that no other page has."""
    seen = set()
    for element in article.select("[id]"):
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
    def entries(page: str) -> str:
        return "".join(
            f"<li class='level-{heading.level}' data-page='{numbers.get(heading.id, '')}'>"
            f"<a href='#{heading.id}'>{escape(heading.title)}</a></li>"
            for heading in articles[page].headings
        )

    (_, (first,)), *parts = toc_parts(root / "_toc.yml")
    lines = [f"<ol>{entries(first)}</ol>"]
    for caption, pages in parts:
        lines.append(f"<p class='part'>{caption}</p><ol>{''.join(map(entries, pages))}</ol>")
    return "\n".join(lines)


def _css(text: str) -> str:
    """Text as the inside of a CSS string."""
    return text.replace("\\", r"\\").replace('"', r"\"")
