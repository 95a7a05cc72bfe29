"""What an attacker can see of a model, and nothing more.

A threat model is one line of code::

    view = deploy(model, expose="features", split="conv4", query_budget=1000)

The attacker holds ``view``. It answers queries, counts them, stops at the budget, and refuses
what it does not expose.
"""

from medpriv.deployment.service import ViewDefense, deploy
from medpriv.deployment.view import QueryBudgetError, ThreatModelError, View

__all__ = ["QueryBudgetError", "ThreatModelError", "View", "ViewDefense", "deploy"]
