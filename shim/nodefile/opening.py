"""A node document -> a node: the kubelet and every runtime, started as their releases start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from runtimes.artifacts import artifacts_of
from runtimes.errors import BadInput
from runtimes.files import FileFault
from runtimes.model import Setup, find, known
from shim.artifacts import Registries
from shim.files import HostFiles
from shim.kubelet.kubelet import Kubelet
from shim.node import Entry, Node
from shim.nodefile.document import OWN_FILE, RuntimePart, fill, host_of

if TYPE_CHECKING:
    from runtimes.files import Files
    from runtimes.host import Host
    from shim.kubelet.kubelet import Mode
    from shim.nodefile.document import Document, Origin


def open_node(document: Document) -> Node:
    """Start everything that a document names.

    Raises `BadInput` with the field that is wrong, and `Refused` where a component refuses to start so, in its words.
    """
    filled = fill(document)
    origin = document.origin
    host = host_of(filled)
    root = _root(filled, origin)
    files = HostFiles(root, Registries(HostFiles(root)))
    entries = {"": _entry("", "runtime", filled.runtime, host, files, origin)}
    for name, part in filled.handlers.items():
        entries[name] = _entry(name, f"handlers.{name}", part, host, files, origin)
    return Node(host=host, files=files, kubelet=_kubelet(filled, origin), entries=entries, document=document)


def _root(filled: Document, origin: Origin) -> str:
    root = filled.host.root or "/"
    if not os.path.isdir(root):  # noqa: PTH112  pathlib is slow to import
        fault = BadInput(f"{root} is not a directory", right="a directory that stands for the node's file system")
        raise origin.fault("host.root", fault)
    return root


def _kubelet(filled: Document, origin: Origin) -> Kubelet:
    part = filled.kubelet
    try:
        return Kubelet.start(
            part.version or "",
            seccomp_default=bool(part.seccomp_default),
            feature_gates=part.feature_gates or {},
            step=cast("Mode", part.step),
        )
    except BadInput as fault:
        raise origin.fault("kubelet", fault) from None


def _entry(name: str, field: str, part: RuntimePart, host: Host, files: Files, origin: Origin) -> Entry:
    config, handler = part.config or "", part.handler or ""
    if config.startswith(OWN_FILE):
        config = config.removeprefix(OWN_FILE)
        files = _WithOwnFile(files, config)
        try:
            files.read(config)
        except FileFault as fault:
            raise origin.fault(f"{field}.config", BadInput(str(fault))) from None
    try:
        model = find(part.name or "")
        runtime = model.runtime(known(model, part.version or ""), host, Setup(config=config, handler=handler), files)
    except BadInput as fault:
        raise origin.fault(_blamed(fault, field, part), fault) from None
    except FileFault as fault:
        raise origin.fault(f"{field}.config", BadInput(str(fault))) from None
    return Entry(name=name, runtime=runtime, handler=handler)


def _blamed(fault: BadInput, field: str, part: RuntimePart) -> str:
    """Return the field that a model's complaint is about: it names the setup's, not the document's."""
    if fault.field in RuntimePart.__struct_fields__:
        return f"{field}.{fault.field}"
    return f"{field}.config" if part.config else field


class _WithOwnFile:
    """The node's files, and one of the user's own that stands for the node's configuration file."""

    def __init__(self, node: Files, path: str) -> None:
        self._node, self._own, self._path = node, HostFiles(), path
        self.artifacts = artifacts_of(node)

    def read(self, path: str) -> bytes:
        return (self._own if path == self._path else self._node).read(path)

    def walk(self, path: str) -> tuple[str, ...]:
        return self._node.walk(path)
