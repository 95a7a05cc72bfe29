"""What is told of a cell that failed on a reader's own data."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.failures import LEFT_OUT, own_error
from build_tools.run import RunError, run_chapter
from tiny import ROOT, Tiny, code

TABLE = "label,text,age\n0,Ms Okafor is well,fifty\n1,Ms Osei coughs,60\n"


WHO = "import csv\nwho = next(csv.DictReader(open(dataset)))['text']\n"


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("import pandas as pd\npd.to_numeric(pd.read_csv(dataset).age)", LEFT_OUT),
        ("import numpy as np\nnp.array([who], dtype=float)", LEFT_OUT),
        ("raise ValueError(who)", LEFT_OUT),
        ("try:\n    float(who)\nexcept ValueError as e:\n    raise KeyError(who) from e", LEFT_OUT),
        # The package's own message, also where another error led to it.
        ("from medpriv.data import load_records\nload_records(dataset)", "use load_reports"),
        ("from medpriv.data import normalise_text\n"
         "try:\n    float(who)\nexcept ValueError:\n    normalise_text(3)", "expected a text ("),
    ],
)  # fmt: skip
def test_no_cell_of_a_readers_file_is_quoted(
    tiny: Tiny, tmp_path: Path, cell: str, says: str
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(TABLE)
    tiny.write(code(WHO + cell))
    with pytest.raises(RunError) as caught:
        run_chapter(tiny.name, {"dataset": str(table)}, tmp_path / "out")
    shown = str(caught.value)
    failed = (tmp_path / "out" / "99-tiny.failed.ipynb").read_text(encoding="utf-8")
    for text in (shown, failed):
        assert says in text
        assert ", line " in text  # of the chapter's cell
        assert not {word for word in ("Okafor", "fifty", "Osei") if word in text}


def test_what_fails_inside_the_package_is_not_its_message(tmp_path: Path) -> None:
    """C code has no lines of its own: the last one is then a line of the package."""
    source = ROOT / "medpriv" / "data" / "text.py"
    lines = source.read_text(encoding="utf-8").splitlines()
    raising = next(n for n, line in enumerate(lines, 1) if line.lstrip().startswith("raise "))
    said = {
        number: own_error(
            "ValueError", "Okafor", ["\x1b[31mCell In[3], line 2\x1b[0m", f"File {source}:{number}"]
        )
        for number in (raising, raising + 1, len(lines) + 9)
    }
    assert said[raising] == ["Cell In[3], line 2", f"File {source}:{raising}", "ValueError: Okafor"]
    assert said[raising + 1][-1] == said[len(lines) + 9][-1] == f"ValueError: {LEFT_OUT}"


def test_of_the_courses_data_the_whole_traceback_is_shown(tiny: Tiny, tmp_path: Path) -> None:
    tiny.write(code("float('a word')"))
    with pytest.raises(RunError, match="could not convert string to float: 'a word'"):
        run_chapter(tiny.name, {}, tmp_path / "out")
