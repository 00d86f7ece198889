"""What a mark or a caller says about a node -> the node documents that it chooses.

    "containerd@2.0.9"                  a release of a family; "containerd" is its newest
    "node.yaml", Path("node.yaml")      a node file, looked for beside the test
    "runtime: {name: cri-o}", {...}     a node document, as YAML or as a mapping
    kubelet="1.30.2", arch="arm64"      settings: the parts of a node document (host, kubelet, runtime, handlers,
                                        images), and the settings of host and kubelet by their own names

What is left out about the host is not taken from this machine: a suite says the same wherever it is run.
"""

from __future__ import annotations

import functools
import json
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.errors import BadInput
from shim import nodefile
from shim.nodefile.reading import BadDocument, nearest
from shim.report.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shim.nodefile import Document

# The machine of a node that says nothing about its own.
HOST: dict[str, Any] = {
    "arch": "amd64",
    "kernel": "6.12",
    "seccomp": True,
    "cgroup": 2,
    "hostname": "node-1",
    "capabilities": list(KERNEL_CAPABILITIES),
}
WHERE = "@pytest.mark.cri_node"
_RELEASE = re.compile(r"[A-Za-z][A-Za-z0-9._-]*(@\S+)?")
_FILE = re.compile(r".*\.(ya?ml|json)")
_RIGHT = 'a node is "containerd@2.0.9", a node file, YAML or a mapping'


class Choice(msgspec.Struct, frozen=True):
    """A node to run a test on. `id` is how a report names it, `base` the directory in which relative paths start."""

    id: str
    document: Document
    base: str = ""

    def __repr__(self) -> str:
        """Be short where pytest shows the arguments of a test."""
        return f"<node {self.id}>"


class Said(msgspec.Struct, frozen=True):
    """One mark: the nodes that it names, and the settings on top of them."""

    nodes: tuple[Any, ...] = ()
    settings: dict[str, Any] = {}
    ids: tuple[str, ...] = ()


def said(*nodes: Any, file: Any = None, id: str | Iterable[str] = (), **settings: Any) -> Said:
    """Return what the arguments of a mark say. Raises `BadInput`, with a line for each that says nothing."""
    faults = [
        BadInput("there is no such argument", field=name, right=nearest(name, _arguments()))
        for name in settings
        if name not in _arguments()
    ]
    files = () if file is None else (file,) if isinstance(file, (str, os.PathLike)) else tuple(file)
    named = (*nodes, *(_File(os.fspath(each)) for each in files))
    ids = (id,) if isinstance(id, str) else tuple(id)
    if ids and len(ids) != max(len(named), 1):
        what = f"{counted(len(ids), 'id')} for {counted(max(len(named), 1), 'node')}"
        faults.append(BadInput(what, field="id", right="one for each node"))
    if faults:
        raise BadDocument(faults)
    return Said(named, settings, ids)


def choices(
    levels: Iterable[Iterable[Said]], fallback: Iterable[Any] = (), *, base: str = "", fallback_base: str = ""
) -> list[Choice]:
    """Return the nodes that marks choose, from the outermost (a module's) to those of the test itself.

    Marks of one level add up, and take the place of the nodes further out. One that names no node has settings for all,
    where they do not say otherwise themselves. Without any node those of `fallback` are taken, or the default one.
    Raises `BadInput` with everything that is wrong.
    """
    around: dict[str, Any] = {}
    found: list[_Draft] = []
    faults: list[BadInput] = []
    for level in levels:
        fresh: list[_Draft] = []
        settings: dict[str, Any] = {}
        for mark in level:
            if mark.nodes or mark.ids:
                fresh += _drafts(mark, around, base, faults)
            else:
                settings |= mark.settings
        around |= settings
        found = [each.with_settings(settings) for each in fresh or found]
    if not found:
        found = _drafts(Said(tuple(fallback)), around, fallback_base or base, faults)
    drawn = [_drawn(each, base, faults) for each in found]
    if faults:
        raise BadDocument(faults)
    return _named([each for each in drawn if each is not None], base)


class _File(str):
    """The name of a node file."""

    __slots__ = ()


class _Draft(msgspec.Struct, frozen=True):
    """A node about to be a document: where it comes from, what that says, and settings on top."""

    where: str
    document: dict[str, Any]
    settings: dict[str, Any]
    id: str = ""
    named: bool = False

    def with_settings(self, settings: Mapping[str, Any]) -> _Draft:
        return msgspec.structs.replace(self, settings={**self.settings, **settings})


def _drafts(mark: Said, around: dict[str, Any], base: str, faults: list[BadInput]) -> list[_Draft]:
    found = []
    ids = mark.ids or ("",) * max(len(mark.nodes), 1)
    for node, given in zip(mark.nodes or ({},), ids, strict=True):
        try:
            where, document, own_id = _read(node, base)
        except BadDocument as fault:
            faults += fault.faults
        except BadInput as fault:
            faults.append(fault)
        else:
            settings = {**around, **mark.settings}
            found.append(_Draft(where, document, settings, given or own_id, named=bool(given)))
    return found


