"""Models that are trained on the same reviews as the language model, to compare with or to use."""
