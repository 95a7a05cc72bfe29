"""``python -m medpriv`` in a clone of the repository, whose tools run, build and check the course.

An installed package is enough for a notebook; the tools are no part of it.
"""

import sys
from pathlib import Path

from medpriv import __version__

CLONE = Path(__file__).resolve().parents[1]


def main() -> int:
    """Hand the command line to the clone's :mod:`build_tools.cli`; return the exit code."""
    asked = sys.argv[1:]
    if asked == ["--version"]:
        print(f"medpriv {__version__}")
        return 0
    alone = not (CLONE / "build_tools" / "cli.py").is_file()
    if alone and asked in (["-h"], ["--help"]):
        print(f"usage: medpriv [-h] [--version]\n\n{__doc__}")
        return 0
    if alone:
        print(
            "medpriv: commands need a clone of the repository, and this is the package alone "
            f"({CLONE}); clone it, and call `python -m medpriv` there. Notebooks need no command",
            file=sys.stderr,
        )
        return 2
    # First: from another folder nothing else leads to the tools, and they belong to this package.
    sys.path.insert(0, str(CLONE))
    from build_tools.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
