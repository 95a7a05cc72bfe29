"""The book as one PDF: pages put together, and printed where there is a browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from filelock import FileLock
from pypdf import PdfReader

import boards
from browsing import CHROMIUM, HTML, NEEDS_BROWSER
from build_tools import cli, paper, pdf
from build_tools.book import _add_mathjax, toc_pages
from build_tools.paper import assemble, read_articles
from build_tools.pdf import _browser, print_book
from medpriv.course.catalog import CHAPTERS
from tiny import ROOT, Tiny, code

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

WELCOME = """
<html><head><link rel="stylesheet" href="../_static/a.css?v=1"></head><body>
<article class="bd-article"><section id="welcome"><h1>Welcome</h1>
<p id="top">See <a href="99-tiny.html#gain">the gain</a>, <a href="99-tiny.html">all</a>,
<a href="#top">above</a>, <a href="../genindex.html">index</a>,
<a href="https://example.org/x">out</a>.</p></section></article></body></html>
"""
TINY = """
<html><head></head><body><nav>Not this</nav>
<article class="bd-article"><section id="tiny"><h1>Tiny "book"<a class="headerlink">#</a></h1>
<p id="top">Top</p><p id="top">Twice</p><p id="gain">Gain</p>
<section id="part"><h2>A part<br>on two lines</h2></section><p>\\(x^2\\)</p>
<div class="math notranslate nohighlight">\\[\\sum_i x_i\\]</div>
<img src="../_images/a.png" alt="A"><img src="data:image/png;base64,AAAA" alt="B">
<details class="sd-dropdown"><summary>Hint</summary><p>Try.</p></details>
<label for="in">L</label><meter id="in"></meter>
<div id="q1" data-shufflequestions="False"><style>.x{}</style></div>
<button>Click</button><script>alert(1)</script></section></article></body></html>
"""


@pytest.fixture
def built(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A tiny book as Sphinx would have left it, with a quiz of one question."""
    html = tiny.root / "_build" / "html"
    (html / "chapters").mkdir(parents=True)
    (html / "chapters" / "welcome.html").write_text(WELCOME)
    (html / "chapters" / "99-tiny.html").write_text(TINY)
    _add_mathjax(tiny.root / "_build")
    tiny.write(code('course.quiz("99-tiny")'))
    asked = {"question": "Which one?", "type": "multiple_choice",
             "answers": [{"answer": "This.", "correct": True, "feedback": "Yes."}]}  # fmt: skip
    quizzes = {("99-tiny", "quiz"): [asked]}
    monkeypatch.setattr(paper, "questions", lambda *which: quizzes[which])
    return tiny


