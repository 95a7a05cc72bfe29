"""A repository with one tiny chapter, and a tiny encoder of reports."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from transformers import BertConfig, BertModel, BertTokenizerFast

from medpriv.course.catalog import ChapterSpec
from medpriv.course.results import versions
from medpriv.data.sources.synthetic_reports import make_reports
from medpriv.data.text import normalise_text
from medpriv.runtime.seeds import seeded

ROOT = Path(__file__).resolve().parents[1]
SPEC = ChapterSpec("99-tiny", "Tiny", ("images",), {"phantom": (0, 1), "mias": (0,)})

HEADER = """\
---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""

PARAMETERS = """
```{code-cell} ipython3
:tags: [parameters]

profile = "quick"
dataset = "phantom"
seed = 0
device = "cpu"
```
"""

# Reports by hand what medpriv.course.record would: a kernel without torch starts four times faster.
REPORT = f"""
```{{code-cell}} ipython3
import json
import os
from pathlib import Path

parameters = {{"profile": profile, "dataset": dataset, "seed": seed, "device": device}}
results = {{"parameters": parameters, "seconds": 1.0, "peak_mb": 2.0, "claims": [], "figures": []}}
results["versions"] = {versions()}
Path(os.environ["MEDPRIV_RESULTS"]).write_text(json.dumps(results))
```
"""

# A chapter that measures a figure and shows another.
MEASURES = """
Before, see {numref}`plot`.

```{code-cell} ipython3
from myst_nb import glue

glue("gain", "0.42", display=False)
```

The gain is {glue:text}`gain`.

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: A line, by {cite:t}`Key`.
    name: plot
---
1 + 1
```

**How to read this.** So.
"""


def code(source: str) -> str:
    """A code cell of a text notebook."""
    return f"\n```{{code-cell}} ipython3\n{source}\n```\n"


@dataclass(frozen=True)
class Tiny:
    """A repository with one tiny chapter, ``99-tiny``, that the package takes for its own."""

    root: Path
    name: str = "99-tiny"

    @property
    def file(self) -> Path:
        return self.root / "chapters" / f"{self.name}.md"

    def write(self, *cells: str, header: str = HEADER, report: str = REPORT) -> None:
        """Write the chapter: a title, the parameters, these cells, and the report."""
        text = f"{header}\n# Tiny\n{PARAMETERS}{''.join(cells)}{report}"
        self.file.write_text(text, encoding="utf-8")


def make_tiny(root: Path) -> Tiny:
    """Write a tiny book with this book's configuration."""
    (root / "chapters").mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", root)
    (root / "requirements.txt").write_text("numpy\n")
    (root / "references.bib").write_text("@misc{Key, author={A. Name}, title={T}, year={2020}}\n")
    (root / "chapters" / "welcome.md").write_text("# Welcome\n\nHello.\n")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/welcome\nchapters:\n  - file: chapters/99-tiny\n"
    )
    tiny = Tiny(root)
    tiny.write()
    return tiny


def make_encoder(folder: Path) -> Path:
    """A transformer of two layers and 32 dimensions that nobody has trained, as a folder."""
    words = {word for text in make_reports(200)["text"] for word in normalise_text(text).split()}
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,:;()-", *sorted(words)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(vocabulary), intermediate_size=64, **sizes)
    with seeded(0, "encoder"):
        BertModel(config).save_pretrained(folder)
    return folder
