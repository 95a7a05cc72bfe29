"""The two tests that most modules of exercises share take their cases from the module."""

from __future__ import annotations

import pytest

import answering

_CASES = {
    answering.test_right_answers: (("name", "answer"), "RIGHT"),
    answering.test_wrong_answers: (("name", "answer", "told"), "WRONG"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each case of the module's list is a test."""
    if metafunc.function in _CASES:
        names, cases = _CASES[metafunc.function]
        metafunc.parametrize(names, getattr(metafunc.module, cases))
