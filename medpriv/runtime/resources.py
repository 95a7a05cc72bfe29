"""Tables that are kept as data files beside the module that uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def json_resource(module_file: str, name: str) -> Any:
    """What a JSON file says.

    Args:
        module_file: ``__file__`` of the module that uses it.
        name: the file's path from that module's folder.
    """
    return json.loads((Path(module_file).parent / name).read_text(encoding="utf-8"))
