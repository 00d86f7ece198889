"""What a container has, in the words in which people ask for it: unconfined, whose default, which file, or refused.

A name for a section is found by comparing, not by guessing: it is RuntimeDefault of a release if it equals what is
built into that release for a container with the same capabilities on the same host.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from runtimes.decision import Step
from runtimes.errors import BadInput, Refused
from runtimes.host import Host
from runtimes.model import find
from runtimes.release import Release
from shim.answer import Cri, Error, digest, error_of
from shim.builtin import builtin_profile
from shim.nodefile import fill

if TYPE_CHECKING:
    from shim.answer import Answer
    from shim.node import Entry, Node

Kind = Literal["Unconfined", "RuntimeDefault", "Localhost", "custom", "refused", "none"]

_LOCALHOST = "localhost/"


class Build(msgspec.Struct, frozen=True):
    """A family's release on a host: what "runtime default" refers to."""

    family: str
    release: Release
    host: Host

    def __str__(self) -> str:
        """As people name it: "containerd 2.0.9"."""
        return f"{self.family} {self.release}"


class Posture(msgspec.Struct, frozen=True, kw_only=True):
    """What one container has, or why there is none.

    `of` is the build of a RuntimeDefault ("containerd 2.0.9"), the path of a Localhost profile, or the reason of a
    refusal ("CreateContainerError"); "" otherwise. `build` is that of a RuntimeDefault, None otherwise. "none" is what
    has not been made yet.
    """

    kind: Kind
    of: str = ""
    build: Build | None = None
    section: dict[str, Any] | None = None
    capabilities: tuple[str, ...] = ()
    error: Error | None = None
    steps: tuple[Step, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether there is a container that has it: it was not refused, and it has been made."""
        return self.kind not in ("refused", "none")

    @property
    def digest(self) -> str:
        """The section's sha256, "" where there is no filter."""
        return digest(self.section)

    @property
    def title(self) -> str:
        """A few words: "RuntimeDefault of containerd 2.0.9", "Unconfined", "refused: CreateContainerError"."""
        return title(self.kind, self.of, self.digest)


def title(kind: str, of: str, digest: str) -> str:
    """Name what has a kind in a few words; `of` is that of a `Posture`."""
    match kind:
        case "RuntimeDefault":
            return f"RuntimeDefault of {of}"
        case "Localhost":
            return f"Localhost {of}"
        case "custom":
            return f"custom {digest[:12]}"
        case "refused":
            return f"refused: {of}" if of else "refused"
        case "none":
            return "not there yet"
        case _:
            return kind


def build_of(node: Node, entry: Entry) -> Build:
    """Return the build behind an entry of a node."""
    filled = fill(node.document)
    part = filled.handlers.get(entry.name, filled.runtime)
    return Build(part.name or "", entry.runtime.release, node.host)


def posture(answer: Answer, build: Build) -> Posture:
    """Return what an answer means for a container that the build would make."""
    if answer.error is not None:
        return Posture(kind="refused", of=answer.error.reason, error=answer.error, steps=answer.steps)
    return made(answer.seccomp, answer.capabilities or (), answer.cri, answer.steps, build)


def refused(refusal: Refused, of: str = "") -> Posture:
    """Return what a container has where none is made; `of` is what a person sees, if not the refusal's own reason."""
    of = of or refusal.reason
    return Posture(kind="refused", of=of, error=error_of(refusal, of), steps=refusal.steps)


def made(
    section: dict[str, Any] | None, capabilities: tuple[str, ...], cri: Cri, steps: tuple[Step, ...], build: Build
) -> Posture:
    """Return what a container that the build made has, given its section, bounding set and request."""
    kind, of = _named(section, capabilities, cri, build)
    its = build if kind == "RuntimeDefault" else None
    return Posture(kind=kind, of=of, build=its, section=section, capabilities=capabilities, steps=steps)


def _named(section: dict[str, Any] | None, capabilities: tuple[str, ...], cri: Cri, build: Build) -> tuple[Kind, str]:
    if section is None:
        return "Unconfined", ""
    path = localhost_file(cri)
    if path:
        return "Localhost", path
    if digest(section) == _default(build, capabilities):
        return "RuntimeDefault", str(build)
    return "custom", ""


def localhost_file(cri: Cri) -> str:
    """Return the file that a request names, the message before the string; "" where it names none."""
    if cri.seccomp is not None:
        return cri.seccomp.localhost_ref if cri.seccomp.profile_type == "Localhost" else ""
    return cri.seccomp_profile_path.removeprefix(_LOCALHOST) if _LOCALHOST in cri.seccomp_profile_path else ""


def default_of(build: Build, capabilities: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what RuntimeDefault gives a container with a bounding set. Raises `BadInput` for an unknown family."""
    return builtin_profile(find(build.family), build.release, build.host, add=capabilities, drop=("ALL",)).section


@functools.lru_cache(maxsize=4096)
def _default(build: Build, capabilities: tuple[str, ...]) -> str:
    """Return the digest of what RuntimeDefault gives a container with a bounding set, "" where that is no filter."""
    try:
        return digest(default_of(build, capabilities))
    except BadInput:
        return ""
