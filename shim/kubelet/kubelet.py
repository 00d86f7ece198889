"""One kubelet: a release and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from shim.kubelet import step as defaulting
from shim.kubelet.config import File, Flags, Settings, settle
from shim.kubelet.profile import Rules
from shim.kubelet.releases import known

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.decision import Step
    from runtimes.release import Release
    from runtimes.request import ContainerRequest, SandboxRequest
    from shim.kubelet.api import Source
    from shim.kubelet.plan import OS, PodRequests
    from shim.kubelet.pod import Pod
    from shim.kubelet.security import User

Mode = Literal["apply", "none"]


class Kubelet(msgspec.Struct, frozen=True):
    """A kubelet that has started.

    `step` says whether it has its say about requests that reach it in the shape of the CRI ("apply"), or hands them to
    the runtime as they came ("none"). `notes` is what there is to say about the start itself.
    """

    release: Release
    settings: Settings
    step: Mode
    rules: Rules
    notes: tuple[Step, ...] = ()

    @classmethod
    def start(
        cls,
        version: str,
        *,
        seccomp_default: bool = False,
        feature_gates: dict[str, bool] | None = None,
        step: Mode = "apply",
        flags: Flags | None = None,
    ) -> Kubelet:
        """Start a kubelet of a release ("1.28.4"; "1.28" is its newest patch release).

        `seccomp_default` and `feature_gates` stand in its configuration file, `flags` on its command line.
        Raises `BadInput` for a release that is not known, and `Refused` with `where="kubelet"` and the kubelet's own
        words where that release does not start so.
        """
        release, notes = known(version)
        file = File(seccomp_default=seccomp_default or None, feature_gates=feature_gates or {})
        settings = settle(release, file, flags or Flags())
        return cls(release, settings, step, Rules(release, settings), notes)

    def sandbox(self, request: SandboxRequest) -> tuple[SandboxRequest, tuple[Step, ...]]:
        """Return a sandbox request as it goes to the runtime, and why. Raises `Refused`."""
        if self.step == "none":
            return request, ()
        filled, steps = defaulting.sandbox(self.rules, request)
        return filled, self.notes + steps

    def container(
        self, request: ContainerRequest, sandbox: SandboxRequest | None = None
    ) -> tuple[ContainerRequest, tuple[Step, ...]]:
        """Return a container request as it goes to the runtime, and why. Raises `Refused`.

        The sandbox matters up to the last release that reads seccomp annotations: they are the pod's, and a request for
        a container does not carry them.
        """
        if self.step == "none":
            return request, ()
        filled, steps = defaulting.container(self.rules, request, sandbox)
        return filled, self.notes + steps

    def requests(
        self,
        pod: Pod,
        *,
        source: Source = "api",
        os: OS = "linux",
        node: str = "",
        user_of: Callable[[str], User] | None = None,
    ) -> PodRequests:
        """Return the requests that this kubelet sends for a pod of a manifest (see plan.requests).

        They are as they go to the runtime: the defaulting step has nothing to add to them.
        """
        from shim.kubelet import plan  # noqa: PLC0415  a server does without manifests

        return plan.requests(self, pod, source=source, os=os, node=node, user_of=user_of)
