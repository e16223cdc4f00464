"""The test bed: every engine that a remote stack needs, and the environment that leads to them."""

from __future__ import annotations

import base64
import getpass
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3

from operators.ssh_host import CLIENT_LABEL
from tests.ports import free_ports
from tests.remote.base_image import make_base_image
from tests.remote.engines import (
    Login,
    docker_engine,
    mariadb_engine,
    mlflow_engine,
    postgres_engine,
    registry_engine,
    run,
    s3_engine,
    ssh_engine,
    zenml_api_key,
    zenml_engine,
)
from tests.remote.server import Server
from tests.web_server import serving

BUCKETS = ("artifacts", "mlflow")


@dataclass(frozen=True)
class TestBed:
    """Servers by name, the environment of the front door, and what must be seen nowhere."""

    __test__ = False

    servers: dict[str, Server]
    environment: dict[str, str]
    passwords: dict[str, str]

    @property
    def s3(self) -> Any:
        """Return a client of the S3 store."""
        return boto3.client(
            "s3",
            endpoint_url=self.environment["S3_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )

    def docker(self, *arguments: str) -> str:
        """Run a command of Docker's and return its output."""
        return run("docker", "--host", self.environment["DOCKER_HOST"], *arguments)

    def pushed_images(self) -> list[str]:
        """Return the ids of the images that the daemon has of this bed's registry."""
        registry = self.environment["CONTAINER_REGISTRY"]
        listed = self.docker("images", "--format", "{{.ID}} {{.Repository}}").splitlines()
        found = (line.split() for line in listed)
        return sorted({image for image, repository in found if repository.startswith(registry)})

    def step_containers(self) -> list[str]:
        """Return the containers of steps that are there, running or not; builds leave others."""
        return self.docker("ps", "--all", "--quiet", "--filter", f"label={CLIENT_LABEL}").split()


@contextmanager
def test_bed(directory: Path, kept: Path, model: Path) -> Iterator[TestBed]:
    """Start the engines of `--stack gpu-ssh` and the Hub that has the model, and stop them by their ids.

    Images stay in the directory `kept`: what is built and pushed once need not be again.
    """
    registry_port, ssh_port = free_ports(2)
    docker = docker_engine(directory, kept / "docker", f"127.0.0.1:{registry_port}")
    with running(docker), services(directory, kept, model, docker, registry_port) as bed:
        sshd = ssh_engine(directory, ssh_port, docker, Path(bed.environment["DOCKER_CONFIG"]))
        host = {
            "GPU_HOST": "127.0.0.1",
            "GPU_USER": getpass.getuser(),
            "GPU_PORT": str(ssh_port),
            "GPU_SSH_KEY": str(directory / "ssh" / "user"),
            "GPU_KNOWN_HOSTS": str(directory / "ssh" / "known_hosts"),
            "GPU_CONTAINER_NETWORK": "host",
        }
        with running(sshd):
            yield replace(bed, servers=bed.servers | {"sshd": sshd}, environment=bed.environment | host)


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start servers in this order, and stop them in the opposite one."""
    with ExitStack() as started:
        for server in servers:
            started.callback(server.stop)
            server.start()
        yield


@contextmanager
def services(
    directory: Path, kept: Path, model: Path, docker: Server, registry_port: int
) -> Iterator[TestBed]:
    """Start the services of a remote stack, beside a running Docker daemon, and the Hub with the model."""
    logins = {
        name: Login(f"{name}-user", secrets.token_urlsafe(24))
        for name in ("registry", "s3", "mariadb", "postgres", "mlflow", "zenml")
    }
    ports = dict(zip(logins, free_ports(len(logins)), strict=True)) | {"registry": registry_port}
    registry = f"127.0.0.1:{registry_port}"
    s3_url, zenml_url, mlflow_url = (f"http://127.0.0.1:{ports[name]}" for name in ("s3", "zenml", "mlflow"))
    docker_login = directory / "docker-login"
    docker_login.mkdir(parents=True)
    login = logins["registry"]
    both = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    (docker_login / "config.json").write_text(json.dumps({"auths": {registry: {"auth": both}}}))

    servers = [
        registry_engine(directory, kept / "registry", ports["registry"], login),
        s3_engine(directory, ports["s3"], logins["s3"], BUCKETS),
        mariadb_engine(directory, ports["mariadb"], logins["mariadb"]),
        postgres_engine(directory, ports["postgres"], logins["postgres"]),
        mlflow_engine(
            directory,
            ports["mlflow"],
            logins["mlflow"],
            _database("postgresql", logins["postgres"], ports["postgres"], "postgres"),
            logins["s3"],
            s3_url,
        ),
        zenml_engine(
            directory,
            ports["zenml"],
            logins["zenml"],
            _database("mysql", logins["mariadb"], ports["mariadb"], "zenml"),
        ),
    ]
    with running(*servers), serving(model) as hub:
        hub.gated, hub.token = True, f"hf_{secrets.token_urlsafe(24)}"
        api_key = zenml_api_key(zenml_url, logins["zenml"])
        own = {
            "ZENML_STORE_URL": zenml_url,
            "ZENML_STORE_API_KEY": api_key,
            "ZENML_CONFIG_PATH": str(directory / "zenml-client"),
            "ZENML_ENABLE_IMPLICIT_AUTH_METHODS": "false",
            "XDG_CACHE_HOME": str(directory / "cache"),
            "HF_HOME": str(directory / "hub"),
            "HF_HUB_OFFLINE": "0",
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub.token,
            "S3_BUCKET": BUCKETS[0],
            "S3_ENDPOINT_URL": s3_url,
            "AWS_ACCESS_KEY_ID": logins["s3"].user,
            "AWS_SECRET_ACCESS_KEY": logins["s3"].password,
            "CONTAINER_REGISTRY": registry,
            "MLFLOW_TRACKING_URI": mlflow_url,
            "MLFLOW_TRACKING_USERNAME": logins["mlflow"].user,
            "MLFLOW_TRACKING_PASSWORD": logins["mlflow"].password,
            "DOCKER_HOST": docker.environment["DOCKER_HOST"],
            "DOCKER_CONFIG": str(docker_login),
            "DOCKER_BUILDKIT": "0",
            "BASE_IMAGE": make_base_image(docker.environment["DOCKER_HOST"], directory / "base-image"),
            "BUILD_NETWORK": "host",
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ZENML_", "MLFLOW_", "HF_"))}
        passwords = {name: login.password for name, login in logins.items()}
        yield TestBed(
            {server.name: server for server in (docker, *servers)},
            inherited | own,
            passwords | {"Hub token": hub.token, "ZenML key": api_key},
        )


def _database(kind: str, login: Login, port: int, name: str) -> str:
    return f"{kind}://{login.user}:{login.password}@127.0.0.1:{port}/{name}"
