"""MyST to plain Markdown: each directive and role that a chapter may use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tools.citations import Bibliography
from build_tools.myst import numbered
from build_tools.plain import MarkupError, Piece, Surroundings, pieces, plain

BIB = """
@article{one, author={Ada {van Dyke}}, title={On Leaks}, journal={J}, year={2001}, doi={10.1/a}}
@misc{two, author={Bo, A. and Cy, B.}, title={Two}, year={2002}, url={https://example.org/two}}
@misc{three, author={Dee, A. and Eve, B. and Fay, C.}, title={Three}, year={2003}}
@misc{board, author={{European Board}}, title={Opinion}, year={2024}}
"""


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    (tmp_path / "references.bib").write_text(BIB)
    return Surroundings(
        site="https://site",
        page="99-tiny",
        bibliography=Bibliography(tmp_path / "references.bib"),
        numbers={"fig-a": "Fig. 3", "eq-a": "(2)", "ex-a": "Exercise 4", "def-a": "Definition 1"},
        counts=Counter(),
        value={"auc": "*0.91*"}.__getitem__,
    )


# --- Roles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("is {glue:text}`auc`.", "is *0.91*."),
        ("{numref}`fig-a`, {eq}`eq-a`", "Fig. 3, (2)"),
        ("{numref}`Figure %s <fig-a>`", "Figure 3"),
        ("{ref}`ex-a` and {prf:ref}`def-a`", "Exercise 4 and Definition 1"),
        ("{term}`ROC curve`", "[ROC curve](https://site/chapters/glossary.html#term-ROC-curve)"),
        ("{term}`a view <view>`", "[a view](https://site/chapters/glossary.html#term-view)"),
        ("{class}`View <m.d.View>`", "[`View`](https://site/chapters/api.html#m.d.View)"),
        ("{func}`~m.d.deploy`", "[`deploy`](https://site/chapters/api.html#m.d.deploy)"),
        ("[here](06-x) [there](a.md#b)",
         "[here](https://site/chapters/06-x.html) [there](https://site/chapters/a.html#b)"),
        ("[above](#top)", "[above](https://site/chapters/99-tiny.html#top)"),
        ("![x](images/a.svg)", "![x](https://site/_images/a.svg)"),
        ("[out](https://example.org/a)", "[out](https://example.org/a)"),
        ("the code `{term}` and `` {eq}`x` `` and `f[0](x)`",
         "the code `{term}` and `` {eq}`x` `` and `f[0](x)`"),
    ],
)  # fmt: skip
def test_roles_and_links(around: Surroundings, text: str, wanted: str) -> None:
    assert plain(text, around) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{cite:t}`one`", "[van Dyke (2001)](https://doi.org/10.1/a)"),
        ("{cite:p}`two`", "([Bo and Cy, 2002](https://example.org/two))"),
        ("{cite:t}`three`", "Dee et al. (2003)"),
        ("{cite}`board,three`", "(European Board, 2024; Dee et al., 2003)"),
    ],
)
def test_citations(around: Surroundings, text: str, wanted: str) -> None:
    assert plain(text, around) == wanted


def test_the_references_are_those_that_were_cited(around: Surroundings) -> None:
    text = "{cite:p}`two,one` {cite:t}`two`\n\n```{bibliography}\n:filter: docname in docnames\n```"
    lines = plain(text, around).split("\n")
    assert "**References**" in lines
    entries = [line for line in lines if line.startswith("- ")]
    assert [entry.split(".")[0] for entry in entries] == ["- A\\", "- Ada van Dyke\\"]
    assert "https://doi.org/10.1/a" in entries[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{kbd}`x`", "role {kbd}"),
        ("{numref}`fig-b`", "fig-b"),
        ("{cite:t}`nobody`", "nobody"),
        ("```{mermaid}\nx\n```", "directive {mermaid}"),
        (":::{admonition} A\n{kbd}`x`\n:::", "role {kbd}"),
    ],
)
def test_what_has_no_plain_form_is_an_error(around: Surroundings, text: str, reason: str) -> None:
    with pytest.raises(MarkupError, match=reason):
        plain(text, around)


# --- Directives -----------------------------------------------------------------------------------


def test_an_admonition_becomes_a_quotation(around: Surroundings) -> None:
    table = "| a |\n|---|\n| 1 |"
    text = f":::{{admonition}} The `x` box\n:class: tip\n\nFirst {{term}}`view`.\n\n{table}\n:::"
    assert plain(text, around) == (
        "> **The `x` box**\n>\n"
        "> First [view](https://site/chapters/glossary.html#term-view).\n>\n"
        "> | a |\n> |---|\n> | 1 |"
    )
    assert plain(":::{note}\nA.\n:::", around) == "> **Note**\n>\n> A."
    assert plain(":::{warning} Hot\n:::", around) == "> **Warning**\n>\n> Hot"


def test_mathematics_in_a_quotation_is_on_one_line(around: Surroundings) -> None:
    text = ":::{prf:definition} Gain\n:label: def-gain\n\nIt is\n\n$$\na\n= b\n$$\n:::"
    shown = plain(text, around)
    assert shown == "> **Definition 1** (Gain).\n>\n> It is\n>\n> $$ a = b $$"


def test_a_dropdown_becomes_a_fold(around: Surroundings) -> None:
    text = ":::{dropdown} First `hint` <1>\nUse {term}`view`.\n\n```python\nx = 1\n```\n:::"
    fold = plain(text, around)
    assert fold.startswith(
        "<details>\n<summary>First <code>hint</code> &lt;1&gt;</summary>\n\nUse [view]"
    )
    assert fold.endswith("```python\nx = 1\n```\n\n</details>")
    assert plain(":::{admonition} A\n:class: dropdown\nB\n:::", around).startswith("<details>")


def test_directives_nest(around: Surroundings) -> None:
    text = "::::{admonition} Outer\n:::{note}\nInner.\n:::\nAfter.\n::::\nEnd."
    assert (
        plain(text, around) == "> **Outer**\n>\n> > **Note**\n> >\n> > Inner.\n>\n> After.\n\nEnd."
    )


def test_code_is_left_alone(around: Surroundings) -> None:
    text = "```python\n:::{note}\n{term}`x` $$ a $$ (b)\n% c\n```"
    assert plain(text, around) == text


def test_equations_are_numbered_where_they_have_a_label(around: Surroundings) -> None:
    around.counts["equation"] = 1
    text = "$$\nx\n$$\n\nand\n\n$$\ny\n$$ (eq-y)\n\n```{math}\n:label: eq-z\nz\n```"
    assert plain(text, around) == ("$$\nx\n$$\n\nand\n\n$$\ny \\tag{2}\n$$\n\n$$\nz \\tag{3}\n$$")
    assert list(numbered(text)) == [("equation", "eq-y"), ("equation", "eq-z")]


def test_definition_lists_become_lists(around: Surroundings) -> None:
    text = "{cite:t}`three`\n: The attack.\n\n`seed`\n: Decides."
    assert plain(text, around) == "- **Dee et al. (2003)**: The attack.\n\n- **`seed`**: Decides."


def test_tables_keep_their_rows_and_lose_their_class(around: Surroundings) -> None:
    table = "| a | b |\n|---|---|\n| {term}`view` | $x$ |"
    assert plain("{.headless}\n" + table, around) == table.replace(
        "{term}`view`", "[view](https://site/chapters/glossary.html#term-view)"
    )
    captioned = "```{table} Two\n:name: tab-a\n\n| a |\n|---|\n| 1 |\n```"
    assert plain(captioned, around) == "**Table 1.** Two\n\n| a |\n|---|\n| 1 |"
    assert list(numbered(captioned)) == [("table", "tab-a")]


def test_what_nobody_sees_is_left_out(around: Surroundings) -> None:
    assert plain("% a comment\n(target)=\n## Head\n\n+++\n\nText.", around) == "## Head\n\n\nText."


EXERCISE = """Before.

```{exercise-start} Double
:label: ex-double
```

Write it.

```{exercise-end}
```

```{solution-start} ex-double
:class: dropdown
```

Twice.

```{solution-end}
```

## After"""


def test_a_solution_becomes_a_folded_section(around: Surroundings) -> None:
    before, heading, inside, after = pieces(EXERCISE, around)
    assert before == Piece("Before.\n\n### Exercise 1: Double\n\nWrite it.")
    assert heading.folded
    assert heading.text.startswith("#### Solution")
    assert inside == Piece("Twice.", closed=True)
    assert after == Piece("## After")
    assert list(numbered(EXERCISE)) == [("exercise", "ex-double")]


def test_each_kind_is_counted_by_itself() -> None:
    text = (
        ":::{prf:theorem} T\n:label: t\n:::\n:::{prf:definition} D\n:nonumber:\n:::\n"
        "```{figure} x.png\n:name: f\nA caption\n```\n```{figure} y.png\n```\n"
        "::::{admonition} A\n:::{prf:definition} E\n:label: e\n:::\n::::"
    )
    assert list(numbered(text)) == [("theorem", "t"), ("figure", "f"), ("definition", "e")]


@given(st.text(alphabet="abc .,\n-*_#|$<>[]()", max_size=80))
def test_text_without_markup_stays_as_it_is(text: str) -> None:
    # No bibliography is needed where nothing is cited.
    bare = Surroundings("https://site", "p", None, {}, Counter(), str)  # type: ignore[arg-type]
    if "](" in text or ")=" in text or "$$" in text:
        return  # a link, a target, or mathematics
    assert plain(text, bare) == text.strip("\n")
