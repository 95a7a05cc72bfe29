"""All recorded tables: sweeps too long for a chapter, which reads them from a file."""

from __future__ import annotations

from experiments import (
    ch02,
    ch04,
    ch05,
    ch06,
    ch07,
    ch08,
    ch09,
    ch10,
    ch11,
    ch11_images,
    ch12,
    ch13,
    ch13_others,
)
from experiments.recording import Table

TABLES: dict[str, Table] = {
    name: table
    for chapter in (
        ch02,
        ch04,
        ch05,
        ch06,
        ch07,
        ch08,
        ch09,
        ch10,
        ch11,
        ch11_images,
        ch12,
        ch13,
        ch13_others,
    )
    for name, table in chapter.TABLES.items()
}
