"""A node document -> a node: the kubelet and every runtime, started as their releases start, and told to reload."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import msgspec

from runtimes.artifacts import artifacts_of
from runtimes.errors import BadInput
from runtimes.files import FileFault, MemoryFiles
from runtimes.model import Setup, find, known, reload, written
from runtimes.request import (
    ContainerMetadata,
    ContainerRequest,
    ImageSpec,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    SandboxRequest,
    SecurityProfile,
)
from shim.artifacts import Registries
from shim.files import HostFiles
from shim.images import image_facts, normalise
from shim.kubelet.configfile import Sources
from shim.kubelet.kubelet import Kubelet
from shim.node import Entry, Node, rehearsed_container, rehearsed_sandbox
from shim.nodefile.document import DEFAULT_RUNTIME, OWN_FILE, RuntimePart, fill, host_of, newest_stable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.model import ImageFacts, Reloaded
    from shim.kubelet.kubelet import Mode
    from shim.nodefile.document import Document, Origin


_KUBELET_FIELDS = ("config", "configDir", "flags", "policy", "policyProfile")


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
    files: Files = HostFiles(root, Registries(HostFiles(root)))
    kubelet = _kubelet(filled, files, origin)
    places = kubelet.settings.policy.places if kubelet.settings.policy is not None else ""
    if places:
        files = _WithPlaced(files, {places: _placed(host)})
    entries: dict[str, Entry] = {}
    for name, field, part in _parts(filled):
        entry = running.entries.get(name) if running else None
        started_from = (part, host, root, places)
        if entry is None or entry.started_from != started_from:
            entry = _entry(name, field, part, host, files, origin)
            entry = msgspec.structs.replace(entry, started_from=started_from)
        entries[name] = entry
    images = images_of(document)
    return Node(host=host, files=files, kubelet=kubelet, entries=entries, images=images, document=document)


def images_of(document: Document) -> dict[str, ImageFacts]:
    """Return the images of which a document says something, by canonical reference."""
    facts = (image_facts(name, part.user or "", part.annotations) for name, part in document.images.items())
    return dict(zip(map(normalise, document.images), facts, strict=True))


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
    kubelet = _kubelet(new, running.files, document.origin)
    return msgspec.structs.replace(running, kubelet=kubelet, images=images_of(document), document=document)


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


def _kubelet(filled: Document, files: Files, origin: Origin) -> Kubelet:
    part = filled.kubelet
    own = [path.removeprefix(OWN_FILE) for path in (part.config, part.config_dir) if path and path.startswith(OWN_FILE)]
    sources = Sources(
        files=_WithOwnFiles(files, own) if own else files,
        config=(part.config or "").removeprefix(OWN_FILE),
        config_dir=(part.config_dir or "").removeprefix(OWN_FILE),
        environment=part.environment or {},
    )
    try:
        return Kubelet.start(
            part.version or "",
            seccomp_default=part.seccomp_default,
            feature_gates=part.feature_gates or {},
            step=cast("Mode", part.step),
            command_line=part.flags or (),
            sources=sources,
            policy=(part.policy or "", part.policy_profile or ""),
        )
    except BadInput as fault:
        field = f"kubelet.{fault.field}" if fault.field in _KUBELET_FIELDS and not fault.where else "kubelet"
        raise (fault if fault.where else origin.fault(field, fault)) from None


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
        files = _WithOwnFiles(files, [config])
        try:
            files.read(config)
        except FileFault as fault:
            raise origin.fault(f"{field}.config", BadInput(str(fault))) from None
    if part.settings:
        model = find(part.name or "")
        try:
            config, there = written(model, known(model, part.version or ""), part.settings, config, files)
        except BadInput as fault:
            raise origin.fault(_blamed(fault, field, part), fault) from None
        files = _WithPlaced(files, there)
    setup = Setup(config=config, handler=part.handler or "", flags=part.flags or (), environment=part.environment or {})
    return setup, files


def _blamed(fault: BadInput, field: str, part: RuntimePart) -> str:
    """Return the field that a model's complaint is about: it names the setup's, not the document's."""
    if fault.field in RuntimePart.__struct_fields__:
        return f"{field}.{fault.field}"
    return f"{field}.config" if part.config else field


class _WithOwnFiles:
    """The node's files, and some of the user's own, or directories of them, that stand for the node's."""

    def __init__(self, node: Files, own: list[str]) -> None:
        self._node, self._here, self._own = node, HostFiles(), own
        self.artifacts = artifacts_of(node)

    def read(self, path: str) -> bytes:
        return self._of(path).read(path)

    def walk(self, path: str) -> tuple[str, ...]:
        return self._of(path).walk(path)

    def _of(self, path: str) -> Files:
        is_own = any(path == own or path.startswith(own.rstrip("/") + "/") for own in self._own)
        return self._here if is_own else self._node


class _WithPlaced:
    """The node's files, and some that are put there: by the kubelet when it starts, or for single settings."""

    def __init__(self, node: Files, there: dict[str, bytes]) -> None:
        self._node, self._there = node, there
        self.artifacts = artifacts_of(node)

    def read(self, path: str) -> bytes:
        return self._there[path] if path in self._there else self._node.read(path)

    def walk(self, path: str) -> tuple[str, ...]:
        inside = [name for name in self._there if name.startswith(path.rstrip("/") + "/")]
        return tuple(sorted({*self._node.walk(path), *inside}, key=lambda name: name.split("/")))


def _placed(host: Host) -> bytes:
    """Return the profile of a kubelet that brings one. Nobody ever wrote it: it is what the newest containerd makes of
    RuntimeDefault on this host, for a container with the default capabilities.
    """
    model = find(DEFAULT_RUNTIME)
    runtime = model.runtime(known(model, newest_stable(model.releases())), host, Setup(), MemoryFiles())
    entry = Entry("", runtime)
    sandbox = SandboxRequest()
    place = rehearsed_sandbox(entry, sandbox)
    context = LinuxContainerSecurityContext(seccomp=SecurityProfile())
    request = ContainerRequest(
        metadata=ContainerMetadata(name="any"),
        image=ImageSpec(image="any"),
        linux=LinuxContainerConfig(security_context=context),
    )
    decision = runtime.container(request, rehearsed_container(request, place), sandbox, place)
    return msgspec.json.encode(decision.section or {"defaultAction": "SCMP_ACT_ALLOW"})
