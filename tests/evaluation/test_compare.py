"""How a comparison runs: what is computed and when, what stays, and that the table is the same."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config

from comparing import (
    counted,
    counting,
    guessing,
    logged_target,
    nothing_known,
    other_layers,
    runs,
    told_truly,
)
from medpriv.attacks import majority_right
from medpriv.data import load_records
from medpriv.evaluation import (
    NOTHING,
    Case,
    cell,
    compare,
    known_attacks,
    named_attack,
    named_defense,
    pairs,
    trained,
)
from medpriv.evaluation.attack_catalog import membership
from medpriv.evaluation.attacks import Attack
from medpriv.evaluation.defenses import Defended
from medpriv.evaluation.verdicts import COLUMNS
from medpriv.runtime.cache import read_sealed

COIN = named_defense("records", "randomised response, fresh", 0.3)


def table(folder: Path, attacks: Any, defenses: Any = (NOTHING,), seeds: Any = (0, 1, 2),
          **options: Any) -> pd.DataFrame:  # fmt: skip
    options = {"dataset": "warfarin", "profile": "smoke", "device": "cpu", **options}
    return compare(attacks, defenses, seeds, folder=folder / "cells", **options)


def assert_same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Equal but for the time that it took."""
    pd.testing.assert_frame_equal(
        first.drop(columns="seconds"), second.drop(columns="seconds"), check_exact=True
    )


# --- The table ------------------------------------------------------------------------------------


def test_there_is_one_row_a_cell_in_the_order_of_the_arguments(tmp_path: Path) -> None:
    attacks = [named_attack("records", "MAP, one answer"), named_attack("records", "same scores")]
    found = table(tmp_path, attacks, [COIN, NOTHING], (1, 0))
    assert found.columns.tolist() == list(COLUMNS)
    assert found[["attack", "defense", "seed"]].to_numpy().tolist() == [
        ["MAP, one answer", COIN.name, 1],
        ["MAP, one answer", COIN.name, 0],
        ["MAP, one answer", "nothing", 1],
        ["MAP, one answer", "nothing", 0],
        ["same scores", "nothing", 1],
        ["same scores", "nothing", 0],
    ]  # the coin leaves no scores to see
    assert found["metric"].eq("MCC").all()
    assert found["error"].eq("").all()
    row_n = load_records("warfarin", profile="smoke", seed=0).victims.patients
    for row in found.itertuples():
        assert row.adaptive in row.interval
        assert row.baseline in row.baseline_interval
        assert row.utility in row.utility_interval
        assert row.gain in row.gain_interval
        best = np.nanmax([row.naive, row.adaptive, row.averaged])
        assert row.gain == pytest.approx(best - row.baseline)
        assert row.n == row_n
        assert row.exposes == ("scores" if row.attack == "same scores" else "label")
        assert 0 <= row.utility <= 1
        assert 0 <= row.accuracy <= 1
        assert row.seconds > 0
        assert math.isnan(row.averaged) == (row.defense == "nothing")
    same = found[found["attack"] == "same scores"]
    assert (same["adaptive"] > 0.95).all()  # the true record is among the candidates
    assert (same["naive"] == same["adaptive"]).all()
    assert (same["adaptive"] - same["baseline"] > 0.5).all()


@pytest.mark.slow
def test_the_averaging_attacker_does_what_the_binomial_says(tmp_path: Path) -> None:
    attack = Attack("told", "images", "label", told_truly, nothing_known, "share", fits=False)
    coin = replace(COIN, strength=0.3)
    found = table(tmp_path, [attack], [coin], (0,), dataset="phantom", times=9).iloc[0]
    assert found["adaptive"] == pytest.approx(0.7, abs=0.04)
    assert found["averaged"] == pytest.approx(majority_right(0.7, 9), abs=0.04)


@pytest.mark.slow
def test_one_who_cannot_read_the_defended_answers_is_not_a_number(tmp_path: Path) -> None:
    folder = tmp_path
    attack = named_attack("reports", "nearest report")
    narrow = named_defense("reports", "projection", 16)
    row = table(folder, [attack], [narrow], (0,), dataset="synthetic").iloc[0]
    assert math.isnan(row["naive"])
    assert row["adaptive"] > 0


def test_pairs_say_who_meets_whom() -> None:
    attacks = [named_attack("records", "MAP, outcome"), named_attack("records", "hidden units")]
    found = pairs(attacks, [NOTHING, COIN, named_defense("records", "fewer digits", 1)])
    assert found.loc["MAP, outcome"].tolist() == ["label", "label", "scores"]
    assert found.loc["hidden units"].tolist() == ["weights", "", ""]


@pytest.mark.filterwarnings("error:not seen to be better")
def test_attacks_that_are_mere_guesses_are_named_once(tmp_path: Path) -> None:
    strong = named_attack("records", "same scores")
    table(tmp_path, [strong])
    weak = [guessing("in vain", 0.1), guessing("at times", 0.5)]
    with pytest.warns(UserWarning, match="not seen to be better than the guess") as said:
        table(tmp_path, [strong, *weak], [NOTHING, named_defense("records", "temperature", 2)])
    assert len(said) == 1
    assert said[0].filename == __file__
    assert "'in vain' against nothing 0, temperature 2. The" in str(said[0].message)
    assert "at times" not in str(said[0].message)  # in one of three seeds it is better
    assert "same scores" not in str(said[0].message)


