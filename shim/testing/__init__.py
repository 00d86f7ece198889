"""For the test suites of others: nodes to ask, and checks of what their containers got.

    assert_seccomp(container)           checks, each a sentence: .denies("socket", arg0=38).explains("seccompDefault")
    simulated_node("containerd@2.0.9")  a node in this process, for the length of a `with`
    served_node("containerd@2.0.9")     the same behind a unix socket, for crictl and whoever else speaks the CRI

pytest has them as fixtures without an import (`shim.testing.plugin`). Everything is imported when it is asked for: a
pytest that only finds this package installed loads nothing but the plugin's own few lines.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shim.testing.asserting import SeccompCheck, assert_seccomp
    from shim.testing.nodes import CriNode
    from shim.testing.opened import CriServer, served_node, simulated_node
    from shim.testing.pods import CriContainer, CriPod, CriSandbox

__all__ = [
    "CriContainer",
    "CriNode",
    "CriPod",
    "CriSandbox",
    "CriServer",
    "SeccompCheck",
    "assert_seccomp",
    "served_node",
    "simulated_node",
]

_ROOMS = {
    "CriContainer": "pods",
    "CriNode": "nodes",
    "CriPod": "pods",
    "CriSandbox": "pods",
    "CriServer": "opened",
    "SeccompCheck": "asserting",
    "assert_seccomp": "asserting",
    "served_node": "opened",
    "simulated_node": "opened",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
