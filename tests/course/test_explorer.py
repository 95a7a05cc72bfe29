"""The explorer's static face: plain HTML that needs no kernel and no network."""

from __future__ import annotations

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from markup import Markup, assert_needs_nothing_from_outside, decoded, made_elsewhere
from medpriv.course import Explorer
from medpriv.metrics import ssim
from medpriv.runtime.seeds import torch_rng

SPLITS = ("conv2", "conv4", "conv6")


def explorer(victims: int = 3, channels: int = 1, seed: int = 0) -> Explorer:
    def images(name: str) -> torch.Tensor:
        return torch.rand(victims, channels, 16, 16, generator=torch_rng(seed, name))

    guesses = {split: images(split) for split in SPLITS}
    guesses["conv2"] = images("truth")  # the shallowest split gives all away
    return Explorer(images("truth"), guesses, images("nearest"))


def test_it_is_well_formed_and_names_its_controls() -> None:
    page = Markup(explorer().static().data)
    inputs = page.all("input")
    assert [(i["name"], i["min"], i["max"], i["value"]) for i in inputs] == [
        ("victim", "1", "3", "1"),
        ("split", "1", "3", "1"),
    ]
    assert len(page.all("label")) == 2
    assert len(page.all("img")) == 3
    assert all((img["alt"] or "").strip() for img in page.all("img"))


def test_it_needs_nothing_from_outside() -> None:
    assert_needs_nothing_from_outside(explorer().static().data)


def test_its_data_hold_every_victim_at_every_split() -> None:
    shown = explorer()
    data = json.loads(Markup(shown.static().data).data["application/json"])
    assert data["splits"] == list(SPLITS)
    assert len(data["victims"]) == 3
    for row, victim in enumerate(data["victims"]):
        truth = shown.originals[row : row + 1]
        stored = decoded(victim["original"])
        np.testing.assert_allclose(stored / 255, shown.originals[row, 0], atol=0.5 / 255 + 1e-6)
        assert list(victim["guesses"]) == list(SPLITS)
        for split, cell in victim["guesses"].items():
            guess = shown.guesses[split][row : row + 1]
            np.testing.assert_allclose(decoded(cell["image"]) / 255, guess[0, 0], atol=0.002)
            assert cell["score"] == f"SSIM {ssim(truth, guess)[0]:.2f}"
        assert victim["guesses"]["conv2"]["score"] == "SSIM 1.00"
        nearest = shown.nearest[row : row + 1]
        assert victim["nearest"]["score"] == f"SSIM {ssim(truth, nearest)[0]:.2f}"


def test_what_shows_before_anything_moves_is_the_first_victim_at_the_first_split() -> None:
    page = Markup(explorer().static().data)
    first = json.loads(page.data["application/json"])["victims"][0]
    sources = {img["data-part"]: img["src"] for img in page.all("img")}
    assert sources == {
        "original": first["original"],
        "guess": first["guesses"]["conv2"]["image"],
        "nearest": first["nearest"]["image"],
    }


def test_colour_images() -> None:
    shown = explorer(channels=3)
    data = json.loads(Markup(shown.static().data).data["application/json"])
    stored = decoded(data["victims"][1]["original"])
    np.testing.assert_allclose(
        stored / 255, shown.originals[1].permute(1, 2, 0), atol=0.5 / 255 + 1e-6
    )


def test_two_explorers_on_one_page_have_ids_of_their_own() -> None:
    first, second = (Markup(explorer(seed=seed).static().data).tags[0][1]["id"] for seed in (0, 1))
    assert first != second
    assert re.fullmatch(r"explorer-[0-9a-f]{8}", first)


def test_it_is_the_same_in_another_process() -> None:
    html = explorer().static().data
    assert explorer().static().data == html
    assert made_elsewhere(__file__, "explorer().static().data") == html


@pytest.mark.parametrize(("victim", "split"), [(1, "conv2"), (3, "conv6")])
def test_the_live_face_draws_the_chosen_victim(
    victim: int, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plt, "show", lambda: None)
    shown = explorer()
    shown.show(victim, split)
    figure = plt.gcf()
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["original", "reconstruction", "closest auxiliary"]
    drawn = [axis.images[0].get_array() / 255 for axis in figure.axes]
    for found, expected in zip(
        drawn, (shown.originals, shown.guesses[split], shown.nearest), strict=True
    ):
        np.testing.assert_allclose(found, expected[victim - 1, 0], atol=0.002)
    truth = shown.originals[victim - 1 : victim]
    score = ssim(truth, shown.guesses[split][victim - 1 : victim])[0]
    assert figure.axes[1].get_xlabel() == f"SSIM {score:.2f}"
    plt.close("all")
