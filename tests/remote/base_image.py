"""The image that docker/Dockerfile is built on here: Debian's Python, made without a hub.

What this machine's pip needs to reach its index (configuration, certificates, wheels kept
beside it) is in it: for tests only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.remote.engines import run

NAME = "review-sentiment-base:tests"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def make_base_image(docker: str, directory: Path) -> str:
    """Return the image's name; one that is there is used as it is."""
    command = ("docker", "--host", docker)
    if subprocess.run([*command, "image", "inspect", NAME], capture_output=True, check=False).returncode == 0:
        return NAME
    directory.mkdir(parents=True, exist_ok=True)
    root = directory / "root.tar"
    run(
        "mmdebstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates",
        "bookworm", str(root),
    )  # fmt: skip
    run(*command, "import", str(root), f"{NAME}-debian")
    root.unlink()
    context = directory / "context"
    (context / "wheels").mkdir(parents=True, exist_ok=True)
    (context / "pip.conf").write_text(_pip_configuration())
    (context / "certificates.crt").write_bytes(CERTIFICATES.read_bytes())
    for place in os.environ.get("PIP_FIND_LINKS", "").split():
        for wheel in Path(place).glob("*.whl"):
            (context / "wheels" / wheel.name).hardlink_to(wheel)
    (context / "Dockerfile").write_text(
        f"FROM {NAME}-debian\n"
        "COPY pip.conf /etc/pip.conf\n"
        f"COPY certificates.crt {CERTIFICATES}\n"
        "COPY wheels /opt/wheels\n"
        f"ENV SSL_CERT_FILE={CERTIFICATES} PIP_CERT={CERTIFICATES} PIP_FIND_LINKS=/opt/wheels\n"
    )
    run(
        *command, "build", "--network", "host", "--tag", NAME, str(context),
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )  # fmt: skip
    return NAME


def _pip_configuration() -> str:
    """Return what pip is told here, by its files and by the environment."""
    listed = run(sys.executable, "-m", "pip", "config", "list")
    values = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        values[key.rpartition(".")[2]] = value.strip("'")
    kept = ("index-url", "extra-index-url", "trusted-host", "timeout")
    return "[global]\n" + "".join(f"{key} = {values[key]}\n" for key in kept if key in values)
