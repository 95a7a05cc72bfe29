"""Reading a chapter's text: its header, and its parameters as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.chapter_text import check_parameters, defaults
from build_tools.run import run_chapter
from medpriv.course.catalog import ChapterError
from medpriv.data import known_datasets
from medpriv.runtime.profile import PROFILES
from tiny import HEADER, Tiny

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
