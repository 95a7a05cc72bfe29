"""Was this patient's row in the training data? From the scores that a model gives about it.

- Loss threshold (Yeom et al. 2018, CSF): a member's loss tends to be lower.
- Shadow models (Shokri et al. 2017, S&P): the attacker trains models like the target on his own
  data, knows who was in each, and learns to tell the two from their scores.
- LiRA (Carlini et al. 2022, S&P): what models say of this very row that never saw it (offline), and
  that had it (online); phi is normal, with a mean of each row's own.
- RMIA (Zarifzadeh et al. 2024, ICML, arXiv 2312.03262): the probability of the true class over its
  mean by such models, p(x|θ) / p(x), compared with that of other rows.
- BaVarIA (Brännvall 2026, arXiv 2603.11799): LiRA in which a row's mean and variance are drawn
  towards those of all rows, the more the fewer models there are.

All of them score rows, the larger the more like a member, and offline one-sided: a row that is
scored unusually *badly* is no member. Their scale is phi = log p_y - log of the sum of the other
p_c, which is nearly normal where losses are not.
"""

from medpriv.attacks.membership.bavaria import bavaria, bavaria_online
from medpriv.attacks.membership.ratios import (
    lira,
    lira_online,
    of_patients,
    probability_ratio,
    probability_ratio_online,
    rmia,
    yeom,
)
from medpriv.attacks.membership.scores import (
    best_threshold,
    loss_attack,
    losses,
    middle_threshold,
    true_margin,
)
from medpriv.attacks.membership.shadow_models import (
    Shadows,
    bavaria_attack,
    lira_attack,
    rmia_attack,
    shadow_attack,
    train_shadows,
)

__all__ = [
    "Shadows",
    "bavaria",
    "bavaria_attack",
    "bavaria_online",
    "best_threshold",
    "lira",
    "lira_attack",
    "lira_online",
    "loss_attack",
    "losses",
    "middle_threshold",
    "of_patients",
    "probability_ratio",
    "probability_ratio_online",
    "rmia",
    "rmia_attack",
    "shadow_attack",
    "train_shadows",
    "true_margin",
    "yeom",
]
