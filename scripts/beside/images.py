"""Two images small enough to be made here: a program that waits, and the facts that crishim has of an image's name.

So the specs of both sides can be compared whole: environment, command and user of the real image are the ones that
crishim makes up. The program is three system calls, as an ELF file of a few dozen bytes. A daemon gets an image from an
archive, as containerd's `ctr` reads one, or from a registry on this machine that is over when the daemon is.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import platform
import posixpath
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from shim.images import image_facts, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTAINER, PAUSE = "localhost/crishim/busybox:1", "localhost/crishim/pause:1"
_PROGRAMS = {CONTAINER: "bin/busybox", PAUSE: "pause"}

# machine -> number of the ELF format, GOARCH, code, and where in it the handler of a signal begins. It ends at SIGTERM,
# which the kernel keeps from the first process of a pod that has no handler, and waits until then. It asks for nothing
# that a usual profile refuses. What the kernel wants to know of the handler comes after the code.
_MACHINES = {
    # rt_sigaction(SIGTERM, address after the code, 0, 8); pause(), again and again; handler: exit_group(0)
    "x86_64": (
        62,
        "amd64",
        bytes.fromhex(
            "b80d000000 bf0f000000 488d351b000000 31d2 6a08415a 0f05 b822000000 0f05 ebf7 b8e7000000 31ff 0f05 f4"
        ),
        34,
    ),
    # The same with ppoll(0, 0, 0, 0, 0): mov x8, number; the arguments in x0 and on; svc 0; b back.
    "aarch64": (
        183,
        "arm64",
        struct.pack(
            "<18I",
            *(0xD28010C8, 0xD28001E0, 0x10000201, 0xD2800002, 0xD2800103, 0xD4000001),
            *(0xD2800928, *(0xD2800000 + n for n in range(5)), 0xD4000001, 0x17FFFFF9),
            *(0xD2800BC8, 0xD2800000, 0xD4000001, 0xD4200000),
        ),
        56,
    ),
}
_SA_RESTORER = 0x04000000  # nothing is restored, but without it x86_64 takes no handler
# Every user that the cases ask for by number: CRI-O mounts a file of its own over one in which a user is missing.
_USERS = b"root:x:0:0::/:/bin/sh\nplain:x:1000:0::/:/bin/sh\nlast:x:65534:0::/:/bin/sh\n"
_BASE, _HEADERS = 0x400000, 64 + 56
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def program() -> bytes:
    """Return the program. Raises `KeyError` on a machine for which there is none."""
    machine, _, code, handler = _MACHINES[platform.machine()]
    address = _BASE + _HEADERS + handler
    code += struct.pack("<4Q", address, _SA_RESTORER, address, 0)
    size = _HEADERS + len(code)
    head = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return head + code


class Image(NamedTuple):
    """The parts of an image, as they are stored."""

    config: bytes
    layer: bytes


def image(name: str) -> Image:
    """Make an image."""
    layer = _tar({_PROGRAMS[name]: (program(), 0o755), "etc/passwd": (_USERS, 0o644)})
    facts = image_facts(name)
    config: dict[str, Any] = {"Env": list(facts.env), "User": facts.user}
    config |= {"Entrypoint": list(facts.entrypoint), "Cmd": list(facts.cmd), "WorkingDir": facts.working_dir}
    document = {
        "architecture": _MACHINES[platform.machine()][1],
        "os": "linux",
        "created": facts.created,
        "config": {key: value for key, value in config.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    return Image(json.dumps(document).encode(), layer)


def write(name: str, path: Path) -> None:
    """Write an image as `docker save` does, for `ctr images import`."""
    made = image(name)
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), "config.json": made.config, "layer.tar": made.layer}
    path.write_bytes(_tar({file: (content, 0o644) for file, content in files.items()}))


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """Serve every image; give the address, "127.0.0.1:5000", under which the path of its name is the repository."""
    served: dict[str, tuple[str, bytes]] = {}
    for name in _PROGRAMS:
        made, reference = image(name), parse(name)
        manifest = _manifest(made)
        place = f"/v2/{reference.path}"
        served |= {f"{place}/manifests/{key}": (_MANIFEST, manifest) for key in (reference.tag, _digest(manifest))}
        served |= {f"{place}/blobs/{_digest(blob)}": ("application/octet-stream", blob) for blob in made}
    served["/v2/"] = ("application/json", b"{}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = served.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _manifest(made: Image) -> bytes:
    """Return a manifest as the OCI has it."""
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    config, layer = (
        {"mediaType": kind, "digest": _digest(blob), "size": len(blob)} for kind, blob in zip(kinds, made, strict=True)
    )
    return json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [layer]}).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """Return an archive of files and the directories that they lie in."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in dict.fromkeys(posixpath.dirname(name) for name in files if "/" in name):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
