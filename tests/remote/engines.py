"""The engines that `--stack gpu-ssh` talks to, each with credentials of its own, on loopback only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.ports import free_ports
from tests.remote.server import Server, accepts

SERVERS_VENV = Path(os.environ.get("SERVERS_VENV", ".venv-servers")).resolve()
"""Where the servers' own packages are: they pin other versions than the pipeline's."""


@dataclass(frozen=True)
class Login:
    """A name and a password."""

    user: str
    password: str


def run(*command: str, **options: object) -> str:
    """Run a command of an engine's set-up and return its output."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert finished.returncode == 0, f"{command}: {finished.stdout}{finished.stderr}"
    return str(finished.stdout)


def _folder(parent: Path, name: str) -> Path:
    directory = parent / name
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)  # Postgres runs as a user of its own
    return directory


class Docker(Server):
    """Dockerd, which leaves the network that its containers share mounted, so that nobody can remove it."""

    def stop(self) -> None:
        super().stop()
        network = self.directory / "exec" / "netns" / "default"
        subprocess.run(["umount", "--lazy", str(network)], capture_output=True, check=False)


def docker_engine(parent: Path, images: Path, registry: str, *options: str) -> Docker:
    """Return dockerd without a bridge; containers share the network of this machine."""
    directory = _folder(parent, "docker")
    programs = _folder(directory, "bin")
    # dockerd takes `--gpus` when this program is there: the request is made, there is no device.
    for name, answer in (
        ("nvidia-container-runtime-hook", "exit 0"),
        ("nvidia-smi", "echo 'No GPU, 0 MiB, 580.65.06'"),
    ):
        program = programs / name
        program.write_text(f"#!/bin/sh\n{answer}\n")
        program.chmod(0o755)
    address = f"unix://{directory}/docker.sock"
    command = [
        "dockerd", "--host", address, "--data-root", str(images), "--exec-root", f"{directory}/exec",
        "--pidfile", f"{directory}/docker.pid", "--bridge", "none", "--iptables=false",
        "--ip6tables=false", "--insecure-registry", registry, *options,
    ]  # fmt: skip
    path = f"{programs}:{os.environ['PATH']}"
    return Docker(
        "dockerd",
        command,
        directory,
        lambda: run("docker", "--host", address, "version"),
        {"PATH": path, "DOCKER_HOST": address},
    )


def registry_engine(parent: Path, storage: Path, port: int, login: Login) -> Server:
    """Return a container registry that asks for a password."""
    import bcrypt

    directory = _folder(parent, "registry")
    hashed = bcrypt.hashpw(login.password.encode(), bcrypt.gensalt(5)).decode()
    (directory / "passwords").write_text(f"{login.user}:{hashed}\n")
    (directory / "config.yml").write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(storage)}},
                "http": {"addr": f"127.0.0.1:{port}"},
                "auth": {"htpasswd": {"realm": "tests", "path": str(directory / "passwords")}},
            }
        )
    )

    def answers() -> None:
        httpx2.get(f"http://127.0.0.1:{port}/v2/", auth=(login.user, login.password)).raise_for_status()

    command = ["docker-registry", "serve", str(directory / "config.yml")]
    return Server("registry", command, directory, answers)


def s3_engine(parent: Path, port: int, login: Login, buckets: tuple[str, ...]) -> Server:
    """Return SeaweedFS, which checks signatures."""
    import boto3

    directory = _folder(parent, "s3")
    credentials = [{"accessKey": login.user, "secretKey": login.password}]
    identity = {"name": "team", "credentials": credentials, "actions": ["Admin"]}
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc = map(str, free_ports(7))
    command = [
        str(SERVERS_VENV / "bin" / "weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-dir={_folder(directory, 'data')}", f"-master.port={master}", f"-master.port.grpc={master_grpc}",
        "-master.volumeSizeLimitMB=1024", "-volume.max=20", f"-volume.port={volume}",
        f"-volume.port.grpc={volume_grpc}", "-filer", f"-filer.port={filer}",
        f"-filer.port.grpc={filer_grpc}", "-s3", f"-s3.port={port}", f"-s3.port.grpc={s3_grpc}",
        f"-s3.config={directory / 's3.json'}",
    ]  # fmt: skip

    def answers() -> None:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=login.user,
            aws_secret_access_key=login.password,
            region_name="us-east-1",
        )
        present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in buckets:
            if bucket not in present:
                client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key="ready", Body=b"")

    return Server("s3", command, directory, answers)


def mariadb_engine(parent: Path, port: int, login: Login) -> Server:
    """Return MariaDB with the database `zenml`, which the login owns."""
    directory = _folder(parent, "mariadb")
    data, door = directory / "data", directory / "mariadb.sock"
    run(
        "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root",
        "--auth-root-authentication-method=normal", "--skip-test-db",
    )  # fmt: skip
    command = [
        shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={data}",
        f"--socket={door}", "--user=root", "--bind-address=127.0.0.1", f"--port={port}", "--skip-log-bin",
    ]  # fmt: skip

    def answers() -> None:
        run(
            "mariadb", "--no-defaults", f"--socket={door}", "--user=root", "--execute",
            f"create database if not exists zenml; create user if not exists '{login.user}'@'127.0.0.1' "
            f"identified by '{login.password}'; grant all on zenml.* to '{login.user}'@'127.0.0.1';",
        )  # fmt: skip

    return Server("mariadb", command, directory, answers)


