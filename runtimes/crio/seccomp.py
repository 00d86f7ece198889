"""Which profile applies: the request, the release's rule for it, and the configuration, down to the section.

Theory of operation. Three eras differ in what of the request counts:

    path only           the string `seccomp_profile_path`
    field over path     the field `seccomp` where it is set, else the string
    field only          the string is ignored without a word

and inside them in what "nothing" means: unconfined, or RuntimeDefault where `seccomp_use_default_when_empty` says so.
RuntimeDefault is the profile of the runtime handler, else that of `seccomp_profile`, else CRI-O's own. Every enum
number that is neither RuntimeDefault nor Unconfined is read as Localhost. Privileged containers get nothing, and
privileged or host-namespace sandboxes keep what runtime-tools left in the spec, unless `privileged_seccomp_profile`
names a file.
Source: internal/config/seccomp/seccomp.go; server/container_create.go setupSeccomp up to 1.20.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from runtimes.artifacts import artifacts_of
from runtimes.crio import artifacts, profiles
from runtimes.crio.at import PACKAGE, at
from runtimes.crio.profiles import Composed
from runtimes.decision import Step
from runtimes.docker_format import ProfileFault
from runtimes.errors import CapacityExceeded, Refused
from runtimes.facts import load
from runtimes.files import FileFault
from runtimes.gojson import GoJsonFault, quote
from runtimes.request import LOCALHOST, RUNTIME_DEFAULT, UNCONFINED, SecurityProfile

if TYPE_CHECKING:
    from runtimes.crio.profiles import Loaded
    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.release import Release

_SETUP = "internal/config/seccomp/seccomp.go Setup"
_PATH_DEFAULTS = ("runtime/default", "docker/default")
_LOCALHOST = "localhost/"
_WORDS = {RUNTIME_DEFAULT: "RuntimeDefault", UNCONFINED: "Unconfined", LOCALHOST: "Localhost"}
# What a client gets when a nil pointer takes the daemon down in the middle of its call.
_GONE = "error reading from server: EOF"


class Asked(msgspec.Struct, frozen=True):
    """What a request says about seccomp: the field (None where it was not sent), the string, and who asks.

    `context_absent` tells a request whose whole security context was not sent. The annotations are the sandbox's and
    the image's, after those that are not allowed were taken out; a sandbox asks with none.
    """

    field: SecurityProfile | None
    path: str
    bounding: tuple[str, ...]
    privileged: bool = False
    context_absent: bool = False
    is_sandbox: bool = False
    container: str = ""
    container_id: str = ""
    annotations: dict[str, str] = {}
    image_annotations: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True):
    """The section (None for unconfined), what the spec's annotation says was applied, and why.

    `composed` is the profile that the section is, unless the notifier rewrote it.
    """

    section: dict[str, Any] | None
    reference: str
    steps: tuple[Step, ...]
    composed: Composed | None = None


class Seccomp:
    """The rules of one daemon: `profile` is its RuntimeDefault, `handler_profiles` those of handlers with their own."""

    def __init__(
        self,
        release: Release,
        host: Host,
        files: Files,
        *,
        profile: Loaded,
        handler_profiles: dict[str, Loaded],
        privileged_profile: str,
        use_default_when_empty: bool,
        listener_directory: str,
    ) -> None:
        self.release, self.host, self.files = release, host, files
        self.facts = at(release)
        self.profile, self.handler_profiles = profile, handler_profiles
        self.privileged_profile = privileged_profile if self._has("privileged-profile") else ""
        self.use_default_when_empty = use_default_when_empty and self._has("use-default-when-empty")
        self.option_is_set = False  # whether somebody set `seccomp_use_default_when_empty`
        self.listener_directory = listener_directory

    def answer(self, asked: Asked, handler: str) -> Answer:
        """Decide. Raises `Refused` in CRI-O's words."""
        call = _Call(self, asked, handler)
        section, reference = call.run()
        if not self._has("records-profile-reference"):
            reference = asked.path
        return Answer(section, reference, tuple(call.steps), call.composed)

    def _has(self, fact: str) -> bool:
        return self.facts.has(fact)


