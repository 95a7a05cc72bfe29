"""The command line: requests that cannot be met, and commands that are short."""

from __future__ import annotations

import nbformat
import pytest

from build_tools import cli
from tiny import HEADER, Tiny


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "98-other"], "unknown chapter '98-other'"),
        (["run", "99-tiny", "-p", "seed", "x"], "parameter seed: expected an integer, got 'x'"),
        (["run", "99-tiny", "-p", "seed", "1", "-p", "seed", "2"], "given twice"),
        (["claims", "99-tiny", "--datasets", "heart"], "no claims for data set heart"),
        (["claims", "99-tiny", "--seeds", "-1"], "an integer from 0 to 2147483647, got -1"),
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
