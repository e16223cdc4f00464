"""What the pages ask MLflow and the machine for."""
