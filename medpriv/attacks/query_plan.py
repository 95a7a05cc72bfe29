"""How many queries an attack may plan with."""

from __future__ import annotations

from medpriv.deployment import View


def planned_queries(view: View, own: int, queries: int | None, *, usual: int, what: str) -> int:
    """How many inputs to send in all, the attacker's own among them: his wish, if he has one.

    Without one it is ``usual``, or less where the view's budget is less.

    Raises:
        ValueError: the wish does not cover the attacker's own inputs.
    """
    if queries is None:
        return max(own, int(min(usual, view.left)))
    if queries < own:
        raise ValueError(
            f"queries={queries} does not cover the {own} {what}; give fewer, or allow a query for "
            "each"
        )
    return queries