def test_pages_are_put_together_for_paper(built: Tiny) -> None:
    soup = BeautifulSoup(
        assemble(built.root, read_articles(built.root), {"p-99-tiny": 7, "p-99-tiny--part": 8}),
        "html.parser",
    )
    main = soup.select_one("main")
    assert main is not None
    assert [article["id"] for article in main.select("article")] == ["p-welcome", "p-99-tiny"]
    assert not main.select("script, button, input, .headerlink, nav")
    assert main.select_one("details").has_attr("open")
    quiz_text = main.select_one(".quiz-print").get_text(" ")
    assert "Which one?" in quiz_text
    assert "This." in quiz_text
    assert "Yes." not in quiz_text  # feedback would be the solution
    ids = [element["id"] for element in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    links = {link.get_text(): link["href"] for link in main.select("a[href]")}
    assert links == {
        "the gain": "#p-99-tiny--gain",
        "all": "#p-99-tiny",
        "above": "#p-welcome--top",
        "out": "https://example.org/x",
    }
    assert {href[1:] for href in links.values() if href.startswith("#")} <= set(ids)
    image = main.select_one("img[alt=A]")
    assert image["src"] == (built.root / "_build" / "html" / "_images" / "a.png").as_uri()
    assert main.select_one("label")["for"] == "p-99-tiny--in"
    styles = [link["href"] for link in soup.select("link[rel=stylesheet]")]
    assert styles == [(built.root / "_build" / "html" / "_static" / "a.css").as_uri()]
    contents = [(li["data-page"], li.get_text()) for li in soup.select(".contents li")]
    assert contents == [("", "Welcome"), ("7", 'Tiny "book"'), ("8", "A part on two lines")]
    assert 'content: "Tiny \\"book\\""' in soup.select_one("head").decode()


def test_of_a_board_there_is_its_first_frame_and_what_a_slider_stands_at(built: Tiny) -> None:
    page = built.root / "_build" / "html" / "chapters" / "99-tiny.html"
    page.write_text(TINY.replace("<button>Click</button>", boards.each()))
    article = BeautifulSoup(read_articles(built.root)[1].html, "html.parser")
    found = {box["class"][1]: box for box in article.select(".medpriv-box")}
    assert found.keys() == {f"medpriv-{kind}" for kind in boards.KINDS}
    for kind, make in boards.KINDS.items():
        box, made = found[f"medpriv-{kind}"], BeautifulSoup(make().data, "html.parser")
        assert not box.select("script, button, input, select")
        for shown in ("img", "figcaption", "output", "p.said"):
            assert [str(one) for one in box.select(shown)] == [
                str(one) for one in made.select(shown)
            ]
        assert len(box.select("label")) == len(box.select("output"))  # a list of one is no choice


def test_a_quiz_that_is_not_in_the_page_is_noticed(built: Tiny) -> None:
    built.write("")
    with pytest.raises(ValueError, match="zip"):
        read_articles(built.root)


@pytest.mark.browser
@needs_chromium
def test_a_tiny_book_is_printed(built: Tiny) -> None:
    with _browser() as browser:
        path = print_book(built.root, browser)
    assert path == built.root / "_build" / "pdf" / "medpriv-book.pdf"
    reader = PdfReader(path)
    texts = [page.extract_text() for page in reader.pages]
    cover, contents, welcome, tiny = texts
    assert "Privacy attacks and defenses" in cover
    assert contents.split() == [
        *("2", "Contents", "Welcome", "3", "Tiny", '"book"', "4"),
        *("A", "part", "on", "two", "lines", "4"),
    ]
    assert "Welcome" in welcome
    assert "Gain" in tiny
    assert "\\sum" not in tiny  # typeset
    welcome, tiny, (part,) = reader.outline
    assert [one.title for one in (welcome, tiny, part)] == [
        "Welcome", 'Tiny "book"', "A part on two lines"]  # fmt: skip
    assert reader.get_destination_page_number(part) == 3
    assert 0 < part.top < tiny.top
    assert reader.metadata.title == "Privacy attacks and defenses for medical deep learning"
    assert reader.metadata.author == "the medpriv authors"
    assert reader.root_object["/MarkInfo"]["/Marked"]  # tagged, for screen readers


def test_without_a_browser_nothing_is_built(
    tiny: Tiny,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pdf, "NAMES", ("no-such-browser",))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setattr(pdf, "build_book", lambda: pytest.fail("built"))
    assert cli.main(["pdf"]) == 1
    said = capsys.readouterr().err
    assert "make pdf prints with Chromium" in said
    assert "playwright install chromium" in said


# --- The book -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    """The built book, printed into a folder of the tests' own, once for all their processes."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root = shared / "printed"
    with FileLock(shared / "printed.lock"):
        done = list(root.glob("_build/pdf/*.pdf"))
        return PdfReader(done[0] if done else _print_in(root))


def _print_in(root: Path) -> Path:
    (root / "_build").mkdir(parents=True)
    (root / "_build" / "html").symlink_to(HTML)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, root)
    with _browser() as browser:
        return print_book(root, browser)


@pytest.mark.slow
class TestBook:
    pytestmark = NEEDS_BROWSER

    def test_every_page_is_in_the_outline_and_begins_where_the_contents_say(
        self, printed: PdfReader
    ) -> None:
        pages = toc_pages(ROOT / "_toc.yml")
        top = [item for item in printed.outline if not isinstance(item, list)]
        assert [item.title for item in top] == [_heading(page) for page in pages]
        begins = list(map(printed.get_destination_page_number, top))
        assert begins == sorted(begins)
        contents = " ".join(page.extract_text() for page in printed.pages[1 : begins[0]]).split()
        for title, number in zip((item.title for item in top), begins, strict=True):
            assert str(number + 1) in contents
            assert set(title.split()) <= set(printed.pages[number].extract_text().split())

    def test_every_chapter_is_whole(self, printed: PdfReader) -> None:
        text = " ".join(page.extract_text() for page in printed.pages)
        assert len(printed.pages) > 10 * len(CHAPTERS)
        # In each chapter, and only on paper all of it: solutions unfolded, hints open.
        for words in ("Solution to Exercise", "First hint", "Limits and responsible use"):
            assert text.count(words) >= len(CHAPTERS)
        for raw in ("{cite:", "\\frac", "\\lVert", "\\Pr"):
            assert raw not in text

    def test_links_inside_the_book_work(self, printed: PdfReader) -> None:
        known, used = set(printed.named_destinations), set()
        for page in printed.pages:
            for link in page.get("/Annots", ()):
                target = link.get_object().get("/Dest")
                if target is not None:
                    used.add(str(target))
        assert len(used) > 10
        assert used <= known


def _heading(page: str) -> str:
    soup = BeautifulSoup((HTML / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    for mark in soup.select("h1 .headerlink"):
        mark.decompose()
    return soup.select_one("article h1").get_text()
