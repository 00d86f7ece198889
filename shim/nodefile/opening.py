"""A node document -> a node: the kubelet and every runtime, started as their releases start, and told to reload."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import msgspec

from runtimes.artifacts import artifacts_of
from runtimes.errors import BadInput
from runtimes.files import FileFault
from runtimes.model import Setup, find, known, reload
from shim.artifacts import Registries
from shim.files import HostFiles
from shim.kubelet.kubelet import Kubelet
from shim.node import Entry, Node
from shim.nodefile.document import OWN_FILE, RuntimePart, fill, host_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.model import Reloaded
    from shim.kubelet.kubelet import Mode
    from shim.nodefile.document import Document, Origin


def open_node(document: Document, running: Node | None = None) -> Node:
    """Start everything that a document names.

    A runtime of the node `running` that the document says nothing new about is not started again: what its own files
    say meanwhile counts from a restart on. Raises `BadInput` with the field that is wrong, and `Refused` where a
    component refuses to start so, in its words.
    """
    filled = fill(document)
    origin = document.origin
    host = host_of(filled)
    root = _root(filled, origin)
    files = HostFiles(root, Registries(HostFiles(root)))
    entries: dict[str, Entry] = {}
    for name, field, part in _parts(filled):
        entry = running.entries.get(name) if running else None
        started_from = (part, host, root)
        if entry is None or entry.started_from != started_from:
            entry = _entry(name, field, part, host, files, origin)
            entry = msgspec.structs.replace(entry, started_from=started_from)
        entries[name] = entry
    return Node(host=host, files=files, kubelet=_kubelet(filled, origin), entries=entries, document=document)


def keep_running(document: Document, running: Node) -> Node:
    """Return the node with another document, its runtimes being as they are: for them it counts from a reload on.

    Raises `BadInput` where it says of a runtime what no reload could do.
    """
    old, new = fill(running.document), fill(document)
    before = {name: part for name, _, part in _parts(old)}
    after = {name: (field, part) for name, field, part in _parts(new)}
    where = "a restart: leave the running runtimes out of it"
    if old.host != new.host or set(before) != set(after):
        raise BadInput("another host, or another handler, is nothing that a reload could do", right=where)
    for name, (field, part) in after.items():
        if (part.name, part.version, part.handler) != (before[name].name, before[name].version, before[name].handler):
            fault = BadInput("another release or handler is another daemon, which no reload gives", right=where)
            raise document.origin.fault(field, fault)
    kubelet = _kubelet(new, document.origin)
    return msgspec.structs.replace(running, kubelet=kubelet, document=document)


def reload_node(node: Node) -> tuple[Node, dict[str, Reloaded]]:
    """Return the node after each of its runtimes was told to read its configuration again, and what each says of it.

    Raises `BadInput` for a configuration file that is not there.
    """
    filled = fill(node.document)
    origin = node.document.origin
    entries, told = {}, {}
    for name, field, part in _parts(filled):
        entry = node.entries[name]
        try:
            setup, files = _setup(field, part, node.files, origin)
            told[name] = reload(entry.runtime, setup, files)
        except (BadInput, FileFault) as fault:
            wrong = fault if isinstance(fault, BadInput) else BadInput(str(fault))
            raise origin.fault(_blamed(wrong, field, part), wrong) from None
        started_from = (part, *entry.started_from[1:]) if entry.started_from else None
        entries[name] = msgspec.structs.replace(entry, runtime=told[name].runtime, started_from=started_from)
    return msgspec.structs.replace(node, entries=entries), told


def _parts(filled: Document) -> Iterator[tuple[str, str, RuntimePart]]:
    """Go through the runtimes: the CRI's name of each, its field, and what is said about it."""
    yield "", "runtime", filled.runtime
    for name, part in filled.handlers.items():
        yield name, f"handlers.{name}", part


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
    setup, files = _setup(field, part, files, origin)
    try:
        model = find(part.name or "")
        runtime = model.runtime(known(model, part.version or ""), host, setup, files)
    except BadInput as fault:
        raise origin.fault(_blamed(fault, field, part), fault) from None
    except FileFault as fault:
        raise origin.fault(f"{field}.config", BadInput(str(fault))) from None
    return Entry(name=name, runtime=runtime, handler=setup.handler)


def _setup(field: str, part: RuntimePart, files: Files, origin: Origin) -> tuple[Setup, Files]:
    """Return how a runtime is set up, and the files that it sees."""
    config = part.config or ""
    if config.startswith(OWN_FILE):
        config = config.removeprefix(OWN_FILE)
        files = _WithOwnFile(files, config)
        try:
            files.read(config)
        except FileFault as fault:
            raise origin.fault(f"{field}.config", BadInput(str(fault))) from None
    setup = Setup(config=config, handler=part.handler or "", flags=part.flags or (), environment=part.environment or {})
    return setup, files


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
