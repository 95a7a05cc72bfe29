"""A film of a search: what its HTML holds, and how it plays in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

from browsing import NEEDS_CHROMIUM, chromium
from markup import Markup, assert_needs_nothing_from_outside, decoded, made_elsewhere
from medpriv.course import Film
from medpriv.metrics import ssim
from medpriv.runtime.seeds import torch_rng

SPLITS = ("conv2", "conv4", "conv6")
STEPS = (0, 1, 20, 300)


def film(channels: int = 1, seed: int = 0, splits: tuple[str, ...] = SPLITS) -> Film:
    """From noise towards the original, all the way from conv2 only."""
    original = torch.rand(channels, 16, 16, generator=torch_rng(seed, "truth"))
    way = torch.linspace(0, 1, len(STEPS)).view(-1, 1, 1, 1)
    courses = {}
    for depth, split in enumerate(splits):
        noise = torch.rand(channels, 16, 16, generator=torch_rng(seed, split))
        courses[split] = torch.lerp(noise, original, way / (depth + 1))
    return Film(original, STEPS, courses)


def data_of(shown: Film) -> dict:
    return json.loads(Markup(shown.html().data).data["application/json"])


# --- What it holds --------------------------------------------------------------------------------


def test_it_is_well_formed_and_names_its_controls() -> None:
    page = Markup(film().html().data)
    (slider,), (button,) = page.all("input"), page.all("button")
    assert [slider[key] for key in ("name", "type", "min", "max", "value")] == [
        "step", "range", "0", "3", "3",
    ]  # fmt: skip
    assert slider["aria-valuetext"] == "after 300 steps"
    assert button["type"] == "button"
    assert len(page.all("label")) == 1
    assert len(page.all("img")) == len(page.all("figure")) == 1 + len(SPLITS)


def test_it_needs_nothing_from_outside() -> None:
    assert_needs_nothing_from_outside(film().html().data)


def test_its_data_hold_every_split_at_every_step() -> None:
    shown = film()
    data = data_of(shown)
    assert data["splits"] == list(SPLITS)
    assert [frame["step"] for frame in data["frames"]] == ["0", "1", "20", "300"]
    assert [frame["told"] for frame in data["frames"]] == [
        "after 0 steps",
        "after 1 step",
        "after 20 steps",
        "after 300 steps",
    ]
    for row, frame in enumerate(data["frames"]):
        assert list(frame["guesses"]) == list(SPLITS)
        for split, cell in frame["guesses"].items():
            guess = shown.courses[split][row]
            np.testing.assert_allclose(decoded(cell["image"]) / 255, guess[0], atol=0.002)
            assert cell["score"] == f"SSIM {ssim(shown.original[None], guess[None])[0]:.2f}"
    assert data["frames"][-1]["guesses"]["conv2"]["score"] == "SSIM 1.00"


def test_what_shows_without_a_script_is_the_end() -> None:
    shown = film()
    html = shown.html().data
    original, *guesses = Markup(html).all("img")
    np.testing.assert_allclose(decoded(original["src"]) / 255, shown.original[0], atol=0.002)
    assert original["alt"] == "Original image"
    end = data_of(shown)["frames"][-1]["guesses"]
    assert [(img["src"], img["alt"]) for img in guesses] == [
        (end[split]["image"], f"Recovery from {split} after 300 steps") for split in SPLITS
    ]
    assert re.findall(r'data-part="score">(.*?)<', html) == [end[s]["score"] for s in SPLITS]
    assert "<output>300</output>" in html


def test_colour_images() -> None:
    shown = film(channels=3)
    stored = decoded(data_of(shown)["frames"][2]["guesses"]["conv4"]["image"])
    expected = shown.courses["conv4"][2].permute(1, 2, 0)
    np.testing.assert_allclose(stored / 255, expected, atol=0.002)


def test_two_films_on_one_page_have_ids_of_their_own() -> None:
    first, second = (Markup(film(seed=seed).html().data).tags[0][1]["id"] for seed in (0, 1))
    assert first != second
    assert re.fullmatch(r"film-[0-9a-f]{8}", first)


def test_it_is_the_same_in_another_process() -> None:
    html = film().html().data
    assert film().html().data == html
    assert made_elsewhere(__file__, "film().html().data") == html


IMAGE, COURSE = torch.zeros(1, 16, 16), torch.zeros(2, 1, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"original": IMAGE[None]}, r"one image \(c, h, w\), got \(1, 1, 16, 16\)"),
        ({"steps": ()}, r"at least one number, ascending, got \(\)"),
        ({"steps": (5, 5)}, r"ascending, got \(5, 5\)"),
        ({"steps": (5, 2)}, r"ascending, got \(5, 2\)"),
        ({"courses": {}}, "at least one split layer, got none"),
        ({"steps": (0, 1, 2)}, r"conv2 must be \(3, 1, 16, 16\), .* got \(2, 1, 16, 16\)"),
        ({"courses": {"conv2": COURSE, "conv4": COURSE[:, 0]}}, r"conv4 .* got \(2, 16, 16\)"),
        ({"original": IMAGE[:, 1:]}, r"conv2 must be \(2, 1, 15, 16\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments: dict[str, Any], message: str) -> None:
    fitting = {"original": IMAGE, "steps": (0, 10), "courses": {"conv2": COURSE}}
    Film(**fitting)
    with pytest.raises(ValueError, match=message):
        Film(**fitting | arguments)


# --- How it plays ---------------------------------------------------------------------------------

SEEN = """async box => {
  const all = selector => [...box.querySelectorAll(selector)];
  await Promise.all(all('img').map(image => image.decode()));
  return {
    step: box.querySelector('output').textContent,
    told: box.querySelector('input').getAttribute('aria-valuetext'),
    images: all('[data-part="guess"]').map(image => image.src),
    alts: all('[data-part="guess"]').map(image => image.alt),
    scores: all('[data-part="score"]').map(score => score.textContent),
  };
}"""
# How many pictures stand in the first row.
IN_A_ROW = """() => {
  const tops = [...document.querySelectorAll('figure')].map(e => e.getBoundingClientRect().top);
  return tops.filter(top => top === tops[0]).length;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A window whose time passes only when a test says so."""
    tab = browser.new_page()
    tab.set_default_timeout(15_000)
    tab.clock.install(time=0)
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert not errors


def load(tab: Page, folder: Path, *films: Film) -> None:
    file = folder / "film.html"
    body = "\n".join(one.html().data for one in films)
    file.write_text(f"<!DOCTYPE html><html lang='en'><title>Film</title>{body}</html>", "utf-8")
    tab.goto(file.as_uri())
    tab.clock.pause_at(1_000)


def assert_shows(tab: Page, shown: Film, row: int) -> None:
    frame = data_of(shown)["frames"][row]
    cells = [frame["guesses"][split] for split in shown.courses]
    assert tab.locator(".medpriv-film").first.evaluate(SEEN) == {
        "step": frame["step"],
        "told": frame["told"],
        "images": [cell["image"] for cell in cells],
        "alts": [f"Recovery from {split} {frame['told']}" for split in shown.courses],
        "scores": [cell["score"] for cell in cells],
    }


def driven(test: Any) -> Any:
    for mark in NEEDS_CHROMIUM:
        test = mark(test)
    return test


@driven
def test_the_slider_moves_by_keyboard(tab: Page, tmp_path: Path) -> None:
    shown = film()
    load(tab, tmp_path, shown, film(seed=1))
    assert_shows(tab, shown, 3)
    other = tab.locator(".medpriv-film").last.evaluate(SEEN)
    tab.keyboard.press("Tab")
    for key, row in (("ArrowLeft", 2), ("ArrowLeft", 1), ("Home", 0), ("ArrowRight", 1)):
        tab.keyboard.press(key)
        assert_shows(tab, shown, row)
    assert tab.locator(".medpriv-film").last.evaluate(SEEN) == other


@driven
def test_it_plays_when_asked_and_stops_at_the_end(tab: Page, tmp_path: Path) -> None:
    shown = film()
    load(tab, tmp_path, shown)
    button = tab.get_by_role("button")
    tab.clock.run_for(5_000)
    assert_shows(tab, shown, 3)  # nothing plays by itself
    assert button.inner_text() == "Play"
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    for row in range(3):
        assert_shows(tab, shown, row)
        assert button.inner_text() == "Pause"
        assert tab.locator("[aria-live=polite]").count() == 0
        tab.clock.run_for(250)
    for _ in range(2):
        assert_shows(tab, shown, 3)
        assert button.inner_text() == "Play"
        assert tab.locator("[aria-live=polite]").count() == len(SPLITS)
        tab.clock.run_for(5_000)


@driven
@pytest.mark.parametrize("by", ["button", "slider"])
def test_it_pauses_where_it_is_and_goes_on_from_there(tab: Page, tmp_path: Path, by: str) -> None:
    shown = film()
    load(tab, tmp_path, shown)
    button = tab.get_by_role("button")
    button.click()
    tab.clock.run_for(250)
    assert_shows(tab, shown, 1)
    if by == "button":
        button.click()
    else:
        tab.get_by_role("slider").press("ArrowLeft")
        tab.get_by_role("slider").press("ArrowRight")
    assert button.inner_text() == "Play"
    tab.clock.run_for(5_000)
    assert_shows(tab, shown, 1)
    button.click()
    assert_shows(tab, shown, 1)
    tab.clock.run_for(250)
    assert_shows(tab, shown, 2)


@driven
def test_a_film_of_one_frame_stands_still(tab: Page, tmp_path: Path) -> None:
    shown = Film(film().original, (7,), {"conv2": film().courses["conv2"][:1]})
    load(tab, tmp_path, shown)
    tab.get_by_role("button").click()
    tab.clock.run_for(5_000)
    assert_shows(tab, shown, 0)
    assert tab.get_by_role("button").inner_text() == "Play"


@driven
@pytest.mark.parametrize(("splits", "columns"), [(1, 2), (3, 4), (4, 3), (7, 4)])
def test_pictures_in_a_row(tab: Page, tmp_path: Path, splits: int, columns: int) -> None:
    load(tab, tmp_path, film(splits=tuple(f"conv{at}" for at in range(splits))))
    tab.set_viewport_size({"width": 1280, "height": 900})
    assert tab.evaluate(IN_A_ROW) == columns
    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate(IN_A_ROW) == 2
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 390
