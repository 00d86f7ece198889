"""What the rooms of the engine stand on together: the node in force, the store, the clock, fresh ids.

Also the two questions that every RPC starts with: which object does this id mean, and what does its runtime say in this
situation?
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from runtimes.errors import Refused
from shim.engine import codec
from shim.engine.identities import AmbiguousError, Ids, fresh_id
from shim.nodefile.document import to_dict

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.persona import Persona
    from shim.engine.clock import Clock
    from shim.engine.store import Store
    from shim.node import Entry, Node

_FIRST_PID, _LAST_PID = 1000, 4_194_304  # the kernel's own limit


class Ground:
    """The ground. The node may be replaced at any time; nobody keeps a copy of what is on it."""

    def __init__(self, node: Node, store: Store, clock: Clock, token: Callable[[int], str] = secrets.token_hex) -> None:
        self.node, self.store, self.clock, self._token = node, store, clock, token
        self._origins: dict[str, bytes] = {}
        row = store.row("SELECT total(seq) FROM sqlite_sequence WHERE name IN ('sandboxes', 'containers')")
        self._processes = int(row[0]) if row else 0

    def replace(self, node: Node) -> None:
        """Put another node in force."""
        self.node = node
        self._origins.clear()

    def fresh_id(self) -> str:
        """Return 64 hex digits that nothing has yet."""
        return fresh_id(self._token)

    def fresh_pid(self) -> int:
        """Return the pid of a process that is only said to exist."""
        self._processes += 1
        return _FIRST_PID + self._processes % (_LAST_PID - _FIRST_PID)

    def entry(self, name: str) -> Entry:
        """Return the entry that an object was made under; the default one if the node no longer has it."""
        return self.node.entries.get(name) or self.node.default

    def persona(self, name: str | None = None) -> Persona:
        """Return who answers for the objects of an entry, by default for the node."""
        return (self.node.default if name is None else self.entry(name)).runtime.persona

    def find(self, kind: str, ids: Ids, rpc: str, id: str) -> str | None:
        """Return the full id that a prefix means, None where nothing has it.

        `kind` is "sandbox" or "container". Raises `Refused` for an empty and for an ambiguous one.
        """
        persona = self.persona()
        if not id:
            refuse(persona, f"{kind}.empty-id", rpc=rpc)
            return None
        try:
            return ids.find(id)
        except AmbiguousError:
            refuse(persona, f"{kind}.ambiguous", rpc=rpc, id=id)
            return None

    def must_find(self, kind: str, ids: Ids, rpc: str, id: str) -> str:
        """Return the full id that a prefix means. Raises `Refused` where nothing has it."""
        found = self.find(kind, ids, rpc, id)
        if found is None:
            refuse(self.persona(), f"{rpc}.missing", id=id)
            raise Refused("NOT_FOUND", f"{kind} {id} not found")  # a family that would say OK has nothing to show
        return found

    def origin(self, entry: str = "") -> bytes:
        """Return what an object of an entry is made with, as JSON: the parts of the node document that had a say."""
        if entry not in self._origins:
            said = to_dict(self.node.document, full=True)
            runtime = said["handlers"].get(entry, said["runtime"])
            self._origins[entry] = codec.encode({"kubelet": said["kubelet"], "runtime": runtime, "host": said["host"]})
        return self._origins[entry]


def refuse(persona: Persona, situation: str, **details: str) -> None:
    """Raise what a runtime answers in a situation; return where it answers as if nothing were wrong."""
    refusal = persona.refusal(situation, **details)
    if refusal is not None:
        raise refusal
