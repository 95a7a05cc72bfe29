"""What the three boards are made of, and the explorer's live face."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from markup import Markup, decoded, frames_of
from medpriv.course import Explorer, Shown, defense_explorer, film
from medpriv.metrics import ssim
from medpriv.runtime.seeds import torch_rng

SPLITS = ("conv2", "conv4", "conv6")


def images(*name: str, count: int = 3, channels: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, 16, 16, generator=torch_rng(0, *name))


def explorer(channels: int = 1) -> Explorer:
    guesses = {split: images(split, channels=channels) for split in SPLITS}
    truth, nearest = (images(name, channels=channels) for name in ("truth", "nearest"))
    guesses["conv2"] = truth.clone()  # the shallowest split gives all away
    return Explorer(truth, guesses, nearest)


def shows(picture: dict[str, str], image: torch.Tensor, truth: torch.Tensor | None = None) -> None:
    """Insist that a picture is the image, and that its score is how alike it is to the truth."""
    stored = decoded(picture["image"])
    wanted = image[0] if len(image) == 1 else image.permute(1, 2, 0)
    np.testing.assert_allclose(stored / 255, wanted, atol=0.5 / 255 + 1e-6)
    score = "" if truth is None else f"SSIM {ssim(truth[None], image[None])[0]:.2f}"
    assert picture["score"] == score


# --- Victims by split layer -----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_an_explorer_holds_every_victim_at_every_split(channels: int) -> None:
    shown = explorer(channels)
    frames = {tuple(frame["choice"]): frame["pictures"] for frame in frames_of(shown.static().data)}
    assert list(frames) == [(victim, split) for split in SPLITS for victim in "123"]
    for (victim, split), (original, guess, nearest) in frames.items():
        row = int(victim) - 1
        truth = shown.originals[row]
        shows(original, truth)
        shows(guess, shown.guesses[split][row], truth)
        shows(nearest, shown.nearest[row], truth)
        assert guess["score"] == "SSIM 1.00" or split != "conv2"
        assert original["alt"] == f"Original image of victim {victim}"
        assert guess["alt"] == f"Reconstruction of victim {victim} from {split}"
        assert nearest["alt"] == f"Auxiliary image closest to victim {victim}"


def test_an_explorer_has_two_sliders_and_tells_of_the_reconstruction() -> None:
    html = explorer().static().data
    page = Markup(html)
    sliders = [[one[key] for key in ("type", "min", "max", "value")] for one in page.all("input")]
    assert sliders == [["range", "0", "2", "0"]] * 2
    assert [one["aria-valuetext"] for one in page.all("input")] == ["1", "conv2"]
    live = [one.get("aria-live") for one in page.all("figcaption")]
    assert live == [None, "polite", None]


def test_an_explorer_of_some_victims() -> None:
    shown = explorer()
    frames = frames_of(shown.static(slice(0, 3, 2)).data)
    assert [frame["choice"] for frame in frames[:2]] == [["1", "conv2"], ["2", "conv2"]]
    assert len(frames) == 2 * len(SPLITS)
    shows(frames[1]["pictures"][0], shown.originals[2])


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
    for axis, guess in zip(figure.axes[1:], (shown.guesses[split], shown.nearest), strict=True):
        score = ssim(truth, guess[victim - 1 : victim])[0]
        assert axis.get_xlabel() == f"SSIM {score:.2f}"
    plt.close("all")


# --- The film of a search -------------------------------------------------------------------------

STEPS = (0, 1, 20, 300)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_holds_every_split_at_every_step(channels: int) -> None:
    """From noise towards the original, all the way from conv2 only."""
    original = images("truth", count=1, channels=channels)[0]
    way = torch.linspace(0, 1, len(STEPS)).view(-1, 1, 1, 1)
    courses = {
        split: torch.lerp(images(split, count=1, channels=channels), original, way / depth)
        for depth, split in enumerate(SPLITS, 1)
    }
    html = film(original, STEPS, courses).data
    frames = frames_of(html)
    assert [frame["choice"] for frame in frames] == [["0"], ["1"], ["20"], ["300"]]
    told = ["after 0 steps", "after 1 step", "after 20 steps", "after 300 steps"]
    for row, (frame, when) in enumerate(zip(frames, told, strict=True)):
        truth, *guesses = frame["pictures"]
        shows(truth, original)
        assert truth["alt"] == "Original image"
        for split, guess in zip(SPLITS, guesses, strict=True):
            shows(guess, courses[split][row], original)
            assert guess["alt"] == f"Recovery from {split} {when}"
    assert frames[-1]["pictures"][1]["score"] == "SSIM 1.00"
    page = Markup(html)
    (slider,), (button,) = page.all("input"), page.all("button")
    assert [slider[key] for key in ("min", "max", "value")] == ["0", "3", "3"]
    assert slider["autocomplete"] == "off"  # after a reload, too, it stands where the pictures do
    assert slider["aria-valuetext"] == told[-1]
    assert button["type"] == "button"
    live = [one.get("aria-live") for one in page.all("figcaption")]
    assert live == [None] + ["polite"] * len(SPLITS)


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
def test_what_does_not_fit(arguments: dict, message: str) -> None:
    fitting = {"original": IMAGE, "steps": (0, 10), "courses": {"conv2": COURSE}}
    film(**fitting)
    with pytest.raises(ValueError, match=message):
        film(**fitting | arguments)


# --- What defenses leave --------------------------------------------------------------------------

CHOICES = (("search", "nothing", "none"), ("search", "bits", "4"), ("network", "bits", "4"))


def defenses() -> list[Shown]:
    return [
        Shown(*one, images("naive", *one), images("adaptive", *one), 0.5 + place / 20)
        for place, one in enumerate(CHOICES)
    ]


def test_a_board_of_defenses_holds_every_choice() -> None:
    originals, baseline = images("truth"), images("baseline")
    html = defense_explorer(originals, baseline, defenses()).data
    frames = iter(frames_of(html))
    for one, choice in zip(defenses(), CHOICES, strict=True):
        for row, (truth, without) in enumerate(zip(originals, baseline, strict=True)):
            frame = next(frames)
            assert frame["choice"] == [*choice, str(row + 1)]
            original, naive, adaptive, guess = frame["pictures"]
            shows(original, truth)
            shows(naive, one.naive[row], truth)
            shows(adaptive, one.adaptive[row], truth)
            shows(guess, without, truth)
            assert naive["alt"].endswith(f"does not know of the defense makes of victim {row + 1}")
            assert adaptive["alt"].endswith(f"adapts to the defense makes of victim {row + 1}")
            assert all(score["score"] in frame["said"] for score in frame["pictures"])
            assert frame["said"].endswith(f"AUC {one.utility:.2f}.")
    assert next(frames, None) is None
    page = Markup(html)
    assert len(page.all("select")) == 4
    assert [one["aria-live"] for one in page.all("p")] == ["polite"]


@pytest.mark.parametrize("shown", [[], defenses()[:1] * 2])
def test_nothing_to_show_or_one_choice_twice(shown: list[Shown]) -> None:
    with pytest.raises(ValueError, match="each once"):
        defense_explorer(images("truth"), images("baseline"), shown)
