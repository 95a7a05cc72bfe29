"""What a row of a comparison says, and in which metric."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.evaluation import Case
from medpriv.evaluation.attack_catalog import images
from medpriv.evaluation.cell import _measure, _to_beat
from medpriv.evaluation.verdicts import tidy, verdict, warn_of_guesses
from medpriv.metrics import attribute_scores
from medpriv.statistics import Estimate


def row(*measures: dict[str, Any], error: str = "") -> dict[str, Any]:
    return {"attack": "a", "defense": "coin", "strength": 0.2, "error": error,
            "measures": list(measures)}  # fmt: skip


def measure(low: float, high: float, n: int = 100) -> dict[str, Any]:
    return {"metric": "MCC", "n": n, "gain": (low + high) / 2, "gain_low": low, "gain_high": high}


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ([measure(0.01, 0.3)], "leaks"),
        ([measure(-0.02, 0.09)], "no leak seen"),
        ([measure(-0.02, 0.11)], "inconclusive"),  # there may be one
        ([measure(-0.4, -0.2)], "inconclusive"),  # a poor attacker shows nothing
        ([measure(-0.02, 0.05, n=29)], "inconclusive"),
        ([measure(-0.23, -0.04)], "inconclusive"),  # turned round it may be a leak
        ([measure(0.2, 0.4, n=9)], "inconclusive"),
        ([measure(0.2, 0.4, n=0)], "leaks"),  # whoever wrote the attack did not say of how many
        ([measure(-0.02, 0.05, n=0)], "inconclusive"),
        ([measure(math.nan, math.nan)], "inconclusive"),
        ([measure(-0.02, 0.05), measure(0.3, 0.5)], "leaks"),  # the worst metric decides
        ([measure(-0.02, 0.05), measure(-0.1, 0.5)], "inconclusive"),
    ],
)
def test_the_verdict_is_that_of_the_worst_metric(measures: list[dict], said: str) -> None:
    assert verdict(row(*measures), "quick") == said
    assert verdict(row(*measures), "smoke") == said.replace("no leak seen", "inconclusive")
    assert verdict(row(*measures, error="failed"), "quick") == ""


@pytest.mark.filterwarnings("error:not seen to be better")
def test_who_is_better_by_averaging_is_no_mere_guess() -> None:
    """Once more with the same victims: paired, and by the best of the three."""
    draw = np.random.default_rng(0)
    truth, patient = draw.integers(0, 2, 400), np.arange(400)

    def guess(right: float) -> Estimate:
        told = np.where(draw.random(400) < right, truth, 1 - truth)
        return attribute_scores(truth, told, patient, 2).mcc

    usual, once, often = guess(0.7), guess(0.71), guess(0.85)
    found = {"naive": once, "adaptive": once, "averaged": often}
    better, same = _measure("MCC", found, usual), _measure("MCC", {"adaptive": once}, usual)
    assert better["gain"] == pytest.approx(often.value - usual.value)
    assert math.isnan(same["naive"])
    assert math.isnan(same["averaged"])
    rows = [{**row(one), "verdict": verdict(row(one), "quick")} for one in (better, same)]
    warn_of_guesses(rows[:1])
    with pytest.warns(UserWarning, match=r"'a' against coin 0\.2\. The"):
        warn_of_guesses(rows[1:])
    table = tidy(rows)
    assert table["gain_interval"][0].left == pytest.approx(better["gain_low"])
    assert table["verdict"].tolist() == ["leaks", "inconclusive"]


def alike(patients: int) -> Cohort:
    """Pictures that differ from one another by less than the eye sees."""
    draw = torch.Generator().manual_seed(0)
    common = torch.nn.functional.interpolate(torch.rand(1, 1, 6, 6, generator=draw), 32)
    own = torch.nn.functional.interpolate(torch.rand(patients, 1, 4, 4, generator=draw), 32)
    x = 0.2 + 0.5 * common + 0.03 * own
    card = DataCard(
        name="alike", title="", origin="", licence="", consent="", deidentification="",
        synthetic=True, patient_identity=True, citation="none",
    )  # fmt: skip
    parts = {}
    for name, rows in zip(
        ("members", "auxiliary", "victims", "test"), torch.arange(patients).chunk(4), strict=True
    ):
        who = np.array([f"p{number}" for number in rows])
        parts[name] = Part(x[rows], rows % 2, who, pd.DataFrame(index=range(len(rows))))
    return Cohort("images", card, ("no", "yes"), **parts).check()


def test_pictures_that_look_alike_can_still_be_told_apart() -> None:
    """By SSIM nothing is gained over the mean image, and each patient is found."""
    cohort = alike(160)
    case, victims = Case(cohort), cohort.victims
    baseline = images.mean_image(case)
    blurred = torch.nn.functional.avg_pool2d(victims.x, 9, 1, 4, count_include_pad=False)
    mean = cohort.auxiliary.x.mean(0, keepdim=True)
    guess = (mean + blurred - blurred.mean(0, keepdim=True)).clamp(0, 1)
    found = images._scores(case, victims, guess)
    assert list(found) == list(baseline) == ["SSIM", "error removed", "rank-1"]
    assert baseline["SSIM"].value > 0.9
    assert found["SSIM"].value - baseline["SSIM"].value < 0.1
    assert (baseline["error removed"].value, baseline["rank-1"].value) == (0, 1 / 40)
    assert found["rank-1"].value > 0.9
    measures = [_measure(name, {"adaptive": found[name]}, baseline[name]) for name in found]
    assert verdict(row(measures[2]), "quick") == "leaks"
    assert verdict(row(*measures), "quick") == "leaks"


def test_the_error_that_is_removed_is_a_share_of_the_mean_images() -> None:
    cohort = alike(40)
    case, victims = Case(cohort), cohort.victims
    mean = cohort.auxiliary.x.mean(0, keepdim=True)
    for kept in (0.0, 0.5, 1.0):  # of the way from the truth to the mean image
        guess = kept * mean + (1 - kept) * victims.x
        found = images._scores(case, victims, guess)["error removed"]
        assert found.value == pytest.approx(1 - kept**2, abs=1e-4)
        assert found.low <= found.value <= found.high


def test_a_simpler_attack_that_does_better_is_what_there_is_to_beat() -> None:
    usual, once, often, weak = ({"F1": Estimate(one, 0, 1)} for one in (0.2, 0.3, 0.34, 0.1))
    assert _to_beat([usual])["F1"].value == 0.2
    assert _to_beat([usual, once, often])["F1"].value == 0.34
    assert _to_beat([usual, weak, {"other": Estimate(1, 1, 1)}])["F1"].value == 0.2
