"""Each check of a stack reports what was found and what to do, and never a secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from front_door.doctor.checks import Check, report, run_check
from front_door.doctor.gpu_host import require_disk, require_driver
from front_door.doctor.services import _registry, check_stack
from front_door.run.storage import disk_needs
from front_door.stack.files import read_stack
from review_sentiment.config import Settings
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.models.base_model import ModelIdentity
from tests.unit.front_door.test_stack_files import SECRETS, VARIABLES

UNUSED_ADDRESS = "127.0.0.1:9"


def test_a_machine_without_a_gpu_fails_the_gpu_checks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {each.name: each for each in check_stack(read_stack("gpu-local"), Settings())}
    assert not found["GPU"].ok
    assert "nvidia-smi" in found["GPU"].found
    assert "driver" in found["GPU"].advice
    assert not found["4-bit on GPU"].ok
    assert found["model"].ok
    assert found["reviews"].ok


def test_the_stack_local_needs_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    names = [each.name for each in check_stack(read_stack("local"), Settings())]
    assert names == ["device", "reviews", "decision", "model", "prompt", "adapters", "training", "storage"]


@pytest.mark.parametrize(("stack", "host"), [("gpu-ssh", "GPU host"), ("gpu", "Kubernetes")])
def test_each_unavailable_service_is_a_failed_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stack: str, host: str
) -> None:
    (tmp_path / "known_hosts").touch()
    unavailable = {
        "CONTAINER_REGISTRY": UNUSED_ADDRESS,
        "DOCKER_HOST": f"tcp://{UNUSED_ADDRESS}",
        "GPU_HOST": "127.0.0.1",
        "GPU_KNOWN_HOSTS": str(tmp_path / "known_hosts"),
        "GPU_PORT": "9",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "S3_ENDPOINT_URL": f"http://{UNUSED_ADDRESS}",
    }
    for name, value in (VARIABLES | unavailable).items():
        monkeypatch.setenv(name, value)
    checks = list(check_stack(read_stack(stack), Settings()))
    failed = {each.name: each for each in checks if not each.ok}
    assert set(failed) == {"ZenML server", "Docker", "registry", "S3", host}
    assert all(each.advice or "kubectl" in each.found for each in failed.values())
    assert not any(each.found.startswith("ModuleNotFoundError") for each in failed.values())
    text = report(checks)
    assert f"{len(failed)} of {len(checks)} checks failed." in text
    assert not any(secret in text for secret in SECRETS)


@pytest.fixture
def registry() -> Iterator[tuple[str, list[int]]]:
    """Yield the address of a registry on loopback, and the list of statuses for its next responses."""
    statuses: list[int] = []

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}/team", statuses
    server.shutdown()
    server.server_close()


def test_a_registry_that_requires_a_login_is_available(registry: tuple[str, list[int]]) -> None:
    address, statuses = registry
    host = address.split("/")[0]
    statuses += [200, 401, 500]
    assert _registry(address) == host
    assert _registry(address) == f"{host}, requires `docker login {host}`"
    assert not run_check("registry", lambda: _registry(address), "Start it.").ok


def test_an_image_whose_torch_is_too_new_for_the_hosts_driver_is_refused() -> None:
    gpus = "NVIDIA A100-SXM4-40GB, 40960 MiB, 550.54.15\nNVIDIA A100-SXM4-40GB, 40960 MiB, 550.54.15"
    with pytest.raises(ReviewSentimentError, match=r"gpu1 has driver 550.*CUDA 13\.0.*TORCH_BUILD=cu126"):
        require_driver("gpu1", gpus, "")
    require_driver("gpu1", gpus, "cu126")
    require_driver("gpu1", gpus.replace("550.54.15", "580.65.06"), "")


def test_a_hosts_disk_must_hold_image_model_and_4_bit_copy_before_the_first_run() -> None:
    llama = ModelIdentity("meta-llama/Llama-3.1-8B-Instruct", "0e9e39f", "nf4", "Llama")
    needs = disk_needs(Settings(), llama, downloads=True, quantises=True)
    assert (round(needs.download, 1), round(needs.four_bit, 1)) == (16.1, 5.7)
    with pytest.raises(ReviewSentimentError, match=r"gpu1: 20\.0 GB .* model 16\.1, its 4-bit copy 5"):
        require_disk("gpu1", "20000000000\n", needs)
    assert require_disk("gpu1", "20000000000\ncached", needs) == "20 GB free"
    assert require_disk("gpu1", "40000000000\n", needs) == "40 GB free"
    assert "unknown" in require_disk("gpu1", "", needs)


def test_a_report_ends_with_the_number_of_failures() -> None:
    assert report([Check("a", True, "there")]).endswith("All checks passed.")
    assert "-> do that" in report([Check("a", False, "not there", "do that")])
