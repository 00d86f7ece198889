"""YAML against a JSON Schema, with the line of everything that is wrong.

The schema that editors use is the one that is applied here, by a walker over the part of the language that the schema
uses. It differs from a general validator in what a person gets: every fault at once, each with its line, column and
dotted field, and with what would be right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runtimes.errors import BadInput, CapacityExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from yaml.nodes import Node

    Schema = dict[str, Any]

Place = tuple[int | None, int | None]  # line and column, from 1
Places = dict[str, Place]  # of each dotted field

TEXT_LIMIT = 1024 * 1024  # bytes of a document
DEPTH_LIMIT = 100  # of what is nested; the parser's own composer would run out of stack far above it

# What YAML calls a value -> what JSON Schema calls it. Whatever is not listed, a timestamp or a tag, is no JSON.
_TYPES = {
    "map": "object",
    "seq": "array",
    "str": "string",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "null": "null",
}
_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "nothing",
}
# How JSON escapes a character beyond the first plane, which YAML has another escape for.
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_DECIMAL = re.compile(r"-?[0-9]{1,18}")
_TRUE = ("true", "yes", "on")
_MANY = 60  # words, which nobody reads in a line
_BAD: Any = object()


class BadDocument(BadInput):
    """Everything that is wrong with a document, a line each. Its own place is that of the first fault."""

    def __init__(self, faults: Iterable[BadInput]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0)))
        first = self.faults[0]
        super().__init__(
            first.what, where=first.where, line=first.line, column=first.column, field=first.field, right=first.right
        )
        self.args = ("\n".join(str(fault) for fault in self.faults),)


def decode(raw: bytes, where: str) -> str:
    """Return the text of a document. Raises `BadInput` where it is not UTF-8."""
    if len(raw) > TEXT_LIMIT:
        raise CapacityExceeded(f"{where} is larger than {TEXT_LIMIT} bytes, the most that is read of such a file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        before = raw[: fault.start]
        line, column = before.count(b"\n") + 1, fault.start - before.rfind(b"\n")
        what = f"byte 0x{raw[fault.start]:02x} is not UTF-8"
        raise BadInput(what, where=where, line=line, column=column, right="save the file as UTF-8") from None


def compose(text: str, where: str, right: str) -> Node:
    """Return the YAML nodes of a text with one document. Raises `BadInput`; `right` says what a document holds."""
    import yaml  # noqa: PLC0415  slow to import

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = _PAIR.sub(_one_escape, text) if text.lstrip().startswith("{") else text
    try:
        _require_shallow(yaml.parse(text, Loader=loader), where)
        node: Node | None = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as fault:
        if "nesting depth" in str(fault.problem):  # newer C parsers look ahead, past our limit to one of their own
            _require_shallow(yaml.parse(text, Loader=yaml.SafeLoader), where)
        raise _malformed(fault, text, where) from None
    except yaml.reader.ReaderError as fault:
        before = text.partition(chr(fault.character))[0]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"character U+{fault.character:04X} has no place in YAML"
        raise BadInput(what, where=where, line=line, column=column) from None
    except UnicodeEncodeError:
        raise BadInput("is not UTF-8", where=where) from None
    if node is None:
        raise BadInput("is empty", where=where, right=right)
    return node


def is_null(node: Node) -> bool:
    """Whether a node stands for nothing."""
    return _kind(node) == "null"


class Reader:
    """Reads nodes as values, and gathers what is wrong in `faults` and where each field stands in `places`.

    With `lenient_text` a number at a place for text counts as the text that it was written as.
    """

    def __init__(self, schema: Schema, where: str, *, lenient_text: bool = False) -> None:
        self.schema = schema
        self.where, self.lenient_text = where, lenient_text
        self.faults: list[BadInput] = []
        self.places: Places = {}

    def read(self, node: Node, schema: Schema, field: str = "") -> Any:
        """Return the value of a node. What is wrong in it is left out of the value."""
        kind = _kind(node)
        schema = self.resolve(schema, kind)
        self.places[field] = _place(node)
        types = _listed(schema["type"])
        if kind not in types and not (self.lenient_text and "string" in types and kind in ("integer", "number")):
            return self._fault(
                node, field, f"is {_described(node, kind)}, not {_WORDS[types[0]]}", _right(node, schema)
            )
        if kind == "object":
            return self._object(node, schema, field)
        if kind == "array":
            values = [self.read(item, schema["items"], f"{field}[{n}]") for n, item in enumerate(node.value)]
            return [value for value in values if value is not _BAD]
        return self._scalar(node, kind, schema, field)

    def resolve(self, schema: Schema, kind: str = "") -> Schema:
        """Return what a schema that only refers to another one refers to; of several, the one for a kind of value."""
        if "anyOf" in schema:
            every = [self.resolve(each, kind) for each in schema["anyOf"]]
            return next((each for each in every if kind in _listed(each["type"])), every[0])
        reference = schema.get("$ref")
        if reference is None:
            return schema
        definition: Schema = self.schema["$defs"][reference.rpartition("/")[2]]
        return self.resolve(definition, kind)

    def _object(self, node: Node, schema: Schema, field: str) -> dict[str, Any]:
        value: dict[str, Any] = {}
        lines: dict[str, int] = {}
        known = schema.get("properties", {})
        for key_node, item in node.value:
            key = str(key_node.value)
            path = f"{field}.{key}" if field else key
            inner = known.get(key, schema.get("additionalProperties"))
            if _kind(key_node) in ("object", "array", "null") or not key:
                self._fault(key_node, field, "has a key that is not text")
            elif key in lines:
                self._fault(key_node, path, f"is there twice, first on line {lines[key]}", "leave one")
            elif not inner:
                self._fault(key_node, path, "there is no such setting", nearest(key, known))
            else:
                read = self.read(item, inner, path)
                if read is not _BAD:
                    value[key] = read
            lines.setdefault(key, key_node.start_mark.line + 1)
        return value

    def _scalar(self, node: Node, kind: str, schema: Schema, field: str) -> Any:
        if kind == "null":
            return None
        text: str = node.value
        value: Any = text
        if kind == "boolean":
            value = text.lower() in _TRUE
        elif kind == "integer" and "integer" in schema["type"]:
            value = int(text) if _DECIMAL.fullmatch(text) else text
        if "enum" in schema and value not in schema["enum"]:
            words = [str(each) for each in schema["enum"] if each is not None]
            return self._fault(
                node, field, f"{_shown(text)} is not one of the values it may have", nearest(text, words)
            )
        if len(text) < schema.get("minLength", 0):
            return self._fault(node, field, "is empty text", _right(node, schema) or "leave it out")
        if "pattern" in schema and not re.search(schema["pattern"], text):
            return self._fault(node, field, f"{_shown(text)} does not have the form it needs", _right(node, schema))
        return value

    def _fault(self, node: Node, field: str, what: str, right: str = "") -> Any:
        line, column = _place(node)
        self.faults.append(BadInput(what, where=self.where, line=line, column=column, field=field, right=right))
        return _BAD


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of the known words was probably meant, or which there are, if a person could read so many."""
    import difflib  # noqa: PLC0415  only where something is wrong

    spelled = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), spelled, n=1)
    if close:
        return f"did you mean {spelled[close[0]]}?"
    if len(spelled) > _MANY:
        return ""
    return "one of " + ", ".join(spelled.values()) if spelled else ""


