"""What a schema cannot say: whether the runtimes, releases and images that a document names are such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.errors import BadInput
from runtimes.model import find, has_setting, known, settings
from shim.images import normalise
from shim.nodefile.document import DEFAULT_RUNTIME
from shim.nodefile.reading import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.nodefile.document import Document, RuntimePart


def check(document: Document) -> Iterator[BadInput]:
    """Yield everything that is wrong with the names in a document, with its place."""
    for field, fault in _faults(document):
        yield document.origin.fault(field, fault)


def _faults(document: Document) -> Iterator[tuple[str, BadInput]]:
    if document.kubelet.version:
        from shim.kubelet import releases  # noqa: PLC0415  not needed where a document names none

        try:
            releases.known(document.kubelet.version)
        except BadInput as fault:
            yield "kubelet.version", fault
    name = document.runtime.name or DEFAULT_RUNTIME
    yield from _runtime("runtime", document.runtime, name)
    for key, part in document.handlers.items():
        yield from _runtime(f"handlers.{key}", part, part.name or name)
    yield from _images(document)


def _images(document: Document) -> Iterator[tuple[str, BadInput]]:
    spelled: dict[str, str] = {}
    for text in document.images:
        try:
            first = spelled.setdefault(normalise(text), text)
        except BadInput as fault:
            yield f"images.{text}", BadInput(f"{text} names no image: {fault.what}", right="such as quay.io/a/b:1.2")
            continue
        if first != text:
            yield f"images.{text}", BadInput(f"is the same image as {first}, which is there, too", right="leave one")


def _runtime(field: str, part: RuntimePart, name: str) -> Iterator[tuple[str, BadInput]]:
    if not (part.name or part.version or part.settings):
        return
    try:
        model = find(name)
    except BadInput as fault:
        if part.name:  # where it is inherited, it is wrong at its own place
            yield f"{field}.name", fault
        return
    for setting in part.settings or ():
        if not has_setting(model, setting):
            what = f"{model.name} has no such setting"
            yield f"{field}.settings.{setting}", BadInput(what, right=nearest(setting, settings(model)))
    if part.version:
        try:
            known(model, part.version)
        except BadInput as fault:
            yield f"{field}.version", fault
