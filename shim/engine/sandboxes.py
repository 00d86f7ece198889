"""Sandboxes: what each is made of, and its life.

    READY ──stop──► NOTREADY ──remove──► gone

In memory stays what a list shows; everything else is read from the store when it is asked for.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from runtimes.model import SandboxPlace
from runtimes.request import (
    NODE,
    LinuxContainerResources,
    LinuxPodSandboxConfig,
    PodSandboxMetadata,
    SandboxRequest,
    sandbox_security,
)
from shim.engine import codec, decisions
from shim.engine.addresses import DEFAULT_RANGE, Addresses
from shim.engine.ground import refuse
from shim.engine.identities import Ids, interned, uuid_of
from shim.engine.values import (
    EVENT_CREATED,
    EVENT_DELETED,
    EVENT_STARTED,
    EVENT_STOPPED,
    SANDBOX_NOTREADY,
    SANDBOX_READY,
    LinuxPodSandboxStatus,
    Namespace,
    PodSandboxNetworkStatus,
    PodSandboxStatus,
    Sandbox,
    SandboxFilter,
    SandboxStatusView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtimes.persona import Persona
    from shim.engine.events import Journal
    from shim.engine.ground import Ground
    from shim.engine.images import Images


class Life(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes in a sandbox."""

    state: int = SANDBOX_READY
    overhead: LinuxContainerResources | None = None
    resources: LinuxContainerResources | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it was made of: the request as the kubelet's step left it, its place on the node, and the labels that its
    runtime shows.
    """

    request: SandboxRequest
    place: SandboxPlace
    labels: dict[str, str] = {}


class Held(msgspec.Struct, frozen=True):
    """What stays in memory: what lists show, the row it is in, the entry whose runtime made it, its address."""

    shown: Sandbox
    row: int
    entry: str
    ip: str


class Sandboxes:
    """All sandboxes of the node."""

    def __init__(self, ground: Ground, journal: Journal, images: Images) -> None:
        self._ground, self._journal, self._images = ground, journal, images
        self._held: dict[str, Held] = {}
        for row, known, entry, life, made in ground.store.rows(
            "SELECT seq, id, entry, life, made FROM sandboxes ORDER BY seq"
        ):
            self._held[known] = _held(row, sys.intern(entry), codec.decode(life, Life), codec.decode(made, Made))
        self.ids = Ids(self._held)
        ready = (held.ip for held in self._held.values() if held.shown.state == SANDBOX_READY)
        self._addresses = Addresses(ground.store.setting("pod_cidr") or DEFAULT_RANGE, ready)

    def __getitem__(self, id: str) -> Held:
        """Return what is held of a sandbox, by its full id."""
        return self._held[id]

    def __iter__(self) -> Iterator[Held]:
        """Go through all, oldest first."""
        return iter(self._held.values())

    def run(self, config: SandboxRequest | None, handler: str) -> str:
        """RunPodSandbox."""
        node, store = self._ground.node, self._ground.store
        config = _checked(config, self._ground.persona(handler))
        entry = node.entry(handler)
        persona = entry.runtime.persona
        # A handler of a runtime's own configuration is no other runtime: its names and its objects are the default's.
        owner = sys.intern(entry.name if entry.name in node.entries else "")
        name = persona.sandbox_name(config)
        taken = self._named(owner, name)
        if taken is not None:
            if not persona.reserved_returns_owner:
                refuse(persona, "RunPodSandbox.name-reserved", name=name, owner=taken)
            return taken

        pause = self._images.ensure(persona.pause_image)
        new = self._ground.fresh_id()
        place = SandboxPlace(
            id=new,
            created_at=self._ground.clock.now_ns(),
            pid=self._ground.fresh_pid(),
            network=uuid_of(self._ground.fresh_id()),
            ip="" if _on_host_network(config) else self._addresses.next(),
            handler=entry.handler,
            requested_handler=handler,
            image=pause,
        )
        request, decision = node.sandbox(entry, config, place)
        life, made = Life(), Made(request=request, place=place, labels=persona.sandbox_labels(request))
        with store.change():
            kept = decisions.keep(store, decision, self._ground.origin(owner))
            row = store.write(
                f"INSERT INTO sandboxes (id, entry, name, life, made, {decisions.COLUMNS}) "  # noqa: S608  our own
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(new, owner, name, codec.encode(life), codec.encode(made), *kept),
            )
            notes = [self._journal.note(what, new, new) for what in (EVENT_CREATED, EVENT_STARTED)]
        self._held[new] = _held(row, owner, life, made)
        self.ids.add(new)
        self._addresses.take(place.ip)
        self._journal.tell(*notes)
        return new

    def stop(self, id: str) -> None:
        """Stop a sandbox whose containers are stopped; one that is stopped stays so."""
        held = self._held[id]
        if held.shown.state != SANDBOX_READY:
            return
        with self._ground.store.change():
            self._write_life(held, msgspec.structs.replace(self._life(held), state=SANDBOX_NOTREADY))
            note = self._journal.note(EVENT_STOPPED, id, id)
        shown = msgspec.structs.replace(held.shown, state=SANDBOX_NOTREADY)
        self._held[id] = msgspec.structs.replace(held, shown=shown)
        self._addresses.free(held.ip)
        self._journal.tell(note)

    def remove(self, id: str) -> None:
        """Remove a sandbox that is stopped and empty."""
        with self._ground.store.change():
            self._ground.store.write("DELETE FROM sandboxes WHERE seq = ?", self._held[id].row)
            note = self._journal.note(EVENT_DELETED, id, id)
        del self._held[id]
        self.ids.discard(id)
        self._journal.tell(note)

    def update(
        self, id: str, overhead: LinuxContainerResources | None, resources: LinuxContainerResources | None
    ) -> None:
        """UpdatePodSandboxResources."""
        held = self._held[id]
        life = self._life(held)
        with self._ground.store.change():
            self._write_life(
                held,
                msgspec.structs.replace(
                    life, overhead=overhead or life.overhead, resources=resources or life.resources
                ),
            )

    def made(self, id: str) -> Made:
        """Return what a sandbox was made of."""
        body = self._row(self._held[id], "made")[0]
        return codec.decode(body, Made)

    def status(self, id: str) -> PodSandboxStatus:
        """Return a sandbox in full."""
        held = self._held[id]
        shown, made = held.shown, self.made(id)
        security = sandbox_security(made.request)
        return PodSandboxStatus(
            id=id,
            metadata=shown.metadata,
            state=shown.state,
            created_at=shown.created_at,
            # Its network namespace is closed with it: a stopped sandbox has no address (containerd, getIPs).
            network=PodSandboxNetworkStatus(ip=held.ip if shown.state == SANDBOX_READY else ""),
            linux=LinuxPodSandboxStatus(namespaces=Namespace(options=security.namespace_options if security else None)),
            labels=shown.labels,
            annotations=shown.annotations,
            runtime_handler=shown.runtime_handler,
        )

    def view(self, id: str, *, verbose: bool) -> SandboxStatusView:
        """PodSandboxStatus."""
        return SandboxStatusView(status=self.status(id), info=self._info(id) if verbose else {})

    def list(self, filter: SandboxFilter | None, rpc: str = "ListPodSandbox") -> list[Sandbox]:
        """ListPodSandbox, and what the other lists of sandboxes begin with."""
        if filter is None:
            return [held.shown for held in self._held.values()]
        candidates: Iterable[Held] = self._held.values()
        if filter.id:
            found = self._ground.find("sandbox", self.ids, rpc, filter.id)
            candidates = () if found is None else (self._held[found],)
        wanted = filter.label_selector.items()
        return [
            shown
            for shown in (held.shown for held in candidates)
            if (filter.state is None or shown.state == filter.state) and wanted <= shown.labels.items()
        ]

    def use_addresses(self, pod_cidr: str) -> None:
        """UpdateRuntimeConfig. A range that is not given changes nothing."""
        if pod_cidr:
            Addresses(pod_cidr)  # raises before anything is written
            self._ground.store.set("pod_cidr", pod_cidr)
            self._addresses.use(pod_cidr)

    def _named(self, entry: str, name: str) -> str | None:
        found = self._ground.store.row("SELECT id FROM sandboxes WHERE name = ? AND entry = ?", name, entry)
        return found[0] if found else None

    def _info(self, id: str) -> dict[str, str]:
        store, held = self._ground.store, self._held[id]
        body, section, steps, origin, spec = self._row(held, f"made, {decisions.COLUMNS}")
        made, decision = codec.decode(body, Made), decisions.read(store, section, steps, spec)
        request = _with_resources(made.request, self._life(held))
        persona = self._ground.persona(held.entry)
        info = persona.sandbox_info(request, made.place, decision, running=held.shown.state == SANDBOX_READY)
        return info | {"crishim": decisions.explanation(store, decision, origin)}

    def _life(self, held: Held) -> Life:
        return codec.decode(self._row(held, "life")[0], Life)

    def _write_life(self, held: Held, life: Life) -> None:
        self._ground.store.write("UPDATE sandboxes SET life = ? WHERE seq = ?", codec.encode(life), held.row)

    def _row(self, held: Held, columns: str) -> tuple[bytes, ...]:
        return self._ground.store.must_row(f"SELECT {columns} FROM sandboxes WHERE seq = ?", held.row)  # noqa: S608


def _checked(config: SandboxRequest | None, persona: Persona) -> SandboxRequest:
    """Return a request that names its pod, as far as the runtime insists on it."""
    if config is None:
        refuse(persona, "RunPodSandbox.no-config")
        config = SandboxRequest()
    if config.metadata is None:
        refuse(persona, "RunPodSandbox.no-metadata")
        config = msgspec.structs.replace(config, metadata=PodSandboxMetadata())
    for field in ("name", "namespace", "uid"):
        if not getattr(config.metadata, field):
            refuse(persona, f"RunPodSandbox.no-{field}")
    return config


def _on_host_network(config: SandboxRequest) -> bool:
    security = sandbox_security(config)
    return bool(security and security.namespace_options and security.namespace_options.network == NODE)


def _held(row: int, entry: str, life: Life, made: Made) -> Held:
    request, place = made.request, made.place
    shown = Sandbox(
        id=place.id,
        metadata=request.metadata or PodSandboxMetadata(),
        state=life.state,
        created_at=place.created_at,
        labels=interned(made.labels),
        annotations=interned(request.annotations),
        runtime_handler=place.requested_handler,
    )
    return Held(shown, row, entry, place.ip)


def _with_resources(request: SandboxRequest, life: Life) -> SandboxRequest:
    if life.overhead is None and life.resources is None:
        return request
    linux = request.linux or LinuxPodSandboxConfig()
    linux = msgspec.structs.replace(
        linux, overhead=life.overhead or linux.overhead, resources=life.resources or linux.resources
    )
    return msgspec.structs.replace(request, linux=linux)
