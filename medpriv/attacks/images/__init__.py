"""Attacks that give back an image."""
