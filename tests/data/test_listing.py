"""Data cards without data: every named data set has one, and nothing is touched for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from medpriv import data
from medpriv.data import fetch
from medpriv.data.listing import cards as cards_
from medpriv.data.listing import file_names
from medpriv.data.sources import DATASETS, MEDMNIST, VOLUMES, import_source, source_module
from real import real_file

NAMES = [(modality, name) for modality, names in DATASETS.items() for name in names]


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No reader's folder, an empty cache, and no way to look for a file."""

    def refuse(*_: object) -> Path:
        raise AssertionError("a card asked for a file")

    monkeypatch.delenv("MEDPRIV_DATA", raising=False)
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "local_file", refuse)
    return tmp_path


def test_every_named_data_set_has_a_card(nothing: Path) -> None:
    cards = cards_()
    assert list(cards) == [name for _, name in NAMES]
    for name, card in cards.items():
        assert card == data.card(name)
        assert card.name == name
        assert card.sha256 is None
        assert all((card.title, card.origin, card.licence, card.consent, card.citation))
    assert [name for name, card in cards.items() if card.synthetic] == [
        next(iter(names)) for names in DATASETS.values()
    ]
    assert list(nothing.iterdir()) == []


def test_the_table_tells_generated_data_from_a_file_that_was_not_read() -> None:
    assert data.card("phantom").table().loc["sha256"].item() == "generated, no file"
    assert data.card("mias").table().loc["sha256"].item() == "no file read"


def test_licences_of_medmnist_are_those_of_each_set() -> None:
    assert data.card("dermamnist").licence == "CC BY-NC 4.0"
    assert data.card("bloodmnist").licence == "CC BY 4.0"
    assert {data.card(flag).name for flag in MEDMNIST} == set(MEDMNIST)


@pytest.mark.parametrize("modality", DATASETS)
def test_the_card_of_generated_data_is_whole(modality: str) -> None:
    loaded = getattr(data, f"load_{modality}")(profile="smoke").card
    assert loaded == data.card(next(iter(DATASETS[modality])))


@pytest.mark.real
@pytest.mark.parametrize("modality", DATASETS)
def test_a_real_card_lacks_what_its_file_says(modality: str) -> None:
    name = {"images": "mias", "records": "cardio", "reports": "openi"}[modality]
    real_file(*file_names(name))
    loaded, card = getattr(data, f"load_{modality}")(name).card, data.card(name)
    assert loaded.sha256 is not None
    assert loaded.notes[: len(card.notes)] == card.notes
    assert replace(loaded, sha256=None, notes=card.notes) == card


@pytest.mark.parametrize("name", ["mnist", "", "PHANTOM"])
def test_an_unknown_name_is_told_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="unknown data set .*expected one of: phantom, mias"):
        data.card(name)


def test_a_volume_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="holds volumes"):
        data.card(VOLUMES[0])


def test_file_names_are_those_that_are_looked_for() -> None:
    assert file_names("phantom") == ()
    assert file_names("mias") == ("mias_128.npz", "all-mias.tar.gz")
    assert file_names("heart") == ("heart.csv",)
    assert file_names("bloodmnist") == ("bloodmnist.npz",)
    assert all(file_names(name) for _, name in NAMES if not data.card(name).synthetic)


@pytest.mark.parametrize("name", [name for _, name in NAMES])
def test_everything_about_a_data_set_is_in_its_module(name: str) -> None:
    source = import_source(name)
    assert source.__name__ == source_module(name)
    assert callable(source.load)
    assert hasattr(source, "CARD") or callable(source.card)


READS_ONE = """
import sys
from medpriv import data
data.load_{modality}("{name}", profile="smoke", patients=8)
print(*(name for name in sys.modules if name.startswith("medpriv.data.sources.")))
"""


@pytest.mark.parametrize(("modality", "name"), [("images", "phantom"), ("records", "warfarin")])
def test_whoever_reads_one_data_set_imports_the_reader_of_no_other(
    modality: str, name: str
) -> None:
    code = READS_ONE.format(modality=modality, name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    readers = {source_module(one) for _, one in NAMES}
    assert set(done.stdout.split()) & readers == {source_module(name)}
