"""The node file: all that decides a seccomp section and does not come with a request, as a person writes it down.

load, loads        a file or a text -> Document; everything that is wrong with it at once, with line and field
of_values          a part of a larger file -> Document
default_document   the document of a node about which nothing was said
open_node          Document -> Node: a kubelet and the runtimes, started
keep_running       Document, Node -> Node: the document is in force, the runtimes go on as they were started
reload_node        Node -> Node: the runtimes were told to read their configuration again
images_of          Document -> the images of which it says something
to_yaml, to_dict   a document in the order and spelling of its schema; `full` fills the defaults in
apply_settings     single settings by dotted path; `changes` tells what differs
schema             the JSON Schema (shim/schemas/node.schema.json) that editors and `load` both go by
"""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from runtimes.facts import read_file
from shim.nodefile import reading
from shim.nodefile import settings as _settings
from shim.nodefile.checks import check
from shim.nodefile.document import Document, Origin, anchored, fill, from_dict, to_dict, to_yaml
from shim.nodefile.opening import images_of, keep_running, open_node, reload_node
from shim.nodefile.reading import BadDocument
from shim.nodefile.settings import changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "BadDocument",
    "Document",
    "apply_settings",
    "changes",
    "default_document",
    "fill",
    "images_of",
    "keep_running",
    "load",
    "loads",
    "of_values",
    "open_node",
    "reload_node",
    "schema",
    "to_dict",
    "to_yaml",
]

_WHAT_IT_HOLDS = (
    "a node file holds host, kubelet, runtime, handlers and images, each of which may be left out; {} is the default"
)


def load(path: str) -> Document:
    """Read a node file, "-" for standard input. Raises `BadInput`."""
    where, base = ("standard input", os.getcwd()) if path == "-" else (path, os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH109, PTH120  pathlib is slow to import
    return loads(read_user_file(path), where, base=base)


def loads(text: str | bytes, where: str = "node document", *, base: str = "") -> Document:
    """Read a node document.

    `where` is what errors begin with. Relative paths in it start in the directory `base`, and are absolute in what is
    returned; without a directory they are refused. Raises `BadInput`, with a line for each thing that is wrong.
    """
    text = reading.decode(text, where) if isinstance(text, bytes) else text
    reader = reading.Reader(schema(), where)
    value = reader.read(reading.compose(text, where, _WHAT_IT_HOLDS), schema())
    if isinstance(value, dict):
        return of_values(value, where, reader.places, base=base, faults=reader.faults)
    raise BadDocument(reader.faults)


def of_values(
    value: dict[str, Any], where: str, places: reading.Places, *, base: str = "", faults: Iterable[BadInput] = ()
) -> Document:
    """Return the document of values that were read against the schema, as a part of a larger file for instance.

    `places` says where each field stands, `faults` is what was wrong so far. Raises `BadInput` as `loads` does.
    """
    document, relative = anchored(from_dict(value, Origin(where, places)), base)
    found = [*faults, *relative, *check(document)]
    if found:
        raise BadDocument(found)
    return document


def default_document() -> Document:
    """Return the document of a node about which nothing was said: this host, the newest kubelet and containerd."""
    return Document()


def apply_settings(document: Document, settings: Mapping[str, str]) -> Document:
    """Return the document with some settings changed, all of them or none (see `shim.nodefile.settings`)."""
    return _settings.apply_settings(document, settings, schema())


@functools.cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of a node document."""
    return msgspec.json.decode(read_file("shim", "schemas/node.schema.json"))  # type: ignore[no-any-return]


def read_user_file(path: str) -> bytes:
    """Return the content of a file that the user named, "-" for standard input. Raises `BadInput`."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except (OSError, ValueError) as fault:
        because = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise BadInput(f"cannot be read: {because}", where=path) from None
