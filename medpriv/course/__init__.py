"""What chapters need and code does not: results, claims, checks, figures, quizzes, costs."""

from experiments.ch02 import look_up
from medpriv.course.cards import cost_card
from medpriv.course.checks import check
from medpriv.course.defense_explorer import DefenseExplorer, Shown
from medpriv.course.explorer import Explorer
from medpriv.course.figures import gallery, strip
from medpriv.course.film import Film
from medpriv.course.quiz import quiz
from medpriv.course.record import start
from medpriv.course.recorded_tables import recorded
from medpriv.course.side_by_side import side_by_side

__all__ = [
    "DefenseExplorer",
    "Explorer",
    "Film",
    "Shown",
    "check",
    "cost_card",
    "gallery",
    "look_up",
    "quiz",
    "recorded",
    "side_by_side",
    "start",
    "strip",
]
