"""What a matrix varies besides releases: settings, and the short names under which people know them.

An axis is one setting of a node document with the values that it is given in turn. One that is a runtime's own affair
holds for the families that have it; for others there is nothing to vary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from runtimes.model import find, has_setting, names, settings
from shim.nodefile import apply_settings, schema
from shim.nodefile.reading import BadDocument, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shim.nodefile import Document

WHERE = "--set"

_PARTS = ("host", "kubelet", "runtime")
_OWN = "runtime.settings."
_ELSEWHERE = {
    "kubelet.version": "--kubelet",
    "runtime.version": "--runtime NAME@RELEASES",
    "runtime.name": "--runtime NAME",
}
# What decides about runtimes as well: the file that such a kubelet puts on the node is there for them to read.
_SHARED = ("host.", "kubelet.policy")
_OPENING, _CLOSING = "[{", "]}"


class Axis(msgspec.Struct, frozen=True):
    """A setting and its values, "" for one that is taken back to its default.

    `key` is what the user calls it, `path` what the node document does; `families` are those that it holds for, None
    where that is all.
    """

    key: str
    path: str
    values: tuple[str, ...]
    families: tuple[str, ...] | None = None

    @property
    def of_kubelet(self) -> bool:
        """Whether only the kubelet has to be started again for another value."""
        return self.path.startswith("kubelet.") and not self.path.startswith(_SHARED)

    def holds_for(self, family: str) -> bool:
        """Whether there is anything to vary for a family."""
        return self.families is None or family in self.families


def axes(words: Iterable[str], families: tuple[str, ...], base: Document) -> tuple[Axis, ...]:
    """Return the axes of options, "seccompDefault=true,false", for the families of a matrix.

    Each value is tried on the document. Raises `BadInput` with everything that is wrong with any of them.
    """
    found: dict[str, Axis] = {}
    faults: list[BadInput] = []
    for word in words:
        try:
            axis = _axis(word, families)
        except BadInput as fault:
            faults.append(fault)
            continue
        if axis.path in found:
            faults.append(BadInput(f"{axis.key} is there twice", where=WHERE, right="one --set with all its values"))
        found[axis.path] = axis
        faults += _wrong_values(axis, families, base)
    if faults:
        raise BadDocument(faults)
    return tuple(found.values())


def _axis(word: str, families: tuple[str, ...]) -> Axis:
    key, equals, values = word.partition("=")
    key = key.strip()
    if not equals or not key:
        raise BadInput(f"{word!r} is no KEY=VALUE,VALUE...", where=WHERE, right="as in seccompDefault=true,false")
    path, own = _path(key)
    if path in _ELSEWHERE:
        raise BadInput(f"{key} is varied by another option", where=WHERE, right=_ELSEWHERE[path])
    if own is not None and not set(own) & set(families):
        has, here = " and ".join(own), " and ".join(families)
        raise BadInput(f"{key} is a setting of {has}, and the matrix has only {here}", where=WHERE)
    return Axis(key, path, tuple(dict.fromkeys(_split(values))), own)


def _path(key: str) -> tuple[str, tuple[str, ...] | None]:
    """Return the path of a setting in a node document, and the families that have it where not all do."""
    first = key.partition(".")[0]
    if key.startswith(_OWN):
        return key, _families_with(key.removeprefix(_OWN)) or None
    if first in _PARTS and first != key:
        return key, None
    parts = [part for part in _PARTS if first in _properties(part)]
    if len(parts) > 1:
        right = " or ".join(f"{part}.{key}" for part in parts)
        raise BadInput(f"{key} is a setting of {' and of '.join(parts)}", where=WHERE, right=right)
    if parts:
        return f"{parts[0]}.{key}", None
    own = _families_with(key)
    if own:
        return f"{_OWN}{key}", own
    every = (
        *(each for part in _PARTS for each in _properties(part)),
        *(each for name in names() for each in _own(name)),
    )
    raise BadInput(f"there is no setting {key}", where=WHERE, right=nearest(key, every))


def _properties(part: str) -> dict[str, Any]:
    found = schema()["properties"][part]
    if "$ref" in found:
        found = schema()["$defs"][found["$ref"].rpartition("/")[2]]
    properties: dict[str, Any] = found["properties"]
    return properties


def _families_with(name: str) -> tuple[str, ...]:
    return tuple(family for family in names() if has_setting(find(family), name))


def _own(family: str) -> tuple[str, ...]:
    return settings(find(family))


def _split(values: str) -> Iterator[str]:
    """Split at commas that are not inside of a list or a mapping."""
    depth, value = 0, ""
    for letter in values:
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == "," and depth <= 0:
            yield value.strip()
            value = ""
        else:
            value += letter
    yield value.strip()


def _wrong_values(axis: Axis, families: tuple[str, ...], base: Document) -> Iterator[BadInput]:
    family = next(each for each in families if axis.holds_for(each))
    named = msgspec.structs.replace(base, runtime=msgspec.structs.replace(base.runtime, name=family, version=None))
    for value in axis.values:
        try:
            apply_settings(named, {axis.path: value or "null"})
        except BadDocument as fault:
            yield from (BadInput(each.what, where=WHERE, field=each.field, right=each.right) for each in fault.faults)
        except BadInput as fault:
            yield BadInput(fault.what, where=WHERE, field=axis.key, right=fault.right)
