"""What a published repository says about itself, and what its continuous integration does."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup
from packaging.requirements import Requirement

import medpriv
from build_tools.book import read_config, toc_pages
from build_tools.notebooks import BRANCH
from medpriv.course.catalog import CHAPTERS
from tiny import ROOT

HTML = ROOT / "_build" / "html"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MADE = {".git", ".venv", "_build", "notebooks", "__pycache__", ".hypothesis", ".ruff_cache"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sources() -> list[Path]:
    """The files of the repository that are text, without what was built."""
    return [
        file
        for file in ROOT.rglob("*")
        if file.is_file()
        and not MADE & set(file.relative_to(ROOT).parts)
        and not any(part.endswith(".egg-info") for part in file.parts)
        and file.suffix not in (".png", ".npz", ".pyc", ".ipynb")
    ]


# --- Who, where, under which terms ----------------------------------------------------------------


def test_the_address_stands_in_one_place_and_the_citation_agrees() -> None:
    book, citation = read_config(ROOT), yaml.safe_load(read("CITATION.cff"))
    assert citation["repository-code"] == book.repository
    assert citation["url"] == book.site
    assert citation["title"] == book.title
    assert citation["authors"] == [{"name": book.authors}]
    assert str(citation["version"]) == medpriv.__version__
    parts = (book.repository.removeprefix("https://"), book.site.removeprefix("https://"))
    naming = {
        file.relative_to(ROOT).as_posix()
        for file in sources()
        if any(part in file.read_text(encoding="utf-8", errors="replace") for part in parts)
    }
    assert naming == {"_config.yml", "CITATION.cff"}


def test_both_licences_are_there_in_full() -> None:
    assert "Redistribution and use in source and binary forms" in read("LICENSE")
    text = read("LICENSE-TEXT")
    assert [f"Section {number} --" in text for number in range(1, 9)] == [True] * 8
    assert "Attribution: the medpriv authors." in text
    for name in ("README.md", "_config.yml"):
        assert "BSD-3-Clause" in read(name)
        assert "CC BY 4.0" in read(name)
    assert yaml.safe_load(read("CITATION.cff"))["license"] == "BSD-3-Clause"


# --- Requirements ---------------------------------------------------------------------------------


def needed(name: str) -> dict[str, Requirement]:
    lines = (line for line in read(name).splitlines() if line and not line.startswith(("#", "-r")))
    return {need.name.lower(): need for need in map(Requirement, lines)}


def test_a_running_chapter_needs_no_more_than_it_says() -> None:
    """Imported in a fresh process: the package and every module that a chapter's cells name."""
    from importlib.metadata import packages_distributions

    code = "import sys\nfrom medpriv import course, attacks, data, deployment, metrics, models\n"
    code += "from medpriv import runtime, training\nprint(sorted({m.split('.')[0] for m in "
    code += "sys.modules if getattr(sys.modules[m], '__file__', None)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    heavy = {"papermill", "jupytext", "sphinx", "jupyter_book", "myst_nb", "playwright", "pytest"}
    assert not loaded & heavy
    named = {
        word
        for file in (*(ROOT / "medpriv").rglob("*.py"), *(ROOT / "chapters").glob("[0-9]*.md"))
        for word in re.findall(
            r"^ *(?:from|import) ([a-z_A-Z0-9]+)", file.read_text(encoding="utf-8"), re.MULTILINE
        )
        if word in loaded
    }
    owners = packages_distributions()
    distributions = {
        owner.lower().replace("_", "-") for word in named for owner in owners.get(word, ())
    }
    # pillow comes with matplotlib and torchvision.
    assert distributions - {"medpriv", "pillow"} <= set(needed("requirements-run.txt"))


def test_the_package_depends_on_what_a_chapter_needs() -> None:
    assert "-r requirements-run.txt" in read("requirements.txt").splitlines()
    assert 'dependencies = { file = ["requirements-run.txt"] }' in read("pyproject.toml")
    assert "requirements-run.txt" in re.search(r"^\$\(READY\):.*", read("Makefile"), re.M)[0]
    assert "requirements-run.txt" in read("binder/postBuild")
    for_all, for_book = needed("requirements-run.txt"), needed("requirements.txt")
    caps = {
        name: need
        for name, need in for_book.items()
        if {one.operator for one in need.specifier} == {"<"}
    }
    # What stands in both: a cap for the book's pages, or what JupyterLab needs newer than Colab.
    assert for_all.keys() & for_book.keys() == {*caps, "ipywidgets"}


