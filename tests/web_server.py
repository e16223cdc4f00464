"""A web server on loopback that speaks as much of the Hub's HTTP as its client needs.

Files are served in ranges, behind a redirect to a signed address, with entity
tags; faults come on demand. It runs in threads of the test's process, or alone:

    python -m tests.web_server DIRECTORY
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "2b6d039ed471f2ba5fd2acb718bf33b0a7e5598e"
REPOSITORY = "McAuley-Lab/Amazon-Reviews-2023"
FOLDER = "raw/review_categories"
DATA_SET = f"hf://datasets/{REPOSITORY}@2b6d039/{FOLDER}"
TABLES = "example/tickets"
"""A data set whose files are all those of the directory."""
MODEL = "example/gated-tiny-llama"
"""Not a name whose shape is built in: then a disk would need space for the real one."""
OK, FOUND, PARTIAL = 200, 302, 206


@dataclass
class Traffic:
    """What the server saw: requests by kind, ranges of content, and content bytes sent."""

    requests: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    sent: int = 0


@dataclass
class WebServer:
    """The files of a directory, and how the server misbehaves.

    `fault` is asked with the number of each request for content and returns
    what goes wrong with it: a status, "drop", "truncate", "hang" or None.
    """

    directory: Path
    fault: Callable[[int], int | str | None] = lambda _number: None
    token: str | None = None
    gated: bool = False
    retry_after: str = "0"
    signature: str = "first"
    etag_salt: str = ""
    traffic: Traffic = field(default_factory=Traffic)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def content_id(self, path: Path) -> str:
        status = path.stat()
        return hashlib.sha256(f"{path.name}{status.st_size}{self.etag_salt}".encode()).hexdigest()


@contextmanager
def serving(directory: Path) -> Iterator[WebServer]:
    """Serve a directory until the block ends."""
    server = WebServer(directory)
    handler = type("Handler", (_Handler,), {"server_state": server})
    with in_background(_Server(("127.0.0.1", 0), handler)) as server.url:
        yield server


@contextmanager
def in_background(httpd: ThreadingHTTPServer) -> Iterator[str]:
    """Let a server answer until the block ends; yield its address."""
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that went away; show any other fault of the server."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: WebServer
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        state = self.server_state
        path = unquote(urlsplit(self.path).path)
        if path.startswith((f"/api/datasets/{TABLES}", f"/datasets/{TABLES}/")):
            self._tables(path, with_body)
        elif path.startswith("/api/datasets/"):
            self._api(path)
        elif path.startswith("/api/models/"):
            self._model(path)
        elif path.startswith("/datasets/"):
            self._resolve(path)
        elif path.startswith(f"/{MODEL}/resolve/"):
            self._model_file(path, with_body)
        elif path.startswith("/cdn/"):
            if urlsplit(self.path).query != f"signature={state.signature}":
                self._send(403, b"expired")
            else:
                self._content(state.directory / path.rpartition("/")[2], with_body)
        elif path.startswith("/files/"):
            self._content(state.directory / path.rpartition("/")[2], with_body)
        elif path == "/traffic":
            traffic = state.traffic
            self._send(OK, json.dumps({"sent": traffic.sent, "requests": dict(traffic.requests)}).encode())
        else:
            self._send(404, b"")

    def _api(self, path: str) -> None:
        state = self.server_state
        state.traffic.requests["api"] += 1
        if not f"{path}/".startswith(f"/api/datasets/{REPOSITORY}/"):
            self._error(401, "RepoNotFound")
        elif self._is_refused():
            self._error(403, "GatedRepo")
        elif "/revision/" in path or path.endswith(REPOSITORY):
            revision = path.rpartition("/revision/")[2] if "/revision/" in path else "main"
            if not COMMIT.startswith(revision) and revision != "main":
                self._error(404, "RevisionNotFound")
            else:
                self._send(OK, json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": []}).encode())
        elif path.endswith(f"/tree/{COMMIT}/{FOLDER}"):
            files = [
                {
                    "type": "file",
                    "oid": "0" * 40,
                    "size": file.stat().st_size,
                    "path": f"{FOLDER}/{file.name}",
                    "lfs": {"oid": state.content_id(file), "size": file.stat().st_size, "pointerSize": 130},
                }
                for file in sorted(state.directory.glob("*.jsonl"))
            ]
            self._send(OK, json.dumps(files).encode())
        else:
            self._error(404, "EntryNotFound")

    def _tables(self, path: str, with_body: bool) -> None:
        """Serve the data set of all files, at every revision that begins like the commit."""
        state = self.server_state
        found = sorted(file for file in state.directory.rglob("*") if file.is_file())
        files = {file.relative_to(state.directory).as_posix(): file for file in found}
        _, _, rest = path.partition(f"/{TABLES}")
        kind, _, rest = rest.strip("/").partition("/")
        revision, _, name = rest.partition("/")
        state.traffic.requests[kind or "info"] += 1
        if self._is_refused():
            self._error(403, "GatedRepo")
        elif revision and revision != "main" and not COMMIT.startswith(revision):
            self._error(404, "RevisionNotFound")
        elif kind in ("", "revision"):
            siblings = [{"rfilename": name} for name in files]
            self._send(OK, json.dumps({"id": TABLES, "sha": COMMIT, "siblings": siblings}).encode())
        elif kind == "tree" and (state.directory / name).is_dir():
            self._send(OK, json.dumps(_tree(state.directory, state.directory / name)).encode())
        elif kind == "resolve" and name in files:
            self._content(files[name], with_body, {"X-Repo-Commit": COMMIT})
        else:
            self._error(404, "EntryNotFound")

    def _model(self, path: str) -> None:
        known = f"/api/models/{MODEL}"
        if not f"{path}/".startswith(f"{known}/"):
            self._error(401, "RepoNotFound")
        elif self._is_refused():
            self._error(403, "GatedRepo")
        elif path in (known, f"{known}/revision/main", f"{known}/auth-check"):
            self._send(OK, json.dumps({"id": MODEL, "sha": COMMIT, "siblings": []}).encode())
        else:
            self._error(404, "EntryNotFound")

    def _is_refused(self) -> bool:
        """Tell whether what is gated is asked for without its token."""
        state = self.server_state
        return state.gated and self.headers.get("authorization") != f"Bearer {state.token}"

    def _model_file(self, path: str, with_body: bool) -> None:
        state = self.server_state
        file = state.directory / path.rpartition("/")[2]
        if self._is_refused():
            self._error(403, "GatedRepo")
        elif not file.is_file():
            self._error(404, "EntryNotFound")
        else:
            self._content(file, with_body, {"X-Repo-Commit": COMMIT})

    def _resolve(self, path: str) -> None:
        state = self.server_state
        state.traffic.requests["resolve"] += 1
        file = state.directory / path.rpartition("/")[2]
        if self._is_refused():
            self._error(403, "GatedRepo")
        elif not file.is_file():
            self._error(404, "EntryNotFound")
        else:
            self._send(
                FOUND,
                b"",
                {
                    "Location": f"{state.url}/cdn/{file.name}?signature={state.signature}",
                    "X-Repo-Commit": COMMIT,
                    "X-Linked-Size": str(file.stat().st_size),
                    "X-Linked-Etag": f'"{state.content_id(file)}"',
                },
            )

    def _content(self, file: Path, with_body: bool, more: dict[str, str] | None = None) -> None:
        state = self.server_state
        if not file.is_file():
            self._send(404, b"")
            return
        size = file.stat().st_size
        headers = {"ETag": f'"{state.content_id(file)[:32]}"', "Accept-Ranges": "bytes"} | (more or {})
        if not with_body:
            self._send(OK, None, headers | {"Content-Length": str(size)})
            return
        with state.lock:
            state.traffic.requests["content"] += 1
            fault = state.fault(state.traffic.requests["content"])
        if isinstance(fault, int):
            self._send(fault, b"", {"Retry-After": state.retry_after})
            return
        if fault == "hang":
            threading.Event().wait(2)
        if fault in ("drop", "hang"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        start, stop = 0, size
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), int(last) + 1
        with file.open("rb") as opened:
            opened.seek(start)
            body = opened.read(stop - start)
        with state.lock:
            state.traffic.sent += len(body)
            state.traffic.ranges.append((file.name, start, stop))
        headers["Content-Length"] = str(len(body))
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        if fault == "truncate":
            body = body[: len(body) // 2]
            self.close_connection = True
        self._send(PARTIAL if wanted else OK, body, headers)

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, body: bytes | None, headers: dict[str, str] | None = None) -> None:
        lines = {"Content-Length": str(len(body or b""))} | (headers or {})
        self.send_response_only(status)
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _tree(root: Path, directory: Path) -> list[dict[str, Any]]:
    """Return what the Hub says about the files and directories in a directory."""
    return [
        {"path": entry.relative_to(root).as_posix(), "oid": "0" * 40}
        | ({"type": "directory"} if entry.is_dir() else {"type": "file", "size": entry.stat().st_size})
        for entry in sorted(directory.iterdir())
    ]


if __name__ == "__main__":
    with serving(Path(sys.argv[1])) as alone:
        print(alone.url, flush=True)
        threading.Event().wait()
