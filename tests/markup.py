"""HTML that a cell shows, taken apart: its tags, its data, its pictures, and what it needs."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image

from tiny import ROOT

VOID = {"img", "input", "br", "meta", "link", "hr"}

AGAIN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("here", sys.argv[1])
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
sys.stdout.write(eval(sys.argv[2], vars(here)))
"""


class Markup(HTMLParser):
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
    """The picture in a ``data:`` address."""
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))


def assert_needs_nothing_from_outside(html: str) -> None:
    page = Markup(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]+", "", html))
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, name)
    assert not re.search(r"fetch|XMLHttpRequest|import ?\(|require", page.data["code"])


def made_elsewhere(file: str, what: str) -> str:
    """What an expression in a test's file is in another process, which hashes another way."""
    here = {"PYTHONHASHSEED": "99", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    return subprocess.run(
        [sys.executable, "-c", AGAIN, file, what],
        env=os.environ | here,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def frames(data: str) -> list[dict[str, Any]]:
    """What a board can show, from its data: for each choice the pictures and what is said."""
    held = json.loads(data)
    return [
        frame
        | {"pictures": [one | {"image": held["images"][one["image"]]} for one in frame["pictures"]]}
        for frame in held["frames"]
    ]


def frames_of(html: str) -> list[dict[str, Any]]:
    """The same from a board's HTML."""
    return frames(Markup(html).data["application/json"])
