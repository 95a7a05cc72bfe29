"""All measures of a guess of an image, against what is known of guesses made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.metrics import ssim
from medpriv.metrics.pictures import picture_judge

SIZE, PATIENTS = 32, 40


class Brightness(nn.Module):
    """Reads the label off the corner, where `part` writes it: its mean less a half, ten times."""

    def forward(self, images: Tensor) -> Tensor:
        corner = 10 * images[:, 0, :4, :4].mean((1, 2)) - 5
        return torch.stack([-corner, corner], dim=1)


def part(name: str, pictures: int = 1, seed: int = 0) -> Part:
    """Patients of whom each has a pattern of their own, and so many pictures of it."""
    draw = torch.Generator().manual_seed(seed)
    pattern = torch.rand(PATIENTS, 1, 4, 4, generator=draw).repeat_interleave(pictures, 0)
    x = 0.1 + 0.8 * nn.functional.interpolate(pattern, SIZE)
    x = (x + 0.05 * torch.randn(x.shape, generator=draw)).clamp(0, 1)
    y = (torch.arange(PATIENTS) % 2).repeat_interleave(pictures)
    x[:, :, :4, :4] = (0.2 + 0.6 * y)[:, None, None, None]
    who = np.array([f"{name}{number}" for number in range(PATIENTS)]).repeat(pictures)
    return Part(x, y, who, pd.DataFrame(index=range(len(y))))


def cohort(pictures: int = 1) -> Cohort:
    card = DataCard(
        name="by hand", title="", origin="", licence="", consent="", deidentification="",
        synthetic=True, patient_identity=True, citation="none",
    )  # fmt: skip
    names = ("members", "auxiliary", "victims", "test")
    parts = {name: part(name, pictures, seed) for seed, name in enumerate(names)}
    return Cohort("images", card, ("no", "yes"), **parts).check()


def test_the_truth_has_all_and_the_mean_image_nothing() -> None:
    made = cohort(pictures=2)
    judge = picture_judge(made, reader=Brightness(), profile="smoke")
    victims = made.victims
    found = {name: one.value for name, one in judge.scores(victims.x).items()}
    assert list(found) == ["SSIM", "error removed", "rank-1", "rank-1, other picture", "finding"]
    assert list(found.values()) == pytest.approx([1, 1, 1, 1, 1])
    assert judge.scores(victims.x.double()).keys() == found.keys()  # as attacks in NumPy answer
    mean = made.auxiliary.x.mean(0, keepdim=True).expand_as(victims.x)
    nothing = {name: one.value for name, one in judge.scores(mean).items()}
    del nothing["SSIM"]
    assert list(nothing.values()) == pytest.approx([0, 1 / PATIENTS, 1 / PATIENTS, 0.5])


def test_a_guess_less_alike_than_black_can_give_the_finding_away() -> None:
    """The negative of a picture is unlike it, and whoever turns it round has all of it."""
    made = cohort()
    judge = picture_judge(made, reader=Brightness(), profile="smoke")
    negative, black = 1 - made.victims.x, torch.zeros_like(made.victims.x)
    told, dark = judge.scores(negative), judge.scores(black)
    assert told["SSIM"].value < dark["SSIM"].value
    assert dark["rank-1"].value == pytest.approx(1 / PATIENTS)
    assert dark["finding"].value == 0.5
    assert told["finding"].value == 0  # all pairs are told apart, the other way round


def test_inside_is_the_mean_over_the_mask_and_empty_masks_count_for_nobody() -> None:
    made = cohort()
    mask = torch.zeros(PATIENTS, 1, SIZE, SIZE, dtype=torch.bool)
    mask[1:, :, 8:20, 8:20] = True
    victims = replace(made.victims, mask=mask)
    judge = picture_judge(replace(made, victims=victims), reader=Brightness(), profile="smoke")
    guess = (victims.x + 0.2 * torch.rand(victims.x.shape)).clamp(0, 1)
    found = judge.scores(guess)["SSIM inside"]
    assert found.value == pytest.approx(np.nanmean(ssim(victims.x, guess, mask)))
    assert found.patients == PATIENTS - 1


def test_the_error_that_is_removed_is_a_share_of_the_mean_images() -> None:
    made = cohort()
    judge = picture_judge(made, reader=Brightness(), profile="smoke")
    for kept in (0.0, 0.5, 1.0):  # of the way from the truth to the mean image
        guess = kept * judge.mean + (1 - kept) * made.victims.x
        found = judge.scores(guess)["error removed"]
        assert found.value == pytest.approx(1 - kept**2, abs=1e-4)
        assert found.low <= found.value <= found.high


def test_the_finding_is_the_area_of_scikit_learn() -> None:
    made = cohort()
    judge = picture_judge(made, reader=Brightness(), profile="smoke")
    draw = torch.Generator().manual_seed(5)
    guess = (made.victims.x + torch.randn(made.victims.x.shape, generator=draw)).clamp(0, 1)
    guess[:, :, :4, :4] = torch.rand(PATIENTS, 1, 1, 1, generator=draw)
    expected = roc_auc_score(made.victims.y, guess[:, 0, 0, 0])
    assert judge.scores(guess)["finding"].value == pytest.approx(expected)


def test_a_reader_is_trained_on_the_auxiliary_patients() -> None:
    made = cohort()
    judge = picture_judge(made, profile="smoke")
    same = picture_judge(replace(made, members=made.test), profile="smoke")
    for one, other in zip(judge.reader.parameters(), same.reader.parameters(), strict=True):
        assert one.equal(other)
    one_class = replace(made.auxiliary, y=torch.zeros(PATIENTS, dtype=torch.int64))
    blind = picture_judge(replace(made, auxiliary=one_class), profile="smoke")
    assert "finding" not in blind.scores(made.victims.x)


def test_some_of_the_victims_are_looked_for_among_all() -> None:
    made = cohort()
    judge = picture_judge(made, reader=Brightness(), profile="smoke")
    few = made.victims.take(slice(0, 6))
    assert judge.scores(few.x, few)["rank-1"].value == 1
    # Each guess is like somebody who is none of the few.
    assert judge.scores(made.victims.x[6:12], few)["rank-1"].value == 0
