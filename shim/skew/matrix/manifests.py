"""The pods of many files: files, directories and patterns, as a person names them."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from shim.kubelet import manifest
from shim.kubelet.manifest import NoPods
from shim.nodefile import BadDocument, read_user_file
from shim.skew.files import SUFFIXES, Source, named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shim.kubelet.pod import Pod

WHERE = "--filename"


class Manifests(msgspec.Struct, frozen=True):
    """The pods, file by file, and what was passed over: files of a directory or a pattern that hold none."""

    pods: tuple[Pod, ...]
    passed_over: tuple[str, ...] = ()
    texts: dict[str, bytes] = {}

    def line(self, pod: Pod, container: str = "") -> int | None:
        """Return the line on which a pod, or a container of it, stands."""
        where = pod.origin.where
        text = self.texts[where]
        field = _field(pod, container)
        return manifest.line(text, where, pod.origin, field) or pod.origin.line


def read(names: Iterable[str]) -> Manifests:
    """Read what options name: files, "-" for standard input, directories with all that is below them, patterns.

    A file that comes twice counts once. Raises `BadInput` with everything that is wrong with any of them.
    """
    pods: list[Pod] = []
    passed_over: list[str] = []
    texts: dict[str, bytes] = {}
    faults: list[BadInput] = []
    for name in dict.fromkeys(names):
        try:
            files = _files(name)
        except BadInput as fault:
            faults.append(fault)
            continue
        for each in files:
            where = each.title
            if where in texts:
                continue
            try:
                texts[where] = read_user_file(each.path)
                pods += manifest.pods(texts[where], where)
            except BadInput as fault:
                if isinstance(fault, NoPods) and each.path != name:
                    passed_over.append(where)
                else:
                    faults.append(fault)
    if not (pods or faults):
        faults.append(BadInput("no pod is in any of the files", where=WHERE))
    if faults:
        raise BadDocument(faults)
    return Manifests(tuple(pods), tuple(passed_over), texts)


def _files(name: str) -> list[Source]:
    """Return the files that a name stands for; one that is not there stands for itself. Raises `BadInput`."""
    there = named(name)
    if not there and os.path.isdir(name):  # noqa: PTH112  pathlib is slow to import
        right = f"files that end in {', '.join(sorted(SUFFIXES))}"
        raise BadInput(f"{name} is a directory without a manifest", where=WHERE, right=right)
    if not there and glob.has_magic(name):
        raise BadInput(f"no file is called {name}", where=WHERE, right="a path, or a pattern in quotes")
    return there or [Source(name)]


def _field(pod: Pod, container: str) -> str:
    spec = pod.spec
    for field, several in (
        ("initContainers", spec.init_containers),
        ("containers", spec.containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    ):
        for number, each in enumerate(several or ()):
            if container and each.name == container:
                return ".".join(part for part in (pod.origin.template, f"spec.{field}[{number}]") if part)
    return ".".join(part for part in (pod.origin.template, "spec") if part) if container else ""
