"""What holds for a board of any kind: its HTML, and how it answers in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from IPython.display import HTML
from playwright.sync_api import Browser, Locator, Page

import boards
from boards import CHOICES, KINDS, SPLITS, defenses, explorer, images, of_search
from browsing import NEEDS_CHROMIUM, SEEN, chromium
from markup import Markup, assert_needs_nothing_from_outside, frames_of, made_elsewhere
from medpriv import course
from medpriv.course import film

ASSETS = Path(course.__file__).with_name("assets")
of_each_kind = pytest.mark.parametrize(("kind", "make"), KINDS.items(), ids=KINDS)
# The frame that is there before the script runs, and on paper.
FIRST = {"explorer": 0, "defenses": 0, "film": -1}


# --- What it holds --------------------------------------------------------------------------------


@of_each_kind
def test_it_is_well_formed_and_its_kind_is_its_class(kind: str, make: Callable) -> None:
    page = Markup(make().data)
    assert page.tags[0] == ("div", {"class": f"medpriv-box medpriv-{kind}"})
    assert len(page.all("label")) == len(page.all("input")) + len(page.all("select")) > 0
    assert len(page.all("img")) == len(page.all("figure")) == len(page.all("figcaption"))
    assert all((img["alt"] or "").strip() for img in page.all("img"))


@of_each_kind
def test_it_needs_nothing_from_outside(kind: str, make: Callable) -> None:
    assert_needs_nothing_from_outside(make().data)


@of_each_kind
def test_what_shows_without_a_script_is_one_of_its_frames(kind: str, make: Callable) -> None:
    html = make().data
    first = frames_of(html)[FIRST[kind]]
    pictures = [{"image": img["src"], "alt": img["alt"]} for img in Markup(html).all("img")]
    assert pictures == [{"image": one["image"], "alt": one["alt"]} for one in first["pictures"]]
    scores = [one["score"] for one in first["pictures"] if one["score"]]
    assert re.findall(r'class="score">(.*?)<', html) == scores
    said = "".join(re.findall(r'class="said".*?>(.*?)</p>', html))
    assert unescape(said) == first["said"]
    shown = re.findall(r"<output>(.*?)</output>|<select.*?>\s*<option>(.*?)</option>", html)
    assert [unescape(slider or choice) for slider, choice in shown] == first["choice"]


def test_each_is_the_same_in_another_process() -> None:
    here = boards.each()
    assert boards.each() == here
    assert made_elsewhere(boards.__file__, "each()") == here


def test_an_image_that_is_shown_twice_is_stored_once() -> None:
    html = explorer().data
    shown = {one["image"] for frame in frames_of(html) for one in frame["pictures"]}
    assert len(shown) == 3 * (2 + len(SPLITS))
    assert html.count("data:image/png") == len(shown) + 3  # and those that are there at first


# --- In a browser ---------------------------------------------------------------------------------

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


def load(tab: Page, folder: Path, *boards: HTML) -> list[Locator]:
    file = folder / "board.html"
    body = "\n".join(one.data for one in boards)
    file.write_text(f"<!DOCTYPE html><html lang='en'><title>Board</title>{body}</html>", "utf-8")
    tab.goto(file.as_uri())
    tab.clock.pause_at(1_000)
    return tab.locator(".medpriv-box").all()


def choose(board: Locator, choice: list[str]) -> None:
    """As a reader without a mouse would."""
    for control, wanted in zip(board.locator("input, select").all(), choice, strict=True):
        if control.evaluate("control => control.type") != "range":
            control.select_option(wanted)
            continue
        control.press("Home")
        for _ in range(int(control.get_attribute("max") or 0)):
            if control.evaluate("slider => slider.nextElementSibling.value") != wanted:
                control.press("ArrowRight")


def driven(test: Any) -> Any:
    for mark in NEEDS_CHROMIUM:
        test = mark(test)
    return test


@driven
@of_each_kind
def test_every_choice_shows_its_frame_and_moves_no_other_board(
    kind: str, make: Callable, tab: Page, tmp_path: Path
) -> None:
    board, other = load(tab, tmp_path, make(), make(1))
    frames, before = frames_of(make().data), other.evaluate(SEEN)
    assert board.evaluate(SEEN) == frames[FIRST[kind]]
    for frame in [*frames, frames[0]]:
        choose(board, frame["choice"])
        assert board.evaluate(SEEN) == frame
    assert other.evaluate(SEEN) == before == frames_of(make(1).data)[FIRST[kind]]


@driven
@of_each_kind
def test_a_copy_of_the_output_works_as_well(
    kind: str, make: Callable, tab: Page, tmp_path: Path
) -> None:
    """As JupyterLab makes one: the markup is inserted, then its scripts are."""
    (first,) = load(tab, tmp_path, make())
    tab.evaluate(
        """html => {
          const place = document.body.appendChild(document.createElement('div'));
          place.innerHTML = html;
          for (const script of place.querySelectorAll('script')) {
            const again = document.createElement('script');
            again.type = script.type;
            again.textContent = script.textContent;
            script.replaceWith(again);
          }
        }""",
        make().data,
    )
    copy = tab.locator(".medpriv-box").last
    for board, frame in ((first, frames_of(make().data)[1]), (copy, frames_of(make().data)[2])):
        choose(board, frame["choice"])
        assert board.evaluate(SEEN) == frame
    assert first.evaluate(SEEN) == frames_of(make().data)[1]


@driven
def test_the_look_is_of_properties_that_a_browser_knows(tab: Page, tmp_path: Path) -> None:
    (board,) = load(tab, tmp_path, of_search())
    css = (ASSETS / "board.css").read_text("utf-8")
    declared = re.findall(r"^\s+([a-z-]+): ([^;{}]+?)(?: !important)?;$", css, re.MULTILINE)
    assert len(declared) == css.count(";")
    unknown = [one for one in declared if not tab.evaluate("one => CSS.supports(...one)", one)]
    assert not unknown
    rules = "style => style.sheet.cssRules.length"
    assert board.locator("style").evaluate(rules) == len(re.findall(r"^[.@].*\{$", css, re.M))


@driven
@pytest.mark.parametrize(("splits", "columns"), [(1, 2), (3, 4), (4, 3), (7, 4)])
def test_pictures_in_a_row(tab: Page, tmp_path: Path, splits: int, columns: int) -> None:
    load(tab, tmp_path, of_search(splits=tuple(f"conv{at}" for at in range(splits))))
    tab.set_viewport_size({"width": 1280, "height": 900})
    assert tab.evaluate(IN_A_ROW) == columns
    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate(IN_A_ROW) == 2
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 390


class TestLists:
    pytestmark = NEEDS_CHROMIUM

    @staticmethod
    def offered(tab: Page) -> dict[str, list[str]]:
        return {
            name: tab.get_by_label(name).locator("option").all_inner_texts()
            for name in ("Attack", "Defense", "Strength", "Victim")
        }

    def test_only_what_goes_with_the_attack_is_offered_and_the_choice_stays(
        self, tab: Page, tmp_path: Path
    ) -> None:
        (board,) = load(tab, tmp_path, defenses())
        names = list(dict.fromkeys(one[1] for one in CHOICES))
        first = {
            "Attack": ["inverse network", "search"],
            "Defense": names[:2],
            "Strength": ["none"],
            "Victim": ["1", "2"],
        }
        assert self.offered(tab) == first
        tab.get_by_label("Defense").select_option("noise <once>")
        tab.get_by_label("Strength").select_option("sigma 0.05")
        tab.get_by_label("Attack").select_option("search")
        assert self.offered(tab) == first | {"Defense": names[1:], "Strength": ["sigma 0.05"]}
        assert board.evaluate(SEEN)["choice"] == ["search", "noise <once>", "sigma 0.05", "1"]

    def test_the_keyboard_is_enough(self, tab: Page, tmp_path: Path) -> None:
        (board,) = load(tab, tmp_path, defenses())
        tab.keyboard.press("Tab")
        tab.keyboard.press("ArrowDown")
        seen = board.evaluate(SEEN)
        assert seen["choice"][0] == "search"
        assert seen["said"].startswith("search against noise <once>, sigma 0.05")
        tab.keyboard.press("Tab")
        tab.keyboard.press("ArrowDown")
        assert board.evaluate(SEEN)["choice"] == [*CHOICES[-1], "1"]


class TestFilm:
    pytestmark = NEEDS_CHROMIUM

    @staticmethod
    def told(board: Locator) -> str | None:
        return board.locator("input").get_attribute("aria-valuetext")

    def test_the_slider_moves_by_keyboard_and_says_where_it_is(
        self, tab: Page, tmp_path: Path
    ) -> None:
        (board,) = load(tab, tmp_path, of_search())
        told = ["after 0 steps", "after 1 step", "after 20 steps", "after 300 steps"]
        assert self.told(board) == told[3]
        tab.keyboard.press("Tab")
        for key, row in (("ArrowLeft", 2), ("ArrowLeft", 1), ("Home", 0), ("ArrowRight", 1)):
            tab.keyboard.press(key)
            assert board.evaluate(SEEN) == frames_of(of_search().data)[row]
            assert self.told(board) == told[row]

    def test_it_plays_when_asked_and_stops_at_the_end(self, tab: Page, tmp_path: Path) -> None:
        (board,) = load(tab, tmp_path, of_search())
        frames, button = frames_of(of_search().data), tab.get_by_role("button")
        tab.clock.run_for(5_000)
        assert board.evaluate(SEEN) == frames[3]  # nothing plays by itself
        assert button.inner_text() == "Play"
        tab.keyboard.press("Tab")
        tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        for row in range(3):
            assert board.evaluate(SEEN) == frames[row]
            assert button.inner_text() == "Pause"
            assert tab.locator("[aria-live=polite]").count() == 0
            tab.clock.run_for(250)
        for _ in range(2):
            assert board.evaluate(SEEN) == frames[3]
            assert button.inner_text() == "Play"
            assert tab.locator("[aria-live=polite]").count() == len(SPLITS)
            tab.clock.run_for(5_000)

    @pytest.mark.parametrize("by", ["button", "slider"])
    def test_it_pauses_where_it_is_and_goes_on_from_there(
        self, tab: Page, tmp_path: Path, by: str
    ) -> None:
        (board,) = load(tab, tmp_path, of_search())
        frames, button = frames_of(of_search().data), tab.get_by_role("button")
        button.click()
        tab.clock.run_for(250)
        assert board.evaluate(SEEN) == frames[1]
        if by == "button":
            button.click()
        else:
            tab.get_by_role("slider").press("ArrowLeft")
            tab.get_by_role("slider").press("ArrowRight")
        assert button.inner_text() == "Play"
        tab.clock.run_for(5_000)
        assert board.evaluate(SEEN) == frames[1]
        button.click()
        assert board.evaluate(SEEN) == frames[1]
        tab.clock.run_for(250)
        assert board.evaluate(SEEN) == frames[2]

    def test_a_film_of_one_frame_stands_still(self, tab: Page, tmp_path: Path) -> None:
        still = film(images("truth")[0], (7,), {"conv2": images("conv2", count=1)})
        (board,) = load(tab, tmp_path, still)
        tab.get_by_role("button").click()
        tab.clock.run_for(5_000)
        assert [board.evaluate(SEEN)] == frames_of(still.data)
        assert tab.get_by_role("button").inner_text() == "Play"
