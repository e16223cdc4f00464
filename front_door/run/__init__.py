"""A pipeline run, from its settings to its summary."""
