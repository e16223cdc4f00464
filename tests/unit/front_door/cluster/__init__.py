"""Runs on a cluster: objects of a real API server and kubelet (Kubernetes 1.20), as they were recorded."""
