"""``python -m medpriv``: see :mod:`build_tools.cli`."""

import sys

from build_tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
