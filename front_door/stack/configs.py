"""The default configuration of each stack."""

from __future__ import annotations

from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
DEFAULT_STACK = "local"


def default_config(stack: str = DEFAULT_STACK) -> Path:
    """Return the configuration named like the stack, or like its first part (`gpu` for `gpu-local`)."""
    names = (stack, stack.split("-", maxsplit=1)[0], DEFAULT_STACK)
    return next(file for name in names if (file := CONFIGS / f"{name}.yaml").is_file())