class _Call:
    """One decision on its way: what was asked, and the steps so far."""

    def __init__(self, rules: Seccomp, asked: Asked, handler: str) -> None:
        self.rules, self.asked, self.handler = rules, asked, handler
        self.release = rules.release
        self.steps: list[Step] = []
        self.composed: Composed | None = None

    def run(self) -> tuple[dict[str, Any] | None, str]:
        """Return the section and the reference to it."""
        asked = self.asked
        if (
            not self.rules.host.seccomp
            and not asked.is_sandbox
            and self._has("containers-without-seccomp-run-unconfined")
        ):
            self._step("no-seccomp", "the host has no seccomp: every container runs unconfined", warns=True)
            return None, "Unconfined"
        if asked.privileged and not self.rules.privileged_profile:
            return self._privileged()
        if asked.privileged:
            path = self.rules.privileged_profile
            because = f"`privileged_seccomp_profile` is {path}: the privileged get this file, whatever they ask for"
            self._step("privileged-profile", because)
            return self._field(SecurityProfile(profile_type=LOCALHOST, localhost_ref=path))
        field = asked.field
        if asked.context_absent and self._has("inserts-security-context"):
            because = (
                "the request has no security context: CRI-O puts one in whose empty `seccomp` means RuntimeDefault"
            )
            self._step("inserts-security-context", because)
            field = SecurityProfile()
        self._warn_of_contradiction(field)
        self._warn_of_what_has_no_effect(field)
        if field is not None and self._has("security-profile-field"):
            return self._field(field)
        if self._has("seccomp-profile-path"):
            return self._path(asked.path)
        return self._nothing()

    def _privileged(self) -> tuple[dict[str, Any] | None, str]:
        ignored = self.asked.field is not None or self.asked.path
        tail = ", and what the request asks for is ignored" if ignored else ""
        if not self.asked.is_sandbox:
            self._step("privileged", f"a privileged container gets no seccomp{tail}", warns=bool(ignored))
            return None, "Unconfined"
        cleared = self._value("sandbox-without-seccomp-cleared")
        if not self.rules.host.seccomp and cleared:
            self._step("no-seccomp", "the host has no seccomp")
            return None, "Unconfined"
        because = f"a privileged or host-namespace sandbox keeps the filter of runtime-tools{tail}"
        self._step("runtime-tools-profile", because, source="server/sandbox_run_linux.go", warns=bool(ignored))
        self.composed = profiles.runtime_tools(self.release, self.rules.host.arch)
        return self.composed.json, "Unconfined"

    # --- the field

    def _field(self, field: SecurityProfile) -> tuple[dict[str, Any] | None, str]:
        kind = field.profile_type
        applied = self._artifact(field)
        if applied is not None:
            return applied
        if not self.rules.host.seccomp:
            return self._field_without_seccomp(kind)
        if kind == UNCONFINED:
            self._step("unconfined", "the field says Unconfined")
            return None, "Unconfined"
        if kind == RUNTIME_DEFAULT:
            if field.localhost_ref:
                because = f"the field says RuntimeDefault: its localhost_ref {quote(field.localhost_ref)} is ignored"
                self._step("localhost-ref-ignored", because, warns=True)
            else:
                self._step("runtime-default", "the field says RuntimeDefault")
            return self._default(), "RuntimeDefault"
        if kind != LOCALHOST:
            because = f"the field's type {kind} is none that CRI-O knows: it reads every such type as Localhost"
            self._step("unknown-type", because, warns=True)
        return self._localhost(field.localhost_ref), field.localhost_ref

    def _field_without_seccomp(self, kind: int) -> tuple[dict[str, Any] | None, str]:
        allowed = {UNCONFINED, RUNTIME_DEFAULT}
        if self._has("field-runtime-default-without-seccomp-refused"):
            allowed.remove(RUNTIME_DEFAULT)
        if kind not in allowed:
            self._refuse(self._value("field-error-prefix") + self._value("field-without-seccomp-error"))
        self._step("no-seccomp", "the host has no seccomp: it runs without a profile", warns=kind != UNCONFINED)
        return None, "Unconfined"

    def _localhost(self, path: str) -> dict[str, Any] | None:
        prefix = self._value("field-error-prefix")
        self._step("localhost", f"the profile is the file {quote(path)} of the node, as it is now")
        try:
            data = self.rules.files.read(path)
        except FileFault as fault:
            self._refuse(f"{prefix}unable to load local profile {quote(path)}: {fault}")
        prefix += self._value("local-profile-error-prefix")
        return self._finished(self._read(data, prefix), prefix)

    # --- the string

    def _path(self, path: str) -> tuple[dict[str, Any] | None, str]:
        prefix = self._value("path-error-prefix")
        if not path:
            if not self.rules.use_default_when_empty:
                self._step("nothing-asked", "the request says nothing about seccomp: that means unconfined")
                return None, ""
            self._step("use-default-when-empty", "`seccomp_use_default_when_empty` is on: nothing means RuntimeDefault")
            path = _PATH_DEFAULTS[0]
        if not self.rules.host.seccomp:
            if path == _PATH_DEFAULTS[0] and self._has("runtime-default-without-seccomp-allowed"):
                self._step("no-seccomp", "the host has no seccomp: RuntimeDefault means no profile", warns=True)
                return None, ""
            if path != "unconfined":
                self._refuse(prefix + self._value("path-without-seccomp-error"))
        if path == "unconfined":
            self._step("unconfined", "seccomp_profile_path says unconfined")
            return None, ""
        if path in _PATH_DEFAULTS:
            self._step("runtime-default", f"seccomp_profile_path says {path}")
            return self._default(path_prefix=prefix), ""
        if not path.startswith(_LOCALHOST):
            self._refuse(prefix + self._value("unknown-path-error").format(path=quote(path)[1:-1]))
        name = path.removeprefix(_LOCALHOST)
        self._step("localhost", f"seccomp_profile_path names the file {quote(name)} of the node, as it is now")
        try:
            data = self.rules.files.read(name)
        except FileFault as fault:
            self._refuse(f"{prefix}cannot load seccomp profile {quote(name)}: {fault}")
        return self._finished(self._read(data, prefix), prefix), ""

    # --- nothing

    def _nothing(self) -> tuple[dict[str, Any] | None, str]:
        if self.rules.use_default_when_empty:
            self._step("use-default-when-empty", "`seccomp_use_default_when_empty` is on: nothing means RuntimeDefault")
            return self._field(SecurityProfile())
        applied = self._artifact(None)
        if applied is not None:
            return applied
        self._step("nothing-asked", "the request's field `seccomp` is not set: that means unconfined")
        return None, ""

    # --- what they share

    def _default(self, path_prefix: str | None = None) -> dict[str, Any] | None:
        name = self.handler
        own = self.rules.handler_profiles.get(name)
        loaded = own or self.rules.profile
        if own:
            self._step("handler-profile", f"the runtime handler {name} has its own `seccomp_profile`")
        elif loaded.is_internal:
            self._step("internal-profile", f"RuntimeDefault is the profile that CRI-O {self.release} carries in itself")
            self.steps += profiles.marks(self.release)
        else:
            self._step("configured-profile", "RuntimeDefault is the file of `seccomp_profile`, as it was at the start")
        prefix = self._value("field-error-prefix") if path_prefix is None else path_prefix
        return self._finished(loaded, prefix + self._value("default-profile-error-prefix"))

    def _read(self, data: bytes, prefix: str) -> Loaded:
        try:
            return profiles.local(data, self.release)
        except GoJsonFault as fault:
            self._refuse(f"{prefix}decoding seccomp profile failed: {fault}")

    def _finished(self, loaded: Loaded, prefix: str) -> dict[str, Any] | None:
        try:
            composed = profiles.compose(loaded, self.release, self.rules.host.arch, self.asked.bounding)
        except ProfileFault as fault:
            if fault.panics:
                self._panic("an entry of the profile is null")
            self._refuse(f"{prefix}{fault}")
        self.steps += composed.steps
        return self._notified(composed)

    def _notified(self, composed: Composed) -> dict[str, Any] | None:
        asked = self.asked
        names = self._value("notifier-annotations") or ()
        if asked.is_sandbox or not any(name in asked.annotations for name in names):
            self.composed = composed
            return composed.json
        if composed.section is None:
            self._panic("the seccomp notifier meets a profile that means no seccomp")
        listener = f"{self.rules.listener_directory}/{asked.container_id}"
        section, step = profiles.notified(composed.section, listener, self.release)
        self.steps.append(step)
        return section

    def _artifact(self, field: SecurityProfile | None) -> tuple[dict[str, Any] | None, str] | None:
        """Apply the artifact that an annotation names: it wins over Unconfined and over nothing."""
        asked = self.asked
        if asked.is_sandbox or asked.privileged or not self._has("artifact-profiles"):
            return None
        found = artifacts.named(self.rules.facts, asked.container, asked.annotations, asked.image_annotations)
        if found is None:
            return None
        key, reference = found
        if field is not None and field.profile_type != UNCONFINED:
            because = f"the field says {_word(field)}: the OCI artifact of the annotation {key} is not looked at"
            self._step("artifact-ignored", because, warns=True)
            return None
        wins = "its profile wins over Unconfined" if field is not None else "the request says nothing, so it applies"
        self._step("artifact-profile", f"the annotation {key} names the OCI artifact {reference}: {wins}")
        registries = artifacts_of(self.rules.files)
        if registries is None:
            raise CapacityExceeded(f"{key} names the OCI artifact {reference}, and this node asks no registry")
        try:
            data = artifacts.pull(self.rules.facts, self.rules.host.arch, registries, reference)
        except artifacts.PullFault as fault:
            self._refuse(f"try to pull OCI artifact seccomp profile: {fault}")
        prefix = self._value("local-profile-error-prefix")
        return self._finished(self._read(data, prefix), prefix), ""

    def _warn_of_contradiction(self, field: SecurityProfile | None) -> None:
        """Say where something that the author of the request meant is not looked at."""
        path = self.asked.path
        if field is not None and not self._has("security-profile-field"):
            if not _agree(field, path):
                because = (
                    f"this release does not know the field `seccomp` ({_word(field)}): it is ignored without a word"
                )
                self._step("field-ignored", because, warns=True)
        elif path and not _agree(field, path):
            if not self._has("seccomp-profile-path"):
                because = f"this release ignores seccomp_profile_path {quote(path)} without a word"
                self._step("path-ignored", because, warns=True)
            elif field is not None:
                because = f"the field `seccomp` is set: seccomp_profile_path {quote(path)} is not looked at"
                self._step("path-ignored", because, warns=True)

    def _warn_of_what_has_no_effect(self, field: SecurityProfile | None) -> None:
        """Name the settings that somebody made and that this release, or this request, passes over."""
        asked = self.asked
        option_looked_at = self.rules.option_is_set and self._has("use-default-when-empty")
        if option_looked_at and field is not None and self._has("security-profile-field"):
            because = "the field `seccomp` is set, as kubelets do: `seccomp_use_default_when_empty` has no effect"
            self._step("no-effect", because, warns=True)
        if asked.is_sandbox:
            return
        for fact, what in (("artifact-annotations", "OCI artifacts"), ("notifier-annotations", "the seccomp notifier")):
            known = tuple(self._value(fact) or ())
            ever = {name for value in load(PACKAGE)[fact].values for name in value.value}
            for key in (*asked.annotations, *asked.image_annotations):
                if key.partition("/")[0] in ever.difference(known):
                    because = f"the annotation {key} has no effect: CRI-O {self.release} "
                    because += f"knows {what} by another name" if known else f"does not have {what}"
                    self._step("no-effect", because, source="pkg/annotations/annotations.go", warns=True)

    def _has(self, fact: str) -> bool:
        return self.rules.facts.has(fact)

    def _value(self, fact: str) -> Any:
        return self.rules.facts.value(fact)

    def _step(self, rule: str, because: str, *, source: str = _SETUP, warns: bool = False) -> None:
        self.steps.append(Step("runtime", rule, because, source, warns))

    def _refuse(self, message: str) -> NoReturn:
        raise Refused("UNKNOWN", self._value("seccomp-error-prefix") + message, tuple(self.steps))

    def _panic(self, why: str) -> NoReturn:
        self._step("panic", f"{why}: the daemon dereferences a nil pointer and goes down")
        raise Refused("UNAVAILABLE", _GONE, tuple(self.steps))


def _word(field: SecurityProfile) -> str:
    return _WORDS.get(field.profile_type, str(field.profile_type))


def _agree(field: SecurityProfile | None, path: str) -> bool:
    """Whether the string says what the field says, as a kubelet that sends both has it."""
    if field is None:
        return not path
    if field.profile_type == UNCONFINED:
        return path in ("", "unconfined")
    if field.profile_type == RUNTIME_DEFAULT:
        return path in _PATH_DEFAULTS
    return path == _LOCALHOST + field.localhost_ref
