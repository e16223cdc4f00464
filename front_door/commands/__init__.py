"""The commands, in modules by topic."""