def _read(node: Any, base: str) -> tuple[str, dict[str, Any], str]:
    """Return where a node comes from, its document, and the id that its file gives it."""
    if isinstance(node, (os.PathLike, _File)) or (isinstance(node, str) and _FILE.fullmatch(node)):
        path = os.path.join(base, str(node))  # noqa: PTH118  a path stays as it was written
        document = nodefile.to_dict(nodefile.load(path))
        return path, document, os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122
    if isinstance(node, str) and _RELEASE.fullmatch(node):
        family, at, release = node.partition("@")
        return WHERE, {"runtime": {"name": family, **({"version": release} if at else {})}}, ""
    if isinstance(node, str) and (":" in node or "\n" in node):
        return WHERE, nodefile.to_dict(nodefile.loads(node, f"{WHERE}: node document", base=base)), ""
    if isinstance(node, dict):
        return WHERE, _checked(node, base), ""
    raise BadInput(f"{node!r} is no node", where=WHERE, right=_RIGHT)


def _checked(document: dict[str, Any], base: str) -> dict[str, Any]:
    """Return a mapping as the node document that it is. Raises `BadInput`; lines of what no one wrote are left out."""
    try:
        text = json.dumps(document, default=os.fspath)
        return nodefile.to_dict(nodefile.loads(text, WHERE, base=base))
    except TypeError as fault:
        raise BadInput(f"holds what no node document can hold: {fault}", where=WHERE) from None
    except BadDocument as fault:
        faults = [BadInput(each.what, where=WHERE, field=each.field, right=each.right) for each in fault.faults]
        raise BadDocument(faults) from None


def _drawn(draft: _Draft, base: str, faults: list[BadInput]) -> tuple[_Draft, Document] | None:
    """Put the settings on top of a document, and fill in the host."""
    try:
        whole = _checked(_laid_over(draft.document, _parts(draft.settings)), base)
    except BadDocument as fault:
        faults += fault.faults
        return None
    except BadInput as fault:
        faults.append(fault)
        return None
    whole["host"] = HOST | whole.get("host", {})
    return draft, nodefile.loads(json.dumps(whole), draft.where)


def _parts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as the parts of a node document that they belong to."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        part = _shorthands().get(name, name)
        if part != name:
            value = {name: value}  # noqa: PLW2901
        elif name == "kubelet" and not isinstance(value, dict):
            value = {"version": value}  # noqa: PLW2901
        elif name == "runtime" and isinstance(value, str):
            family, at, release = value.partition("@")
            value = {"name": family, **({"version": release} if at else {})}  # noqa: PLW2901
        found = _laid_over(found, {part: value})
    return found


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        under = found.get(key)
        found[key] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return found


@functools.cache
def _shorthands() -> dict[str, str]:
    """Return the part of each setting that goes by its own name."""
    properties = nodefile.schema()["properties"]
    both = {"config", "flags", "environment", "version", "name"}  # of a kubelet or of a runtime: the part says whose
    return {name: part for part in ("host", "kubelet") for name in properties[part]["properties"] if name not in both}


def _arguments() -> tuple[str, ...]:
    return ("file", "id", *nodefile.schema()["properties"], *_shorthands())


def _named(drawn: list[tuple[_Draft, Document]], base: str) -> list[Choice]:
    """Give every node an id of its own: its release, and where others share that what it differs in from them."""
    wanted = [draft.id or _release(document) for draft, document in drawn]
    found = []
    for (draft, document), head in zip(drawn, wanted, strict=True):
        alike = [other for (_, other), theirs in zip(drawn, wanted, strict=True) if theirs == head]
        tail = "" if draft.named else "".join(f"-{word}" for word in _own_words(document, alike))
        found.append(Choice(head + tail, document, base))
    ids = [each.id for each in found]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise BadInput(f"the node {twice[0]} is there twice", where=WHERE, right="leave one, or give them an id each")
    return found


def _release(document: Document) -> str:
    runtime = nodefile.fill(document).runtime
    return f"{runtime.name}-{runtime.version}"


def _own_words(document: Document, alike: list[Document]) -> Iterator[str]:
    own, others = _leaves(document), [_leaves(each) for each in alike]
    for name in dict.fromkeys(key for leaves in others for key in leaves):
        if len({other.get(name, "") for other in others}) > 1:
            part, _, last = name.rpartition(".")
            yield f"{part if last == 'version' else last}-{own.get(name) or 'unset'}"


def _leaves(document: Document) -> dict[str, str]:
    """Return every setting of a document by its dotted path, as text."""
    found: dict[str, str] = {}
    todo = list(nodefile.to_dict(document).items())
    while todo:
        name, value = todo.pop(0)
        if isinstance(value, dict):
            todo += ((f"{name}.{key}", item) for key, item in value.items())
        else:
            found[name] = json.dumps(value).strip('"')
    return found
