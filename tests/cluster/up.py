"""A cluster without the services that runs need, to try things: `python -m tests.cluster.up DIRECTORY`.

It prints the address of its configuration and runs until it is interrupted.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from tests.cluster.control_plane import cluster
from tests.cluster.programs import built_programs


def main() -> None:
    """Start the cluster, and stop it on SIGINT or SIGTERM."""
    directory = Path(sys.argv[1]).resolve()
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    with cluster(directory, built_programs(), directory / "images") as running:
        print(f"export KUBECONFIG={running.kubeconfig} DOCKER_HOST={running.docker_host}", flush=True)
        end.wait()


if __name__ == "__main__":
    main()
