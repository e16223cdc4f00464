"""Wiring only: which step gets what from which."""
