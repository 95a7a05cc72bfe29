"""Attacks that read what stands, or stood, in a report."""
