"""The appendix: generated parts say what the code says, the glossary and the API are whole."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_tools.book import toc_pages
from build_tools.pages import PLACE, fill
from medpriv import data
from medpriv.course.catalog import CHAPTERS, ChapterError
from medpriv.data.listing import cards
from medpriv.data.sources import MEDMNIST
from tiny import ROOT

PAGES = {file.stem: file.read_text(encoding="utf-8") for file in (ROOT / "chapters").glob("*.md")}
GENERATED = ("datasets", "reproducibility")


def part(name: str, root: Path = ROOT) -> str:
    return fill(f"<!-- generated: {name} -->", root)


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, its head and rule left out."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


# --- Filling in -----------------------------------------------------------------------------------


def test_only_a_line_of_its_own_is_a_place() -> None:
    text = "Write `<!-- generated: promises -->` there.\n    <!-- generated: promises -->\n"
    assert fill(text, ROOT) == text


def test_what_is_around_a_place_stays() -> None:
    filled = fill("# A\n\n<!-- generated: promises -->\n\n\\1 \\g<0>\n", ROOT)
    assert filled.startswith("# A\n\n| chapter |")
    assert filled.endswith("|\n\n\\1 \\g<0>\n")


def test_an_unknown_part_is_told_the_known_ones() -> None:
    with pytest.raises(ChapterError, match="'prices'; expected one of: embedded cards, .*costs"):
        part("prices")


def test_every_part_is_on_exactly_one_page() -> None:
    used = Counter(place["name"] for text in PAGES.values() for place in PLACE.finditer(text))
    with pytest.raises(ChapterError) as listing:
        part("none")
    known = str(listing.value).partition("one of: ")[2].split(", ")
    assert used == dict.fromkeys(known, 1)
    assert {name for name, text in PAGES.items() if PLACE.search(text)} == set(GENERATED)


def test_the_appendix_is_in_the_table_of_contents_and_on_the_first_page() -> None:
    appendix = ("datasets", "reproducibility", "api", "glossary", "bibliography")
    assert toc_pages(ROOT / "_toc.yml")[-5:] == [f"chapters/{name}" for name in appendix]
    # With its suffix: a page's bare name may also be something in the package.
    for link in (*(f"{name}.md" for name in appendix), *CHAPTERS):
        assert f"]({link})" in PAGES["welcome"], link


def section(name: str) -> dict[str, str]:
    """The rows of a data set's card on the page."""
    text = fill(PAGES["datasets"], ROOT).partition(f"### {name}\n")[2]
    return {key.strip("*"): value for key, value in rows(re.split(r"\n(?:#|\()", text)[0])}


# --- Data cards -----------------------------------------------------------------------------------


def test_every_data_set_has_one_heading_with_a_label() -> None:
    text = fill(PAGES["datasets"], ROOT)
    found = re.findall(r"^\(dataset-(\w+)\)=\n### (\w+)$", text, flags=re.MULTILINE)
    assert sorted(label for label, _ in found) == sorted(cards())
    assert all(label == heading for label, heading in found)


@pytest.mark.parametrize("name", [name for name in cards() if name not in MEDMNIST])
def test_a_section_says_what_the_card_says(name: str) -> None:
    facts, card = section(name), data.card(name)
    shown = {re.sub(r"\\(.)", r"\1", value).strip("<>") for value in facts.values()}
    assert {card.title, card.origin, card.licence, card.consent, card.citation} <= shown
    assert facts["Load with"].endswith(f'("{name}")`')
    assert ("Synthetic", "yes" if card.synthetic else "no") in facts.items()
    assert "sha256" not in facts  # no file was read


def test_what_all_of_medmnist_shares_is_said_once_and_the_rest_for_each() -> None:
    shared, *own = part("medmnist cards").split("(dataset-")
    keys = {key for key, _ in rows(shared)}
    assert {"**Origin**", "**Consent**", "**Citation**"} <= keys
    assert len(own) == len(MEDMNIST)
    for flag, text in zip(MEDMNIST, own, strict=True):
        facts = dict(rows(text))
        assert not keys & set(facts)
        assert facts["**Licence**"] == data.card(flag).licence
        assert facts["**File**"] == f"`{flag}.npz`"


def test_a_data_set_names_the_chapters_that_promise_for_it() -> None:
    for name in cards():
        promising = {
            chapter
            for chapter, spec in CHAPTERS.items()
            for dataset in spec.promised
            if name in spec.datasets(dataset).values()
        }
        assert set(re.findall(r"\]\(([\w-]+)\)", section(name)["Claims"])) == promising


