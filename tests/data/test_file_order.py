"""A reader's file is in whatever order somebody left it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medpriv.data import load_records
from medpriv.deployment import deploy
from medpriv.evaluation import Case, named_attack
from medpriv.training import train_target


def sorted_table(folder: Path, rows: int = 2000, patients: bool = False) -> Path:
    """A table whose rows are sorted by their label, and two columns that go with it a little."""
    draw = np.random.default_rng(0)
    label = np.sort(draw.random(rows) < 0.25).astype(int)  # the rarer class has the larger losses
    frame = pd.DataFrame({"age": draw.normal(50 + 5 * label, 10), "dose": draw.random(rows)})
    frame["label"] = label
    if patients:
        frame["patient"] = [f"p{number // 2}" for number in range(rows)]
    path = folder / "sorted.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("patients", [False, True])
def test_the_head_of_a_part_stands_for_the_whole(tmp_path: Path, patients: bool) -> None:
    """Within four standard deviations: fails for one seed in 4,000 if all is well."""
    cohort = load_records(sorted_table(tmp_path, patients=patients))
    for part in cohort.parts().values():
        few = max(50, len(part) // 4)
        share, head = part.y.double().mean(), part.y[:few].double().mean()
        spread = (share * (1 - share) / few * (2 if patients else 1)).sqrt()
        assert abs(head - share) < 4 * spread


def test_a_table_sorted_by_label_reports_no_membership(tmp_path: Path) -> None:
    """Of models that never saw the members; in the file's order the first of them reports 0.22.

    The bound is 3.3 standard deviations of 300 members and 200 others: one of the three goes beyond
    it once in 350 if all is well.
    """
    cohort = load_records(sorted_table(tmp_path))
    attack = named_attack("records", "membership, loss threshold")
    for seed in range(3):
        others = replace(cohort, members=cohort.auxiliary)
        model = train_target(others, profile="smoke", seed=seed)
        view = deploy(model, expose="scores")
        stranger = replace(cohort, auxiliary=cohort.victims)  # nobody of the training
        found = attack(view, view, Case(stranger, seed=seed))
        assert abs(found.value) < 0.15
