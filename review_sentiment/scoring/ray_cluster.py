"""A connection to Ray: a cluster at an address, or one on this machine for the time of a block."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

from review_sentiment.errors import ReviewSentimentError, UsageError, first_line

INSTALL = "pip install --constraint constraints.txt '.[ray]'"
CONNECT_SECONDS = 5
OBJECT_STORE_BYTES = 200 * 2**20
"""Of a cluster on this machine. A chunk of 1,000 reviews is below 1 MB, and few are on their way."""


def require_ray(address: str | None) -> None:
    """Check that Ray is installed and that something answers at the address, if there is one.

    Raises:
        UsageError: one of these is not so.
    """
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise UsageError(f"--engine ray needs the package ray. Install it: {INSTALL}")
    if address is None:
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("", "ray") or host is None or port is None:
        raise UsageError(f"--address {address}: write ray://HOST:PORT (Ray's client port, usually 10001).")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"--address {address}: Ray cannot be reached ({error.strerror or error}). Check the address, and "
            "that the cluster runs (`ray status`) with its client server on that port."
        ) from error


@contextmanager
def connected(address: str | None) -> Iterator[list[Mapping[str, float]]]:
    """Connect to a cluster, which gets this code, or start one on this machine, on loopback only.

    Yields the resources of its nodes, such as `CPU` and `GPU`.

    Raises:
        UsageError: the cluster refuses the connection.
        ReviewSentimentError: Ray does not start on this machine.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        # Ray would write a token to the home directory, and replace 127.0.0.1 by the machine's address.
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"})
        os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))  # Ray reads it once in a process
        # Ray's 15 would get almost no time beside other processes; the local engine runs at 0.
        os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    options = {"logging_level": "WARNING", "log_to_driver": False}
    try:
        if address is None:
            ray.init(
                _node_ip_address="127.0.0.1",
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **options,
            )
        else:
            package = Path(__file__).resolve().parents[1]
            ray.init(address, runtime_env={"py_modules": [str(package)]}, **options)
    except Exception as error:  # Ray raises any kind
        ray.shutdown()
        if address is None:
            raise ReviewSentimentError(
                f"Ray does not start on this machine: {first_line(error)} It waits 30 s. Run again when less "
                "is running."
            ) from error
        raise UsageError(
            f"--address {address}: Ray refuses the connection: {first_line(error)}. The cluster needs the "
            f"same versions of Ray and Python as this machine ({ray.__version__})."
        ) from error
    try:
        yield [node["Resources"] for node in ray.nodes() if node["Alive"]]
    finally:
        ray.shutdown()
