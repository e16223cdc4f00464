"""A loaded model answers reviews."""