def test_text_of_a_card_is_shown_letter_by_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    from build_tools import pages

    assert pages._plain("a_b *c* | <d> `e` $f$") == r"a\_b \*c\* \| \<d\> \`e\` \$f\$"
    assert pages._plain("see https://a.invalid/b_c for d_e") == (
        r"see <https://a.invalid/b_c> for d\_e"
    )


# --- Reproducibility ------------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A repository whose build has results of every chapter, and two recorded tables."""
    for number, name in enumerate(CHAPTERS):
        results = {
            "parameters": {"profile": "quick", "dataset": "phantom", "seed": 0, "device": "auto"},
            "versions": {"python": "3.11.7", "torch": "2.9.1"},
            "device": "cpu (2 threads, bfloat16)",
            "seconds": 41.6 + number,
            "peak_mb": 1536.0,
        }
        file = tmp_path / "_build" / "results" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results))
    recorded = tmp_path / "chapters" / "recorded"
    recorded.mkdir(parents=True)
    (recorded / "costs.csv").write_text(
        "chapter,profile,seconds,peak_mb,machine\n"
        f"{next(iter(CHAPTERS))},quick,54.4,2048,a | machine\n"
    )
    (recorded / "a-sweep.csv").write_text("seed,ssim,key\n0,0.5,aa\n1,0.6,bb\n")
    return tmp_path


def change(root: Path, name: str, **values: object) -> None:
    file = root / "_build" / "results" / f"{name}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_versions_are_those_of_the_build(built: Path) -> None:
    assert rows(part("versions", built)) == [["python", "3.11.7"], ["torch", "2.9.1"]]
    change(built, next(iter(CHAPTERS)), versions={"python": "3.12.0", "torch": "2.9.1"})
    assert rows(part("versions", built))[0] == ["python", "3.12.0, 3.11.7"]


def test_settings_are_those_of_the_build(built: Path) -> None:
    first = next(iter(CHAPTERS))
    change(built, first, device="gpu (1 device, bfloat16)")
    text = part("settings", built)
    assert rows(text)[0] == [f"[{first}]({first})", "`quick`", "`phantom`", "`0`"]
    assert len(rows(text)) == len(CHAPTERS)
    assert text.endswith(
        "Device and arithmetic: gpu (1 device, bfloat16) and cpu (2 threads, bfloat16)."
    )


def test_costs_are_those_of_the_build_beside_the_recorded(built: Path) -> None:
    first, second, *_ = CHAPTERS
    text = part("costs", built)
    assert rows(text)[:2] == [
        [f"[{first}]({first})", "42 s, 1.5 GiB", "54 s, 2.0 GiB"],
        [f"[{second}]({second})", "43 s, 1.5 GiB", "not recorded"],
    ]
    assert text.endswith(r"Recorded on a \| machine.")


def test_promises_are_those_of_the_catalog() -> None:
    promised = {
        (name, f"`{dataset}`{', in part' * (dataset in spec.in_part)}"): seeds
        for name, spec in CHAPTERS.items()
        for dataset, seeds in spec.promised.items()
    }
    shown = {
        (chapter.partition("]")[0][1:], dataset): tuple(map(int, seeds.split(", ")))
        for chapter, dataset, seeds in rows(part("promises"))
    }
    assert shown == promised


def test_recorded_tables_are_listed_without_costs_and_keys(built: Path) -> None:
    assert rows(part("recorded tables", built)) == [["`a-sweep`", "2", "`seed`, `ssim`"]]


# --- Glossary -------------------------------------------------------------------------------------

TERM = re.compile(r"\{term\}`(?:[^`<]+<(?P<target>[^>]+)>|(?P<plain>[^`]+))`")


def terms() -> list[str]:
    inside = PAGES["glossary"].partition("```{glossary}\n")[2].partition("\n```")[0]
    return [line for line in inside.splitlines() if line and not line.startswith(" ")]


def linked(text: str) -> list[str]:
    """The terms that a text links, in order, spelled as the glossary spells them."""
    known = {term.lower(): term for term in terms()}
    names = (found["target"] or found["plain"] for found in TERM.finditer(text))
    return [known.get(" ".join(name.split()).lower(), f"unknown: {name}") for name in names]


