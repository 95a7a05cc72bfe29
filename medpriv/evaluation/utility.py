"""What a defended system is still good for: the utility of what an honest client gets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Part
from medpriv.deployment import View
from medpriv.evaluation.attacks import Case
from medpriv.evaluation.defenses import Defended
from medpriv.models.probes import fit_probes
from medpriv.runtime.device import to_device
from medpriv.training.utility_scores import Utility, predict, utility_of

_PROBED = 600  # members whose answers a client learns to read, at most


def usefulness(
    model: nn.Module, defended: Defended, case: Case, expose: str, split: str | None
) -> Utility:
    """The utility of defended answers on the test part.

    Of labels and scores, those that the client gets. Of features, what the rest of the network
    makes of them. Of embeddings, and of features of reports, whose rest cannot be had, what a
    linear probe makes of them that a client fits through the view, on members.

    Args:
        model: the target, as the defense trained it.
        defended: how it is deployed.
        case: whose test part.
        expose: what the system exposes; of weights, what it answers beside them counts.
        split: where it is cut.
    """
    test, classes = case.cohort.test, len(case.cohort.classes)
    cut = split is not None and expose in ("features", "back", "weights")
    if expose == "embedding" or (cut and case.cohort.modality == "reports"):
        scores = _probed(defended.deploy(model, case, expose, split), case)
    elif cut:
        view = defended.deploy(model, case, "back", split)
        rest = view.back()
        features = to_device(view(test.x), next(rest.parameters()).device)
        scores = predict(rest, features).softmax(1)
    else:
        scores = defended.deploy(model, case, expose, None)(test.x)
        if scores.dtype == torch.int64:
            scores = F.one_hot(scores, classes).float()
    return utility_of(scores, test, seed=case.seed)


def _probed(view: View, case: Case) -> Tensor:
    known, test = case.cohort.members.take(slice(_PROBED)), case.cohort.test
    truth = F.one_hot(known.y, len(case.cohort.classes)).bool()
    reader = fit_probes(_rows(view, known), truth, patient=known.patient)
    return reader.guess(_rows(view, test))


def _rows(view: View, part: Part) -> Tensor:
    """``(n, d)``; of tokens their mean."""
    answers = view(part.x)
    if answers.ndim == 2:
        return answers
    there = (answers.abs().sum(2, keepdim=True) > 0).sum(1).clamp(min=1)
    return answers.sum(1) / there
