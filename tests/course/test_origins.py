"""Which figures and claims come from recorded tables: read from cells written out by hand."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from build_tools.run import run_chapter
from medpriv.course.origins import recorded_in
from tiny import Tiny, code

READ = 'table = course.recorded("06-seeds")'


def drawn(*cells: str) -> set[str]:
    """What the last line of the last of these cells draws on, after those before it."""
    sources = ["", *map(textwrap.dedent, cells)]
    last = len(sources[-1].rstrip().splitlines())
    return set(recorded_in(sources, [(len(sources) - 1, last)])[0])


@pytest.mark.parametrize(
    "cells",
    [
        ('chapter.figure("a", course.recorded("06-seeds").ssim.mean())',),
        (READ, 'chapter.figure("a", table.ssim.mean())'),
        (READ, "rows = table[table.seed == 0]\nbest = rows.ssim.max()", 'chapter.claim("a", best)'),
        (READ, "low, high = table.ssim.agg(['min', 'max'])", 'chapter.figure("a", 1, high=high)'),
        (READ, "ends = {'low': table.ssim.min()}", 'chapter.figure("a", 1, **ends)'),
        (READ, "apart = abs(live - table.ssim.mean())", 'chapter.claim("a", apart)'),
        (READ, "kept = {}\nkept['a'] = table.ssim.max()", 'chapter.claim("a", kept["a"])'),
        (READ, "kept = []\nkept.append(table.ssim.max())", 'chapter.claim("a", kept[0])'),
        (READ, "total = 0\ntotal += table.ssim.sum()", 'chapter.claim("a", total)'),
        (READ, "of = {name: rows.ssim for name, rows in table.groupby('split')}", "f(of)"),
        (READ, "def level(split):\n    return table.ssim[split]", 'chapter.claim("a", level(2))'),
        (READ, "level = lambda k: table.ssim[k]", 'chapter.claim("a", level(2))'),
        (READ, "for name, rows in table.groupby('split'):\n    chapter.figure(name, rows.ssim)"),
        (READ, "if known:\n    x = table\nelse:\n    x = live", 'chapter.figure("a", x)'),
        (READ, "x = 0\nfor _ in range(3):\n    y = x\n    x = table.ssim.max()", "f(y)"),
        (READ, "for _ in live:\n    y = table\n    table = live", "f(y)"),
        (READ, "for k in live:\n    if k:\n        table = live\n    f(table)"),
        (READ, "for _ in live:\n    table[0] = live\n    f(table)"),
        (READ, "for k in live:\n    table += k\n    f(table)\n    table = k\n    f(table)"),
        (READ, "with quiet() as q:\n    x = table.ssim", "f(x)"),
        (READ, "try:\n    x = table.ssim\nexcept KeyError:\n    x = 0", "f(x)"),
        (READ, 'chapter.figure("a", (x := table.ssim.max()))', 'chapter.claim("a", x)'),
        ("x = 1 +", READ, "f(table)"),
    ],
)
def test_a_table_goes_along_in_however_many_steps(cells: tuple[str, ...]) -> None:
    assert drawn(*cells) == {"06-seeds"}


@pytest.mark.parametrize(
    "cells",
    [
        ('chapter.figure("a", live)',),
        (READ, 'chapter.figure("a", live)'),
        (READ, "table = live", 'chapter.figure("a", table)'),
        (READ, "plot(table)\nchapter.figure('b', table)", 'chapter.figure("a", live)'),
        (READ, "many = [table for table in live]", 'chapter.figure("a", many)'),
        (READ, "def f(table):\n    return table.mean()", 'chapter.figure("a", f(live))'),
        (READ, "for table in live:\n    chapter.figure('a', table)"),
    ],
)
def test_what_comes_from_the_run_alone_is_not_marked(cells: tuple[str, ...]) -> None:
    assert drawn(*cells) == set()


def test_tables_add_up_and_a_name_may_be_computed() -> None:
    assert drawn(READ, 'f(table, course.recorded("12-matrix"))') == {"06-seeds", "12-matrix"}
    assert drawn("f(course.recorded(names[0]))") == {"names[0]"}


def test_a_line_in_a_loop_and_a_statement_of_several_lines() -> None:
    cell = "for a in live:\n    chapter.figure(a)\n    chapter.claim(\n        'b',\n        table)"
    found = recorded_in(["", READ, cell], [(2, 2), (2, 5), (2, 9)])
    assert found == [{"06-seeds"}, {"06-seeds"}, frozenset()]  # a loop is one statement


def test_results_of_a_run_say_what_was_recorded(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.root / "chapters" / "recorded").mkdir()
    rows = {"dataset": ["mias", "phantom"], "ssim": [0.25, 0.75], "key": ["a", "b"]}
    pd.DataFrame(rows).to_csv(tiny.root / "chapters" / "recorded" / "99-seeds.csv", index=False)
    monkeypatch.setenv("MEDPRIV_CHAPTERS", str(tiny.root / "chapters"))
    begin = (
        "from medpriv import course\n"
        "from medpriv.course import catalog, record\n"
        "catalog.CHAPTERS['99-tiny'] = catalog.ChapterSpec(\n"
        "    '99-tiny', 'Tiny', ('images',), {'phantom': (0,)})\n"
        "chapter = course.start('99-tiny', profile=profile, dataset=dataset,\n"
        "                       seed=seed, device=device)"
    )
    note = "def note(name, value):\n    chapter.figure(name, value)"
    cells = [
        "kept = course.recorded('99-seeds')\nbest = kept.ssim.max()\nlive = 0.5",
        "for name, value in (('live', live), ('more', live)):\n    chapter.figure(name, value)\n"
        "chapter.figure(\n    'best', best)",
        "note('noted', best)\nnote('noted-live', live)",
        "chapter.claim('mixed', best - live, at_least=0)\nchapter.claim('own', live, at_most=0)",
    ]
    tiny.write(*map(code, (begin, note, *cells)), report=code("chapter.finish()"))
    run = run_chapter(tiny.name, {"seed": "1"}, tmp_path / "out")
    assert run.results["tables"] == {"99-seeds": ["mias", "phantom"]}
    marks = {one["name"]: one["recorded"] for one in run.results["figures"]}
    of_table = ["99-seeds"]
    assert marks == {
        "live": [], "more": [], "best": of_table, "noted": of_table, "noted-live": []
    }  # fmt: skip
    assert [one["recorded"] for one in run.results["claims"]] == [of_table, []]
    shown = json.dumps(nbformat.read(run.notebook, as_version=4).cells)
    assert "From recorded tables of the course's data come claims 1." in shown