def postgres_engine(parent: Path, port: int, login: Login) -> Server:
    """Return Postgres with the database `postgres`, which the login owns."""
    directory = _folder(parent, "postgres")
    shutil.chown(directory, "postgres")
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    password = directory / "password"
    password.write_text(login.password)
    shutil.chown(password, "postgres")
    run(
        str(programs / "initdb"), "--pgdata", str(directory / "data"), "--username", login.user,
        "--pwfile", str(password), "--auth", "scram-sha-256", user="postgres", cwd=directory,
    )  # fmt: skip
    command = [
        str(programs / "postgres"), "-D", str(directory / "data"), "-h", "127.0.0.1", "-p", str(port),
        "-k", str(directory),
    ]  # fmt: skip

    def answers() -> None:
        run(str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port))

    server = Server("postgres", command, directory, answers, user="postgres")
    server.log.touch()
    shutil.chown(server.log, "postgres")
    return server


def mlflow_engine(parent: Path, port: int, login: Login, database: str, s3: Login, s3_url: str) -> Server:
    """Return the MLflow server as docker/mlflow.Dockerfile starts it: with sign-in, artifacts in S3."""
    directory = _folder(parent, "mlflow")
    (directory / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{directory}/auth.db\n"
        f"admin_username = {login.user}\nadmin_password = {login.password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    command = [
        str(SERVERS_VENV / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--artifacts-destination", "s3://mlflow", "--app-name", "basic-auth",
    ]  # fmt: skip
    environment = {
        "PATH": f"{SERVERS_VENV}/bin:{os.environ['PATH']}",
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_AUTH_CONFIG_PATH": str(directory / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": login.password,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_S3_ENDPOINT_URL": s3_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "AWS_ACCESS_KEY_ID": s3.user,
        "AWS_SECRET_ACCESS_KEY": s3.password,
    }

    def answers() -> None:
        httpx2.get(f"http://127.0.0.1:{port}/health").raise_for_status()

    return Server("mlflow", command, directory, answers, environment)


def zenml_engine(parent: Path, port: int, login: Login, database: str) -> Server:
    """Return the ZenML server; the login is its administrator."""
    directory = _folder(parent, "zenml-server")
    command = [
        str(SERVERS_VENV / "bin" / "uvicorn"), "zenml.zen_server.zen_server_api:app", "--host", "127.0.0.1",
        "--port", str(port), "--log-level", "warning",
    ]  # fmt: skip
    environment = {
        "ZENML_CONFIG_PATH": str(directory),  # of its own, or its clients take it for a local one
        "ZENML_STORE_URL": database,
        "ZENML_SERVER_AUTO_ACTIVATE": "1",
        "ZENML_DEFAULT_USER_NAME": login.user,
        "ZENML_DEFAULT_USER_PASSWORD": login.password,
        "ZENML_SERVER_JWT_SECRET_KEY": login.password,
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }

    def answers() -> None:
        httpx2.get(f"http://127.0.0.1:{port}/ready", timeout=5).raise_for_status()

    return Server("zenml", command, directory, answers, environment)


def zenml_api_key(url: str, login: Login) -> str:
    """Make a service account on the server and return its key."""
    with httpx2.Client(base_url=f"{url}/api/v1", timeout=60) as client:
        signed_in = client.post("/login", data={"username": login.user, "password": login.password})
        signed_in.raise_for_status()
        client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
        account = client.post("/service_accounts", json={"name": "front-door", "active": True})
        account.raise_for_status()
        key = client.post(
            f"/service_accounts/{account.json()['id']}/api_keys", json={"name": "tests", "description": ""}
        )
        key.raise_for_status()
        return str(key.json()["body"]["key"])


def ssh_engine(parent: Path, port: int, docker: Server, docker_login: Path) -> Server:
    """Return sshd as a GPU host has it: a host key, one authorised key, Docker within reach."""
    directory = _folder(parent, "ssh")
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))
    shutil.copy(directory / "user.pub", directory / "authorized_keys")
    host_key = (directory / "host.pub").read_text().rsplit(maxsplit=1)[0]
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants this empty directory
    seen_by_commands = {
        "PATH": docker.environment["PATH"],
        "DOCKER_HOST": docker.environment["DOCKER_HOST"],
        "DOCKER_CONFIG": str(docker_login),
    }
    (directory / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {directory}/host\n"
        f"AuthorizedKeysFile {directory}/authorized_keys\nPidFile {directory}/sshd.pid\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
        f"SetEnv {' '.join(f'{key}={value}' for key, value in seen_by_commands.items())}\n"
    )
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(directory / "sshd_config")]
    return Server("sshd", command, directory, lambda: accepts(port))
