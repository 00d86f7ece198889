"""The device nodes that every Linux host has: what a container may be given of them.

A simulated host has no /dev to look into. Source: the kernel's Documentation/admin-guide/devices.txt.
"""

from __future__ import annotations

from typing import Any

from runtimes.containerd.objection import Objection

# path: type, major, minor, mode
_HOST = {
    "/dev/full": ("c", 1, 7, 0o666),
    "/dev/fuse": ("c", 10, 229, 0o666),
    "/dev/kmsg": ("c", 1, 11, 0o644),
    "/dev/kvm": ("c", 10, 232, 0o660),
    "/dev/net/tun": ("c", 10, 200, 0o666),
    "/dev/null": ("c", 1, 3, 0o666),
    "/dev/ptmx": ("c", 5, 2, 0o666),
    "/dev/random": ("c", 1, 8, 0o666),
    "/dev/tty": ("c", 5, 0, 0o666),
    "/dev/urandom": ("c", 1, 9, 0o666),
    "/dev/zero": ("c", 1, 5, 0o666),
}


def host() -> list[dict[str, Any]]:
    """Return all of them, as a privileged container gets them."""
    return [_device(path, path) for path in _HOST]


def one(path: str, destination: str, permissions: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a device and the cgroup rule that allows it. Raises `Objection` where the host has no such device."""
    if path not in _HOST:
        raise Objection(f"lstat {path}: no such file or directory")
    kind, major, minor, _ = _HOST[path]
    rule = {"allow": True, "type": kind, "major": major, "minor": minor, "access": permissions}
    return _device(path, destination), rule


def _device(path: str, destination: str) -> dict[str, Any]:
    kind, major, minor, mode = _HOST[path]
    return {"path": destination, "type": kind, "major": major, "minor": minor, "fileMode": mode, "uid": 0, "gid": 0}
