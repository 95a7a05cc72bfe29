"""Attacks that guess what a record leaves out."""
