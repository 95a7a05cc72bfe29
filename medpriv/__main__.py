"""``python -m medpriv``: see :mod:`medpriv.course.cli`."""

import sys

from medpriv.course.cli import main

if __name__ == "__main__":
    sys.exit(main())
