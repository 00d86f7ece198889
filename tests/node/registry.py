"""A registry of our own on a loopback port: as much of the OCI distribution protocol as pulling needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OCI = "application/vnd.oci.image.manifest.v1+json"
SECCOMP = "application/vnd.cncf.seccomp-profile.config.v1+json"

# status, headers, body
Reply = tuple[int, dict[str, str], bytes]


class Registry:
    """What it serves, by path; `replies` may hold a function of the request's headers. `asked` are the paths so far."""

    def __init__(self) -> None:
        self.host = ""
        self.replies: dict[str, Reply | Callable[[dict[str, str]], Reply]] = {"/v2/": (200, {}, b"{}")}
        self.asked: list[str] = []

    def push(self, repository: str, tag: str, *layers: bytes, config: str = SECCOMP) -> None:
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": {"mediaType": config, "digest": digest(b"{}"), "size": 2},
            "layers": [{"mediaType": "text/plain", "digest": digest(each), "size": len(each)} for each in layers],
        }
        content = json.dumps(manifest).encode()
        for name in (tag, digest(content)):
            self.replies[f"/v2/{repository}/manifests/{name}"] = (200, {"Content-Type": OCI}, content)
        for each in layers:
            self.replies[f"/v2/{repository}/blobs/{digest(each)}"] = (200, {}, each)

    def answer(self, path: str, headers: dict[str, str]) -> Reply:
        self.asked.append(path)
        reply = self.replies.get(path) or self.replies.get(path.partition("?")[0])
        if reply is None:
            code = "MANIFEST_UNKNOWN" if "/manifests/" in path else "BLOB_UNKNOWN"
            message = {"MANIFEST_UNKNOWN": "manifest unknown", "BLOB_UNKNOWN": "blob unknown to registry"}[code]
            return refusal(404, code, message)
        return reply(headers) if callable(reply) else reply


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Reply:
    body: dict[str, Any] = {"errors": [{"code": code, "message": message}]}
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode()


@contextlib.contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    """Serve a registry on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = registry.answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            del request, client_address  # a client that gives up early, or speaks TLS, is none of ours

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    registry.host = f"127.0.0.1:{server.server_port}"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
