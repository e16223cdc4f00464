"""What the pages read from MLflow and from this machine."""
