"""What a chapter costs to run, as measured."""

from __future__ import annotations

from IPython.display import Markdown

from medpriv.course.grids import recorded


def cost_card(chapter: str) -> Markdown:
    """One line with a chapter's recorded time, memory and machine, for its first page.

    Raises:
        ValueError: no cost is recorded for the chapter; ``make grids`` records it.
    """
    costs = recorded("costs").set_index("chapter")
    if chapter not in costs.index:
        raise ValueError(f"no recorded cost for {chapter!r}; run `make grids` to measure it")
    cost = costs.loc[chapter]
    return Markdown(
        f"**Cost to run** (profile `{cost.profile}`, empty cache): about {cost.seconds:.0f} s and "
        f"{cost.peak_mb / 1024:.1f} GiB of memory, measured on {cost.machine}."
    )
