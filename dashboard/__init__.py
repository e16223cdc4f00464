"""The dashboard: the project's figures and runs for people who would rather look than read."""
