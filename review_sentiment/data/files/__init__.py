"""Files of reviews: what a file is, and its rows."""
