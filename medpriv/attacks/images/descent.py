"""The descent that both forms of class inversion share.

All classes and restarts are rows of one batch; each row has its own best image, and may stop on
its own. A query budget is shared: the descent ends before a step that it does not cover.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medpriv.attacks.images.gradients import WHO, Access, Loss
from medpriv.deployment import QueryBudgetError, View
from medpriv.runtime.device import to_device
from medpriv.runtime.progress import progress

Images = Callable[[Tensor], Tensor]  # (n, c, h, w) → (n, c, h, w)
Prior = Callable[[Tensor], Tensor]  # (n, c, h, w) → (n,), differentiable


@dataclass(frozen=True)
class Form:
    """What the two forms do differently; what is left out changes nothing and never stops.

    Attributes:
        loss: what the model has to say about an image; the attacker sees it only through access.
        extra: what the attacker adds to it, of his own.
        optimizer: of the values.
        paint: values → images.
        move: images and number of the step → the images whose gradient is taken; None where they
            are the images themselves, so that cost and gradient may come from one pass.
        process: values → values, after each step.
        stop: all costs so far → which rows are done.
    """

    loss: Loss
    extra: Prior
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]
    paint: Images = lambda values: values
    move: Callable[[Tensor, int], Tensor] | None = None
    process: Images = lambda values: values
    stop: Callable[[list[Tensor]], Tensor] = lambda costs: torch.zeros_like(costs[-1]).bool()


def descend(
    view: View, access: Access, labels: Tensor, starts: Tensor, form: Form, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Descend from each start, and keep the best restart of each class.

    Args:
        view: whose query budget counts.
        access: to that view.
        labels: ``(k,)`` int64, on the CPU.
        starts: ``(r, k, c, h, w)``, values of r restarts.
        form: what is minimised, and how.
        steps: at most so many.

    Returns:
        For each class the image of least cost, ``(k, c, h, w)``; all costs, ``(t, k)``, NaN once
        it has stopped; and how many steps it took, ``(k,)``.

    Raises:
        QueryBudgetError: the budget does not cover one step and a last answer for each class.
        ValueError: a class is none of the model's.
        FloatingPointError: a cost is not finite.
    """
    restarts, k = starts.shape[:2]
    row_price = access.gradient_price + access.look_price

    def covers(rows: int) -> bool:  # one more step of so many rows, and the last question
        return rows * row_price + k <= view.left

    least = restarts * k * (row_price + access.look_price) + k
    if least > view.left:
        raise QueryBudgetError(
            f"{WHO} needs at least {least} queries here, for one step and a last answer for each "
            f"class; {view.left} of {view.query_budget} are left. Take fewer classes, restarts "
            "or directions, or deploy with a larger query_budget"
        )
    images, costs, least, taken = _descend(
        access, starts.flatten(0, 1), labels.repeat(restarts), form, steps, covers
    )
    kept = least.view(restarts, k).argmin(0) * k + torch.arange(k)
    return images[kept].contiguous(), costs[:, kept], taken[kept]


def _descend(
    access: Access,
    start: Tensor,
    labels: Tensor,
    form: Form,
    steps: int,
    covers: Callable[[int], bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each row the best image, all costs, the least of them, and the number of steps."""
    labels = labels.to(access.device)
    values = to_device(start, access.device).clone().requires_grad_()
    optimizer = form.optimizer([values])
    alive, taken = torch.ones_like(labels).bool(), torch.zeros_like(labels)
    best, least = torch.zeros_like(values), torch.full_like(labels, torch.inf, dtype=values.dtype)
    costs: list[Tensor] = []
    for step in progress(range(steps + 1), WHO, unit="step"):
        image, asked = form.paint(values), alive
        extra = form.extra(image)  # TV and prior are the attacker's own: they ask nothing
        here = (form.loss, image.detach()[asked], labels[asked])
        at_once = access.both is not None and form.move is None and step < steps
        losses, slope = access.both(*here) if at_once else (access.look(*here), None)
        costs.append(_over_all_rows(losses + extra.detach()[asked], asked, step))
        better = costs[-1] < least  # never where a row has stopped: there it is NaN
        best[better], least[better] = image.detach()[better], costs[-1][better]
        alive = asked & ~form.stop(costs)
        if step == steps or not alive.any() or not covers(int(alive.sum())):
            break
        seen = (form.move(image, step) if form.move else image)[alive]
        if slope is None:
            slope = access.gradient(form.loss, seen.detach(), labels[alive], step)
        else:
            slope = slope[alive[asked]]
        optimizer.zero_grad()
        # Its gradient is that of the cost, through shift and sigmoid.
        ((seen * slope).sum() + extra[alive].sum()).backward()
        optimizer.step()
        taken += alive
        with torch.no_grad():
            values[alive] = form.process(values[alive])
    return best.cpu(), torch.stack(costs).cpu(), least.cpu(), taken.cpu()


def _over_all_rows(costs: Tensor, asked: Tensor, step: int) -> Tensor:
    """The costs of the rows that were asked about, NaN for the others: ``(n,)``."""
    if not costs.isfinite().all():
        raise FloatingPointError(
            f"{WHO}: the cost is not finite after step {step}; lower the learning rate, or check "
            "the prior"
        )
    return costs.new_full(asked.shape, torch.nan).masked_scatter(asked, costs)
