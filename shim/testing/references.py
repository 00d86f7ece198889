"""What a section may be compared with, and what may be looked at besides a handle: everything that holds a section."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import msgspec

from runtimes.errors import BadInput
from runtimes.host import Host
from runtimes.model import find, known
from shim.answer import digest
from shim.skew.inspected import Inspected, inspected
from shim.skew.posture import Build, Posture, default_of
from shim.testing.choosing import HOST
from shim.testing.pods import Confined

_DIGEST = re.compile(r"(?:sha256:)?(?P<digits>[0-9a-f]{8,64})")
_RELEASE = re.compile(r"(?P<family>[a-z][a-z0-9-]*)@(?P<release>\S+)")
_RIGHT = (
    'a section, a container, a digest, "RuntimeDefault", "Unconfined", "containerd@2.0.9" or the path of a JSON file'
)


class Subject(msgspec.Struct, frozen=True):
    """What is checked. `where` are the releases that made it and `build` is the runtime among them, where known."""

    title: str
    posture: Posture
    where: str = ""
    build: Build | None = None

    @property
    def name(self) -> str:
        """How a message begins."""
        return f"{self.title} ({self.where})" if self.where else self.title


class Reference(msgspec.Struct, frozen=True):
    """What it is compared with. Of a digest nothing but that is known."""

    title: str
    digest: str
    section: dict[str, Any] | None = None
    known: bool = True


def subject(given: Any) -> Subject:
    """Return what is checked: a handle of this package, or what crictl, a runtime's bundle or a test has of a real one.

    Raises `BadInput`.
    """
    if isinstance(given, Subject):
        return given
    if isinstance(given, Confined):
        said = given.inspected
        where = _where(said) or given.behind.name
        return Subject(given.title, given.posture, where, said.build)
    if isinstance(given, Posture):
        return Subject("the container", given)
    said = _read(given)
    return Subject("the container", said.posture(), _where(said), said.build)


def reference(given: Any, to: Subject) -> Reference:
    """Return what a subject is compared with. Raises `BadInput` for what holds no section."""
    if given is None or given == "Unconfined":
        return Reference("no filter", "")
    if given == "RuntimeDefault":
        if to.build is None:
            raise BadInput(f"nobody knows which release made {to.title}", right='say it: "containerd@2.0.9"')
        return _default(to.build, to)
    if isinstance(given, str) and (found := _RELEASE.fullmatch(given)):
        model = find(found["family"])
        host = to.build.host if to.build else msgspec.convert(HOST, Host)
        return _default(Build(model.name, known(model, found["release"]), host), to)
    if isinstance(given, str) and (found := _DIGEST.fullmatch(given)):
        return Reference(f"sha256 {found['digits']}", found["digits"], known=False)
    if isinstance(given, os.PathLike) or (isinstance(given, str) and given.endswith(".json")):
        path = os.fspath(given)
        section = _read(_file(path)).section
        return Reference(os.path.basename(path), digest(section), section)  # noqa: PTH119
    if isinstance(given, str):
        raise BadInput(f"{given!r} holds no section", right=_RIGHT)
    other = subject(given)
    if other.posture.error is not None:
        raise BadInput(f"{other.title} was refused, so there is nothing to compare with")
    title = "the given section" if isinstance(given, dict) else other.name
    return Reference(title, other.posture.digest, other.posture.section)


def _default(build: Build, to: Subject) -> Reference:
    """Return what RuntimeDefault means in a release for a container with the capabilities of this one."""
    section = default_of(build, to.posture.capabilities)
    return Reference(f"RuntimeDefault of {build}", digest(section), section)


def _where(said: Inspected) -> str:
    node = said.own.get("node")
    if node is None:
        return ""
    return f"{node['runtime']['name']} {node['runtime']['version']}, kubelet {node['kubelet']['version']}"


def _read(given: Any) -> Inspected:
    """Read what `crictl inspect` prints, its info, an OCI runtime spec, or a bare section."""
    if given is None:
        return Inspected()
    if isinstance(given, dict):
        if "defaultAction" in given:
            return Inspected({"runtimeSpec": {"linux": {"seccomp": given}}})
        if "ociVersion" in given or "linux" in given:
            return Inspected({"runtimeSpec": given})
        info = given.get("info", given)
        if isinstance(info, (dict, str)) and ("runtimeSpec" in info or "info" in given):
            return inspected(info if isinstance(info, dict) else given)
    raise BadInput(f"{_short(given)} holds no section", right=_RIGHT)


def _file(path: str) -> Any:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return json.load(file)
    except OSError as fault:
        raise BadInput(f"cannot be read: {fault.strerror}", where=path) from None
    except ValueError as fault:
        raise BadInput(f"is not JSON: {fault}", where=path) from None


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  as much as one line has room for
