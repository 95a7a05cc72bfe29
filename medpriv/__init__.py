"""Privacy attacks and defenses for medical deep learning: the package under the course.

The rooms, from the ground up; each imports only those before it: ``runtime``, ``statistics``,
``data``, ``models``, ``training``, ``deployment``, ``bounds``, ``defenses``, ``metrics``,
``attacks``, ``evaluation``, ``course``.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"
_ROOMS = (
    "attacks", "bounds", "course", "data", "defenses", "deployment", "evaluation", "metrics",
    "models", "runtime", "statistics", "training",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """A room, imported when it is first asked for: all of them take seconds."""
    if name in _ROOMS:
        return importlib.import_module(f"medpriv.{name}")
    raise AttributeError(f"module 'medpriv' has no attribute {name!r}")
