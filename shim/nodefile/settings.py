"""Single settings of a node: changing them by dotted path, and telling what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.errors import BadInput
from shim.nodefile import reading
from shim.nodefile.checks import check
from shim.nodefile.document import NAMED, Origin, anchored, from_dict, to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shim.nodefile.document import Document
    from shim.nodefile.reading import Schema


def apply_settings(document: Document, settings: Mapping[str, str], schema: Schema) -> Document:
    """Return the document with some settings changed: all of them, or an error that names what is wrong with which.

    A setting is a dotted path, "kubelet.seccompDefault" or "handlers.crio-1.36.version", and a text that is read as
    YAML reads it at that place, a number at a place for text as the text that it is. "null" takes a setting back.
    """
    value = to_dict(document)
    faults: list[BadInput] = []
    for path, text in settings.items():
        reader = reading.Reader(schema, "", lenient_text=True)
        try:
            parents, place = _find(reader, path, schema, document)
            node = reading.compose(text, "", "null takes a setting back to its default")
            new = None if reading.is_null(node) else reader.read(node, place, path)
        except BadInput as fault:
            faults.append(BadInput(fault.what, field=path or '""', right=fault.right))
            continue
        faults += (BadInput(fault.what, field=fault.field, right=fault.right) for fault in reader.faults)
        if not reader.faults:
            _put(value, parents, new)
    changed, relative = anchored(from_dict(value, Origin()), base="")
    faults += () if faults else (*relative, *check(changed))
    if faults:
        raise reading.BadDocument(faults)
    return changed


def changes(old: Document, new: Document) -> tuple[str, ...]:
    """Return a line for every setting that differs, defaults included: "kubelet.seccompDefault: false -> true"."""
    before, after = (dict(_leaves(to_dict(document, full=True))) for document in (old, new))
    names = [*before, *(name for name in after if name not in before)]
    pairs = ((name, _shown(before.get(name)), _shown(after.get(name))) for name in names)
    return tuple(f"{name}: {was} -> {now}" for name, was, now in pairs if was != now)


def _find(reader: reading.Reader, path: str, schema: Schema, document: Document) -> tuple[tuple[str, ...], Schema]:
    """Return the keys and the schema of a dotted path. The names of handlers and images may have dots in them."""
    keys: tuple[str, ...] = ()
    rest = path
    while rest:
        known = schema.get("properties")
        if known is not None:
            key, _, rest = rest.partition(".")
        elif isinstance(schema.get("additionalProperties"), dict):
            names = tuple(getattr(document, keys[0])) if keys[0] in NAMED else ()
            key, rest = _own_name(rest, reader.resolve(schema["additionalProperties"]), names)
        else:
            break
        if known is not None and key not in known:
            break
        schema = reader.resolve(known[key] if known is not None else schema["additionalProperties"])
        keys = (*keys, key)
        if not rest:
            return keys, schema
    raise BadInput("there is no such setting", right=reading.nearest(path, _paths(reader)))


def _own_name(rest: str, schema: Schema, names: tuple[str, ...]) -> tuple[str, str]:
    """Split off a name of the user's own: the longest that exists, else all before what is a setting.

    That is one with names of the user's own below it, or the last word.
    """
    settings = schema.get("properties", {})
    if not settings:
        return rest, ""
    existing = [name for name in names if rest == name or rest.startswith(name + ".")]
    for name in sorted(existing, key=len, reverse=True):
        after = rest[len(name) + 1 :]
        if not after or after.partition(".")[0] in settings:
            return name, after
    for setting, inner in settings.items():
        name, dot, below = rest.partition(f".{setting}.")
        if name and dot and isinstance(inner.get("additionalProperties"), dict):
            return name, f"{setting}.{below}"
    name, _, last = rest.rpartition(".")
    if name and last in settings:
        return name, last
    if existing:
        name = max(existing, key=len)
        return name, rest[len(name) + 1 :]
    return rest, ""


def _put(value: dict[str, Any], keys: tuple[str, ...], new: Any) -> None:
    *parents, last = keys
    for key in parents:
        value = value.setdefault(key, {})
    if new is None:
        value.pop(last, None)
    else:
        value[last] = new


def _paths(reader: reading.Reader) -> Iterator[str]:
    """Every dotted path that the schema spells out."""
    for part, schema in reader.schema["properties"].items():
        yield part
        yield from (f"{part}.{key}" for key in reader.resolve(schema).get("properties", ()))


def _leaves(value: dict[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _leaves(item, f"{head}{key}.")
        else:
            yield f"{head}{key}", item


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return "none" if value in (None, "") else str(value)
