"""The recorded sweeps: a module a chapter, a cell and a grid of settings, run by one engine."""
