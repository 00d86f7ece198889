"""Two images small enough to be made here: a program that waits, and the facts that crishim has of an image's name.

So the specs of both sides can be compared whole: environment, command and user of the real image are the ones that
crishim makes up. The program is one system call in a loop, as an ELF file of a few dozen bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import struct
import tarfile
from typing import TYPE_CHECKING, Any

from shim.images import image_facts

if TYPE_CHECKING:
    from pathlib import Path

CONTAINER, PAUSE = "localhost/crishim/busybox:1", "localhost/crishim/pause:1"
_PROGRAMS = {CONTAINER: "bin/busybox", PAUSE: "pause"}

# machine -> number of the ELF format, GOARCH, and code: wait for a signal, again and again.
_MACHINES = {
    # mov eax, SYS_pause; syscall; jmp back
    "x86_64": (62, "amd64", bytes.fromhex("b822000000 0f05 ebf7")),
    # mov x8, SYS_ppoll; mov x0..x4, 0; svc 0; b back
    "aarch64": (
        183,
        "arm64",
        struct.pack("<8I", 0xD2800928, *(0xD2800000 + n for n in range(5)), 0xD4000001, 0x17FFFFF9),
    ),
}
_BASE, _HEADERS = 0x400000, 64 + 56


def program() -> bytes:
    """Return the program. Raises `KeyError` on a machine for which there is none."""
    machine, _, code = _MACHINES[platform.machine()]
    size = _HEADERS + len(code)
    head = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return head + code


def write(name: str, path: Path) -> None:
    """Write an image as `docker save` does, for `ctr images import`."""
    layer = _tar({_PROGRAMS[name]: (program(), 0o755), "etc/passwd": (b"root:x:0:0:root:/:/bin/sh\n", 0o644)})
    facts = image_facts(name)
    config: dict[str, Any] = {"Env": list(facts.env), "User": facts.user}
    config |= {"Entrypoint": list(facts.entrypoint), "Cmd": list(facts.cmd), "WorkingDir": facts.working_dir}
    document = {
        "architecture": _MACHINES[platform.machine()][1],
        "os": "linux",
        "created": facts.created,
        "config": {key: value for key, value in config.items() if value},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest), "config.json": json.dumps(document)}
    path.write_bytes(
        _tar({**{key: (text.encode(), 0o644) for key, text in files.items()}, "layer.tar": (layer, 0o644)})
    )


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
