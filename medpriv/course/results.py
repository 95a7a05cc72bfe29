"""`results.json`, what a run leaves for other programs: strict JSON, and the versions behind it."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import medpriv
from medpriv.runtime.cache import atomic_path

PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "scikit-image",
    "matplotlib",
)


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write strict JSON atomically; NaN and infinities, which JSON cannot say, become null."""
    with atomic_path(path) as part:
        text = json.dumps(_finite(results), indent=2, allow_nan=False, ensure_ascii=False)
        part.write_text(text + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of Python, the package and the libraries that a result depends on."""
    found = {"python": platform.python_version(), "medpriv": medpriv.__version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
