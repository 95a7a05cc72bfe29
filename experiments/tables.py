"""All recorded tables: sweeps too long for a chapter, which reads them from a file."""

from __future__ import annotations

from joblib import parallel_config

from experiments import ch02, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11, ch12
from experiments.recording import Table, record

TABLES: dict[str, Table] = {
    name: table
    for chapter in (ch02, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11, ch12)
    for name, table in chapter.TABLES.items()
}


def main() -> None:
    """Make every recorded table again; real data come from ``MEDPRIV_DATA`` or their source.

    A process of one thread on each core: two threads of one cell gain little beside others.
    """
    with parallel_config(backend="loky", n_jobs=-1, inner_max_num_threads=1):
        for name, table in TABLES.items():
            record(name, table)
