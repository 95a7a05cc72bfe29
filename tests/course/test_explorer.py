"""The explorer's static face: plain HTML that needs no kernel and no network."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from medpriv.course import Explorer
from medpriv.metrics import ssim
from medpriv.runtime import torch_rng
from tiny import ROOT

SPLITS = ("conv2", "conv4", "conv6")
VOID = {"img", "input", "br", "meta", "link", "hr"}


def explorer(victims: int = 3, channels: int = 1, seed: int = 0) -> Explorer:
    def images(name: str) -> torch.Tensor:
        return torch.rand(victims, channels, 16, 16, generator=torch_rng(seed, name))

    guesses = {split: images(split) for split in SPLITS}
    guesses["conv2"] = images("truth")  # the shallowest split gives all away
    return Explorer(images("truth"), guesses, images("nearest"))


class Page(HTMLParser):
    """Collects what the tests ask about, and insists that tags close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: dict[str, str] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] == "script":
            kind = self.tags[-1][1].get("type") or "code"
            self.data[kind] = self.data.get(kind, "") + text

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def decoded(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))


def test_it_is_well_formed_and_names_its_controls() -> None:
    page = Page(explorer().static().data)
    inputs = page.all("input")
    assert [(i["name"], i["min"], i["max"], i["value"]) for i in inputs] == [
        ("victim", "1", "3", "1"),
        ("split", "1", "3", "1"),
    ]
    assert len(page.all("label")) == 2
    assert len(page.all("img")) == 3
    assert all((img["alt"] or "").strip() for img in page.all("img"))


def test_it_needs_nothing_from_outside() -> None:
    html = explorer().static().data
    page = Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]+", "", html))
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, name)
    assert not re.search(r"fetch|XMLHttpRequest|import ?\(|require", page.data["code"])


def test_its_data_hold_every_victim_at_every_split() -> None:
    shown = explorer()
    data = json.loads(Page(shown.static().data).data["application/json"])
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
    page = Page(explorer().static().data)
    first = json.loads(page.data["application/json"])["victims"][0]
    sources = {img["data-part"]: img["src"] for img in page.all("img")}
    assert sources == {
        "original": first["original"],
        "guess": first["guesses"]["conv2"]["image"],
        "nearest": first["nearest"]["image"],
    }


def test_colour_images() -> None:
    shown = explorer(channels=3)
    data = json.loads(Page(shown.static().data).data["application/json"])
    stored = decoded(data["victims"][1]["original"])
    np.testing.assert_allclose(
        stored / 255, shown.originals[1].permute(1, 2, 0), atol=0.5 / 255 + 1e-6
    )


def test_two_explorers_on_one_page_have_ids_of_their_own() -> None:
    first, second = (Page(explorer(seed=seed).static().data).tags[0][1]["id"] for seed in (0, 1))
    assert first != second
    assert re.fullmatch(r"explorer-[0-9a-f]{8}", first)


AGAIN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("here", sys.argv[1])
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
sys.stdout.write(here.explorer().static().data)
"""


def test_it_is_the_same_in_another_process() -> None:
    html = explorer().static().data
    assert explorer().static().data == html
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, __file__],
        env=os.environ
        | {"PYTHONHASHSEED": "99", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == html


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
