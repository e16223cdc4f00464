"""The programs of Kubernetes, built once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

INSTALL = Path(__file__).with_name("install.sh")


def kept_directory() -> Path:
    """Return the directory for what tests build once."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "review-sentiment-tests"


def built_programs() -> Path:
    """Return the directory of the programs; they are built if they are not there, which takes six minutes."""
    programs = kept_directory() / "kubernetes-1.20.2"
    subprocess.run([str(INSTALL), str(programs)], check=True)
    return programs