# --- Going on -------------------------------------------------------------------------------------


def test_a_finished_cell_is_not_computed_again(tmp_path: Path) -> None:
    attack = counting(tmp_path)
    first = table(tmp_path, [attack])
    assert runs(tmp_path) == [0, 1, 2]
    pd.testing.assert_frame_equal(table(tmp_path, [attack]), first)
    # Nor as a part of a larger comparison.
    larger = table(tmp_path, [attack], [NOTHING, COIN], (2, 0, 3))
    assert sorted(runs(tmp_path)) == [0] * 4 + [1] + [2] * 4 + [3] * 4
    assert_same(larger.iloc[1:2].reset_index(drop=True), first.iloc[:1])


@pytest.mark.parametrize(
    "change",
    [
        {"times": 3},
        {"profile": "quick"},
        {"dataset": "heart.csv"},
        {"defenses": [replace(COIN, strength=0.2)]},
        {"attacks": ["another"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_setting_is_computed(change: dict[str, Any], tmp_path: Path) -> None:
    if change.get("dataset"):
        own = tmp_path / change["dataset"]
        rows = pd.DataFrame({"a": [n * 7 % 80 for n in range(80)], "b": [n % 3 for n in range(80)]})
        rows.assign(label=rows["a"] % 2).to_csv(own, index=False)
        change = {"dataset": own}
    settings = {"attacks": [counting(tmp_path)], "defenses": [COIN], "seeds": (0,)}
    table(tmp_path, **settings)
    before = len(runs(tmp_path))
    if "attacks" in change:
        change = {"attacks": [counting(tmp_path, "another")]}
    if change.get("profile"):
        change |= {"seeds": (0,)}
    table(tmp_path, **{**settings, **change})
    assert len(runs(tmp_path)) > before


def test_changed_code_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path, [counting(tmp_path)])
    monkeypatch.setattr(cell, "code_hash", lambda *roots: "another")
    table(tmp_path, [counting(tmp_path)])
    assert runs(tmp_path) == [0, 1, 2, 0, 1, 2]


def test_the_code_of_each_part_of_an_attack_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    roots: list[Any] = []
    monkeypatch.setattr(cell, "code_hash", lambda *given: str(roots.extend(given)))
    attack = named_attack("reports", "report decoder")
    cell.key_of(cell.Cell(attack, COIN, None, 2), "around")
    assert {attack.run, attack.baseline, attack.simpler, COIN.around} <= {*roots}


@pytest.mark.filterwarnings("ignore:not seen to be better")
def test_an_attack_and_its_baseline_have_the_same_metrics(tmp_path: Path) -> None:
    attack = named_attack("records", "membership, loss threshold")
    odd = replace(attack, baseline=membership.as_many_of_both)
    error = table(tmp_path, [odd], seeds=(0,))["error"][0]
    assert "is scored by advantage, and its baseline by AUC, found at 5%" in error


def test_an_interrupted_comparison_goes_on_where_it_was(tmp_path: Path) -> None:
    attack = counting(tmp_path)
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        table(tmp_path, [attack])
    assert runs(tmp_path) == [0, 1]
    (tmp_path / "stop").unlink()
    assert table(tmp_path, [attack])["seed"].tolist() == [0, 1, 2]
    assert runs(tmp_path) == [0, 1, 1, 2]


def test_a_failed_cell_is_told_the_rest_kept_and_it_is_tried_again(tmp_path: Path) -> None:
    attack = counting(tmp_path)
    (tmp_path / "fail").touch()
    found = table(tmp_path, [attack])
    assert found["error"].tolist() == ["", "RuntimeError: the disk is on fire", ""]
    assert found["adaptive"].notna().tolist() == [True, False, True]
    assert found["interval"].notna().tolist() == [True, False, True]
    (tmp_path / "fail").unlink()
    assert table(tmp_path, [attack])["error"].tolist() == ["", "", ""]
    assert runs(tmp_path) == [0, 1, 2, 1]


def test_a_damaged_cell_is_computed_again(tmp_path: Path) -> None:
    first = table(tmp_path, [counting(tmp_path)])
    files = sorted((tmp_path / "cells").iterdir())
    assert len(files) == 3
    files[0].write_text(files[0].read_text()[:40])
    files[1].write_text(json.dumps(["something else"]))
    with pytest.warns(RuntimeWarning, match="is damaged.*computing it again") as said:
        again = table(tmp_path, [counting(tmp_path)])
    assert sum("is damaged" in str(one.message) for one in said) == 2
    assert_same(again, first)
    assert len(runs(tmp_path)) == 5


def test_every_file_that_a_comparison_keeps_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that a damaged byte anywhere is noticed, see test_runtime.
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "cache"))
    defenses = [NOTHING, named_defense("records", "private labels", 0.1)]
    table(tmp_path / "cache", [counting(tmp_path)], defenses, (4711,))
    files = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} == {"cells", "defended", "targets"}
    for file in files:
        read_sealed(file)


