"""A directory for a model's files: ZenML saves them after the step has returned."""

import atexit
import shutil
import tempfile
from pathlib import Path


def directory_until_exit(content: str) -> Path:
    """Return an empty directory that is removed when the process ends."""
    directory = Path(tempfile.mkdtemp(prefix=f"review-sentiment-{content}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
