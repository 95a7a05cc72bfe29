"""The tests behind the check cells, one module a chapter.

A test takes the reader's answer and passes, raises ``AssertionError`` with a hint that a reader
can act on, or raises :class:`Unsolved` where a function is still its stub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medpriv.course.exercises import (
    attribute_inference,
    comparison,
    label_perturbation,
    model_inversion,
    model_perturbation,
    patient_data,
    report_attributes,
    report_reconstruction,
    representation_defenses,
    stronger_inversion,
    target_models,
    threat_models,
)
from medpriv.course.exercises.base import Unsolved, call

__all__ = ["Unsolved", "call", "find"]

_TESTS: dict[str, Callable[[Any], None]] = {
    **threat_models.TESTS,
    **patient_data.TESTS,
    **target_models.TESTS,
    **attribute_inference.TESTS,
    **report_attributes.TESTS,
    **model_inversion.TESTS,
    **stronger_inversion.TESTS,
    **report_reconstruction.TESTS,
    **label_perturbation.TESTS,
    **model_perturbation.TESTS,
    **representation_defenses.TESTS,
    **comparison.TESTS,
}


def find(name: str) -> Callable[[Any], None]:
    """The test of an exercise.

    Raises:
        ValueError: no such exercise; the message lists those there are.
    """
    if name not in _TESTS:
        raise ValueError(f"unknown exercise {name!r}; known: {', '.join(_TESTS)}")
    return _TESTS[name]
