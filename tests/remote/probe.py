"""Whether dockerd starts here: it needs rights that a container may lack. `python -m tests.remote.probe`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.remote.engines import docker_engine


def main() -> None:
    """Start dockerd and stop it; raise what the test bed would fail with."""
    directory = Path(tempfile.mkdtemp(prefix="review-sentiment-probe-"))
    docker = docker_engine(directory, directory / "images", "127.0.0.1:1")
    try:
        docker.start()
    finally:
        docker.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print("dockerd starts here")


if __name__ == "__main__":
    main()
