"""Run a chapter's claims over its promised data sets and seeds, and keep a table.

A run that has finished is not run again until something that it is made from changes, so the
command can be interrupted and called again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import requests

import medpriv.data
from build_tools.chapter_text import book_root
from build_tools.execute import chapter_key
from build_tools.run import RunError, run_chapter
from medpriv.course.catalog import EMBEDDED, ChapterError, ChapterSpec, spec
from medpriv.course.results import write_results
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.hashing import content_hash

COLUMNS = ("chapter", "dataset", "seed", "claim", "value", "bound", "holds")


def check_claims(
    names: Iterable[str],
    datasets: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
) -> bool:
    """Run and print the claims of chapters in `quick`; leave ``_build/claims/CHAPTER.csv``.

    Data sets and seeds are all that a chapter promises, or those given. Seeds may be others than
    the promised ones: whether a claim holds on seeds that nobody has looked at is the test of its
    bound. Where a chapter promises some of its claims for a data set, the others are left out.
    Returns whether every claim that was computed holds and no run failed. Real data that this
    machine does not have, and cannot download, are skipped, and the reason is printed.

    Raises:
        ChapterError: a chapter is unknown, or it promises nothing for a data set.
    """
    chapters = [spec(name) for name in names]
    plans = {chapter.name: _plan(chapter, datasets, seeds) for chapter in chapters}
    results = [_chapter(chapter, plans[chapter.name]) for chapter in chapters]
    return all(results)


def _plan(
    chapter: ChapterSpec, datasets: Iterable[str] | None, seeds: Iterable[int] | None
) -> list[tuple[str, int]]:
    promised = chapter.promised
    wanted = list(datasets) if datasets is not None else list(promised)
    unknown = [dataset for dataset in wanted if dataset not in promised]
    if unknown:
        raise ChapterError(
            f"{chapter.name} promises no claims for data set {', '.join(unknown)}; expected some "
            f"of: {', '.join(sorted(promised))}"
        )
    given = list(seeds) if seeds is not None else None
    return [(name, seed) for name in wanted for seed in given or promised[name]]


def _chapter(chapter: ChapterSpec, runs: list[tuple[str, int]]) -> bool:
    folder = book_root() / "_build" / "claims"
    rows: list[dict[str, Any]] = []
    failed = False
    for dataset in dict.fromkeys(dataset for dataset, _ in runs):
        card, absent = _data(chapter, dataset)
        if absent is not None:
            print(f"{chapter.name}: {dataset} skipped: {absent}", flush=True)
            continue
        key = chapter_key(chapter.name, book_root(), dataset)
        for seed in (seed for name, seed in runs if name == dataset):
            done = _one(chapter, dataset, seed, content_hash(key, card), folder)
            failed |= done is None
            rows += done or []
            with atomic_path(folder / f"{chapter.name}.csv") as part:
                pd.DataFrame(rows, columns=COLUMNS).to_csv(part, index=False)
    return _report(chapter.name, rows) and not failed


def _one(
    chapter: ChapterSpec, dataset: str, seed: int, key: str, folder: Path
) -> list[dict[str, Any]] | None:
    """The rows of one run: from an earlier run with this key, or run now; None if it failed."""
    name = chapter.name
    out = folder / name / f"{dataset}-{seed}"
    kept = out / "claims.json"
    label = f"{name} {dataset} seed {seed}"
    if kept.exists():
        earlier = json.loads(kept.read_text(encoding="utf-8"))
        if earlier["key"] == key:
            print(f"{label}: up to date", flush=True)
            return earlier["rows"]
        kept.unlink()
    print(f"{label}: running", flush=True)
    try:
        given = {"profile": "quick", "dataset": dataset, "seed": str(seed)}
        results = run_chapter(name, given, out).results
    except RunError as error:
        if not error.broken_claims or error.results is None:
            print(f"{label}: failed\n{error}", flush=True)
            return None
        results = error.results
    head = {"chapter": name, "dataset": dataset, "seed": seed}
    rows = [
        head | {"claim": claim["text"]} | {key: claim[key] for key in ("value", "bound", "holds")}
        for claim in results["claims"]
        if chapter.covers(dataset, claim["name"])
    ]
    write_results(kept, {"key": key, "rows": rows})
    return rows


def _data(chapter: ChapterSpec, dataset: str) -> tuple[list[str] | None, str | None]:
    """The checksums of the files of real data (embedded data have none), or why one is missing."""
    sums = []
    for modality, name in chapter.datasets(dataset).items():
        if name == EMBEDDED[modality]:
            continue
        try:
            sums.append(getattr(medpriv.data, f"load_{modality}")(name).card.sha256)
        except medpriv.data.cohort.DataError as error:
            # Only an absent file is a reason to skip; a malformed one is an error.
            if not isinstance(error.__cause__, requests.RequestException):
                raise ChapterError(str(error)) from error
            return None, str(error)
    return sums or None, None


def _report(name: str, rows: list[dict[str, Any]]) -> bool:
    table = pd.DataFrame(rows, columns=COLUMNS)
    holds = int(table["holds"].sum())
    if len(table):
        print(table.drop(columns="chapter").to_string(index=False, float_format="{:.3f}".format))
    print(f"{name}: {holds} of {len(table)} claims hold", flush=True)
    return holds == len(table)
