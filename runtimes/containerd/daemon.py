"""One containerd: a release, its configuration, a host. It decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes import runc
from runtimes.containerd import container, sandbox, seccomp, users
from runtimes.containerd.config import load
from runtimes.containerd.known import at
from runtimes.containerd.objection import Objection
from runtimes.containerd.paths import join
from runtimes.containerd.persona import ContainerdPersona
from runtimes.containerd.received import lost, received
from runtimes.containerd.spec import Site, Spec, finished
from runtimes.decision import Decision, Step
from runtimes.errors import BadInput, Refused
from runtimes.request import (
    ContainerRequest,
    LinuxContainerSecurityContext,
    LinuxSandboxSecurityContext,
    SandboxRequest,
    container_security,
    sandbox_security,
)

if TYPE_CHECKING:
    from runtimes.containerd.config import Config
    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.model import ContainerPlace, SandboxPlace, Setup
    from runtimes.persona import Persona
    from runtimes.release import Release

_CREATION = "failed to create containerd container: "
_SANDBOX_SPEC = "failed to generate sandbox container spec: "
_BIG_ENDIAN = frozenset({"s390x", "mips64", "ppc64"})


class Daemon:
    """Meets `runtimes.model.Runtime`. Holds no state: the same request gets the same answer."""

    def __init__(self, release: Release, host: Host, setup: Setup, files: Files) -> None:
        self.release, self.host, self.files = release, host, files
        self.known = at(release)
        self.config: Config = load(setup.config, self.known, files)
        self._default = setup.handler or self.config.default_handler
        if self._default not in self.config.handlers:
            names = ", ".join(self.config.handlers)
            what = f"containerd has no runtime handler {self._default!r}"
            raise BadInput(what, field="handler", right=f"one of {names}")
        self.persona: Persona = ContainerdPersona(self.known, self.config, host)
        self._sites: dict[str, Site] = {}

    @property
    def handlers(self) -> tuple[str, ...]:
        """The handlers of the configuration, the default one first."""
        return (self._default, *(name for name in self.config.handlers if name != self._default))

    def sandbox(self, request: SandboxRequest, place: SandboxPlace) -> Decision:
        """Decide about the pause container of a sandbox."""
        steps = self._notes(request)
        request = received(request, self.known)
        site = self._site(place.handler)
        security = sandbox_security(request) or LinuxSandboxSecurityContext()
        start = self.known.value("sandbox-start-prefix").format(id=place.id)
        try:
            spec = sandbox.spec(site, request, place)
        except Objection as objection:
            raise _refused(start + _SANDBOX_SPEC, objection, steps) from None
        try:
            choice = self._choice(security)
            user = users.user_text("", security.run_as_user, security.run_as_group)
        except Objection as objection:
            raise _refused(start + self.known.value("sandbox-options-prefix"), objection, steps) from None
        try:
            steps += self._filter(spec, choice)
            self._user(spec, user, place)
        except Objection as objection:
            raise _refused(start + _CREATION, objection, steps + choice.steps) from None
        decision = Decision(finished(spec), steps)
        text = self._rejection(decision.spec)
        if text:
            raise Refused("UNKNOWN", start + text, steps)
        return decision

    def container(
        self, request: ContainerRequest, place: ContainerPlace, sandbox: SandboxRequest, sandbox_place: SandboxPlace
    ) -> Decision:
        """Decide about a container."""
        steps = self._notes(request)
        request, pod = received(request, self.known), received(sandbox, self.known)
        site = self._site(sandbox_place.handler)
        security = container_security(request) or LinuxContainerSecurityContext()
        try:
            spec, capability_steps = container.spec(site, request, place, pod, sandbox_place)
        except Objection as objection:
            prefix = self._spec_prefix(str(objection)).format(id=place.id)
            raise _refused(prefix, objection, steps) from None
        try:
            user = users.user_text(security.run_as_username, security.run_as_user, security.run_as_group)
            users.check_policy(security.supplemental_groups_policy, self.known)
            self._check_apparmor(security)
            choice = self._choice(security)
        except Objection as objection:
            raise _refused(self.known.value("container-options-prefix"), objection, steps) from None
        try:
            self._user(spec, user, place)
            users.set_groups(spec, security.supplemental_groups, security.supplemental_groups_policy, self.known)
            steps += capability_steps
            steps += self._filter(spec, choice, base=site.handler.base_spec is not None)
        except Objection as objection:
            raise _refused(_CREATION, objection, steps + choice.steps) from None
        return Decision(finished(spec), steps)

    def start(self, decision_spec: dict[str, Any]) -> None:
        """Hand a spec to the OCI runtime."""
        text = self._rejection(decision_spec)
        if text:
            raise Refused("UNKNOWN", text, reason="StartError")

    def _choice(self, security: LinuxContainerSecurityContext | LinuxSandboxSecurityContext) -> seccomp.Choice:
        asked = seccomp.Asked(security.seccomp, security.seccomp_profile_path, security.privileged)
        try:
            return seccomp.choose(asked, self.config.unset_seccomp_profile, self.known, self.host)
        except Objection as objection:
            raise Objection(f"failed to generate seccomp spec opts: {objection}", objection.steps) from None

    def _site(self, handler: str) -> Site:
        name = handler if handler in self.config.handlers else self._default
        if name not in self._sites:
            self._sites[name] = Site(self.known, self.config, self.config.handlers[name], self.host)
        return self._sites[name]

    def _notes(self, request: SandboxRequest | ContainerRequest) -> tuple[Step, ...]:
        """Say what of the configuration and of the request this release does not see."""
        missing = lost(request, self.known)
        if not missing:
            return self.config.notes
        because = f"the CRI API of this release does not have {', '.join(missing)}: dropped unread"
        source = "vendor/k8s.io/cri-api at the tag"
        return (*self.config.notes, Step("runtime", "cri-fields", because, source, warns=True))

    def _spec_prefix(self, text: str) -> str:
        prefix: str = self.known.value("container-spec-prefix")
        if text.startswith("failed to generate spec: "):  # an option failed when it was applied, not when it was made
            return 'failed to generate container "{id}" spec: '
        return prefix

    def _user(self, spec: Spec, asked: str, place: SandboxPlace | ContainerPlace) -> None:
        text = asked or (place.image.user if self.known.has("image-user") else "")
        if not text:
            return
        try:
            users.set_user(spec, text, place.image, self.known)
        except users.NotInImageError as missing:
            if self.known.has("image-files-read-in-place"):
                raise
            # Looked for in the image, which is mounted in a folder with a number of its own.
            folder = join(self.config.get("containerdRootDir"), f"tmpmounts/containerd-mount{int(place.id[:8], 16)}")
            raise Objection(f"mount callback failed on {folder}: {missing}") from None

    def _filter(self, spec: Spec, choice: seccomp.Choice, *, base: bool = False) -> tuple[Step, ...]:
        """Set the section of a choice; return its steps."""
        if choice.kind == "none":
            if base and "seccomp" in spec["linux"]:
                because = "the request puts no filter there: the one of base_runtime_spec stays"
                source = self.known.source("base-spec-keeps-seccomp")
                return (*choice.steps, Step("runtime", "base-spec-keeps-seccomp", because, source))
            return choice.steps
        bounding = tuple(spec["process"]["capabilities"].get("bounding") or ())
        found, steps = seccomp.section(choice, self.known, self.host, bounding, self.files)
        spec["linux"]["seccomp"] = found
        return choice.steps + steps

    def _check_apparmor(self, security: LinuxContainerSecurityContext) -> None:
        """Refuse an AppArmor profile: the simulated host has no AppArmor."""
        profile, unconfined = security.apparmor, 1
        wanted = profile.profile_type != unconfined if profile else security.apparmor_profile not in ("", "unconfined")
        if wanted:
            raise Objection("failed to generate apparmor spec opts: apparmor is not supported")

    def _rejection(self, spec: dict[str, Any]) -> str | None:
        process = spec.get("process") or {}
        text = runc.rejects(
            (spec.get("linux") or {}).get("seccomp"),
            no_new_privileges=bool(process.get("noNewPrivileges")),
            big_endian=self.host.arch in _BIG_ENDIAN,
        )
        return self.known.value("oci-runtime-refusal").format(error=text) if text else None


def _refused(prefix: str, objection: Objection, steps: tuple[Step, ...]) -> Refused:
    return Refused("UNKNOWN", prefix + str(objection), steps + objection.steps, reason="CreateContainerError")
