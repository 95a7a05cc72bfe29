"""What chapters need and code does not: results, claims, checks, figures, quizzes, costs."""

from medpriv.course.cards import cost_card
from medpriv.course.checks import check
from medpriv.course.explorers import Explorer, Shown, defense_explorer, film
from medpriv.course.figures import gallery, side_by_side, strip
from medpriv.course.look_up import look_up
from medpriv.course.quiz import quiz
from medpriv.course.record import start
from medpriv.course.recorded_tables import recorded
from medpriv.course.shares import share

__all__ = [
    "Explorer",
    "Shown",
    "check",
    "cost_card",
    "defense_explorer",
    "film",
    "gallery",
    "look_up",
    "quiz",
    "recorded",
    "share",
    "side_by_side",
    "start",
    "strip",
]
