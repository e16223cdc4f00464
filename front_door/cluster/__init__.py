"""A run on Kubernetes, seen from outside: its pods, what they wait for, their logs, and how it is stopped."""
