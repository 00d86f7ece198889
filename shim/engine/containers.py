"""Containers: what each is made of, and its life.

    CREATED ──start──► RUNNING ──stop──► EXITED ──remove──► gone      (remove kills what still runs)
       └──── a start that fails ──────────►

No process is made. A started container runs until it is stopped, and then ends as a process does that leaves signals to
their defaults: by its stop signal (exit code 128 + its number, 143 for SIGTERM) if it is given any time, by SIGKILL
(137) if it is given none or the signal is one that a process survives. A start that fails leaves it EXITED with code
128 and the reason StartError (containerd, container_start.go).

In memory stays what a list shows; everything else is read from the store when it is asked for.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import Refused
from runtimes.model import ContainerPlace
from runtimes.request import ContainerMetadata, ContainerRequest, ImageSpec, LinuxContainerResources
from shim.engine import codec, decisions, logs, signals
from shim.engine.creation import check
from shim.engine.ground import refuse
from shim.engine.identities import Ids, interned
from shim.engine.values import (
    CONTAINER_CREATED,
    CONTAINER_EXITED,
    CONTAINER_RUNNING,
    CONTAINER_STATES,
    EVENT_CREATED,
    EVENT_DELETED,
    EVENT_STARTED,
    EVENT_STOPPED,
    SANDBOX_READY,
    Container,
    ContainerFilter,
    ContainerResources,
    ContainerStatus,
    ContainerStatusView,
    ContainerUser,
    LinuxContainerUser,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.request import SandboxRequest
    from shim.engine.events import Journal
    from shim.engine.ground import Ground
    from shim.engine.images import Images
    from shim.engine.sandboxes import Sandboxes

_START_FAILED = 128


class Life(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes in a container. `resources` are the limits in force."""

    state: int = CONTAINER_CREATED
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    resources: LinuxContainerResources = LinuxContainerResources()


