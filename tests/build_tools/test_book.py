"""Building the book: what is executed, what is staged, and what a failure leaves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from build_tools import book, cli
from build_tools.book import BookError, build_book, stage, toc_pages
from build_tools.execute import execute
from tiny import ROOT, Tiny, code


@pytest.fixture
def sphinx(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for Sphinx: writes the pages of the table of contents."""
    calls: list[Path] = []

    def write(build: Path) -> None:
        calls.append(build)
        for page in (*toc_pages(build / "source" / "_toc.yml"), "index"):
            target = build / "html" / f"{page}.html"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()

    monkeypatch.setattr(book, "_sphinx", write)
    return calls


def test_a_second_build_executes_nothing(
    tiny: Tiny,
    runs: list[dict[str, str]],
    sphinx: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    index = build_book()
    assert index == tiny.root / "_build" / "html" / "index.html"
    assert runs == [{"profile": "quick", "dataset": "phantom", "seed": "0"}]
    assert json.loads((tiny.root / "_build" / "results" / "99-tiny.json").read_text())["run"] == 1
    capsys.readouterr()
    build_book()
    assert len(runs) == 1
    assert "99-tiny: up to date" in capsys.readouterr().out


# --- What is staged -------------------------------------------------------------------------------


def test_staging_fills_in_what_is_generated(tiny: Tiny, runs: list[dict[str, str]]) -> None:
    welcome = tiny.root / "chapters" / "welcome.md"
    staged = tiny.root / "_build" / "source" / "chapters" / "welcome.md"
    welcome.write_text("# Welcome\n\n<!-- generated: promises -->\n")
    execute(tiny.name, tiny.root)
    stage(tiny.root)
    assert "| [99-tiny](99-tiny) | `phantom` | 0, 1 |" in staged.read_text()
    written = staged.stat().st_mtime_ns
    stage(tiny.root)
    assert staged.stat().st_mtime_ns == written
    assert "generated" in welcome.read_text()  # the page itself stays as it is


def test_staging_writes_what_changed_and_removes_what_is_stale(
    tiny: Tiny, runs: list[dict[str, str]]
) -> None:
    execute(tiny.name, tiny.root)
    tiny.file.with_suffix(".ipynb").write_text("{}")  # a reader's paired notebook is not the source
    stage(tiny.root)
    source = tiny.root / "_build" / "source"
    staged = {file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()}
    assert staged == {
        "_config.yml",
        "_toc.yml",
        "references.bib",
        "chapters/welcome.md",
        "chapters/99-tiny.ipynb",
    }
    times = {name: (source / name).stat().st_mtime_ns for name in staged}
    (source / "chapters" / "old.md").touch()
    (tiny.root / "_build" / "html").mkdir()
    (tiny.root / "chapters" / "welcome.md").write_text("# Another welcome\n")
    stage(tiny.root)
    assert not (source / "chapters" / "old.md").exists()
    assert not (tiny.root / "_build" / "html").exists()  # it may hold the page that has gone
    changed = {name for name in staged if (source / name).stat().st_mtime_ns != times[name]}
    assert changed == {"chapters/welcome.md"}


# --- What a failure leaves ------------------------------------------------------------------------


def test_a_page_that_was_not_written_fails_the_build(
    tiny: Tiny, runs: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    html = tiny.root / "_build" / "html"
    html.mkdir(parents=True)
    (html / "index.html").touch()
    monkeypatch.setattr(book, "_sphinx", lambda build: None)
    with pytest.raises(BookError, match="no html for: chapters/welcome, chapters/99-tiny"):
        build_book()
    assert not html.exists()


def test_a_failed_cell_fails_the_build_with_its_traceback(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tiny.root / "_build" / "html"
    html.mkdir(parents=True)
    (html / "index.html").touch()
    tiny.write(code("def halve(x):\n    return x / 0\n\nhalve(1)"))
    assert cli.main(["book"]) == 1
    shown = capsys.readouterr().err
    assert "99-tiny failed in cell [2]" in shown
    assert "ZeroDivisionError" in shown
    assert not html.exists()  # an earlier book does not pass for this one


# --- Sphinx ---------------------------------------------------------------------------------------

PAGE = """
## Numbers

The gain is {glue:text}`gain`, as {cite:t}`Key` found, and $\\sigma^2 > 0$. See {numref}`plot`.

```{code-cell} ipython3
from myst_nb import glue

glue("gain", "0.42", display=False)
```

```{code-cell} ipython3
---
mystnb:
  image:
    alt: A line that rises
  figure:
    caption: A line.
    name: plot
---
import matplotlib.pyplot as plt

plt.plot([0, 1])
plt.show()
```

```{exercise-start}
:label: ex-one
```

How much is one and one?

```{exercise-end}
```

+++

```{solution-start} ex-one
:class: dropdown
```

```{code-cell} ipython3
1 + 1
```

```{solution-end}
```

```{prf:definition} Gain
:label: gain-definition

What the attacker gains.
```

```{bibliography}
```
"""


WELCOME = """\
# Welcome

Views are made by {func}`medpriv.deployment.deploy`, and {cite:t}`Key` wrote of it.

<!-- generated: promises -->

ROOM

```{bibliography}
:all:
```
"""


@pytest.mark.slow
def test_sphinx_builds_a_tiny_book_and_refuses_a_warning(
    tiny: Tiny, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny.write(PAGE)
    # The appendix lists again what a chapter lists.
    api = (ROOT / "chapters" / "api.md").read_text(encoding="utf-8")
    room = api.partition("## `deployment`\n")[2].partition("\n## ")[0]
    named = (
        "autofunction:: medpriv.models.as_logits",
        "autodata:: medpriv.models.contract.OUTPUTS",
    )
    room += "\n```{eval-rst}\n" + "".join(f".. {one}\n" for one in named) + "```\n"
    (tiny.root / "chapters" / "welcome.md").write_text(WELCOME.replace("ROOM", room))
    index = build_book()
    html = index.parent
    page = (html / "chapters" / "99-tiny.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", page)
    assert "chapters/welcome.html" in index.read_text(encoding="utf-8")
    for part in ("The gain is 0.42", "Name [2020]", "What the attacker gains"):
        assert part in text
    assert 'alt="A line that rises"' in page
    for raw in ("{glue:", "{cite:", "{exercise-", "{prf:", "+++"):
        assert raw not in text
    welcome = (html / "chapters" / "welcome.html").read_text(encoding="utf-8")
    assert 'href="#medpriv.deployment.deploy"' in welcome
    assert "Put a model into service" in welcome
    for one, own in ((page, "99-tiny"), (welcome, "welcome")):  # each leads to its own list
        assert re.search(r'Name \[<a [^>]*href="#id\d+"', one), own
    assert page.count('role="listitem"') == page.count('class="citation"') == 1
    assert "doc-biblioentry" not in page
    assert (html / "_static" / "mathjax" / "tex-svg.js").is_file()
    assert page.count("mathjax/tex-svg.js") == 1
    assert not re.findall(r'(?:src|data-src)="https?://[^"]+"', page)  # nothing from a CDN

    executed = tiny.root / "_build" / "executed" / "99-tiny" / "99-tiny.ipynb"
    before = executed.stat().st_mtime_ns
    faults = {"{ref}`nowhere`": "nowhere", "{class}`medpriv.Nothing`": "medpriv.Nothing"}
    (tiny.root / "chapters" / "welcome.md").write_text("# Welcome\n\n" + " and ".join(faults))
    for _ in range(2):  # the second time Sphinx must not have forgotten the warning
        capfd.readouterr()
        assert cli.main(["book"]) == 1
        shown = capfd.readouterr()
        assert "99-tiny: up to date" in shown.out
        for target in faults.values():
            assert f"target not found: {target}" in shown.err + shown.out or (
                f"undefined label: '{target}'" in shown.err + shown.out
            )
        assert not html.exists()
    assert executed.stat().st_mtime_ns == before
