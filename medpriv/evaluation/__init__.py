"""Attack × defense × seed → one tidy table."""

from medpriv.evaluation.attacks import Case
from medpriv.evaluation.comparison import compare, pairs
from medpriv.evaluation.defenses import NOTHING
from medpriv.evaluation.membership import members_and_others, trained_on_few
from medpriv.evaluation.privacy_utility_front import on_front
from medpriv.evaluation.registry import known_attacks, known_defenses, named_attack, named_defense
from medpriv.evaluation.targets import trained
from medpriv.evaluation.utility import usefulness

__all__ = [
    "NOTHING",
    "Case",
    "compare",
    "known_attacks",
    "known_defenses",
    "members_and_others",
    "named_attack",
    "named_defense",
    "on_front",
    "pairs",
    "trained",
    "trained_on_few",
    "usefulness",
]
