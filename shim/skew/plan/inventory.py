"""Which nodes are upgraded from what to what: an inventory file, and the way from a node's name to its pool.

The schema is shim/schemas/inventory.schema.json. Whatever is wrong with an inventory, or with a node file that it
names, is told at once, before anything is planned.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
from typing import Any

import msgspec

from runtimes.errors import BadInput
from runtimes.facts import read_file
from shim.nodefile import Document, images_of, load, read_user_file, reading

_WHAT_IT_HOLDS = "an inventory holds pools, each with nodes, from and to"
_PATTERN = re.compile(r"[*?\[]")
OTHERS = ""  # the pool of the nodes that --from and --to are for


class Pool(msgspec.Struct, frozen=True):
    """Nodes that are upgraded alike. `name` is "" for those that no inventory names."""

    name: str
    before: Document
    after: Document
    files: tuple[str, str] = ("", "")


class Routes(msgspec.Struct, frozen=True):
    """The way from a node's name to that of its pool, small enough to be sent along with every piece of work.

    `images` are the canonical references of those of which any node says something.
    """

    exact: dict[str, str] = {}
    patterns: tuple[tuple[str, str], ...] = ()
    others: bool = True
    images: frozenset[str] = frozenset()

    def pool(self, node: str) -> str | None:
        """Return the pool of a node, None where there is none for it. A pod without a node may go to any."""
        found = self.exact.get(node)
        if found is not None:
            return found
        for pattern, pool in self.patterns:
            if _compiled(pattern).match(node):
                return pool
        return OTHERS if self.others else None


class Inventory(msgspec.Struct, frozen=True):
    """Everything that is upgraded."""

    pools: tuple[Pool, ...]
    routes: Routes = Routes()
    runtime_classes: dict[str, str] = {}


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


@functools.cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of an inventory."""
    return msgspec.json.decode(read_file("shim", "schemas/inventory.schema.json"))  # type: ignore[no-any-return]


def read(path: str, before: str, after: str) -> Inventory:
    """Return what an inventory file and the node files of --from and --to say together; "" stands for none.

    Raises `BadInput`.
    """
    if bool(before) != bool(after) or not (path or before):
        right = "--from and --to, or --nodes, or all three"
        raise BadInput("is missing", where="--to" if before else "--from", right=right)
    files = _NodeFiles()
    faults = files.faults
    inventory = _Reading(path, files).inventory() if path else Inventory(())
    if before:
        documents = [files.load(each) for each in (before, after)]
        if documents[0] and documents[1]:
            pool = Pool(OTHERS, documents[0], documents[1], (before, after))
            inventory = msgspec.structs.replace(inventory, pools=(*inventory.pools, pool))
    if faults:
        raise reading.BadDocument(faults)
    images = (images_of(node) for pool in inventory.pools for node in (pool.before, pool.after))
    routes = msgspec.structs.replace(inventory.routes, others=bool(before), images=frozenset().union(*images))
    return msgspec.structs.replace(inventory, routes=routes)


class _Reading:
    """One inventory file being read."""

    def __init__(self, path: str, files: _NodeFiles) -> None:
        self.where = "standard input" if path == "-" else path
        self.base = os.getcwd() if path == "-" else os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH109, PTH120
        text = reading.decode(read_user_file(path), self.where)
        self.reader = reading.Reader(schema(), self.where)
        self.value = self.reader.read(reading.compose(text, self.where, _WHAT_IT_HOLDS), schema())
        self.files, self.faults = files, files.faults
        self.faults += self.reader.faults

    def inventory(self) -> Inventory:
        """Return what it says, as far as that is right."""
        value = self.value if isinstance(self.value, dict) else {}
        if not self.faults and not value.get("pools"):
            self._bad("pools", "there are none", _WHAT_IT_HOLDS)
        exact: dict[str, str] = {}
        patterns: dict[str, str] = {}
        pools = []
        for name, said in value.get("pools", {}).items():
            pool = self._pool(name, said or {})
            pools += [pool] if pool else []
            for number, node in enumerate((said or {}).get("nodes") or ()):
                names = patterns if _PATTERN.search(node) else exact
                if names.setdefault(node, name) != name:
                    what = f"{node} belongs to the pool {names[node]} already"
                    self._bad(f"pools.{name}.nodes[{number}]", what, "leave one")
        classes = value.get("runtimeClasses") or {}
        return Inventory(tuple(pools), Routes(exact, tuple(patterns.items())), classes)

    def _pool(self, name: str, said: dict[str, Any]) -> Pool | None:
        field = f"pools.{name}"
        documents = [self._document(f"{field}.{key}", said.get(key)) for key in ("from", "to")]
        if not said.get("nodes"):
            self._bad(f"{field}.nodes", "a pool has nodes", 'their names, or patterns: ["worker-*"]')
        if documents[0] and documents[1]:
            return Pool(name, documents[0], documents[1], (said["from"], said["to"]))
        return None

    def _document(self, field: str, path: str | None) -> Document | None:
        full = os.path.join(self.base, path or "")  # noqa: PTH118  pathlib is slow to import
        if path and os.path.isfile(full):  # noqa: PTH113
            return self.files.load(full)
        what = f"there is no file {full}" if path else "is missing"
        self._bad(field, what, "a node file; a relative path starts beside this file")
        return None

    def _bad(self, field: str, what: str, right: str) -> None:
        if any(fault.field == field for fault in self.faults):
            return  # it is there, and something else is wrong with it
        line, column = self._place(field)
        self.faults.append(BadInput(what, where=self.where, line=line, column=column, field=field, right=right))

    def _place(self, field: str) -> reading.Place:
        """Return the place of a field, or of what should have it."""
        while field and field not in self.reader.places:
            field = field.rpartition(".")[0]
        return self.reader.places.get(field, (None, None))


class _NodeFiles:
    """The node files that are named, each read once. What is wrong, with them or otherwise, is in `faults`."""

    def __init__(self) -> None:
        self.faults: list[BadInput] = []
        self._known: dict[str, Document | None] = {}

    def load(self, path: str) -> Document | None:
        """Return the document of a file, None where something is wrong with it."""
        if path not in self._known:
            self._known[path] = None
            try:
                self._known[path] = load(path)
            except BadInput as fault:
                self.faults += getattr(fault, "faults", (fault,))
        return self._known[path]
