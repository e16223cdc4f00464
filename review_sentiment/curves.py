"""The figures of an optimiser step that training logs as `train/NAME`, and their titles."""

CURVES = {
    "loss": "loss",
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_second": "tokens a second",
    "memory_gb": "memory in use (GB)",
    "gpu_utilisation": "GPU utilisation",
}