@pytest.mark.slow
@pytest.mark.sampled(2, group="processes")
def test_a_target_is_trained_once_for_all_who_attack_it(tmp_path: Path) -> None:
    recipe = Defended("logged", train=partial(logged_target, folder=str(tmp_path)))
    attacks = [counting(tmp_path, f"number {number}") for number in range(3)]
    with parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        table(tmp_path, attacks, [recipe, NOTHING], (0, 1))
    assert sorted((tmp_path / "trained").read_text().split()) == ["0", "1"]


# --- Elsewhere ------------------------------------------------------------------------------------


def some() -> tuple[list[Attack], list[Defended]]:
    names = ("MAP, one answer", "same scores", "membership, loss threshold")
    attacks = [named_attack("records", name) for name in names]
    return attacks, [NOTHING, COIN, named_defense("records", "temperature", 2)]


def test_it_is_the_same_in_one_process_and_in_two(tmp_path: Path) -> None:
    alone = table(tmp_path / "one", *some())
    with parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        assert_same(table(tmp_path / "two", *some()), alone)
    assert_same(table(tmp_path / "again", *some()), alone)


@pytest.mark.slow
@pytest.mark.sampled(2, group="processes")
def test_it_is_the_same_on_a_cluster_that_loses_a_worker_half_way(tmp_path: Path) -> None:
    import distributed

    attacks, defenses = some()
    attacks.insert(1, counting(tmp_path))
    alone = table(tmp_path / "one", attacks, defenses)
    (tmp_path / "kill").touch()
    before = len(runs(tmp_path))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        parallel_config("dask"),
    ):
        assert list(client.run(torch.get_num_threads).values()) == [1, 1]
        workers = set(client.run(os.getpid).values())
        found = table(tmp_path / "dask", attacks, defenses)
        client.wait_for_workers(2)
        assert len(workers & set(client.run(os.getpid).values())) == 1  # the other has a successor
    assert not (tmp_path / "kill").exists()
    assert len(runs(tmp_path)) == 2 * before + 1  # what was lost was done again, and nothing else
    assert_same(found, alone)


# --- Refusals -------------------------------------------------------------------------------------


def test_another_modality_is_a_type_error(tmp_path: Path) -> None:
    on_images = known_attacks("images")[0]
    with pytest.raises(TypeError, match="inverse network, conv2' is on images, and warfarin holds"):
        table(tmp_path, [on_images])
    with pytest.raises(TypeError, match="projection' is of models of reports, and warfarin holds"):
        table(tmp_path, [counting(tmp_path)], [named_defense("reports", "projection", 16)])


def test_a_lambda_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    attack = replace(counting(tmp_path), run=lambda fitted_on, used_on, case: None)
    with pytest.raises(TypeError, match="'counted' cannot be sent to another process"):
        table(tmp_path, [counting(tmp_path, "first"), attack])
    assert not runs(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attacks": []}, "at least one attack"),
        ({"seeds": []}, "one seed"),
        ({"seeds": (0, 0)}, "each seed needs a name of its own, and 0 is there twice"),
        ({"seeds": (-1,)}, "seed must be an integer"),
        ({"defenses": [NOTHING, NOTHING]}, "each defense needs a name of its own"),
        ({"times": 1}, "asks 2 or more times"),
        ({"profile": "huge"}, "unknown profile"),
        ({"dataset": "no such"}, "unknown record data set"),
        (
            {"defenses": [COIN], "attacks": [named_attack("records", "hidden units")]},
            "can meet any of these",
        ),
    ],
)
def test_bad_arguments(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        table(tmp_path, **{"attacks": [named_attack("records", "MAP, outcome")], **change})


def test_a_recipe_must_keep_the_layers(tmp_path: Path) -> None:
    other = Defended("other", train=other_layers)
    found = table(tmp_path, [counting(tmp_path)], [other], (0,))
    assert "must return a network with the layers of the untrained one" in found["error"][0]


def test_a_trained_target_comes_back_from_the_cache(tmp_path: Path) -> None:
    case = Case(load_records(profile="smoke"), profile="smoke", device="cpu")
    recipe = Defended("logged", train=partial(logged_target, folder=str(tmp_path)))
    first, second = trained(case, recipe), trained(case, recipe)
    assert len((tmp_path / "trained").read_text().split()) == 1
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert one.equal(other)


def test_what_an_attack_does_decides_its_key(tmp_path: Path) -> None:
    attack = counting(tmp_path)
    table(tmp_path, [attack], seeds=(0,))
    (tmp_path / "elsewhere").mkdir()
    moved = replace(attack, run=partial(counted, folder=str(tmp_path / "elsewhere")))
    table(tmp_path, [moved], seeds=(0,))
    assert runs(tmp_path / "elsewhere") == [0]
