"""Executing what changed: what counts as a change, and several chapters at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import joblib
import nbformat
import psutil
import pytest

from build_tools import execute as executed
from build_tools.execute import chapter_key, chapters_at_once, execute, execute_all
from build_tools.run import RunError
from medpriv.course.catalog import CHAPTERS, ChapterSpec
from medpriv.course.results import versions
from tiny import ROOT, Tiny, code

# --- What is executed -----------------------------------------------------------------------------


def test_whatever_a_chapter_is_made_from_executes_it_again(
    tiny: Tiny, runs: list[dict[str, str]]
) -> None:
    def again() -> bool:
        executed._code.cache_clear()  # as in another process
        return execute(tiny.name, tiny.root)

    assert again()
    assert not again()
    tiny.write(code("from medpriv import course\nprint(len(course.recorded('sweep')))"))
    assert again()
    recorded = tiny.root / "chapters" / "recorded" / "sweep.csv"
    recorded.parent.mkdir()
    recorded.write_text("a\n1\n")
    assert again()
    recorded.write_text("a\n2\n")
    assert again()
    recorded.with_name("99-unsaid.csv").write_text("a\n1\n")  # a word that no code says
    assert not again()


def test_another_version_of_a_library_is_named_and_executes_nothing(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own environment is the reader's to choose, but the pages are not silent about it."""
    execute(tiny.name, tiny.root)
    capsys.readouterr()
    file = tiny.root / "_build" / "executed" / tiny.name / "results.json"
    results = json.loads(file.read_text())

    def told(**others: str | None) -> str:
        then = {**versions(), **others}
        stored = {name: version for name, version in then.items() if version is not None}
        file.write_text(json.dumps(results | {"versions": stored}))
        assert not execute(tiny.name, tiny.root)
        return capsys.readouterr().out

    now = versions()
    assert told() == "99-tiny: up to date\n"
    assert told(torch="1.0", numpy=None) == (
        f"99-tiny: up to date, computed with torch 1.0 (now {now['torch']}), "
        f"numpy None (now {now['numpy']}); `make clean` executes it again\n"
    )


def test_another_page_or_picture_executes_nothing(tiny: Tiny) -> None:
    before = chapter_key(tiny.name, tiny.root)
    (tiny.root / "chapters" / "welcome.md").write_text("# Changed\n")
    (tiny.root / "chapters" / "images").mkdir()
    (tiny.root / "chapters" / "images" / "a.svg").write_text("<svg/>")
    assert chapter_key(tiny.name, tiny.root) == before


def test_prose_and_comments_are_taken_over_and_nothing_is_executed(tiny: Tiny) -> None:
    tiny.write("\nBefore.\n", code("print(1 + 1)"))
    assert execute(tiny.name, tiny.root)
    tiny.write("\nAfter.\n", code("print(1 + 1)  # two"))
    assert not execute(tiny.name, tiny.root)
    folder = tiny.root / "_build" / "executed" / tiny.name
    notebook = nbformat.read(folder / f"{tiny.name}.ipynb", as_version=4)
    assert "After." in notebook.cells[2].source
    assert notebook.cells[3].source.endswith("# two")
    assert notebook.cells[3].outputs[0].text == "2\n"
    ids = [cell.id for cell in notebook.cells]
    assert ids == [f"cell-{index:03d}" for index in range(len(ids))]


