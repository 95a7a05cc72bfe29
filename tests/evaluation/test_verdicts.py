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
from medpriv.statistics import Estimate, interval, patient_bootstrap


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
        (
            [measure(0.01, 0.3) | {"naive": 0.4, "adaptive": 0.5, "averaged": math.nan}],
            "inconclusive",
        ),  # the better of two is above 0 more often
        ([measure(0.01, 0.3) | {"naive": 0.4, "adaptive": 0.4}], "leaks"),  # these are one
        ([measure(0.01, 0.3), measure(-0.2, 0.1)], "inconclusive"),  # and so is one of two metrics
        ([measure(0.001, 0.05)], "leaks"),
        ([measure(0.001, 0.05, n=10)], "inconclusive"),  # few patients: Student's t
        ([measure(-0.02, 0.05) | {"reach": 0.09}], "inconclusive"),  # none of them shows it
        ([measure(-0.02, 0.05) | {"reach": 0.08}], "no leak seen"),
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


def judged(
    draw: np.random.Generator, counts: np.ndarray, metrics: int, attackers: int, gain: float,
    usual: float,
) -> str:  # fmt: skip
    """The verdict on guesses that are right of so many more patients than a baseline's are."""
    patients = counts.shape[1]
    who = np.arange(patients)

    def share(chance: float, luck: np.ndarray) -> Estimate:
        """Of patients who are hit, half of them by what all guesses have in common."""
        hits = np.where(draw.random(patients) < 0.5, luck, draw.random(patients)) < chance
        resampled = counts @ hits / patients
        return interval(hits.mean(), resampled, share_of=patients, patient=who)

    names = ("adaptive", "naive", "averaged")[:attackers]
    measures = []
    for number in range(metrics):
        luck = draw.random(patients)
        found = {name: share(usual + gain, luck) for name in names}
        measures.append(_measure(str(number), found, share(usual, luck)))
    return verdict(row(*measures), "quick")


@pytest.mark.parametrize(("metrics", "attackers"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_where_nothing_leaks_few_rows_say_so(metrics: int, attackers: int) -> None:
    """At most 2.5 % in all, however many figures a row has.

    More than 20 of 400 have a chance of 0.2 % at a rate of 2.5 %; by the 95 % interval of the best
    figure it would be 80 or more of three attackers and three metrics.
    """
    draw, counts = np.random.default_rng(0), patient_bootstrap(np.arange(30))
    said = [judged(draw, counts, metrics, attackers, 0.0, 0.3) for _ in range(400)]
    assert said.count("leaks") <= 20


@pytest.mark.parametrize("usual", [0.0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("patients", [40, 60, 150])
def test_a_leak_of_a_tenth_is_seldom_cleared(usual: float, patients: int) -> None:
    """In at most 2.5 % (of 400, 20; see above), also where few patients are hit."""
    draw, counts = np.random.default_rng(1), patient_bootstrap(np.arange(patients))
    said = [judged(draw, counts, 1, 1, 0.1, usual) for _ in range(400)]
    assert said.count("no leak seen") <= 20


def test_a_system_without_a_leak_is_cleared_where_there_are_patients_enough() -> None:
    draw, counts = np.random.default_rng(2), patient_bootstrap(np.arange(1000))
    said = [judged(draw, counts, 1, 1, 0.0, 0.1) for _ in range(50)]
    assert said.count("no leak seen") >= 45


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
    case, victims = Case(cohort, profile="smoke"), cohort.victims
    baseline = images.mean_image(case)
    blurred = torch.nn.functional.avg_pool2d(victims.x, 9, 1, 4, count_include_pad=False)
    mean = cohort.auxiliary.x.mean(0, keepdim=True)
    guess = (mean + blurred - blurred.mean(0, keepdim=True)).clamp(0, 1)
    found = images._scores(case, victims, guess)
    assert list(found) == list(baseline) == ["SSIM", "error removed", "rank-1", "finding"]
    assert baseline["SSIM"].value > 0.9
    assert found["SSIM"].value - baseline["SSIM"].value < 0.1
    assert (baseline["error removed"].value, baseline["rank-1"].value) == (0, 1 / 40)
    assert found["rank-1"].value > 0.9
    measures = [_measure(name, {"adaptive": found[name]}, baseline[name]) for name in found]
    assert verdict(row(measures[2]), "quick") == "leaks"
    assert verdict(row(*measures), "quick") == "leaks"


def test_a_simpler_attack_that_does_better_is_what_there_is_to_beat() -> None:
    usual, once, often, weak = ({"F1": Estimate(one, 0, 1)} for one in (0.2, 0.3, 0.34, 0.1))
    assert _to_beat([usual])["F1"].value == 0.2
    assert _to_beat([usual, once, often])["F1"].value == 0.34
    assert _to_beat([usual, weak, {"other": Estimate(1, 1, 1)}])["F1"].value == 0.2
