"""The explorer of defenses: what its HTML holds, and how it answers in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Page

from browsing import NEEDS_CHROMIUM, chromium
from markup import Markup, assert_needs_nothing_from_outside, decoded, made_elsewhere
from medpriv.course import DefenseExplorer, Shown
from medpriv.metrics import ssim
from medpriv.runtime.seeds import torch_rng

CHOICES = [
    ("inverse network", "nothing", "none"),
    ("inverse network", "noise <once>", "sigma 0.02"),
    ("inverse network", "noise <once>", "sigma 0.05"),
    ("search", "noise <once>", "sigma 0.05"),
    ("search", "bits", "4"),
]


def explorer(seed: int = 0) -> DefenseExplorer:
    def images(*name: str) -> torch.Tensor:
        return torch.rand(2, 1, 16, 16, generator=torch_rng(seed, *name))

    shown = [
        Shown(*choice, images("naive", *choice), images("adaptive", *choice), 0.5 + number / 20)
        for number, choice in enumerate(CHOICES)
    ]
    return DefenseExplorer(images("truth"), images("baseline"), shown)


def data_of(shown: DefenseExplorer) -> dict:
    return json.loads(Markup(shown.static().data).data["application/json"])


def test_it_is_well_formed_names_its_controls_and_needs_nothing_from_outside() -> None:
    html = explorer().static().data
    page = Markup(html)
    assert [one["name"] for one in page.all("select")] == [
        "attack", "defense", "strength", "victim",
    ]  # fmt: skip
    assert len(page.all("label")) == 4
    assert len(page.all("img")) == 4
    assert all((img["alt"] or "").strip() for img in page.all("img"))
    assert [one["data-part"] for one in page.all("p")] == ["said"]
    assert_needs_nothing_from_outside(html)


def test_its_data_hold_every_choice() -> None:
    shown = explorer()
    data = data_of(shown)
    assert [(r["attack"], r["defense"], r["strength"]) for r in data["rows"]] == CHOICES
    for row, one in zip(data["rows"], shown.shown, strict=True):
        for name in ("naive", "adaptive"):
            for victim, cell in enumerate(row[name]):
                guess = getattr(one, name)[victim : victim + 1]
                np.testing.assert_allclose(decoded(cell["image"]) / 255, guess[0, 0], atol=0.002)
                score = ssim(shown.originals[victim : victim + 1], guess)[0]
                assert cell["score"] == f"SSIM {score:.2f}"
                assert cell["score"] in row["said"][victim]
        assert row["said"][0].endswith(f"AUC {one.utility:.2f}.")


def test_what_shows_first_is_the_first_choice() -> None:
    page = Markup(explorer().static().data)
    data = json.loads(page.data["application/json"])
    first = data["rows"][0]
    assert {img["data-part"]: img["src"] for img in page.all("img")} == {
        "original": data["originals"][0],
        "naive": first["naive"][0]["image"],
        "adaptive": first["adaptive"][0]["image"],
        "baseline": data["baseline"][0]["image"],
    }


def test_two_on_one_page_have_ids_of_their_own_and_each_is_the_same_elsewhere() -> None:
    first, second = (Markup(explorer(seed).static().data).tags[0][1]["id"] for seed in (0, 1))
    assert first != second
    assert made_elsewhere(__file__, "explorer().static().data") == explorer().static().data


@pytest.mark.parametrize("shown", [[], [explorer().shown[0]] * 2])
def test_nothing_to_show_or_one_choice_twice(shown: list[Shown]) -> None:
    one = explorer()
    with pytest.raises(ValueError, match="each once"):
        DefenseExplorer(one.originals, one.baseline, shown).static()


# --- In a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page()


def looks(page: Page) -> dict:
    return page.evaluate(
        """() => Object.fromEntries([
          ...[...document.querySelectorAll("select")].map(
            list => [list.name, [list.value, [...list.options].map(one => one.value)]]),
          ...[...document.querySelectorAll("img")].map(img => [img.dataset.part, img.src]),
          ["said", document.querySelector('[data-part="said"]').textContent]])"""
    )


class TestInABrowser:
    pytestmark = NEEDS_CHROMIUM

    def test_every_choice_shows_its_pictures(self, page: Page) -> None:
        page.set_content(explorer().static().data)
        data = data_of(explorer())
        for row in data["rows"]:
            for victim in ("2", "1"):
                for name in ("attack", "defense", "strength"):
                    page.get_by_label(name.capitalize()).select_option(row[name])
                page.get_by_label("Victim").select_option(victim)
                seen, at = looks(page), int(victim) - 1
                assert seen["naive"] == row["naive"][at]["image"]
                assert seen["adaptive"] == row["adaptive"][at]["image"]
                assert seen["original"] == data["originals"][at]
                assert seen["said"] == row["said"][at]

    def test_only_what_goes_with_the_attack_is_offered_and_the_choice_stays(
        self, page: Page
    ) -> None:
        page.set_content(explorer().static().data)
        page.get_by_label("Defense").select_option("noise <once>")
        page.get_by_label("Strength").select_option("sigma 0.05")
        page.get_by_label("Attack").select_option("search")
        seen = looks(page)
        assert seen["defense"] == ["noise <once>", ["noise <once>", "bits"]]
        assert seen["strength"] == ["sigma 0.05", ["sigma 0.05"]]

    def test_the_keyboard_is_enough(self, page: Page) -> None:
        page.set_content(explorer().static().data)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert looks(page)["attack"][0] == "search"
        assert looks(page)["said"].startswith("search against noise <once>, sigma 0.05")
