"""All recorded tables: sweeps too long for a chapter, which reads them from a file."""

from __future__ import annotations

import importlib
import pkgutil

import experiments
from experiments.recording import Table

TABLES: dict[str, Table] = {
    name: table
    for module in pkgutil.iter_modules(experiments.__path__)  # sorted by name
    if module.name.startswith("ch")
    for name, table in importlib.import_module(f"experiments.{module.name}").TABLES.items()
}