def test_an_execution_that_failed_does_not_count(
    tiny: Tiny, runs: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(tiny.name, tiny.root)
    working = executed.run_chapter
    tiny.write(code("1 / 0"))
    monkeypatch.setattr(executed, "run_chapter", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        execute(tiny.name, tiny.root)
    monkeypatch.setattr(executed, "run_chapter", working)
    assert execute(tiny.name, tiny.root)


# --- Several at once ------------------------------------------------------------------------------

OTHER = ChapterSpec("98-other", "Other", ("images",), {"phantom": (0,)})
# What stands in for `python -m medpriv`, which does not know the tiny chapters.
KNOWS_BOTH = (
    "import sys; from build_tools import cli; from medpriv.course.catalog import CHAPTERS, "
    "ChapterSpec; CHAPTERS.clear(); CHAPTERS.update({name: ChapterSpec(name, name, "
    "('images',), {'phantom': (0, 1)}) for name in ('98-other', '99-tiny')}); "
)


def other(tiny: Tiny) -> Tiny:
    return Tiny(tiny.root, OTHER.name)


@pytest.fixture
def two(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A book of two chapters, on a machine with two cores and memory enough."""
    monkeypatch.setitem(CHAPTERS, OTHER.name, OTHER)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    plain = executed.command

    def command(name: str, given: dict[str, str], out: Path) -> list[str]:
        interpreter, _, _, *arguments = plain(name, given, out)
        return [interpreter, "-c", f"{KNOWS_BOTH}sys.exit(cli.main(sys.argv[1:]))", *arguments]

    monkeypatch.setattr(executed, "command", command)
    other(tiny).write()
    return tiny


def out(tiny: Tiny, name: str) -> set[str]:
    folder = tiny.root / "_build" / "executed" / name
    found = {file.name for file in folder.iterdir()} if folder.exists() else set()
    return found - {".run.json"}


@pytest.mark.slow
def test_two_chapters_run_at_the_same_time_and_are_kept(
    two: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each waits for the other: one after the other, neither would come to its end.
    def meet(own: str, other: str) -> str:
        return code(
            f"import pathlib, time\nhere = pathlib.Path({str(tmp_path)!r})\n"
            f"(here / {own!r}).touch()\n"
            f"while not (here / {other!r}).exists(): time.sleep(0.05)"
        )

    two.write(meet("a", "b"))
    other(two).write(meet("b", "a"), code("import os\nprint(os.environ['OMP_NUM_THREADS'])"))
    execute_all(two.root)
    for name in ("98-other", "99-tiny"):
        assert out(two, name) == {f"{name}.ipynb", "results.json", "key.txt"}
    folder = two.root / "_build" / "executed"
    assert json.loads((folder / "99-tiny" / "results.json").read_text())["parameters"] == {
        "profile": "quick",
        "dataset": "phantom",
        "seed": 0,
        "device": "cpu",
    }
    if "OMP_NUM_THREADS" not in os.environ:
        assert '"1\\n"' in (folder / "98-other" / "98-other.ipynb").read_text()
    capsys.readouterr()
    execute_all(two.root)
    shown = capsys.readouterr().out
    assert "99-tiny: up to date" in shown
    assert "98-other: up to date" in shown


@pytest.mark.slow
def test_one_that_fails_is_told_of_and_the_other_is_kept(
    two: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    two.write(code("1 / 0"))
    with pytest.raises(RunError, match="99-tiny was not executed, see above"):
        execute_all(two.root)
    shown = capsys.readouterr().err
    assert "99-tiny failed in cell [2]" in shown
    assert "ZeroDivisionError" in shown
    assert out(two, "99-tiny") == {"99-tiny.failed.ipynb"}
    assert out(two, "98-other") == {"98-other.ipynb", "results.json", "key.txt"}


@pytest.mark.slow
def test_an_interruption_ends_both_and_their_kernels(two: Tiny, tmp_path: Path) -> None:
    marks = [tmp_path / "a", tmp_path / "b"]

    def sleep(mark: Path) -> str:
        note = f"pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))"
        return code(f"import os, pathlib, time\n{note}\ntime.sleep(600)")

    two.write(sleep(marks[0]))
    other(two).write(sleep(marks[1]))
    child = f"{KNOWS_BOTH}sys.exit(cli.main(sys.argv[1:]))"
    # Whoever runs the tests in the background of a script has Ctrl-C ignored, and so have they.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"{KNOWS_BOTH}import joblib; from build_tools import execute as executed; "
        "joblib.cpu_count = lambda: 2; plain = executed.command; "
        f"executed.command = lambda *of: [sys.executable, '-c', {child!r}, *plain(*of)[3:]]; "
        "sys.exit(cli.main(['book']))"
    )
    search = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": search},
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(3000):
        if all(mark.exists() and mark.read_text() for mark in marks):
            break
        time.sleep(0.1)
    kernels = [psutil.Process(int(mark.read_text())) for mark in marks]
    process.send_signal(signal.SIGINT)  # to it alone, as a terminal would not do
    _, shown = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "medpriv: interrupted" in shown
    assert "Traceback" not in shown
    assert out(two, "99-tiny") == out(two, "98-other") == set()
    psutil.wait_procs(kernels, timeout=60)
    for kernel in kernels:
        assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("cores", "gigabytes", "chapters", "expected"),
    [
        (1, 64, 12, 1),
        (2, 64, 12, 2),
        (16, 64, 12, 4),
        (16, 5, 12, 2),
        (16, 1, 12, 1),
        (16, 64, 1, 1),
    ],
)
def test_how_many_at_once(
    cores: int, gigabytes: int, chapters: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(available=gigabytes * 1024**3)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    assert chapters_at_once(chapters) == expected
