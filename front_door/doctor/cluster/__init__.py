"""Checks of the Kubernetes cluster of a stack: what a run needs there."""
