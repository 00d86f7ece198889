"""The pods of many files: files, directories and patterns, as a person names them."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from shim.kubelet import manifest
from shim.nodefile import BadDocument, read_user_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shim.kubelet.pod import Pod

WHERE = "--filename"

_SUFFIXES = (".json", ".yaml", ".yml")
_PATTERN = "*?["
_HOLDS_NONE = ("there is no pod in it", "there is nothing in it")
_STDIN = "-"


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
        for path, was_named in _files(name, faults):
            where = "standard input" if path == _STDIN else path
            if where in texts:
                continue
            try:
                texts[where] = read_user_file(path)
                pods += manifest.pods(texts[where], where)
            except BadInput as fault:
                if was_named or not fault.what.startswith(_HOLDS_NONE):
                    faults.append(fault)
                else:
                    passed_over.append(where)
    if not (pods or faults):
        faults.append(BadInput("no pod is in any of the files", where=WHERE))
    if faults:
        raise BadDocument(faults)
    return Manifests(tuple(pods), tuple(passed_over), texts)


def _files(name: str, faults: list[BadInput]) -> Iterator[tuple[str, bool]]:
    """Yield the files that a name stands for, and whether it names that very file."""
    if name != _STDIN and os.path.isdir(name):  # noqa: PTH112  pathlib is slow to import
        found = sorted(
            os.path.join(folder, file)  # noqa: PTH118
            for folder, _, files in os.walk(name)
            for file in files
            if file.endswith(_SUFFIXES)
        )
        what, right = f"{name} is a directory without a manifest", f"files that end in {', '.join(_SUFFIXES)}"
    elif any(sign in name for sign in _PATTERN) and not os.path.exists(name):  # noqa: PTH110
        found = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))  # noqa: PTH113, PTH207
        what, right = f"no file is called {name}", "a path, or a pattern in quotes"
    else:
        yield name, True
        return
    if not found:
        faults.append(BadInput(what, where=WHERE, right=right))
    yield from ((path, False) for path in found)


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
