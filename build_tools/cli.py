"""The command line, ``python -m medpriv``: each command is one call into a module beside this."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from build_tools.book import BookError, build_book
from build_tools.chapter_text import chapter_file, defaults, known_values, read_chapter
from build_tools.claims import check_claims
from build_tools.run import RunError, run_chapter
from build_tools.statements import list_statements
from medpriv.course.catalog import CHAPTERS, ChapterError


class _Parser(argparse.ArgumentParser):
    """Errors of the user's making take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code.

    Returns:
        0; 1 where a chapter, a claim or the build failed; 2 where the request cannot be met
        (one line on stderr says why); 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except ChapterError as error:
        print(f"medpriv: {error}", file=sys.stderr)
        return 2
    except (RunError, BookError) as error:
        print(f"medpriv: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("medpriv: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m medpriv", description="Run and build the course.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="execute one chapter with parameters")
    run.add_argument("chapter", metavar="CHAPTER")
    run.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a parameter, such as: -p dataset mias (repeatable)",
    )  # fmt: skip
    run.add_argument(
        "--out", type=Path, metavar="DIR", help="where to leave the results (_build/runs/CHAPTER)"
    )
    run.set_defaults(command=_run)

    claims = commands.add_parser("claims", help="run claims over their seeds and data sets")
    claims.add_argument("chapters", metavar="CHAPTER", nargs="*", help="(default: all)")
    claims.add_argument("--datasets", nargs="+", metavar="NAME", help="only these data sets")
    claims.add_argument(
        "--seeds", nargs="+", type=int, metavar="SEED", help="these, promised or not"
    )
    claims.set_defaults(command=_claims)

    unbacked = commands.add_parser(
        "statements", help="list sentences that state a result with nothing behind them"
    )
    unbacked.add_argument("chapters", metavar="CHAPTER", nargs="*", help="(default: all)")
    unbacked.set_defaults(command=_statements)

    for name, command, what in (
        ("list", _list, "show chapters and their parameters"),
        ("book", _book, "execute what changed and build the book"),
        ("pdf", _pdf, "build the book and print it into one PDF"),
        ("lab", _lab, "make your notebooks for JupyterLab; keeps your changes"),
        ("export", _export, "write the notebooks for Colab and Binder"),
        ("pair", _pair, "pair each chapter's text with an .ipynb, for authors"),
        ("grids", _grids, "make the recorded sweeps again"),
    ):
        commands.add_parser(name, help=what).set_defaults(command=command)
    return parser


def _run(options: argparse.Namespace) -> None:
    given = dict(options.parameters)
    if len(given) < len(options.parameters):
        raise ChapterError("a parameter is given twice; give each -p NAME once")
    out = options.out or Path("_build", "runs", options.chapter)
    run = run_chapter(options.chapter, given, out)
    print(
        f"{run.notebook}\n{run.notebook.with_name('results.json')}\n"
        f"{run.results['seconds']:.0f} s, peak {run.results['peak_mb']:.0f} MB"
    )


def _list(_: argparse.Namespace) -> None:
    for chapter in CHAPTERS.values():
        print(f"{chapter.name}: {chapter.title}")
        for name, default in defaults(chapter.name).items():
            print(f"  {name} = {default!r}  ({known_values(chapter.name, name)})")


def _claims(options: argparse.Namespace) -> int:
    hold = check_claims(options.chapters or CHAPTERS, options.datasets, options.seeds)
    return 0 if hold else 1


def _statements(options: argparse.Namespace) -> int:
    return 0 if list_statements(options.chapters or CHAPTERS) else 1


def _book(_: argparse.Namespace) -> None:
    print(build_book())


def _pdf(_: argparse.Namespace) -> None:
    from build_tools.pdf import build_pdf  # as below: what only this command needs

    print(build_pdf())


def _lab(_: argparse.Namespace) -> None:
    from build_tools.export import reader_notebooks

    for path, what in reader_notebooks():
        print(f"{path}: {what}", flush=True)


def _export(_: argparse.Namespace) -> None:
    from build_tools.export import export_notebooks

    print(export_notebooks())


def _pair(_: argparse.Namespace) -> None:
    from jupytext.cli import jupytext  # slow to import, and no other command needs it

    for name in CHAPTERS:
        formats = read_chapter(name).metadata["jupytext"].get("formats", "")
        if "ipynb" not in formats:
            raise ChapterError(
                f"{name}.md is not paired; its header needs `formats: ipynb,md:myst`"
            )
        # Whichever of the two was edited last wins, and the .ipynb keeps its outputs.
        jupytext(["--quiet", "--sync", str(chapter_file(name))])
        print(chapter_file(name).with_suffix(".ipynb"))


def _grids(_: argparse.Namespace) -> None:
    from build_tools.grids import make_grids

    make_grids()
