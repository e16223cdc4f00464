"""What `run_pipeline.py` is made of: stacks, launching, progress, summaries, checks."""
