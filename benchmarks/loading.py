"""The reader's own files measured: tables of many cells, and what is refused before it is read."""

from __future__ import annotations

import struct
import tempfile
import zipfile
import zlib
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from timing import REPEATS, timed

from medpriv import data
from medpriv.data.cohort import DataError
from medpriv.runtime.memory import peak_bytes

ROWS = ((12_500, 50), (25_000, 50), (50_000, 50))
COLUMNS = ((100, 5_000), (100, 10_000), (100, 20_000))
FILMS = 8  # in a folder


def tables() -> list[dict[str, object]]:
    """Tables of growing length and width, beside pandas, which only reads them."""
    return [*_growing(ROWS), *_growing(COLUMNS)]


def _growing(shapes: tuple[tuple[int, int], ...]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            ours, bare = _both(_table(Path(folder, "own.csv"), *shape))
        said = "pandas, which judges nothing"
        if rows:
            said += f"; {ours / rows[-1]['ours']:.2f} times as long as half of it"
        what = "own table, {:,} rows of {:,} columns".format(*shape)
        rows.append({"what": what, "ours": ours, "peer": bare, "is": said})
    return rows


def _both(path: Path) -> tuple[float, float]:
    """Seconds of our reader and of pandas: the fastest of a few runs by turns."""
    runs = [
        (timed(lambda: data.load_records(path))[0], timed(lambda: pd.read_csv(path))[0])
        for _ in range(REPEATS)
    ]
    ours, bare = (min(column) for column in zip(*runs, strict=True))
    return ours, bare


def _table(path: Path, rows: int, columns: int) -> Path:
    """Measured values, counts and words by turns, a patient and a label."""
    draw = np.random.default_rng(0)
    kinds = (
        lambda: draw.normal(100, 15, rows).round(1),
        lambda: draw.integers(0, 40, rows),
        lambda: draw.choice(["never", "former", "current"], rows),
    )
    values = {f"c{place}": kinds[place % 3]() for place in range(columns - 2)}
    values |= {"patient": np.arange(rows) + 1_000_000, "label": draw.integers(0, 2, rows)}
    pd.DataFrame(values).to_csv(path, index=False)
    return path


def refusals() -> list[dict[str, object]]:
    """Small files that would fill the memory: how soon they are refused, and what that takes."""
    rows = []
    for what, write, size in _TOO_LARGE:
        with tempfile.TemporaryDirectory() as folder:
            small, large = (write(Path(folder, str(one)), one) for one in (64, size))
            stored = sum(file.stat().st_size for file in Path(folder, str(size)).iterdir())
            with get_context("spawn").Pool(1) as pool:
                seconds, peak = pool.apply(_refused, (small, large))
        said = f"stored {stored / 2**20:.1f} MB; peak {peak:.1f} MB beyond a small one's"
        row = {"what": what.format(f"{size:,}"), "ours": seconds, "peer": float("nan")}
        rows.append(row | {"is": said})
    return rows


def _refused(small: Path, large: Path) -> tuple[float, float]:
    """Seconds, and MB beyond what a small file took; in a process of its own."""
    _reason(small)  # so that what is imported on the way is there
    held = peak_bytes()
    seconds, reason = timed(lambda: _reason(large))
    if not any(words in reason for words in ("at most", "too large")):
        raise RuntimeError(f"expected a refusal for its size, got: {reason}")
    return seconds, (peak_bytes() - held) / 2**20


def _reason(path: Path) -> str:
    try:
        data.load_images(path)
    except DataError as error:
        return str(error)
    return "it was read"


def _picture(folder: Path, side: int) -> Path:
    """Black PNGs of so many pixels a side with their labels, each written row by row."""
    pack, row = zlib.compressobj(1), bytes(side + 1)
    packed = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
    folder.mkdir()
    lines = ["file,label", *(f"{place}.png,{place % 2}" for place in range(FILMS))]
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in chunks)
    for place in range(FILMS):
        (folder / f"{place}.png").write_bytes(content)
    return folder


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _archive(folder: Path, side: int) -> Path:
    """An ``.npz`` of four black pictures of so many pixels a side, written piece by piece."""
    folder.mkdir()
    path = folder / "own.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("labels.npy", "w") as file:
            np.lib.format.write_array(file, np.arange(4) % 2)
        with archive.open("images.npy", "w", force_zip64=True) as file:
            head = {"descr": "|u1", "fortran_order": False, "shape": (4, side, side)}
            np.lib.format.write_array_header_1_0(file, head)
            for _ in range(4 * side):
                file.write(bytes(side))
    return path


_TOO_LARGE = (
    ("PNG of {0} x {0} pixels", _picture, 13_000),
    ("PNG of {0} x {0} pixels", _picture, 40_000),
    (".npz of four images of {0} x {0} pixels", _archive, 20_000),
)
PARTS = (tables, refusals)
