"""An encoder that the reader names: from a folder, without the hub, through a whole chapter."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch

from build_tools.chapter_text import check_parameters
from build_tools.run import run_chapter
from medpriv.course.catalog import ChapterError
from medpriv.models.reports import ReportEncoder
from tiny import make_encoder

CHAPTER = "08-report-reconstruction"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))


def test_it_embeds_without_a_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a folder was named, and a network asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    encoder = ReportEncoder(str(folder))
    assert (encoder.width, encoder.depth) == (32, 2)
    rows = encoder(["clear lungs", "", "no effusion"])
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))


def test_the_chapter_runs_with_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody answers
    given = {"profile": "smoke", "encoder": str(folder)}
    run = run_chapter(CHAPTER, given, tmp_path / "out")
    assert run.results["parameters"]["encoder"] == str(folder)
    assert json.loads((tmp_path / "out" / "results.json").read_text())["claims"]


def test_a_relative_folder_is_found_from_where_it_was_typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert check_parameters(CHAPTER, {"encoder": folder.name}) == {"encoder": str(folder)}
    assert check_parameters(CHAPTER, {"encoder": "org/model"}) == {"encoder": "org/model"}
    with pytest.raises(ChapterError, match="no parameter 'encodr'"):
        check_parameters(CHAPTER, {"encodr": "x"})
