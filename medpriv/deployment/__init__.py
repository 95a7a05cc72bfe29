"""What an attacker can see of a model, and nothing more.

A threat model is one line of code::

    view = deploy(model, expose="features", split="conv4", query_budget=1000)

The attacker holds ``view``. It answers queries, counts them, stops at the budget, and refuses
what it does not expose.
"""

from medpriv.deployment.service import Defense, ModelDefense, QueryDefense, ViewDefense, deploy
from medpriv.deployment.view import EXPOSURES, Answer, QueryBudgetError, ThreatModelError, View

__all__ = [
    "EXPOSURES",
    "Answer",
    "Defense",
    "ModelDefense",
    "QueryBudgetError",
    "QueryDefense",
    "ThreatModelError",
    "View",
    "ViewDefense",
    "deploy",
]
