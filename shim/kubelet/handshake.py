"""The calls with which a kubelet finds out whether it can talk to a runtime, and in which version of the CRI.

Pure: a generator that yields calls, is sent what comes back, and returns what was agreed on.
Source: the constructors of the remote services and of the generic runtime manager at v1.18.6, v1.23.0, v1.26.15,
v1.27.14 and v1.36.3; cmd/kubelet/app/server.go (getCgroupDriverFromCRI).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from shim.kubelet import gates
from shim.kubelet.lookup import at
from shim.kubelet.startup import refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.errors import Refused
    from runtimes.release import Release

Service = Literal["runtime", "image"]
VERSION = "0.1.0"  # what the CRI calls itself, and no runtime may answer otherwise
_ASKED_TIMES = 3  # RuntimeConfig: the loop that retries does not end when it succeeds
_NAMES = ("version", "runtime_name", "runtime_version", "runtime_api_version")


class Call(msgspec.Struct, frozen=True):
    """A call to make: which service, in which version of the CRI, and the fields of the request."""

    service: Service
    api: str
    method: str
    fields: dict[str, Any] = {}


class Fault(msgspec.Struct, frozen=True):
    """What came back instead of an answer; `code` is gRPC's, as in UNIMPLEMENTED."""

    code: str
    message: str

    def __str__(self) -> str:
        """As gRPC for Go prints it."""
        code = "".join(word.capitalize() for word in self.code.split("_"))
        return f"rpc error: code = {code} desc = {self.message}"


class Dialect(msgspec.Struct, frozen=True):
    """The version of the CRI that is spoken with each service, and what there is to say about it."""

    runtime: str
    image: str
    notes: tuple[str, ...] = ()


def handshake(release: Release, gates_set: Mapping[str, bool], endpoint: str) -> Generator[Call, Any, Dialect]:
    """Yield the calls of a start and return what was agreed on. Raises `Refused` in the kubelet's words."""
    notes: list[str] = []
    runtime = yield from _connect("runtime", "Version", release, endpoint, notes)
    image = yield from _connect("image", "ImageFsInfo", release, endpoint, notes)
    if gates.on("KubeletCgroupDriverFromCRI", release, gates_set):
        for _ in range(_ASKED_TIMES):
            answer = yield Call("runtime", runtime, "RuntimeConfig")
            if isinstance(answer, Fault) and answer.code != "UNIMPLEMENTED":
                raise _failed(release, f"failed to run Kubelet: {answer}")
            if isinstance(answer, Fault):
                notes.append("the runtime does not tell its cgroup driver: that of the configuration counts")
                break
    answer = yield Call("runtime", runtime, "Version", {"version": VERSION})
    if isinstance(answer, Fault):
        raise _failed(release, str(answer))
    if not all(getattr(answer, name) for name in _NAMES):
        raise _failed(release, f"not all fields are set in VersionResponse ({_shown(answer)})")
    if answer.version != VERSION:
        raise _failed(release, "runtime api version is not supported")
    return Dialect(runtime, image, tuple(notes))


def _connect(
    service: Service, method: str, release: Release, endpoint: str, notes: list[str]
) -> Generator[Call, Any, str]:
    """Find the version that a service speaks. The oldest kubelets do not ask."""
    versions: list[str] = at(release).value("cri-versions")
    words = at(release).value("cri-connection-words")
    if words is None:
        return versions[0]
    answer = yield Call(service, versions[0], method)
    if not isinstance(answer, Fault):
        return versions[0]
    if answer.code == "UNIMPLEMENTED" and len(versions) > 1:
        notes.append(f"the runtime has no {service} API {versions[0]}: falling back to {versions[1]} (deprecated)")
        return versions[1]
    if answer.code == "UNIMPLEMENTED" or words["any"]:
        raise refused(release, "run", words[service].format(endpoint=endpoint, error=answer))
    notes.append(f"the {service} service answers {answer}, which this release does not mind")
    return versions[0]


def _failed(release: Release, error: str) -> Refused:
    return refused(release, "run", f"failed to create kubelet: {error}")


def _shown(answer: Any) -> str:
    return ", ".join(f"{name} {getattr(answer, name)!r}" for name in _NAMES)
