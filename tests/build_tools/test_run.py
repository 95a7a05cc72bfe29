"""Executing one chapter: parameters, header, failures, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest

from build_tools import cli
from build_tools.run import RunError, run_chapter
from medpriv.course.catalog import ChapterError
from tiny import ROOT, Tiny, code


def left(folder: Path) -> set[str]:
    """All but the list of what the run has left."""
    return {file.name for file in folder.iterdir()} - {".run.json"}


# --- Running --------------------------------------------------------------------------------------


def test_a_run_leaves_the_notebook_and_the_results(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDPRIV_DATA", "data")  # relative to here, not to the kernel's folder
    tiny.write(
        code("import os, sys\nprint(sys.executable)\nprint(os.getcwd())"),
        code("print(os.environ['MEDPRIV_DATA'])\nprint(os.environ['MEDPRIV_PROGRESS'])"),
    )
    out = tmp_path / "out"
    run = run_chapter(tiny.name, {"seed": "3"}, out)
    assert left(out) == {"99-tiny.ipynb", "results.json"}
    assert run.results == json.loads((out / "results.json").read_text())
    assert run.results["parameters"]["seed"] == 3

    notebook = nbformat.read(run.notebook, as_version=4)
    printed = "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )
    assert printed.splitlines() == [sys.executable, str(out), str(tmp_path / "data"), "0"]
    assert [cell.id for cell in notebook.cells] == [
        f"cell-{index:03d}" for index in range(len(notebook.cells))
    ]
    assert "papermill" not in json.dumps([notebook.metadata, *(c.metadata for c in notebook.cells)])
    assert capfd.readouterr().err == ""  # in CI no progress is shown


def test_a_widget_is_left_alone(tiny: Tiny, tmp_path: Path) -> None:
    """To answer it, as nbclient would, is what makes a run wait for ever now and then."""
    asked = (
        "from ipywidgets import interact\n"
        "def show(a):\n    print(a)\n"
        "out = interact(show, a=(1, 3)).widget.out\n"
    )
    # Whoever answers sends what was printed back, into the widget's own state.
    tiny.write(code(asked), code("print('answered:', len(out.outputs))"))
    notebook = nbformat.read(run_chapter(tiny.name, {}, tmp_path / "out").notebook, as_version=4)
    printed = [o.text for cell in notebook.cells for o in cell.get("outputs", []) if "text" in o]
    assert "".join(printed) == "2\nanswered: 0\n"


def test_two_equal_runs_give_equal_notebooks(tiny: Tiny, tmp_path: Path) -> None:
    tiny.write(code("for k in range(3):\n    print(k, flush=True)"))
    first = run_chapter(tiny.name, {}, tmp_path / "out").notebook.read_bytes()
    assert run_chapter(tiny.name, {}, tmp_path / "out").notebook.read_bytes() == first


def test_a_failed_cell_shows_its_traceback_and_leaves_no_results(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("MEDPRIV_PROGRESS", "1")
    out = tmp_path / "out"
    run_chapter(tiny.name, {}, out)
    tiny.write(code("print('so far')"), code("def halve(x):\n    return x / 0\n\nhalve(1)"))

    assert cli.main(["run", tiny.name, "--out", str(out)]) == 1

    shown = capfd.readouterr().err
    assert "99-tiny: cell 1 of 4 (" in shown  # plain lines, since this is no terminal
    assert "99-tiny failed in cell [3]" in shown
    assert "return x / 0" in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert "\x1b[" not in shown
    assert left(out) == {"99-tiny.failed.ipynb"}
    failed = nbformat.read(out / "99-tiny.failed.ipynb", as_version=4)
    assert any("so far" in str(cell.get("outputs", "")) for cell in failed.cells)


def test_of_an_earlier_run_nothing_stays_and_of_the_reader_everything(
    tiny: Tiny, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_chapter(tiny.name, {}, out)
    run_chapter(tiny.name, {"seed": "1"}, out)
    assert left(out) == {"99-tiny.ipynb", "results.json"}
    (out / "99-tiny.ipynb").write_text("my own work")
    (out / ".results.part.json").write_text('{"of": "a run that was killed"}')
    run = run_chapter(tiny.name, {"seed": "2"}, out)
    assert left(out) == {"99-tiny.ipynb", "results.json", "99-tiny.before-1.ipynb"}
    assert (out / "99-tiny.before-1.ipynb").read_text() == "my own work"
    assert run.results["parameters"]["seed"] == 2


def test_two_runs_do_not_mix_in_one_folder(tiny: Tiny, tmp_path: Path) -> None:
    out, mark = tmp_path / "out", tmp_path / "mark"
    tiny.write(code(f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(5)"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run_chapter, tiny.name, {"seed": "1"}, out)
        while not mark.exists() and not first.done():
            time.sleep(0.05)
        with pytest.raises(ChapterError, match="another run works in .*another folder"):
            run_chapter(tiny.name, {"seed": "2"}, out)
        assert first.result().results["parameters"]["seed"] == 1
    assert json.loads((out / "results.json").read_text())["parameters"]["seed"] == 1


def test_a_chapter_must_report(tiny: Tiny, tmp_path: Path) -> None:
    tiny.write(report="")
    with pytest.raises(RunError, match=r"without calling chapter\.finish\(\)"):
        run_chapter(tiny.name, {}, tmp_path / "out")
    assert left(tmp_path / "out") == {"99-tiny.failed.ipynb"}


def test_a_kernel_that_dies_is_named(tiny: Tiny, tmp_path: Path) -> None:
    tiny.write(code("import os\nos._exit(1)"))
    with pytest.raises(RunError, match=r"the kernel died .*out of memory"):
        run_chapter(tiny.name, {}, tmp_path / "out")
    assert "results.json" not in left(tmp_path / "out")


def test_a_folder_that_cannot_be_written(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ChapterError, match=r"cannot write in .*file.*another folder"):
        run_chapter(tiny.name, {}, tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interruption_ends_the_kernel_and_leaves_nothing(tiny: Tiny, tmp_path: Path) -> None:
    mark, out = tmp_path / "mark", tmp_path / "out"
    tiny.write(
        code(f"import os, pathlib, time\npathlib.Path({str(mark)!r}).write_text(str(os.getpid()))"),
        code("time.sleep(600)"),
    )
    script = (
        "import sys; from build_tools import cli; from medpriv.course.catalog import CHAPTERS; "
        "from tiny import SPEC; CHAPTERS[SPEC.name] = SPEC; sys.exit(cli.main(sys.argv[1:]))"
    )
    search = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-c", script, "run", tiny.name, "--out", str(out)],
        env=os.environ | {"PYTHONPATH": search},
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if mark.exists() and mark.read_text():
            break
        time.sleep(0.1)
    kernel = psutil.Process(int(mark.read_text()))
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in shown
    assert "Traceback" not in shown
    assert left(out) == set()
    psutil.wait_procs([kernel], timeout=10)
    assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE
