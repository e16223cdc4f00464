"""ZenML flavours of ours."""