def test_each_term_is_there_once_and_in_order() -> None:
    assert len(terms()) > 50
    assert terms() == sorted(set(terms()), key=str.lower)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_links_known_terms_and_each_once(name: str) -> None:
    found = Counter(linked(PAGES[name]))
    assert not [term for term in found if term.startswith("unknown")]
    if name != "glossary":
        assert not [term for term, count in found.items() if count > 1]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_links_its_terms(name: str) -> None:
    assert len(linked(PAGES[name])) >= 10


def test_every_term_is_linked_from_somewhere() -> None:
    entries = re.split(r"\n\n(?=\S)", PAGES["glossary"])
    elsewhere = {term for name in PAGES if name != "glossary" for term in linked(PAGES[name])}
    by_others = {
        term
        for entry in entries
        for term in linked(entry)
        if term != entry.splitlines()[0]  # an entry that links itself helps nobody
    }
    assert set(terms()) <= elsewhere | by_others


# --- Bibliography ---------------------------------------------------------------------------------


def test_every_reference_is_cited_and_every_citation_known() -> None:
    known = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "references.bib").read_text(), re.MULTILINE))
    cited = {
        key.strip()
        for text in PAGES.values()
        for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", text)
        for key in keys.split(",")
    }
    assert cited == known


# --- The package ----------------------------------------------------------------------------------


def documented_modules() -> list[str]:
    return re.findall(r"^\.\. automodule:: (\S+)\n   :members:", PAGES["api"], flags=re.MULTILINE)


#: What the rooms' functions take and return; a chapter does not import it.
BESIDE = re.findall(r"^\.\. auto(?:class|exception|function):: (\S+)$", PAGES["api"], re.MULTILINE)
DOCUMENTED = [*documented_modules(), *BESIDE]


def public(documented: str) -> Iterator[tuple[str, object]]:
    """What ``__all__`` lists; without one, what the module itself defines and does not hide."""
    if documented in BESIDE:
        module_name, _, name = documented.rpartition(".")
        yield name, getattr(importlib.import_module(module_name), name)
        return
    module = importlib.import_module(documented)
    for name in getattr(module, "__all__", vars(module)):
        value = getattr(module, name)
        own = getattr(value, "__module__", None) == module.__name__
        described = inspect.isclass(value) or inspect.isfunction(value)
        if hasattr(module, "__all__") or (own and described and not name.startswith("_")):
            yield name, value


def test_the_rooms_are_documented_in_their_order() -> None:
    folder = ROOT / "medpriv"
    rooms = [name for name in documented_modules() if name.count(".") == 1]
    there = {f"medpriv.{file.stem}" for file in folder.glob("[a-z]*.py")}
    there |= {f"medpriv.{file.parent.name}" for file in folder.glob("*/__init__.py")}
    assert set(rooms) == there
    order = importlib.import_module("medpriv").__doc__ or ""
    named = re.findall(r"``(\w+)``", order)
    assert [room.removeprefix("medpriv.") for room in rooms] == named


@pytest.mark.parametrize("name", documented_modules())
def test_a_room_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(importlib.import_module(name))


def test_nothing_is_on_the_page_twice() -> None:
    exported = [id(value) for name in documented_modules() for _, value in public(name)]
    beside = [id(value) for name in BESIDE for _, value in public(name)]
    assert len(BESIDE) > 40
    assert len(set(beside)) == len(beside)
    assert not set(beside) & set(exported)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_everything_public_is_documented(name: str) -> None:
    found = dict(public(name))
    assert found
    for key, value in found.items():
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{key}"
        elif inspect.ismodule(value):
            assert f".. automodule:: {value.__name__}\n" in PAGES["api"], f"{name}.{key}"
        else:  # a constant has no docstring of its own
            assert f".. py:data:: {key}\n   :module: {name}\n" in PAGES["api"], f"{name}.{key}"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_methods_are_documented(name: str) -> None:
    for key, value in public(name):
        if not inspect.isclass(value):
            continue
        methods = {
            method: there
            for method, there in vars(value).items()
            if method[0] != "_" and (inspect.isfunction(there) or isinstance(there, property))
        }
        bare = [method for method, there in methods.items() if not inspect.getdoc(there)]
        assert bare == [], f"{name}.{key}"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_are_in_the_style_that_the_page_reads(name: str) -> None:
    for key, value in public(name):
        text = inspect.getdoc(value) or ""
        assert not re.search(r"^-{3,}$", text, flags=re.MULTILINE), f"{key}: NumPy's style"
        assert not re.search(r"(?<![`:\w])`[^`]+`(?!`)", text), f"{key}: code takes two backticks"
