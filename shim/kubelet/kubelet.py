"""One kubelet: a release and its settings."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from runtimes.errors import BadInput
from shim.kubelet import policy as policies
from shim.kubelet import step as defaulting
from shim.kubelet.config import File, Flags, Settings, settle
from shim.kubelet.profile import Rules
from shim.kubelet.releases import known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtimes.decision import Step
    from runtimes.release import Release
    from runtimes.request import ContainerRequest, SandboxRequest
    from shim.kubelet.api import Source
    from shim.kubelet.configfile import Sources
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
        seccomp_default: bool | None = None,
        feature_gates: dict[str, bool] | None = None,
        step: Mode = "apply",
        flags: Flags | None = None,
        command_line: Sequence[str] = (),
        sources: Sources | None = None,
        policy: tuple[str, str] = ("", ""),
    ) -> Kubelet:
        """Start a kubelet of a release ("1.28.4"; "1.28" is its newest patch release).

        `sources` says where its configuration is, `seccomp_default` and `feature_gates` stand on top of that. The
        command line comes as words, or as `flags` where it was read before. `policy` is one of those that no kubelet
        ever had (shim.kubelet.policy), and what it is told.
        Raises `BadInput` for a release that is not known or a file that is malformed, and `Refused` with
        `where="kubelet"` and the kubelet's own words where that release does not start so.
        """
        release, notes = known(version)
        if command_line:
            flags, sources = _read(command_line, release, sources)

        def load() -> File:
            file = _load(sources, release)
            on_top = File(feature_gates={**file.feature_gates, **(feature_gates or {})}, notes=file.notes)
            if seccomp_default is None:
                return replace(on_top, seccomp_default=file.seccomp_default, place=file.place)
            return replace(on_top, seccomp_default=seccomp_default)

        settings = settle(release, flags or Flags(), load)
        if any(policy):
            settings = _with_policy(settings, *policy, sources)
        return cls(release, settings, step, Rules(release, settings), notes + settings.notes)

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


def _read(words: Sequence[str], release: Release, sources: Sources | None) -> tuple[Flags, Sources | None]:
    """Read a command line, which may say where the configuration is."""
    from shim.kubelet import commandline  # noqa: PLC0415  most nodes have none

    line = commandline.parse(words, release)
    if not (line.config or line.config_dir):
        return line.flags, sources
    if sources is None:
        raise BadInput("--config and --config-dir name files, and there is no node to read them on")
    for name, flag, given in (
        ("config", line.config, sources.config),
        ("configDir", line.config_dir, sources.config_dir),
    ):
        if flag and given:
            raise BadInput(f"{name} is there twice, as a setting and as a flag", field=name, right="leave one")
    # A path that is not absolute starts where a service manager starts a kubelet.
    config, folder = (posixpath.join("/", path) if path else "" for path in (line.config, line.config_dir))
    return line.flags, replace(sources, config=config or sources.config, config_dir=folder or sources.config_dir)


def _with_policy(settings: Settings, name: str, profile: str, sources: Sources | None) -> Settings:
    if settings.seccomp_default.on:
        raise BadInput("a policy takes the place of seccompDefault, which is on", field="policy", right="leave one")
    files = sources.files if sources else None
    return replace(settings, policy=policies.settle(name, profile, settings.profile_root.path, files))


def _load(sources: Sources | None, release: Release) -> File:
    if sources is None or not (sources.config or sources.config_dir):
        return File()
    from shim.kubelet import configfile  # noqa: PLC0415  most nodes have none

    return configfile.load(sources, release)
