"""Ceilings: the most that any attacker can reach, whatever he knows, computes or will invent.

An attack that fails proves nothing, since a better one may come. Of some defenses the best attack
can be computed, and of some it can be bounded:

- :mod:`medpriv.bounds.coins`: labels told by randomised response, q answers; exact.
- :mod:`medpriv.bounds.ball`: features in a ball with normal noise, q answers; and what such a
  system can be good for at most.
- :mod:`medpriv.bounds.gallery`: the same against named candidates; exact, by Monte Carlo.
- :mod:`medpriv.bounds.dp_sgd`: what a model trained with DP-SGD tells of one training row.
- :mod:`medpriv.bounds.power`: what a curve of power says of guessing, of membership, of groups.
- :mod:`medpriv.bounds.unbiased`: Cramér and Rao's bound, for unbiased attackers only: no ceiling.
- :mod:`medpriv.bounds.auditing`: whether a service keeps what is proved of it.

The first three speak to the person whose input is *answered*, the fourth to the one whose row
*trained* the model; neither says anything to the other. Nothing is proved of noise on parameters,
rounding, NoPeek, learned noise or adversarial training.
"""

from medpriv.bounds import auditing, ball, coins, dp_sgd, gallery, power, unbiased

__all__ = ["auditing", "ball", "coins", "dp_sgd", "gallery", "power", "unbiased"]