# --- Continuous integration -----------------------------------------------------------------------


def minutes(job: dict[str, Any], *, weekly: bool = False) -> int:
    """After how many a job is stopped, at a push or in the weekly run of all tests."""
    limit = job["timeout-minutes"]
    if isinstance(limit, int):
        return limit
    either = re.fullmatch(r"\$\{\{ github.event_name == 'schedule' && (\d+) \|\| (\d+) \}\}", limit)
    assert either, limit
    return int(either[1 if weekly else 2])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_make_and_may_do_little(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert minutes(job) <= 90
        assert minutes(job, weekly=True) <= 180
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
            elif step["run"].startswith("make "):
                assert set(step["run"].split()[1:]) <= targets
            else:
                assert step["run"] in ("command -v chromium", ".ci/publish-notebooks")


def test_tests_run_on_each_push_and_publish_on_main_only() -> None:
    workflow = yaml.safe_load(read(".github/workflows/book.yml"))
    triggers = workflow[True]  # YAML reads the key `on` as a truth value
    (once_a_week,) = triggers.pop("schedule")
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", once_a_week["cron"])
    assert triggers == {"push": {"branches-ignore": [BRANCH]}, "pull_request": None}
    jobs = workflow["jobs"]
    writing = {name for name, job in jobs.items() if "permissions" in job}
    assert writing == {"pages", "notebooks"}
    for name in writing:
        assert jobs[name]["needs"] == "test"
        assert "github.ref == 'refs/heads/main'" in jobs[name]["if"]
        assert "github.event_name == 'push'" in jobs[name]["if"]
    runs = [step.get("run") for step in jobs["test"]["steps"]]
    assert "make book" in runs
    assert "make test" in runs
    minimum = re.search(r'requires-python = ">=([\d.]+)"', read("pyproject.toml"))
    assert minimum
    assert jobs["test"]["strategy"]["matrix"]["python"][0] == minimum[1]


def test_turns_are_counted_at_a_push_and_all_tests_run_once_a_week() -> None:
    workflow = yaml.safe_load(read(".github/workflows/book.yml"))
    job = workflow["jobs"]["test"]
    assert job["env"]["MEDPRIV_TURNS"] == "${{ github.event_name == 'schedule' && '0' || '' }}"
    (checkout,) = (step for step in job["steps"] if "checkout" in step.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0  # all commits
    # A run that waits is dropped when a newer one of its group comes: a push must not be.
    assert "github.event_name" in workflow["concurrency"]["group"]
    assert "missing+=(git)" in read(".ci/run")


def test_the_devcontainer_calls_make() -> None:
    lines = read(".devcontainer/devcontainer.json").splitlines()
    settings = json.loads("\n".join(line for line in lines if not line.strip().startswith("//")))
    assert settings["postCreateCommand"].endswith("&& make lint")
    assert "chromium" in settings["postCreateCommand"]
    assert settings["image"].endswith(":3.11")


def test_scripts_can_be_executed() -> None:
    for name in (".ci/run", ".ci/publish-notebooks", "binder/postBuild"):
        assert (ROOT / name).stat().st_mode & 0o111, name


# --- Launch buttons -------------------------------------------------------------------------------


@pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="run make book first")
def test_launch_buttons_open_the_notebooks_and_plain_pages_have_none() -> None:
    repository = read_config(ROOT).repository.removeprefix("https://github.com/")
    hosts = ("https://mybinder.org", "https://colab.research.google.com")
    for page in toc_pages(ROOT / "_toc.yml"):
        soup = BeautifulSoup((HTML / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        links = {a["href"] for a in soup.select("a[href]") if a["href"].startswith(hosts)}
        if page.removeprefix("chapters/") not in CHAPTERS:
            assert not links, page
            continue
        assert links == {
            f"{hosts[0]}/v2/gh/{repository}/{BRANCH}?urlpath=lab/tree/{page}.ipynb",
            f"{hosts[1]}/github/{repository}/blob/{BRANCH}/{page}.ipynb",
        }
