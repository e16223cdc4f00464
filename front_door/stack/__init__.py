"""Stacks as files, registered and used."""
