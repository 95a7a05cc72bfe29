"""Changing each answer of a view on its way out."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from medpriv.deployment import ViewDefense
from medpriv.deployment.view import Answer

Change = Callable[[Tensor], Tensor]


def on_answers(
    name: str, begin: Callable[[], Change], fits: Callable[[Tensor], bool], what: str, expose: str
) -> ViewDefense:
    """A defense that changes each answer, and refuses those of another kind.

    Args:
        name: of the defense.
        begin: gives the change, anew for each service: its random stream begins there.
        fits: whether an answer is of the kind that can be changed.
        what: this kind, for the message.
        expose: how to deploy for it, for the message.
    """

    def wrap(answer: Answer) -> Answer:
        change = begin()

        def respond(x: object) -> Tensor:
            rows = answer(x)
            if not fits(rows):
                raise ValueError(
                    f"{name!r} changes {what}, and this view answers {rows.dtype} of shape "
                    f"{tuple(rows.shape)}; deploy with {expose}"
                )
            return change(rows)

        return respond

    return ViewDefense(name, wrap)


def on_numbers(name: str, begin: Callable[[], Change]) -> ViewDefense:
    """A defense that changes numbers of any kind, but not labels."""
    what = "features, embeddings or scores"
    return on_answers(name, begin, Tensor.is_floating_point, what, "another expose")
