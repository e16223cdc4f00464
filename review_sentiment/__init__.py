"""Fine-tune a language model on customer reviews and prove that it got better.

This package speaks machine learning and knows nothing of ZenML: it can be used
from a notebook, a test or a dashboard as well as from the pipeline's steps.
"""
