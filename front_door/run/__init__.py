"""A pipeline run, from settings to summary."""
