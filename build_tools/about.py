"""What the book says about itself: title, authors, addresses, and texts with places for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import yaml

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Book:
    """What every notebook says about the book: see ``_config.yml``."""

    title: str
    authors: str
    repository: str
    site: str


def read_config(root: Path) -> Book:
    """The book's title and addresses.

    Where GitHub publishes a repository's pages follows from the repository's address.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    repository = config["repository"]["url"].rstrip("/")
    owner, name = urlsplit(repository).path.strip("/").split("/")
    site = f"https://{owner}.github.io/{name}"
    return Book(config["title"], config["author"], repository, site)


def filled(template: str, **values: str) -> str:
    """A text of ``templates/`` with its ``$places`` filled."""
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