def _listed(types: str | list[str]) -> list[str]:
    return types if isinstance(types, list) else [types]


def _place(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _one_escape(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF):08x}"


def _require_shallow(events: Iterable[Any], where: str) -> None:
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > DEPTH_LIMIT:
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            raise BadInput(f"is nested more than {DEPTH_LIMIT} deep", where=where, line=line, column=column)


def _malformed(fault: Any, text: str, where: str) -> BadInput:
    """Turn a fault of the YAML parser into a sentence."""
    mark = fault.problem_mark or fault.context_mark
    line, column = mark.line, mark.column
    what, right = f"is not YAML: {fault.problem or fault.context}", ""
    lines = text.split("\n")
    if line < len(lines) and lines[line][column : column + 1] == "\t":
        what, right = "is not YAML: a tab stands where only spaces may", "indent with spaces"
    elif "expected a single document" in str(fault.context):
        what, right = "holds more than one document", "one document in a file"
    return BadInput(what, where=where, line=line + 1, column=column + 1, right=right)


def _kind(node: Node) -> str:
    name = node.tag.rpartition(":")[2]
    return _TYPES.get(name, name)


def _described(node: Node, kind: str) -> str:
    """Name what stands there: a scalar as it was written, besides its kind."""
    if kind == "boolean":
        return f"the truth value {node.value}"
    word = _WORDS.get(kind, f"a {kind}")
    return f"{word} {_shown(node.value)}" if kind != "null" and isinstance(node.value, str) else word


def _shown(text: str) -> str:
    short = text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004  what a line of an error has room for
    return '"' + short.encode("unicode_escape").decode() + '"'


def _right(node: Node, schema: Schema) -> str:
    """Say what would be right at a place."""
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if kind == "string" and node.tag.endswith((":int", ":float", ":bool", ":timestamp")):
        return f'in quotes: "{node.value}"'
    if kind == "boolean" and node.tag.endswith(":str") and node.value.lower() in ("true", "false"):
        return f"without quotes: {node.value.lower()}"
    if "enum" in schema:
        return "one of " + ", ".join(str(each) for each in schema["enum"] if each is not None)
    examples = schema.get("examples")
    return f"for instance {examples[0]}" if examples and kind == "string" else ""
