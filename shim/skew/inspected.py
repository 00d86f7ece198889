"""What a runtime says of a container or a sandbox, as `crictl inspect` shows it, and what a person makes of that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.decision import Step
from runtimes.host import Host
from runtimes.model import find, known
from runtimes.request import LOCALHOST
from shim.answer import Cri, Profile, bounding
from shim.skew.posture import Build, Posture, made

if TYPE_CHECKING:
    from collections.abc import Mapping

_KUBELET = ("api", "kubelet")


class Inspected(msgspec.Struct, frozen=True):
    """The verbose info, the JSON of each of its keys read. `own` is the part that only crishim has."""

    info: dict[str, Any] = {}
    own: dict[str, Any] = {}

    @property
    def spec(self) -> dict[str, Any]:
        """The OCI runtime spec."""
        found: dict[str, Any] = self.info.get("runtimeSpec") or {}
        return found

    @property
    def section(self) -> dict[str, Any] | None:
        """The spec's `linux.seccomp`."""
        linux: dict[str, Any] = self.spec.get("linux") or {}
        return linux.get("seccomp")

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rule that had a say once the request had reached the server."""
        return msgspec.convert(self.own.get("steps", ()), tuple[Step, ...])

    @property
    def build(self) -> Build | None:
        """The release that made it, and its host; None for a runtime that does not tell."""
        node = self.own.get("node")
        if node is None:
            return None
        family = node["runtime"]["name"]
        host = {key: value for key, value in node["host"].items() if key != "root"}
        return Build(family, known(find(family), node["runtime"]["version"]), msgspec.convert(host, Host))

    @property
    def cri(self) -> Cri:
        """The profile that the request asked for, as far as it was a file and the runtime shows the request."""
        config = self.info.get("config") or {}
        context = (config.get("linux") or {}).get("security_context") or {}
        seccomp, path = context.get("seccomp") or {}, context.get("seccomp_profile_path", "")
        if seccomp.get("profile_type") in (LOCALHOST, "Localhost"):
            return Cri(Profile("Localhost", seccomp.get("localhost_ref", "")), path)
        return Cri(None, "" if seccomp else path)

    def posture(self, cri: Cri | None = None, planned: tuple[Step, ...] | None = None) -> Posture:
        """Return what it has. A kubelet that sent the request knows which profile it asked for, and why: its steps take
        the place of those that the server has about requests in general.
        """
        capabilities, build, steps = bounding(self.spec), self.build, self.steps
        if planned is not None:
            steps = planned + tuple(each for each in steps if each.layer not in _KUBELET)
        if build is not None:
            return made(self.section, capabilities, cri or self.cri, steps, build)
        kind = "custom" if self.section is not None else "Unconfined"
        return Posture(kind=kind, section=self.section, capabilities=capabilities, steps=steps)  # type: ignore[arg-type]


def inspected(info: Mapping[str, Any]) -> Inspected:
    """Return verbose info as it comes over the CRI, or as crictl prints it, with the JSON in it read."""
    read: dict[str, Any] = {}
    for key in ("info", "crishim"):
        value = info.get(key, {})
        read[key] = json.loads(value) if isinstance(value, str) else value
    own = read["crishim"]
    return Inspected(read["info"] or {key: value for key, value in info.items() if key != "crishim"}, own)
