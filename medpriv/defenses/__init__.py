"""Defenses: a model made safer, a view made safer, or a training recipe."""

from medpriv.defenses.embeddings import projected, rounded

__all__ = ["projected", "rounded"]
