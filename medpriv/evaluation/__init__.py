"""Attack × defense × seed → one tidy table."""

from medpriv.evaluation.cases import Attack, Case
from medpriv.evaluation.defended import NOTHING, Defended
from medpriv.evaluation.front import on_front
from medpriv.evaluation.grid import compare, pairs
from medpriv.evaluation.registry import (
    known_attacks,
    known_defenses,
    named_attack,
    named_defense,
)
from medpriv.evaluation.targets import plain_target, trained
from medpriv.evaluation.usefulness import usefulness

__all__ = [
    "NOTHING",
    "Attack",
    "Case",
    "Defended",
    "compare",
    "known_attacks",
    "known_defenses",
    "named_attack",
    "named_defense",
    "on_front",
    "pairs",
    "plain_target",
    "trained",
    "usefulness",
]
