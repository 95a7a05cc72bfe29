"""Executing one chapter: parameters, header, failures, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from build_tools import cli
from build_tools.chapter_text import check_parameters, defaults
from build_tools.run import RunError, run_chapter
from medpriv.course.catalog import ChapterError
from medpriv.data import known_datasets
from medpriv.runtime.profile import PROFILES
from tiny import HEADER, ROOT, Tiny, code


def left(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


# --- Parameters -----------------------------------------------------------------------------------


def test_defaults_come_from_the_parameters_cell(tiny: Tiny) -> None:
    assert defaults(tiny.name) == {
        "profile": "quick",
        "dataset": "phantom",
        "seed": 0,
        "device": "cpu",
    }


def test_values_take_the_types_of_the_defaults(tiny: Tiny) -> None:
    given = {"profile": "smoke", "dataset": "mias", "seed": "3", "device": "auto"}
    assert check_parameters(tiny.name, given) == given | {"seed": 3}
    assert check_parameters(tiny.name, {}) == {}


def test_an_unknown_name_lists_the_known_ones(tiny: Tiny) -> None:
    with pytest.raises(ChapterError, match="'sed'.*profile, dataset, seed, device"):
        check_parameters(tiny.name, {"sed": "3"})


@pytest.mark.parametrize(
    ("parameter", "value", "says"),
    [
        ("profile", "fast", ", ".join(PROFILES)),
        ("dataset", "mammograms", ", ".join(known_datasets("images"))),
        ("dataset", "", "phantom"),
        ("dataset", "warfarin", "phantom"),  # known, but no image data
        ("seed", "3.5", "expected an integer, got '3.5'"),
        ("seed", "-1", "from 0 to"),
        ("seed", "", "expected an integer"),
        ("device", "tpu", "auto, cpu, cuda, mps"),
    ],
)
def test_a_bad_value_lists_what_is_possible(
    tiny: Tiny, parameter: str, value: str, says: str
) -> None:
    with pytest.raises(ChapterError, match=f"parameter {parameter}: .*{says}"):
        check_parameters(tiny.name, {parameter: value})


def test_an_own_file_is_a_data_set_and_becomes_absolute(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.npz").touch()
    Path("own.txt").touch()
    checked = check_parameters(tiny.name, {"dataset": "own.npz"})
    assert checked == {"dataset": str(tmp_path / "own.npz")}
    with pytest.raises(ChapterError, match="path of your own file"):
        check_parameters(tiny.name, {"dataset": "own.txt"})


def test_a_parameter_of_the_chapter_itself(tiny: Tiny) -> None:
    text = tiny.file.read_text().replace("seed = 0\n", "seed = 0\nlayers = 6\nfine = True\n")
    tiny.file.write_text(text)
    assert check_parameters(tiny.name, {"layers": "4", "fine": "false"}) == {
        "layers": 4,
        "fine": False,
    }
    with pytest.raises(ChapterError, match="parameter fine: unknown truth value 'no'"):
        check_parameters(tiny.name, {"fine": "no"})


def test_the_cell_must_exist_and_assign_plain_values(tiny: Tiny) -> None:
    text = tiny.file.read_text()
    tiny.file.write_text(text.replace(":tags: [parameters]\n", ""))
    with pytest.raises(ChapterError, match="no cell tagged `parameters`"):
        defaults(tiny.name)
    tiny.file.write_text(text.replace("seed = 0", "seed = make_seed()"))
    with pytest.raises(ChapterError, match="plain values"):
        defaults(tiny.name)


# --- Chapters -------------------------------------------------------------------------------------


def test_an_unknown_chapter_lists_the_known_ones(tiny: Tiny) -> None:
    with pytest.raises(ChapterError, match="unknown chapter '98-other'.*99-tiny"):
        run_chapter("98-other", {}, tiny.root)


def test_a_missing_file_says_where_it_was_looked_for(tiny: Tiny) -> None:
    tiny.file.unlink()
    with pytest.raises(ChapterError, match="no text at .*99-tiny.md.*MEDPRIV_CHAPTERS"):
        run_chapter(tiny.name, {}, tiny.root / "out")


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("", "format_name"),
        ("---\n{bad: yaml: here\n---\n", "format_name"),
        (HEADER.replace("jupytext:", "other:"), "format_name"),
        (HEADER.replace("  display_name: Python 3\n", ""), "kernelspec.display_name"),
        (HEADER.replace("format_name: myst", "format_name: markdown"), "format_name"),
    ],
)
def test_without_its_header_nothing_runs(tiny: Tiny, header: str, missing: str) -> None:
    tiny.write(header=header)
    out = tiny.root / "out"
    with pytest.raises(ChapterError, match=f"no complete jupytext header.*{missing}"):
        run_chapter(tiny.name, {}, out)
    assert not out.exists()


def test_no_text_is_a_clear_error(tiny: Tiny) -> None:
    tiny.file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChapterError, match=r"99-tiny\.md is no UTF-8 text"):
        run_chapter(tiny.name, {}, tiny.root / "out")


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
    assert printed.split() == [sys.executable, str(out), str(tmp_path / "data"), "0"]
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
    assert printed == ["2\n", "answered: 0\n"]


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
    out.mkdir()
    for stale in ("99-tiny.ipynb", "results.json"):
        (out / stale).write_text("{}")
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
        "import sys; from medpriv.course import catalog, cli; from tiny import SPEC; "
        "catalog.CHAPTERS[SPEC.name] = SPEC; sys.exit(cli.main(sys.argv[1:]))"
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


# --- The command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "98-other"], "unknown chapter '98-other'"),
        (["run", "99-tiny", "-p", "seed", "x"], "parameter seed: expected an integer, got 'x'"),
        (["run", "99-tiny", "-p", "seed", "1", "-p", "seed", "2"], "given twice"),
        (["claims", "99-tiny", "--datasets", "heart"], "no claims for data set heart"),
        (["claims", "99-tiny", "--seeds", "7"], "no claims for seed 7"),
    ],
)
def test_errors_of_the_users_making_are_one_line(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert cli.main(arguments) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert shown.count("\n") == 1


def test_a_wrong_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "99-tiny", "-p", "seed"])
    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert "expected 2 arguments" in shown
    assert shown.count("\n") == 1


def test_list_shows_chapters_parameters_and_known_values(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    for part in ("99-tiny: Tiny", "seed = 0", "profile = 'quick'  (smoke, quick, full)", "mias"):
        assert part in shown


def test_pair_writes_a_notebook_and_keeps_the_readers_outputs(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["pair"]) == 0
    paired = tiny.file.with_suffix(".ipynb")
    notebook = nbformat.read(paired, as_version=4)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "code"]
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="kept")]
    nbformat.write(notebook, paired)
    assert cli.main(["pair"]) == 0
    assert "kept" in paired.read_text()

    tiny.write(header=HEADER.replace("ipynb,md:myst", "md:myst"))
    assert cli.main(["pair"]) == 2
    assert "formats: ipynb,md:myst" in capsys.readouterr().err
