"""Which base model, on which device, with which LoRA layers."""
