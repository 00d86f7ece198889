"""YAML as Kubernetes reads it, with lines.

libyaml's events are put together here, without PyYAML's tree of nodes in between: the scalars are those that the API
server's reader knows (no timestamps, no base 60, `y` and `n` are truth values), keys are text, a key that stands twice
is refused, and nothing nests so deep that reading it would break the stack.
Source of the scalar rules: sigs.k8s.io/yaml (goyaml.v2 resolve.go).

Apart from manifest.py because importing a YAML parser takes longer than most answers.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any

import yaml

from runtimes.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_Parser: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 500
# Whole numbers that Go has a type for; what lies beyond is a real number, and what is longer than this always does.
_LEAST, _MOST = -(2**63), 2**64 - 1
_LONGEST = 80
# The parts of a path: "spec.containers[0].name".
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")

_TAG = "tag:yaml.org,2002:"
_CONSTANTS: dict[str, bool | None] = {
    form: value
    for value, words in ((True, "y yes on true"), (False, "n no off false"), (None, "null"))
    for word in words.split()
    for form in (word, word.capitalize(), word.upper())
} | {"~": None, "": None}
_INTEGER = re.compile(r"([-+]?)(?:0b([01]+)|0x([0-9a-fA-F]+)|0o?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


def documents(text: str, where: str) -> Iterator[tuple[Any, int]]:
    """Yield every document of a file and the line on which it begins. Raises `BadInput`."""
    try:
        yield from _documents(text, where, _Parser)
    except yaml.YAMLError as fault:
        if "nesting depth" in str(fault):  # newer C parsers look ahead, past our limit to one of their own
            for _ in _documents(text, where, yaml.SafeLoader):
                pass
        raise _bad(fault, text, where) from None


def _documents(text: str, where: str, parser: type) -> Iterator[tuple[Any, int]]:
    builder = _Builder(where)
    for event in yaml.parse(text, Loader=parser):
        builder.take(event)
        if isinstance(event, yaml.DocumentEndEvent):
            yield builder.value, builder.line
            builder = _Builder(where)


class _Builder:
    """One document, put together event by event."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.value: Any = None
        self.line = 1
        self._open: list[_Open] = []
        self._anchors: dict[str, Any] = {}

    def take(self, event: Any) -> None:
        """Take the next event of libyaml."""
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) == _DEEPEST:
                raise self._bad(f"it nests more than {_DEEPEST} deep", event)
            self._open.append(_Open(event, is_mapping=isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            self._add(closed.whole(), closed.event)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._bad(f"the alias *{event.anchor} stands before its anchor is complete", event)
            self._add(self._anchors[event.anchor], event)

    def _add(self, value: Any, event: Any) -> None:
        if not isinstance(event, yaml.AliasEvent) and event.anchor:
            self._anchors[event.anchor] = value
        if not self._open:
            self.value, self.line = value, event.start_mark.line + 1
            return
        parent = self._open[-1]
        if not parent.is_mapping:
            parent.items.append(value)
        elif parent.key is None:
            self._key(parent, value, event)
        else:
            if parent.key == "<<" and parent.merges_next:
                parent.merged += value if isinstance(value, list) else [value]
            else:
                parent.mapping[parent.key] = value
            parent.key = None

    def _key(self, parent: _Open, value: Any, event: Any) -> None:
        if isinstance(value, (dict, list)):
            raise self._bad("a key has to be text", event)
        parent.merges_next = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<"
        if isinstance(value, str):
            parent.key = value
        elif isinstance(value, bool):
            parent.key = "true" if value else "false"
        else:
            parent.key = event.value if isinstance(event, yaml.ScalarEvent) else str(value)
        line = event.start_mark.line + 1
        first = parent.lines.setdefault(parent.key, line) if not parent.merges_next else 0
        if parent.key in parent.mapping:
            raise self._bad(f"the key {parent.key!r} stands twice in one mapping, first on line {first}", event)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        if event.tag in (None, "!"):
            return plain(event.value) if event.implicit[0] else event.value
        tag = event.tag.removeprefix(_TAG)
        if tag == "str":
            return event.value
        value = plain(event.value)
        if {bool: "bool", int: "int", float: "float", type(None): "null"}.get(type(value)) != tag:
            raise self._bad(f"{event.value!r} is no {event.tag}", event)
        return value

    def _bad(self, what: str, event: Any) -> BadInput:
        mark = event.start_mark
        return BadInput(what, where=self.where, line=mark.line + 1, column=mark.column + 1)


class _Open:
    """A mapping or a sequence that is not complete yet."""

    def __init__(self, event: Any, *, is_mapping: bool) -> None:
        self.event, self.is_mapping = event, is_mapping
        self.items: list[Any] = []
        self.mapping: dict[str, Any] = {}
        self.lines: dict[str, int] = {}
        self.key: str | None = None
        self.merges_next = False
        self.merged: list[Any] = []

    def whole(self) -> Any:
        if not self.is_mapping:
            return self.items
        for other in self.merged:
            if isinstance(other, dict):
                self.mapping = {**other, **self.mapping}
        return self.mapping


@functools.lru_cache(maxsize=4096)
def plain(word: str) -> str | int | float | bool | None:
    """Return what a plain scalar, one without quotes, stands for."""
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if word[0] not in "+-.0123456789":
        return word
    bare = word.replace("_", "")
    found = _INTEGER.fullmatch(bare)
    if found and len(bare) <= _LONGEST:
        sign, binary, hexadecimal, octal, decimal = found.groups(default="")
        digits, base = next((each for each in ((binary, 2), (hexadecimal, 16), (octal, 8)) if each[0]), (decimal, 10))
        number = int(sign + digits, base)
        if _LEAST <= number <= _MOST:
            return number
    if _FLOAT.fullmatch(bare):
        real = float(bare.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return word if math.isinf(real) and "inf" not in bare.lower() else real
    return word


def line_of(text: str, document: int, path: str) -> int | None:
    """Return the line on which a path of a document ("spec.containers[0].name") stands, or the part of it there is."""
    return lines_of(text, [(document, path)])[0]


def lines_of(text: str, places: Sequence[tuple[int, str]]) -> list[int | None]:
    """Return the lines of several paths, each with the number of its document, in one reading of the text."""
    try:
        nodes = list(yaml.compose_all(text, Loader=_Parser))
    except yaml.YAMLError:
        return [None] * len(places)
    there = dict(enumerate(nodes, 1))
    return [_line(node, path) if (node := there.get(document)) is not None else None for document, path in places]


def _line(node: yaml.Node, path: str) -> int:
    found: int = node.start_mark.line + 1
    for name, index in _STEP.findall(path):
        if isinstance(node, yaml.MappingNode) and name:
            pair = next(((key, value) for key, value in node.value if key.value == name), None)
            if pair is None:
                return found
            key, node = pair
            found = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and index and int(index) < len(node.value):
            node = node.value[int(index)]
            found = node.start_mark.line + 1
        else:
            return found
    return found


def _bad(fault: yaml.YAMLError, text: str, where: str) -> BadInput:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    what = getattr(fault, "problem", None) or getattr(fault, "reason", None) or str(fault)
    right = ""
    if mark is None:
        return BadInput(f"it is no YAML: {what}", where=where)
    lines = text.splitlines()
    if mark.line < len(lines) and "\t" in lines[mark.line] and ("token" in what or "tab" in what):
        what, right = "a tab stands where YAML wants spaces", "spaces"
    else:
        what = f"it is no YAML: {what}"
    return BadInput(what, where=where, line=mark.line + 1, column=mark.column + 1, right=right)
