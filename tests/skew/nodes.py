"""Nodes and pods that a test writes down in a line."""

from __future__ import annotations

import json
from typing import Any

HOST = "host: {{arch: amd64, kernel: 6.1.0, seccomp: true, cgroup: 2, root: {root}}}\n"


def node(root: object, kubelet: str, runtime: str, **settings: Any) -> str:
    """Return a node file: `runtime` is "containerd 1.7.27", `settings` are the kubelet's."""
    name, version = runtime.split()
    said = "".join(f", {key}: {json.dumps(value)}" for key, value in settings.items())
    head = HOST.format(root=root)
    return f"{head}kubelet: {{version: {kubelet}{said}}}\nruntime: {{name: {name}, version: {version}}}\n"
