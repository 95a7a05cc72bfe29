"""The command line, ``python -m medpriv``: each command is one call into a module beside this."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from build_tools.book import BookError, build_book
from build_tools.claims import check_claims
from build_tools.run import RunError, run_chapter
from medpriv.course.catalog import (
    CHAPTERS,
    ChapterError,
    chapter_file,
    defaults,
    known_values,
    read_chapter,
)


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
        return options.command(options)
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

    listing = commands.add_parser("list", help="show chapters and their parameters")
    listing.set_defaults(command=_list)

    claims = commands.add_parser("claims", help="run claims over their promised seeds and data")
    claims.add_argument("chapters", metavar="CHAPTER", nargs="*", help="(default: all)")
    claims.add_argument("--datasets", nargs="+", metavar="NAME", help="only these data sets")
    claims.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="only these seeds")
    claims.set_defaults(command=_claims)

    book = commands.add_parser("book", help="execute what changed and build the book")
    book.set_defaults(command=_book)

    pdf = commands.add_parser("pdf", help="build the book and print it into one PDF")
    pdf.set_defaults(command=_pdf)

    lab = commands.add_parser("lab", help="make your notebooks for JupyterLab; keeps your changes")
    lab.set_defaults(command=_lab)

    export = commands.add_parser("export", help="write the notebooks for Colab and Binder")
    export.set_defaults(command=_export)

    pair = commands.add_parser("pair", help="pair each chapter's text with an .ipynb, for authors")
    pair.set_defaults(command=_pair)

    grids = commands.add_parser("grids", help="make the recorded sweeps again")
    grids.add_argument(
        "--renew-keys", action="store_true",
        help="compute nothing: give what is recorded the keys of the present code",
    )  # fmt: skip
    grids.set_defaults(command=_grids)
    return parser


def _run(options: argparse.Namespace) -> int:
    given = dict(options.parameters)
    if len(given) < len(options.parameters):
        raise ChapterError("a parameter is given twice; give each -p NAME once")
    out = options.out or Path("_build", "runs", options.chapter)
    run = run_chapter(options.chapter, given, out)
    print(
        f"{run.notebook}\n{run.notebook.with_name('results.json')}\n"
        f"{run.results['seconds']:.0f} s, peak {run.results['peak_mb']:.0f} MB"
    )
    return 0


def _list(_: argparse.Namespace) -> int:
    for chapter in CHAPTERS.values():
        print(f"{chapter.name}: {chapter.title}")
        for name, default in defaults(chapter.name).items():
            print(f"  {name} = {default!r}  ({known_values(chapter.name, name)})")
    return 0


def _claims(options: argparse.Namespace) -> int:
    hold = check_claims(options.chapters or CHAPTERS, options.datasets, options.seeds)
    return 0 if hold else 1


def _book(_: argparse.Namespace) -> int:
    print(build_book())
    return 0


def _pdf(_: argparse.Namespace) -> int:
    from build_tools.pdf import build_pdf  # as below: what only this command needs

    print(build_pdf())
    return 0


def _lab(_: argparse.Namespace) -> int:
    from build_tools.export import reader_notebooks

    for path, what in reader_notebooks():
        print(f"{path}: {what}", flush=True)
    return 0


def _export(_: argparse.Namespace) -> int:
    from build_tools.export import export_notebooks

    print(export_notebooks())
    return 0


def _pair(_: argparse.Namespace) -> int:
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
    return 0


def _grids(options: argparse.Namespace) -> int:
    from experiments import tables as grids

    if options.renew_keys:
        grids.renew_keys()
    else:
        grids.main()
    return 0
