"""The Kubernetes cluster of a stack: what a run needs there, its pods and their logs, and how it is stopped."""
