"""A file of manifests -> the pods in it.

JSON is decoded straight into the narrow types of pod.py, which is what makes a cluster's whole dump readable in a
moment. YAML goes through yamlfile.py. Lines are looked up only where a fault has to be shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from shim.kubelet import workload
from shim.kubelet.pod import Origin
from shim.kubelet.workload import KINDS, Head, Item, Listed, Object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.kubelet.pod import Pod

# Above this many characters a fault in JSON is shown with its field but without its line, which would take a second
# reading of the whole text.
_LINE_LIMIT = 4_000_000
_JSON = re.compile(r'\s*\{\s*["}]')
_SPACE = re.compile(r"\s*")
_EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?(.*)", re.DOTALL)
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


class NoPods(BadInput):
    """A file that is right and has no pods in it."""


def pods(text: str | bytes, where: str) -> list[Pod]:
    """Return every pod of a file, in its order. `where` names the file.

    Takes a Pod, a List of anything, several documents, a workload with a pod template, and what `kubectl get -o json`
    and `-o yaml` print. Objects of other kinds beside them are passed over. A key that stands twice is refused in YAML;
    in JSON the last one counts, as it does for the API server. Raises `BadInput` with file, line and field;
    `NoPods` where there is none.
    """
    text = _decoded(text, where)
    found: list[Pod] = []
    kinds: list[str] = []
    try:
        for thing, origin in _objects(text, where):
            kinds.append(thing.kind or "")
            found += workload.pods(thing, origin)
    except RecursionError:
        raise BadInput("it nests too deep", where=where) from None
    if found or any(workload.is_list(kind) for kind in kinds):
        return found
    what = f"there is no pod in it, only {' and '.join(dict.fromkeys(kinds))}" if kinds else "there is nothing in it"
    raise NoPods(what, where=where, right=f"{', '.join(KINDS)}, or a List of them")


def line(text: str | bytes, where: str, origin: Origin, field: str = "") -> int | None:
    """Return the line on which an object, or a field of it ("spec.containers[0].name"), stands.

    The text is read again for it. None where it is too large for that.
    """
    text = _decoded(text, where)
    path = ".".join(part for part in (origin.path, field) if part)
    return _line_of(text, origin.document, path) if len(text) <= _LINE_LIMIT else None


def _decoded(text: str | bytes, where: str) -> str:
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        number = text.count(b"\n", 0, fault.start) + 1
        byte = f"byte 0x{text[fault.start]:02x} is no UTF-8"
        raise BadInput(byte, where=where, line=number, right="a file in UTF-8") from None


def _objects(text: str, where: str) -> Iterator[tuple[Object, Origin]]:
    """Yield the documents of a file, empty ones left out."""
    if text.lstrip()[:1] == "{":
        try:
            yield _json_object(text, text, where), Origin(where)
        except msgspec.DecodeError:
            if _JSON.match(text):
                yield from _json_objects(text, where)
                return
            # A flow mapping of YAML begins as JSON does.
        else:
            return
    yield from _yaml_objects(text, where)


def _json_object(document: str, text: str, where: str) -> Object:
    """Decode one document. Raises `msgspec.DecodeError` where it is no JSON, `BadInput` where it has a wrong shape."""
    try:
        return msgspec.json.decode(document, type=Object)
    except msgspec.ValidationError as fault:
        return _without_others(document, text, where, fault)


def _json_objects(text: str, where: str) -> Iterator[tuple[Object, Origin]]:
    """Yield the documents of a file that holds one JSON value after the other, or say what is wrong with its JSON."""
    import json  # noqa: PLC0415  it knows where a value ends, which msgspec does not tell

    decoder = json.JSONDecoder()
    begin = _next(text, 0)
    while begin < len(text):
        try:
            _value, end = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as fault:
            what = f"it is no JSON: {fault.msg[:1].lower()}{fault.msg[1:]}"
            raise BadInput(what, where=where, line=fault.lineno, column=fault.colno) from None
        yield _json_object(text[begin:end], text, where), Origin(where)
        begin = _next(text, end)


def _next(text: str, position: int) -> int:
    """Skip white space."""
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _without_others(document: str, text: str, where: str, fault: msgspec.ValidationError) -> Object:
    """Decode JSON whose objects do not all have the expected shape: an object of another kind may have its own.

    Only the objects that hold pods have to be right. Raises `BadInput` for the first of those that is not.
    """
    try:
        head = msgspec.json.decode(document, type=Listed)
    except msgspec.ValidationError:
        raise _fault(fault, text, Origin(where)) from None
    if not workload.is_list(head.kind):
        if head.kind in KINDS or not head.kind:
            raise _fault(fault, text, Origin(where)) from None
        return Object(api_version=head.api_version, kind=head.kind)
    items = tuple(
        item(raw, text, Origin(where, path=f"items[{index}]"), head.kind or "")
        for index, raw in enumerate(head.items or ())
    )
    return Object(api_version=head.api_version, kind=head.kind, items=items)


def item(raw: msgspec.Raw, text: str, origin: Origin, listed: str) -> Item:
    """Decode one item of a list whose items are `listed`, such as "PodList". One without pods may have any shape.

    `text` is where the item stands, and `origin` how it is found there. Raises `BadInput`, with the line in that text.
    """
    try:
        return msgspec.json.decode(raw, type=Item)
    except msgspec.ValidationError as fault:
        try:
            head = msgspec.json.decode(raw, type=Head)
        except msgspec.ValidationError:
            raise _fault(fault, text, origin) from None
        if (head.kind or listed.removesuffix("List")) in KINDS or not head.kind:
            raise _fault(fault, text, origin) from None
        return Item(api_version=head.api_version, kind=head.kind)


def _yaml_objects(text: str, where: str) -> Iterator[tuple[Object, Origin]]:
    from shim.kubelet import yamlfile  # noqa: PLC0415  YAML takes a while to import, and JSON does without it

    for number, (value, first_line) in enumerate(yamlfile.documents(text, where), 1):
        origin = Origin(where, document=number, line=first_line)
        if value is None:
            continue
        if not isinstance(value, dict):
            what = "it is no manifest"
            raise BadInput(what, where=where, line=first_line, right="a mapping with apiVersion and kind")
        yield _converted(value, text, origin), origin


def _converted(value: dict[str, Any], text: str, origin: Origin) -> Object:
    """Take over what YAML made of a document. Objects of other kinds may have any shape."""
    kind = value.get("kind")
    if isinstance(kind, str) and kind not in KINDS and not workload.is_list(kind):
        value = {key: value.get(key) for key in ("apiVersion", "kind")}
    elif isinstance(kind, str) and workload.is_list(kind) and isinstance(value.get("items"), list):
        typed = kind.removesuffix("List")
        value = {**value, "items": [_known_part(item, typed) for item in value["items"]]}
    try:
        return msgspec.convert(value, Object)
    except msgspec.ValidationError as fault:
        raise _fault(fault, text, origin) from None


def _known_part(item: Any, typed: str) -> Any:
    """Return an item of a list as it is where it may hold pods, and only what names it otherwise."""
    if not isinstance(item, dict):
        return item
    kind = item.get("kind", typed)
    if isinstance(kind, str) and kind not in KINDS and not workload.is_list(kind):
        return {key: item.get(key) for key in ("apiVersion", "kind")}
    return item


def _fault(fault: msgspec.ValidationError, text: str, origin: Origin) -> BadInput:
    """Turn what msgspec says into a sentence with file, line and field."""
    what, _, path = str(fault).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    expected = _EXPECTED.fullmatch(what)
    if expected:
        wanted, got, rest = expected.groups()
        what = f"{_worded(wanted)} is expected" + (f", not {_worded(got)}" if got else "") + rest
    else:
        what = what[:1].lower() + what[1:]
    # A path through a mapping ends in `[...]`: its key is not named.
    field = ".".join(part for part in (origin.path, path.replace("[...]", "")) if part)
    number = _line_of(text, origin.document, field) if len(text) <= _LINE_LIMIT else None
    return BadInput(what, where=origin.where, line=number, field=field)


def _worded(types: str) -> str:
    names = [name.strip() for name in types.split("|")]
    kept = [name for name in names if name != "null"] or names
    return " or ".join(_WORDS.get(name, name) for name in kept)


def _line_of(text: str, document: int, path: str) -> int | None:
    from shim.kubelet import yamlfile  # noqa: PLC0415

    return yamlfile.line_of(text, document, path)
