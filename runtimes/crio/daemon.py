"""One CRI-O daemon: it starts (or refuses to), and turns requests into decisions.

    Daemon(release, host, setup, files)     raises `Refused` where that release does not start so
    .sandbox(request, place), .container(request, place, sandbox, sandbox_place)   -> Decision

CRI-O hands a spec to the OCI runtime when it creates a container, so what that rejects is refused here and not at the
start. What the OCI runtime says is runc's word, under a handler that is another one too.
Source: pkg/config/config.go Validate; server/container_create*.go; server/sandbox_run_linux.go.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NoReturn

import msgspec

from runtimes import runc
from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.crio import capabilities, profiles, reload, spec
from runtimes.crio import config as crio_conf
from runtimes.crio import notes as noted
from runtimes.crio.at import at
from runtimes.crio.config import NOT_STARTED
from runtimes.crio.layout import Layout, drops_infra, is_privileged
from runtimes.crio.persona import CrioPersona
from runtimes.crio.seccomp import Asked, Seccomp
from runtimes.crio.spec import Decided, Deciding
from runtimes.crio.times import rfc3339
from runtimes.decision import Decision, Step
from runtimes.errors import BadInput, Refused
from runtimes.files import NO_SUCH_FILE, FileFault
from runtimes.gojson import GoJsonFault, quote
from runtimes.request import container_security, sandbox_security

if TYPE_CHECKING:
    from typing import Any

    from runtimes.crio.capabilities import Capabilities
    from runtimes.crio.profiles import Loaded
    from runtimes.crio.seccomp import Answer
    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.model import ContainerPlace, Reloaded, SandboxPlace, Setup
    from runtimes.persona import Persona
    from runtimes.release import Release
    from runtimes.request import ContainerRequest, SandboxRequest

_VALIDATE = "pkg/config/config.go Validate"
_RUNTIME_TYPES = ("", "oci", "vm", "pod")
_BIG_ENDIAN = {"mips", "mips64", "ppc64", "s390", "s390x"}


class Daemon:
    """A daemon that runs."""

    def __init__(self, release: Release, host: Host, setup: Setup, files: Files) -> None:
        self.release, self.host, self.setup = release, host, setup
        self.facts = at(release)
        self.config = crio_conf.load(release, setup, files)
        self.steps: list[Step] = list(self.config.steps)
        self._validate()
        handler_profiles = self._handler_profiles(files)
        runtime = self.config.runtime
        self.rules = Seccomp(
            release,
            host,
            files,
            profile=self._profile(files),
            handler_profiles=handler_profiles,
            privileged_profile=runtime["privileged_seccomp_profile"] or "",
            use_default_when_empty=bool(runtime["seccomp_use_default_when_empty"]),
            listener_directory=posixpath.join(posixpath.dirname(self.config.tables["crio.api"]["listen"]), "seccomp"),
        )
        self.rules.option_is_set = "crio.runtime.seccomp_use_default_when_empty" in self.config.said
        self.layout = Layout(release, host, self.config)
        self.persona: Persona = CrioPersona(release, self.config, self.layout)
        if setup.handler and setup.handler not in self.config.handlers:
            known = ", ".join(self.handlers)
            raise BadInput(
                f"the configuration has no handler {setup.handler!r}", field="handler", right=f"one of {known}"
            )

    @property
    def handlers(self) -> tuple[str, ...]:
        """The handlers of its own configuration, the default one first."""
        default = self.config.default_runtime
        return (default, *(name for name in self.config.handlers if name != default))

    # --- what it answers

    def sandbox(self, request: SandboxRequest, place: SandboxPlace) -> Decision:
        """Decide about the infra container of a sandbox. Raises `Refused`."""
        steps = list(self.steps)
        try:
            return self._sandbox(request, place, steps)
        except Refused as refused:
            raise refused.after(tuple(steps)) from None

    def _sandbox(self, request: SandboxRequest, place: SandboxPlace, steps: list[Step]) -> Decision:
        security = sandbox_security(request)
        notes = self._allowed(place.handler, request.annotations, request.annotations, steps)
        privileged = is_privileged(request)
        held = capabilities.setup(self.release, self.host, self.config, None)
        steps += held.steps
        asked = Asked(
            field=security.seccomp if security else None,
            path=security.seccomp_profile_path if security else "",
            bounding=held.bounding,
            privileged=privileged,
            context_absent=security is None,
            is_sandbox=True,
        )
        answer = self.rules.answer(asked, place.handler or self.config.default_runtime)
        steps += answer.steps
        decided = Decided(privileged=privileged, capabilities=held, answer=answer, annotations=notes)
        made = spec.sandbox(self.layout, request, place, decided)
        if drops_infra(request, self.config):
            made["annotations"][self.facts.value("spoofed-annotation")] = "true"
            made["annotations"] = dict(sorted(made["annotations"].items()))
            because = "`drop_infra_ctr` is on: this spec is written, but no infra container ever runs with it"
            steps.append(Step("runtime", "drop-infra-ctr", because, "server/sandbox_run_linux.go"))
        else:
            self._hand_over(made, answer, place.created_at, steps)
        return Decision(made, tuple(steps))

    def container(
        self, request: ContainerRequest, place: ContainerPlace, sandbox: SandboxRequest, sandbox_place: SandboxPlace
    ) -> Decision:
        """Decide about a container. Raises `Refused`."""
        steps = list(self.steps)
        try:
            return self._container(request, place, sandbox, sandbox_place, steps)
        except Refused as refused:
            raise refused.after(tuple(steps)) from None

    def _container(
        self,
        request: ContainerRequest,
        place: ContainerPlace,
        sandbox: SandboxRequest,
        sandbox_place: SandboxPlace,
        steps: list[Step],
    ) -> Decision:
        security, of_sandbox = container_security(request), sandbox_security(sandbox)
        privileged = bool(security and of_sandbox and security.privileged)
        if privileged and of_sandbox and not of_sandbox.privileged:
            raise Refused("UNKNOWN", "no privileged container allowed in sandbox")
        handler = sandbox_place.handler
        notes = self._allowed(handler, sandbox.annotations, sandbox.annotations, steps)
        own = self._allowed(handler, notes, request.annotations, steps)
        request = request if own is request.annotations else _with_annotations(request, own)
        answers: list[Answer] = []

        def hold() -> Capabilities:
            if privileged:
                held = capabilities.privileged(self.release, self.host)
            else:
                asked_for = security.capabilities if security else None
                held = capabilities.setup(self.release, self.host, self.config, asked_for)
            steps.extend(held.steps)
            return held

        def answer(held: Capabilities) -> Answer:
            asked = Asked(
                field=security.seccomp if security else None,
                path=security.seccomp_profile_path if security else "",
                bounding=held.bounding,
                privileged=privileged,
                context_absent=security is None,
                container=request.metadata.name if request.metadata else "",
                container_id=place.id,
                annotations=notes,
                image_annotations=self._allowed(handler, notes, place.image.annotations, steps),
            )
            answers.append(self.rules.answer(asked, handler or self.config.default_runtime))
            steps.extend(answers[-1].steps)
            return answers[-1]

        deciding = Deciding(privileged=privileged, capabilities=hold, answer=answer, annotations=notes)
        made = spec.container(self.layout, request, place, sandbox, sandbox_place, deciding)
        self._hand_over(made, answers[-1], place.created_at, steps)
        return Decision(made, tuple(steps))

    def reload(self, setup: Setup, files: Files) -> Reloaded:
        """Return the daemon after SIGHUP, which reads the files of a setup again (runtimes/crio/reload.py)."""
        return reload.reload(self, setup, files)

    def pairing(self, kubelet: Release) -> tuple[Step, ...]:
        """Say where a kubelet is of another Kubernetes than this release goes with."""
        skew = self.release.minor - kubelet.minor
        oldest = self.facts.value("kubelet-skew")
        if kubelet.major == self.release.major and 0 <= skew <= oldest:
            return ()
        ours = f"{self.release.major}.{self.release.minor}"
        because = (
            f"CRI-O {ours} goes with Kubernetes {ours}, and with kubelets up to {oldest} minor releases older: nobody "
            f"supports a pair with kubelet {kubelet}"
        )
        return (Step("runtime", "kubelet-skew", because, "cri-o README.md, compatibility matrix", warns=True),)

    def wipes(self, before: Release) -> str:
        """Say why it has removed every pod at its start, where a daemon of another release ran before it."""
        root = self.config.tables["crio"]
        asked = root["internal_wipe"] is not False and root["version_file"] != ""
        if not self.facts.has("wipes-pods") or not asked:
            return ""
        if (before.major, before.minor) == (self.release.major, self.release.minor):
            return ""
        return (
            f"internal_wipe: CRI-O {self.release} removes every pod when it starts, since the one before it was "
            f"{before}, of another minor release"
        )

    def start(self, decision_spec: dict[str, object]) -> None:
        """The OCI runtime had the spec at the creation already."""
        del decision_spec

    def _allowed(self, handler: str, find: dict[str, str], given: dict[str, str], steps: list[Step]) -> dict[str, str]:
        filters = self.facts.has("filters-annotations")
        kept, taken = noted.allowed(self.release, self.config, handler, find, given, filters=filters)
        steps += taken
        return kept

    def _hand_over(self, made: dict[str, Any], answer: Answer, created_at: int, steps: list[Step]) -> None:
        """Have the OCI runtime look at the section. The notifier's own socket is there to be called."""
        sealed = bool(made["process"].get("noNewPrivileges"))
        big_endian = self.host.arch in _BIG_ENDIAN
        if answer.composed:
            text = profiles.rejection(answer.composed, no_new_privileges=sealed, big_endian=big_endian)
        elif answer.section:
            listening = (answer.section.get("listenerPath", ""),)
            text = runc.rejects(answer.section, no_new_privileges=sealed, big_endian=big_endian, listening=listening)
        else:
            return
        if text is None:
            return
        because = "the OCI runtime cannot make a filter of this section: CRI-O runs it at the creation, so that fails"
        steps.append(Step("runtime", "oci-runtime-rejects", because, "opencontainers/runc libcontainer/seccomp"))
        time = rfc3339(created_at // 10**9 * 10**9)
        raise Refused("UNKNOWN", f"container create failed: {runc.log_line(text, time)}")

    # --- how it starts

    def _validate(self) -> None:
        prefix = self.facts.value("config-validation-prefix")
        known = set(crio_conf.known_annotations(self.release))
        self._validate_runtime(prefix)
        for name, workload in self.config.workloads.items():
            if not workload.get("activation_annotation"):
                self._refuse(f"{prefix}workloads validation: annotation shouldn't be empty for workload {quote(name)}")
            self._check_annotations(workload.get("allowed_annotations") or (), known, prefix + "workloads validation: ")
        manager = self.config.runtime["cgroup_manager"]
        if manager not in ("systemd", "cgroupfs"):
            self._refuse(f"{prefix}unable to update cgroup manager: invalid cgroup manager: {manager}")
        prefix += self.facts.value("handler-validation-prefix")
        for name, handler in self.config.handlers.items():
            kind = handler["runtime_type"] or ""
            if kind not in _RUNTIME_TYPES:
                self._refuse(f"{prefix}invalid `runtime_type` {quote(kind)} for runtime {quote(name)}")
            self._check_annotations(handler.allowed_annotations, known, prefix)

    def _validate_runtime(self, prefix: str) -> None:
        runtime, default = self.config.runtime, self.config.default_runtime
        for each in runtime["default_ulimits"] or ():
            if not re.fullmatch(r"[a-z]+=-?[0-9]{1,18}(:-?[0-9]{1,18})?", each):
                self._refuse(f"{prefix}unrecognized ulimit {each}: invalid ulimit argument: {each}")
        if default not in self.config.handlers:
            self._refuse(
                prefix + self.facts.value("default-runtime-missing").format(name=quote(default), plain=default)
            )
        for name in runtime["default_capabilities"] or ():
            full = "CAP_" + name.upper()
            if full not in KERNEL_CAPABILITIES:
                self._refuse(
                    f"{prefix}invalid capabilities: validating capabilities: {quote(full)}: unknown capability"
                )

    def _check_annotations(self, allowed: tuple[str, ...] | list[str], known: set[str], prefix: str) -> None:
        unknown = next((name for name in allowed if name not in known), None)
        if unknown is not None and known:
            self._refuse(f"{prefix}invalid allowed_annotation: {unknown}")

    def _profile(self, files: Files) -> Loaded:
        """Load the profile of `seccomp_profile`, CRI-O's own where it names none."""
        path = self.config.runtime["seccomp_profile"]
        own = profiles.internal(self.release, self.host.arch)
        if path and not self.host.seccomp:
            because = f"the host has no seccomp: `seccomp_profile` {quote(path)} has no effect"
            self.steps.append(Step("runtime", "no-effect", because, _VALIDATE, warns=True))
        if not path or not self.host.seccomp:
            return own
        prefix = self.facts.value("config-validation-prefix")
        try:
            data = files.read(path)
        except FileFault as fault:
            if fault.errno == NO_SUCH_FILE and self.facts.has("missing-profile-falls-back"):
                because = f"`seccomp_profile` {quote(path)} is not there: the internal default is used without a word"
                self.steps.append(Step("runtime", "missing-profile-falls-back", because, _VALIDATE, warns=True))
                return own
            text = self.facts.value("profile-open-error").format(path=path, fault=fault)
            self._refuse(prefix + text)
        return self._read(data, prefix + "unable to load seccomp profile: ")

    def _handler_profiles(self, files: Files) -> dict[str, Loaded]:
        """Load the profiles of the handlers that have their own. A handler whose profile cannot be had is dropped."""
        found: dict[str, Loaded] = {}
        if not self.facts.has("handler-profile") or not self.host.seccomp:
            return found
        prefix = self.facts.value("config-validation-prefix")
        prefix += self.facts.value("handler-validation-prefix")
        for name, handler in list(self.config.handlers.items()):
            if not handler["seccomp_profile"]:
                continue
            why = "unable to load runtime handler seccomp profile: "
            try:
                found[name] = self._read(files.read(handler["seccomp_profile"]), prefix + why)
            except (FileFault, Refused) as fault:
                text = f"{prefix}{why}open seccomp profile: {fault}" if isinstance(fault, FileFault) else str(fault)
                if name == self.config.default_runtime:
                    self._refuse(text)
                del self.config.handlers[name]
                because = f'Runtime handler "{name}" is being ignored due to: {text.removeprefix(prefix)}'
                self.steps.append(Step("runtime", "handler-ignored", because, _VALIDATE, warns=True))
        return found

    def _read(self, data: bytes, prefix: str) -> Loaded:
        try:
            return profiles.configured(data, self.release)
        except GoJsonFault as fault:
            self._refuse(f"{prefix}decoding seccomp profile failed: {fault}")

    def _refuse(self, message: str) -> NoReturn:
        raise Refused(NOT_STARTED, message, tuple(self.steps))


def _with_annotations(request: ContainerRequest, notes: dict[str, str]) -> ContainerRequest:
    return msgspec.structs.replace(request, annotations=notes)
