"""Stack files, and the ZenML stacks made from them."""