class Made(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it was made of: the request as the kubelet's step left it, its place on the node, and what follows from both
    in the words of the runtime that made it.
    """

    request: ContainerRequest
    place: ContainerPlace
    sandbox: str
    shown_image: str
    image_ref: str
    listed_image: ImageSpec
    listed_ref: str
    image_id: str
    log_directory: str = ""
    log_path: str = ""
    user: LinuxContainerUser = LinuxContainerUser()


class Held(msgspec.Struct, frozen=True):
    """What stays in memory: what lists show, the row it is in, the entry whose runtime made it, since when it runs."""

    shown: Container
    row: int
    entry: str
    started_at: int


class Containers:
    """All containers of the node."""

    def __init__(self, ground: Ground, journal: Journal, images: Images, sandboxes: Sandboxes) -> None:
        self._ground, self._journal, self._images, self._sandboxes = ground, journal, images, sandboxes
        self._held: dict[str, Held] = {}
        self._of: dict[str, dict[str, None]] = {}
        for row, known, entry, life, made in ground.store.rows(
            "SELECT seq, id, entry, life, made FROM containers ORDER BY seq"
        ):
            self._hold(_held(known, row, sys.intern(entry), codec.decode(life, Life), codec.decode(made, Made)))
        self.ids = Ids(self._held)

    def __getitem__(self, id: str) -> Held:
        """Return what is held of a container, by its full id."""
        return self._held[id]

    def of(self, sandbox: str) -> tuple[Held, ...]:
        """Return a sandbox's containers, oldest first."""
        return tuple(self._held[each] for each in self._of.get(sandbox, ()))

    def create(self, sandbox_id: str, config: ContainerRequest | None, sandbox_config: SandboxRequest | None) -> str:
        """CreateContainer."""
        node, store = self._ground.node, self._ground.store
        asked = check(self._ground, self._sandboxes, self._images, self._named, sandbox_id, config, sandbox_config)
        if isinstance(asked, str):
            return asked
        directory = asked.sandbox.log_directory
        log_path = logs.log_path(directory, asked.request.log_path)
        new = self._ground.fresh_id()
        place = ContainerPlace(
            id=new,
            created_at=self._ground.clock.now_ns(),
            pid=self._ground.fresh_pid(),
            storage=self._ground.fresh_id(),
            image=asked.image,
            image_reference=asked.image_reference,
        )
        entry = self._ground.entry(asked.entry)
        request, decision = node.container(entry, asked.request, place, asked.sandbox, asked.sandbox_place)
        persona = entry.runtime.persona
        life = Life(resources=(request.linux and request.linux.resources) or LinuxContainerResources())
        made = Made(
            request=request,
            place=place,
            sandbox=asked.sandbox_place.id,
            shown_image=persona.shown_image(request, place),
            image_ref=persona.image_ref(asked.image),
            listed_image=persona.listed_image(request, place),
            listed_ref=persona.listed_ref(asked.image),
            image_id="" if "image_id" in persona.unsent else persona.image_id(asked.image),
            log_directory=directory,
            log_path=log_path,
            user=_user(decision.spec),
        )
        with store.change():
            kept = decisions.keep(store, decision, self._ground.origin(asked.entry))
            row = store.write(
                f"INSERT INTO containers (id, entry, name, life, made, {decisions.COLUMNS}) "  # noqa: S608  our own
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(new, asked.entry, asked.name, codec.encode(life), codec.encode(made), *kept),
            )
            note = self._journal.note(EVENT_CREATED, new, made.sandbox)
        self._hold(_held(new, row, asked.entry, life, made))
        self.ids.add(new)
        self._journal.tell(note)
        return new

    def start(self, id: str) -> None:
        """StartContainer."""
        held = self._held[id]
        persona = self._ground.persona(held.entry)
        if held.shown.state != CONTAINER_CREATED:
            refuse(persona, "StartContainer.state", id=id, state=CONTAINER_STATES[held.shown.state])
            return
        life, made = self._life(held), self.made(id)
        now = self._ground.clock.now_ns()
        try:
            if self._sandboxes[made.sandbox].shown.state != SANDBOX_READY:
                refuse(persona, "StartContainer.sandbox-not-ready", id=made.sandbox)
            logs.make(made.log_directory, made.log_path)
            self._ground.entry(held.entry).runtime.start(self._decision(held).spec)
        except Refused as refusal:
            failed = {"exit_code": _START_FAILED, "reason": "StartError", "message": refusal.message}
            self._live(held, msgspec.structs.replace(life, state=CONTAINER_EXITED, finished_at=now, **failed))
            raise
        self._live(held, msgspec.structs.replace(life, state=CONTAINER_RUNNING, started_at=now), EVENT_STARTED)

    def stop(self, id: str, timeout: int) -> None:
        """StopContainer. One that does not run stays what it is."""
        held = self._held[id]
        if held.shown.state != CONTAINER_RUNNING:
            return
        life, made = self._life(held), self.made(id)
        signal = signals.stop_signal(made.request.stop_signal, made.place.image.stop_signal)
        ended = msgspec.structs.replace(
            life,
            state=CONTAINER_EXITED,
            finished_at=self._ground.clock.now_ns(),
            exit_code=signals.exit_code(signal, timeout),
            reason="Error",
        )
        self._live(held, ended, EVENT_STOPPED)

    def remove(self, id: str) -> None:
        """RemoveContainer."""
        self.stop(id, 0)
        held = self._held[id]
        sandbox = held.shown.pod_sandbox_id
        with self._ground.store.change():
            self._ground.store.write("DELETE FROM containers WHERE seq = ?", held.row)
            note = self._journal.note(EVENT_DELETED, id, sandbox)
        del self._held[id]
        del self._of[sandbox][id]
        self.ids.discard(id)
        if not self._of[sandbox]:
            del self._of[sandbox]
        self._journal.tell(note)

    def update(self, id: str, resources: LinuxContainerResources | None) -> None:
        """UpdateContainerResources. The spec stays as it was created."""
        held = self._held[id]
        if held.shown.state not in (CONTAINER_CREATED, CONTAINER_RUNNING):
            state = CONTAINER_STATES[held.shown.state]
            refuse(self._ground.persona(held.entry), "UpdateContainerResources.state", id=id, state=state)
        if resources is not None:
            life = self._life(held)
            self._live(held, msgspec.structs.replace(life, resources=_updated(life.resources, resources)))

    def reopen_log(self, id: str) -> None:
        """ReopenContainerLog."""
        held = self._held[id]
        if held.shown.state != CONTAINER_RUNNING:
            state = CONTAINER_STATES[held.shown.state]
            refuse(self._ground.persona(held.entry), "ReopenContainerLog.state", id=id, state=state)
        made = self.made(id)
        logs.make(made.log_directory, made.log_path)

    def made(self, id: str) -> Made:
        """Return what a container was made of."""
        return codec.decode(self._row(self._held[id], "made")[0], Made)

    def limits(self, id: str) -> LinuxContainerResources:
        """Return the limits in force for a container."""
        return self._life(self._held[id]).resources

    def status(self, id: str) -> ContainerStatus:
        """Return a container in full."""
        held = self._held[id]
        shown, life, made = held.shown, self._life(held), self.made(id)
        unsent = self._ground.persona(held.entry).unsent
        signal = signals.stop_signal(made.request.stop_signal, made.place.image.stop_signal)
        return ContainerStatus(
            id=id,
            metadata=shown.metadata,
            state=life.state,
            created_at=shown.created_at,
            started_at=life.started_at,
            finished_at=life.finished_at,
            exit_code=life.exit_code,
            image=ImageSpec(image=made.shown_image),
            image_ref=made.image_ref,
            reason=life.reason,
            message=life.message,
            labels=shown.labels,
            annotations=shown.annotations,
            mounts=made.request.mounts,
            log_path=made.log_path,
            resources=None if "resources" in unsent else ContainerResources(linux=life.resources),
            image_id=shown.image_id,
            user=None if "user" in unsent else ContainerUser(linux=made.user),
            stop_signal=0 if "stop_signal" in unsent else signal,
        )

    def view(self, id: str, *, verbose: bool) -> ContainerStatusView:
        """ContainerStatus."""
        return ContainerStatusView(status=self.status(id), info=self._info(id) if verbose else {})

    def list(self, filter: ContainerFilter | None) -> list[Container]:
        """ListContainers."""
        return [held.shown for held in self.held(filter, "ListContainers")]

    def held(self, filter: ContainerFilter | None, rpc: str) -> Iterable[Held]:
        """Return those that a filter lets through, oldest first."""
        if filter is None:
            return self._held.values()
        candidates: Iterable[Held] = self._held.values()
        if filter.pod_sandbox_id:
            sandbox = self._ground.find("sandbox", self._sandboxes.ids, rpc, filter.pod_sandbox_id)
            candidates = self.of(sandbox or "")
        if filter.id:
            found = self._ground.find("container", self.ids, rpc, filter.id)
            candidates = [held for held in candidates if held.shown.id == found]
        wanted, state = filter.label_selector.items(), filter.state
        if state is not None:
            candidates = [held for held in candidates if held.shown.state == state]
        return [held for held in candidates if wanted <= held.shown.labels.items()] if wanted else candidates

    def _named(self, name: str, entry: str) -> str | None:
        found = self._ground.store.row("SELECT id FROM containers WHERE name = ? AND entry = ?", name, entry)
        return found[0] if found else None

    def _info(self, id: str) -> dict[str, str]:
        store, held = self._ground.store, self._held[id]
        made, decision = self.made(id), self._decision(held)
        info = self._ground.persona(held.entry).container_info(
            made.request, made.place, self._sandboxes.made(made.sandbox).place, decision, state=held.shown.state
        )
        (origin,) = self._row(held, "origin")
        return info | {"crishim": decisions.explanation(store, decision, origin)}

    def _decision(self, held: Held) -> Any:
        section, steps, _origin, spec = self._row(held, decisions.COLUMNS)
        return decisions.read(self._ground.store, section, steps, spec)

    def _life(self, held: Held) -> Life:
        return codec.decode(self._row(held, "life")[0], Life)

    def _live(self, held: Held, life: Life, event: int | None = None) -> None:
        """Let a container go on living: write it down, then show it, then tell of it."""
        shown, notes = held.shown, []
        with self._ground.store.change():
            self._ground.store.write("UPDATE containers SET life = ? WHERE seq = ?", codec.encode(life), held.row)
            if event is not None:
                notes.append(self._journal.note(event, shown.id, shown.pod_sandbox_id))
        if life.state != shown.state:
            shown = msgspec.structs.replace(shown, state=life.state)
        self._held[shown.id] = Held(shown, held.row, held.entry, life.started_at)
        self._journal.tell(*notes)

    def _hold(self, held: Held) -> None:
        self._held[held.shown.id] = held
        self._of.setdefault(held.shown.pod_sandbox_id, {})[held.shown.id] = None

    def _row(self, held: Held, columns: str) -> tuple[Any, ...]:
        return self._ground.store.must_row(f"SELECT {columns} FROM containers WHERE seq = ?", held.row)  # noqa: S608


def _held(id: str, row: int, entry: str, life: Life, made: Made) -> Held:
    shown = Container(
        id=id,
        pod_sandbox_id=made.sandbox,
        metadata=made.request.metadata or ContainerMetadata(),
        image=made.listed_image,
        image_ref=made.listed_ref,
        state=life.state,
        created_at=made.place.created_at,
        labels=interned(made.request.labels),
        annotations=interned(made.request.annotations),
        image_id=made.image_id,
    )
    return Held(shown, row, entry, life.started_at)


def _user(spec: dict[str, Any]) -> LinuxContainerUser:
    """Return who the first process is, as the spec has it."""
    user = (spec.get("process") or {}).get("user") or {}
    groups = tuple(user.get("additionalGids") or ())
    return LinuxContainerUser(uid=user.get("uid", 0), gid=user.get("gid", 0), supplemental_groups=groups)


def _updated(old: LinuxContainerResources, new: LinuxContainerResources) -> LinuxContainerResources:
    """Return limits with those that are set in an update; 0 and "" mean that nothing is said about one."""
    given = {field: value for field in new.__struct_fields__ if (value := getattr(new, field))}
    if new.unified:
        given["unified"] = old.unified | new.unified
    return msgspec.structs.replace(old, **given)
