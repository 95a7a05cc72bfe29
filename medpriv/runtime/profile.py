"""The sizes of a run."""

from __future__ import annotations

from medpriv.runtime.arguments import choose

#: The sizes of a run. ``smoke`` proves in seconds that it runs, ``quick`` is what the book shows,
#: ``full`` takes the sizes of the papers.
PROFILES = ("smoke", "quick", "full")


def check_profile(profile: str) -> str:
    """Return ``profile`` if it is one of :data:`PROFILES`, else raise ``ValueError``."""
    return choose(profile, PROFILES, "profile")
