"""What a chapter costs to run, as measured."""

from __future__ import annotations

from IPython.display import Markdown

from medpriv.course.recorded_tables import recorded


def cost_card(chapter: str) -> Markdown:
    """One line with a chapter's recorded time, memory and machine, or that it was not measured."""
    costs = recorded("costs").set_index("chapter")
    if chapter not in costs.index:
        return Markdown("**Cost to run**: not measured yet; `make grids` measures it.")
    cost = costs.loc[chapter]
    return Markdown(
        f"**Cost to run** (profile `{cost.profile}`, empty cache): about {cost.seconds:.0f} s and "
        f"{cost.peak_mb / 1024:.1f} GiB of memory, measured on {cost.machine}."
    )
