"""Every link inside the built book leads somewhere: pages, anchors, images, styles and scripts.

Sphinx refuses a reference that it cannot resolve (`-n -W`). What it does not look at are plain
relative links, anchors written by hand, and what the theme and the extensions put on a page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from browsing import HTML, PAGES

# Attributes that hold an address, by element.
ADDRESSES = {
    "a": "href",
    "area": "href",
    "audio": "src",
    "embed": "src",
    "form": "action",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
SITE = "https://book.invalid/"  # stands for the folder, so that an address cannot leave it unseen


@dataclass
class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    links: list[tuple[str, str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given[key] or "" for key in ("id", "name") if key in given}
        address = given.get(ADDRESSES.get(tag, ""))
        if address is not None:
            self.links.append((tag, address))
        if tag == "meta" and (given.get("http-equiv") or "").lower() == "refresh":
            self.links.append((tag, (given["content"] or "").partition("url=")[2]))

    handle_startendtag = handle_starttag


def read(file: Path) -> Page:
    page = Page()
    page.feed(file.read_text(encoding="utf-8"))
    page.close()
    return page


def broken(root: Path) -> list[str]:
    """Every link of every page below ``root`` that stays in the site and leads nowhere."""
    files = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*.html"))}
    # The theme leaves templates among its styles, which are no pages.
    pages = {name: read(file) for name, file in files.items() if not name.startswith("_static/")}
    wrong = []
    for name, page in pages.items():
        for tag, address in dict.fromkeys(page.links):
            target = urlsplit(urljoin(f"{SITE}{name}", address))
            if f"{target.scheme}://{target.netloc}/" != SITE:
                continue
            path, anchor = unquote(target.path[1:]), unquote(target.fragment)
            if not (root / path).is_file():
                wrong.append(f"{name}: <{tag}> {address!r}: no such file")
            elif anchor and path in pages and anchor not in pages[path].anchors:
                wrong.append(f"{name}: <{tag}> {address!r}: no such anchor")
    return wrong


@pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="run make book first")
def test_every_link_of_the_book_leads_somewhere() -> None:
    wrong = broken(HTML)
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="run make book first")
@pytest.mark.parametrize("name", [*PAGES, "index", "genindex"])
def test_the_links_of_a_page_are_seen(name: str) -> None:
    assert read(HTML / f"{name}.html").links


# --- The check itself -----------------------------------------------------------------------------


def test_what_is_there_is_not_broken(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ä picture.png").touch()
    (tmp_path / "index.html").write_text('<meta http-equiv="refresh" content="0; url=sub/a.html">')
    (tmp_path / "sub" / "a.html").write_text(
        '<h1 id="top">A</h1><a href="">A</a><a href="#top">A</a><a href="?q=1#top">A</a>'
        '<a href="../index.html">B</a><img src="%C3%A4%20picture.png"/>'
        '<img src="data:image/png;base64,"><a href="mailto:a@b.invalid">C</a>'
        '<a href="https://elsewhere.invalid/no.html#where">D</a>'
    )
    assert broken(tmp_path) == []


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="b.html">', "<a> 'b.html': no such file"),
        ('<a href="a.html#nowhere">', "<a> 'a.html#nowhere': no such anchor"),
        ('<a href="#nowhere">', "<a> '#nowhere': no such anchor"),
        ('<a href="sub">', "<a> 'sub': no such file"),
        ('<a href="../../out.html">', "<a> '../../out.html': no such file"),
        ('<img src="b.png">', "<img> 'b.png': no such file"),
        ('<img src="b.png"/>', "<img> 'b.png': no such file"),
        ('<link href="b.css">', "<link> 'b.css': no such file"),
        ('<script src="b.js"></script>', "<script> 'b.js': no such file"),
        ('<meta http-equiv="refresh" content="0; url=b.html">', "<meta> 'b.html': no such file"),
    ],
)
def test_what_is_not_there_is_broken(tmp_path: Path, html: str, fault: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(f"<p>{html}</p>")
    assert broken(tmp_path) == [f"a.html: {fault}"]
