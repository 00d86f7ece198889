"""NodeService: show the node that this server speaks for, and change it while it lives.

A change is made on a document. The new one is opened, that is its kubelet and those of its runtimes that are set up in
another way are started, before anything is touched; then it takes the place of the old one between two calls, and is
kept for the next start. A runtime's own files are read when it starts, and when it is told to reload.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypedDict

from shim import nodefile
from shim.cri.pb.shim.v1 import node_pb2 as pb

if TYPE_CHECKING:
    from shim.engine.engine import Engine
    from shim.node import Node
    from shim.nodefile import Document


class NodeService:
    """The servicer of one engine's node."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def show(self, request: pb.ShowNodeRequest) -> pb.ShowNodeResponse:
        """Show the node in force."""
        del request
        return pb.ShowNodeResponse(**_shown(self._engine.node))

    def set(self, request: pb.SetNodeRequest) -> pb.SetNodeResponse:
        """Change single settings."""
        old = self._engine.node.document
        new = nodefile.apply_settings(old, dict(sorted(request.settings.items())))
        node = self._change(new, dry_run=request.dry_run, keep_running=request.keep_running)
        return pb.SetNodeResponse(**_shown(node), changes=nodefile.changes(old, new))

    def replace(self, request: pb.ReplaceNodeRequest) -> pb.ReplaceNodeResponse:
        """Put another document in force."""
        old = self._engine.node.document
        new = nodefile.loads(request.node_yaml, request.origin or "node document")
        node = self._change(new, dry_run=request.dry_run, keep_running=request.keep_running)
        return pb.ReplaceNodeResponse(**_shown(node), changes=nodefile.changes(old, new))

    def reload(self, request: pb.ReloadNodeRequest) -> pb.ReloadNodeResponse:
        """Tell every runtime to read its configuration again."""
        del request
        node, told = nodefile.reload_node(self._engine.node)
        self._engine.node = node
        steps = [(_place(name, node), step) for name, each in told.items() for step in each.steps]
        return pb.ReloadNodeResponse(
            effects=[f"{place}: {step.because}" for place, step in steps if not step.warns],
            warnings=[f"{place}: {step.because}" for place, step in steps if step.warns],
        )

    def restart(self, request: pb.RestartNodeRequest) -> pb.RestartNodeResponse:
        """Start every runtime anew."""
        del request
        node = nodefile.open_node(self._engine.node.document)
        self._engine.node = node
        effects = [f"{_place(name, node)}: started" for name in node.entries]
        return pb.RestartNodeResponse(effects=effects, warnings=warnings(node))

    def _change(self, document: Document, *, dry_run: bool, keep_running: bool = False) -> Node:
        opened = nodefile.keep_running if keep_running else nodefile.open_node
        node = opened(document, self._engine.node)
        if not dry_run:
            self._engine.node = node
        return node


def _place(name: str, node: Node) -> str:
    """Say which runtime it is: "handlers.old (cri-o 1.24.6)"."""
    filled = nodefile.fill(node.document)
    family = (filled.handlers[name] if name else filled.runtime).name
    return f"{f'handlers.{name}' if name else 'runtime'} ({family} {node.entries[name].runtime.release})"


def warnings(node: Node) -> list[str]:
    """Return what a node accepts but a person should know."""
    kubelet = node.kubelet
    settings = kubelet.settings
    policy = (settings.policy.step,) if settings.policy else ()
    steps = (*kubelet.notes, *settings.seccomp_default.steps, *settings.profile_root.steps, *policy)
    return [step.because for step in steps if step.warns]


class _Shown(TypedDict):
    node_yaml: str
    node_json: str
    warnings: list[str]


def _shown(node: Node) -> _Shown:
    document: dict[str, Any] = nodefile.to_dict(node.document, full=True)
    return {
        "node_yaml": nodefile.to_yaml(node.document, full=True),
        "node_json": json.dumps(document),
        "warnings": warnings(node),
    }
