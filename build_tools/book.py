"""Build the book: execute what changed, put it beside the plain pages, and let Sphinx write it.

Jupyter Book's own execution is off. Its cache looks at the cells only, so a change in the package
would go unseen; and a chapter would be executed in another way than on the command line and in
the tests. Here :mod:`build_tools.execute` brings every executed chapter up to date.
"""

from __future__ import annotations

import importlib.resources
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import yaml

from build_tools.chapter_text import book_root
from build_tools.execute import execute_all
from build_tools.kernel import search_path
from build_tools.pages import fill
from medpriv.course.catalog import CHAPTERS
from medpriv.runtime.cache import atomic_path

TEMPLATES = Path(__file__).parent / "templates"


class BookError(RuntimeError):
    """The pages were not built: Sphinx warned or failed, or a page is missing."""


def build_book() -> Path:
    """Bring ``_build`` up to date; return the path of ``_build/html/index.html``.

    After a failure no page of an earlier build is left to pass for this one, and the next build
    reads every page again: Sphinx repeats no warning about a page that it has read before.

    Raises:
        ChapterError: a chapter has no file, or no jupytext header.
        RunError: a cell failed; the message holds its traceback.
        BookError: Sphinx warned or failed, or a page of `_toc.yml` was not written.
    """
    root = book_root()
    build = root / "_build"
    try:
        execute_all(root)
        for name in CHAPTERS:
            with atomic_path(build / "results" / f"{name}.json") as part:
                shutil.copyfile(build / "executed" / name / "results.json", part)
        stage(root)
        _sphinx(build)
        _mend_reference_lists(build)
        _add_mathjax(build)
        _check_pages(root)
    except BaseException:
        discard_pages(build)
        raise
    return build / "html" / "index.html"


# --- Staging --------------------------------------------------------------------------------------


def stage(root: Path) -> None:
    """Make ``_build/source`` hold what Sphinx reads, and nothing else.

    A plain page has its generated parts filled in. A file is written only if its content changed,
    so that Sphinx reads only that page again.
    """
    source = root / "_build" / "source"
    wanted = _sources(root)
    for name, origin in wanted.items():
        target, content = source / name, origin.read_bytes()
        if origin.suffix == ".md":
            content = fill(origin.read_text(encoding="utf-8"), root).encode()
        if not target.exists() or target.read_bytes() != content:
            with atomic_path(target) as part:
                part.write_bytes(content)
    stale = [file for file in _files(source) if file.relative_to(source).as_posix() not in wanted]
    for file in stale:
        file.unlink()
    if stale:
        discard_pages(root / "_build")  # a page that left the book leaves the html as well


def _sources(root: Path) -> dict[str, Path]:
    """Where each file in ``_build/source`` comes from."""
    chapters = root / "chapters"
    pages = [file for file in sorted(chapters.glob("*.md")) if file.stem not in CHAPTERS]
    tops = [root / name for name in ("_config.yml", "_toc.yml", "references.bib")]
    beside = _files(chapters / "images", root / "_static")
    sources = {file.relative_to(root).as_posix(): file for file in (*tops, *pages, *beside)}
    for name in CHAPTERS:
        executed = root / "_build" / "executed" / name / f"{name}.ipynb"
        sources[f"chapters/{name}.ipynb"] = executed
    return sources


def _files(*folders: Path) -> list[Path]:
    """All files in the folders and below, in a fixed order."""
    return [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]


# --- Building -------------------------------------------------------------------------------------


def _sphinx(build: Path) -> None:
    command = shutil.which("jupyter-book", path=str(Path(sys.executable).parent))
    if command is None:
        raise BookError(f"jupyter-book is not installed beside {sys.executable}; see requirements")
    # Jupyter Book adds _build/html to the path itself.
    arguments = ["build", str(build / "source"), "--path-output", str(build.parent)]
    # In which Sphinx finds this package and no other, for the pages on its interface.
    environment = os.environ | {"PYTHONPATH": search_path()}
    # -n: a reference to nothing is a warning, and with -W an error.
    strict = ["-n", "-W", "--keep-going"]
    code = subprocess.call([command, *arguments, *strict], cwd=build.parent, env=environment)
    if code != 0:
        raise BookError("the book was not built: Sphinx failed or warned, see above")


def _mend_reference_lists(build: Path) -> None:
    """Give the entries of each list of references the role of an entry.

    docutils gives them one that no list may hold, so that a screen reader tells of an empty list.
    """
    for page in (build / "html").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        mended = text.replace('role="doc-biblioentry"', 'role="listitem"')
        if mended != text:
            with atomic_path(page) as part:
                part.write_text(mended, encoding="utf-8")


def _add_mathjax(build: Path) -> None:
    """Put MathJax where `mathjax_path` says: the one file that needs no fonts beside it.

    Not through the source's `_static`: Jupyter Book would load each script in there twice.
    """
    package = importlib.resources.files("sphinx-mathjax-offline")
    with atomic_path(build / "html" / "_static" / "mathjax" / "tex-svg.js") as part:
        part.write_bytes((package / "static" / "mathjax" / "tex-svg.js").read_bytes())


def _check_pages(root: Path) -> None:
    html = root / "_build" / "html"
    pages = [*toc_pages(root / "_toc.yml"), "index"]
    missing = [page for page in pages if not (html / f"{page}.html").is_file()]
    if missing:
        raise BookError(f"the build wrote no html for: {', '.join(missing)}")


def toc_parts(path: Path) -> list[tuple[str, list[str]]]:
    """The parts of a table of contents: caption and pages; the root is a part by itself."""
    toc = yaml.safe_load(path.read_text(encoding="utf-8"))
    parts = [(one.get("caption", ""), one["chapters"]) for one in toc.get("parts", [toc])]
    listed = [(caption, [page["file"] for page in pages]) for caption, pages in parts]
    return [("", [toc["root"]]), *listed]


def toc_pages(path: Path) -> list[str]:
    """Every page that a table of contents names, the root first, without suffix."""
    return [page for _, pages in toc_parts(path) for page in pages]


def discard_pages(build: Path) -> None:
    """Remove the html, and Sphinx's memory of the pages that it has read."""
    for folder in (build / "html", build / ".doctrees"):
        shutil.rmtree(folder, ignore_errors=True)


# --- What it says about itself --------------------------------------------------------------------


@dataclass(frozen=True)
class Book:
    """What every notebook says about the book: see ``_config.yml``."""

    title: str
    authors: str
    repository: str
    site: str


def read_config(root: Path) -> Book:
    """The book's title and addresses.

    Where GitHub publishes a repository's pages follows from the repository's address.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    repository = config["repository"]["url"].rstrip("/")
    owner, name = urlsplit(repository).path.strip("/").split("/")
    site = f"https://{owner}.github.io/{name}"
    return Book(config["title"], config["author"], repository, site)


def filled(template: str, **values: str) -> str:
    """A text of ``templates/`` with its ``$places`` filled."""
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
