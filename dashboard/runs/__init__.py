"""Runs that the dashboard starts and follows."""
