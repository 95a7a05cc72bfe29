"""Which data a chapter loads for the value of its parameter ``dataset``."""

from __future__ import annotations

from pathlib import Path

import pytest

from medpriv.course.catalog import ChapterError, ChapterSpec, check_value, spec

ONE = ChapterSpec("97-one", "One", ("records",), {})
ALL = ChapterSpec("98-all", "All", ("images", "records", "reports"), {})
EMBEDDED = {"images": "phantom", "records": "warfarin", "reports": "synthetic"}


def test_one_kind_of_data() -> None:
    assert ONE.default_dataset == "warfarin"
    assert ONE.known_datasets() == ("warfarin", "heart", "cardio")
    assert ONE.datasets("cardio") == {"records": "cardio"}
    with pytest.raises(ValueError, match="expected one of: warfarin, heart, cardio"):
        check_value(ONE, "dataset", "real")  # where there is one kind, its name says more
    assert ONE.datasets("/mine/table.csv") == {"records": "/mine/table.csv"}


def test_several_kinds_of_data() -> None:
    assert ALL.default_dataset == "embedded"
    assert ALL.datasets("embedded") == EMBEDDED
    assert ALL.datasets("mias") == EMBEDDED | {"images": "mias"}
    assert ALL.datasets("openi") == EMBEDDED | {"reports": "openi"}
    assert ALL.datasets("real") == {"images": "mias", "records": "cardio", "reports": "openi"}
    assert {"embedded", "real", "mias", "cardio", "openi"} <= set(ALL.known_datasets())
    assert check_value(ALL, "dataset", "embedded") == "embedded"
    with pytest.raises(ValueError, match="expected one of: embedded, real, phantom"):
        check_value(ALL, "dataset", "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("records.csv", "label,age\n0,50\n1,60\n", "records"),
        ("reports.CSV", "label,text\n0,clear lungs\n1,a mass\n", "reports"),
        ("images.npz", "", "images"),
    ],
)
def test_a_file_of_the_readers_finds_its_kind(
    name: str, content: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert ALL.datasets(str(path)) == EMBEDDED | {kind: str(path)}


def test_an_unknown_chapter_is_named() -> None:
    with pytest.raises(ChapterError, match="unknown chapter '00-none'; expected one of: 01-"):
        spec("00-none")
