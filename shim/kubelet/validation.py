"""The API's rules for pods that have to do with profiles and privileges, in the API server's own words.

Not here: everything that never decides about a profile (names, volumes, probes, resources ...). A manifest is taken to
be right about those.
Source: pkg/apis/core/validation/validation.go (ValidatePodCreate, ValidatePodTemplateSpec, ValidateSecurityContext,
validateSeccompProfileField, validateSeccompAnnotationsAndFields, validateWindows) at v1.21.1, v1.25.10, v1.31.14 and
v1.36.3; the sentences around it from k8s.io/apimachinery pkg/util/validation/field/errors.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shim.kubelet import goprint
from shim.kubelet.lookup import at
from shim.kubelet.profile import CONTAINER_ANNOTATION, LOCALHOST_PREFIX, POD_ANNOTATION, RUNTIME_DEFAULT_PATH, Field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.release import Release
    from shim.kubelet.members import Member
    from shim.kubelet.pod import Pod, SecurityContext

_WINDOWS = "Forbidden: cannot be set for a windows pod"
# What is said to an annotation for a container without a name.
_NO_NAME = (
    "be non-empty",
    (
        "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
        "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    ),
)
_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A pod, or the template of one, with the fields and annotations as they are at the time of validation."""

    pod: Pod
    members: tuple[Member, ...]
    release: Release
    annotations: dict[str, str]
    profile: Field | None
    profiles: tuple[Field | None, ...]
    proc_mounts: tuple[str | None, ...]
    template: bool

    @property
    def spec(self) -> str:
        """The path of the pod's spec."""
        return f"{self.pod.origin.template}.spec" if self.template else "spec"

    def has(self, fact: str) -> bool:
        """Whether a fact holds for the release."""
        return at(self.release).has(fact)


def errors(subject: Subject) -> list[str]:
    """Return every rule that is broken, as the API server words it and in its order."""
    return [
        *_metadata(subject),
        *_containers(subject),
        *_profile(f"{subject.spec}.securityContext.seccompProfile", subject.profile, subject),
        *_windows(subject),
        *_agreement(subject),
    ]


def _metadata(subject: Subject) -> Iterator[str]:
    if not subject.template and not subject.pod.name:
        yield "metadata.name: Required value: name or generateName is required"
    base = f"{subject.pod.origin.template}.annotations" if subject.template else "metadata.annotations"
    if CONTAINER_ANNOTATION in subject.annotations:
        for what in _NO_NAME:
            yield f"{base}: Invalid value: {goprint.quoted(CONTAINER_ANNOTATION)}: name part must {what}"
    if POD_ANNOTATION in subject.annotations:
        yield from _annotation(f"{base}.{POD_ANNOTATION}", subject.annotations[POD_ANNOTATION])
    for key, word in subject.annotations.items():
        if key.startswith(CONTAINER_ANNOTATION):
            yield from _annotation(f"{base}.{key}", word)


def _annotation(path: str, word: str) -> Iterator[str]:
    if word.startswith(LOCALHOST_PREFIX):
        yield from _below(path, word.removeprefix(LOCALHOST_PREFIX))
    elif word not in (RUNTIME_DEFAULT_PATH, "docker/default", "unconfined"):
        yield f"{path}: Invalid value: {goprint.quoted(word)}: must be a valid seccomp profile"


def _containers(subject: Subject) -> Iterator[str]:
    """Regular containers come first here, then init and ephemeral ones."""
    if not subject.pod.spec.containers:
        yield f"{subject.spec}.containers: Required value"
    names: set[str] = set()
    numbers = sorted(range(len(subject.members)), key=lambda number: _RANK[subject.members[number].kind])
    for number in numbers:
        member = subject.members[number]
        path = f"{subject.spec}.{member.path}"
        if not member.name:
            yield f"{path}.name: Required value"
        if not member.container.image:
            yield f"{path}.image: Required value"
        if member.container.security_context is not None or subject.profiles[number] is not None:
            yield from _security_context(f"{path}.securityContext", number, subject)
        if member.name in names:
            yield f"{path}.name: Duplicate value: {goprint.quoted(member.name)}"
        elif member.name:
            names.add(member.name)


_RANK = {"container": 0, "init": 1, "sidecar": 1, "ephemeral": 2}


def _security_context(path: str, number: int, subject: Subject) -> Iterator[str]:
    context, proc_mount = subject.members[number].container.security_context, subject.proc_mounts[number]
    if proc_mount is not None:
        yield from _proc_mount(f"{path}.procMount", proc_mount, subject)
    yield from _profile(f"{path}.seccompProfile", subject.profiles[number], subject)
    if context is None or context.allow_privilege_escalation is not False:
        return
    value = _Shown(context, subject.profiles[number], proc_mount)
    if context.privileged:
        what = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield f"{path}: Invalid value: {_context_value(value, subject)}: {what}"
    for name in (context.capabilities.add or ()) if context.capabilities else ():
        if name == "CAP_SYS_ADMIN":  # spelled SYS_ADMIN it is not noticed
            what = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield f"{path}: Invalid value: {_context_value(value, subject)}: {what}"


def _proc_mount(path: str, value: str, subject: Subject) -> Iterator[str]:
    if value not in ("Default", "Unmasked"):
        yield f'{path}: Unsupported value: {goprint.quoted(value)}: supported values: "Default", "Unmasked"'
    if (
        value == "Unmasked"
        and subject.has("unmasked-needs-user-namespace")
        and subject.pod.spec.host_users is not False
    ):
        yield f'{path}: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`'


def _profile(path: str, profile: Field | None, subject: Subject) -> Iterator[str]:
    if profile is None:
        return
    if not profile.type:
        yield f"{path}.type: Required value: type is required when seccompProfile is set"
    elif profile.type not in _TYPES:
        supported = ", ".join(f'"{name}"' for name in _TYPES)
        yield f"{path}.type: Unsupported value: {goprint.quoted(profile.type)}: supported values: {supported}"
    name = profile.localhost_profile
    if profile.type == "Localhost":
        if name is None:
            yield f"{path}.localhostProfile: Required value: must be set when seccomp type is Localhost"
        else:
            yield from _below(f"{path}.localhostProfile", name)
    elif name is not None:
        value = _profile_value(profile)
        shown = goprint.as_json(value) if subject.has("invalid-value-as-json") else goprint.as_go(value)
        yield f"{path}.localhostProfile: Invalid value: {shown}: can only be set when seccomp type is Localhost"


def _below(path: str, name: str) -> Iterator[str]:
    """A path that has to stay below a folder. The empty one does, which is where CVE-2023-2431 came in."""
    if name.startswith("/"):
        yield f"{path}: Invalid value: {goprint.quoted(name)}: must be a relative path"
    if ".." in name.split("/"):
        yield f"{path}: Invalid value: {goprint.quoted(name)}: must not contain '..'"


def _windows(subject: Subject) -> Iterator[str]:
    spec = subject.pod.spec
    if not (spec.os and spec.os.name == "windows") or not subject.has("windows-fields-refused"):
        return
    if subject.profile is not None:
        yield f"{subject.spec}.securityContext.seccompProfile: {_WINDOWS}"
    for member, profile in zip(subject.members, subject.profiles, strict=True):
        path = f"{subject.spec}.{member.path}.securityContext"
        context = member.container.security_context
        if profile is not None:
            yield f"{path}.seccompProfile: {_WINDOWS}"
        if context is None:
            continue
        if context.capabilities is not None:
            yield f"{path}.capabilities: {_WINDOWS}"
        if context.privileged is not None:
            yield f"{path}.privileged: {_WINDOWS}"
        if context.allow_privilege_escalation is not None:
            yield f"{path}.allowPrivilegeEscalation: {_WINDOWS}"


def _agreement(subject: Subject) -> Iterator[str]:
    """Where an annotation and its field are both set, they have to say the same."""
    if not any(key == POD_ANNOTATION or key.startswith(CONTAINER_ANNOTATION) for key in subject.annotations):
        return
    path = f"{subject.spec}.securityContext.seccompProfile"
    yield from _agrees(path, subject.annotations.get(POD_ANNOTATION), subject.profile)
    for member, profile in zip(subject.members, subject.profiles, strict=True):
        word = subject.annotations.get(CONTAINER_ANNOTATION + member.name)
        yield from _agrees(f"{subject.spec}.{member.path}.securityContext.seccompProfile", word, profile)


def _agrees(path: str, word: str | None, profile: Field | None) -> Iterator[str]:
    if word is None or profile is None or profile.type not in _TYPES:
        return
    differs = f"{path}.type: Forbidden: seccomp type in annotation and field must match"
    if profile.type == "Localhost":
        if not word.startswith(LOCALHOST_PREFIX):
            yield differs
        elif word.removeprefix(LOCALHOST_PREFIX) != profile.localhost_profile:
            yield f"{path}.localhostProfile: Forbidden: seccomp profile in annotation and field must match"
    elif word not in {"Unconfined": ("unconfined",)}.get(profile.type, (RUNTIME_DEFAULT_PATH, "docker/default")):
        yield differs


class _Shown(msgspec.Struct, frozen=True):
    """A security context as an error shows it."""

    context: SecurityContext
    profile: Field | None
    proc_mount: str | None


def _profile_value(profile: Field) -> goprint.Struct:
    return goprint.Struct(
        "core.SeccompProfile",
        {
            "Type": profile.type or "",
            "LocalhostProfile": goprint.Pointer("string", profile.localhost_profile),
        },
    )


def _context_value(shown: _Shown, subject: Subject) -> str:
    context = shown.context
    capabilities, selinux, windows = context.capabilities, context.se_linux_options, context.windows_options
    fields: dict[str, object] = {
        "Capabilities": goprint.Pointer(
            "core.Capabilities",
            capabilities and {"Add": capabilities.add or None, "Drop": capabilities.drop or None},
        ),
        "Privileged": goprint.Pointer("bool", context.privileged),
        "SELinuxOptions": goprint.Pointer(
            "core.SELinuxOptions",
            selinux
            and {
                "User": selinux.user or "",
                "Role": selinux.role or "",
                "Type": selinux.type or "",
                "Level": selinux.level or "",
            },
        ),
        "WindowsOptions": goprint.Pointer(
            "core.WindowsSecurityContextOptions",
            windows
            and {
                "GMSACredentialSpecName": None,
                "GMSACredentialSpec": windows.gmsa_credential_spec,
                "RunAsUserName": windows.run_as_user_name,
                "HostProcess": windows.host_process,
            },
        ),
        "RunAsUser": goprint.Pointer("int64", context.run_as_user),
        "RunAsGroup": goprint.Pointer("int64", context.run_as_group),
        "RunAsNonRoot": goprint.Pointer("bool", context.run_as_non_root),
        "ReadOnlyRootFilesystem": goprint.Pointer("bool", context.read_only_root_filesystem),
        "AllowPrivilegeEscalation": goprint.Pointer("bool", context.allow_privilege_escalation),
        # Defaulting has filled it in by then.
        "ProcMount": goprint.Pointer("core.ProcMountType", shown.proc_mount or "Default"),
        "SeccompProfile": goprint.Pointer("core.SeccompProfile", shown.profile and _profile_value(shown.profile)),
    }
    if subject.has("apparmor-field"):
        fields["AppArmorProfile"] = goprint.Pointer("core.AppArmorProfile", None)
    value = goprint.Struct("core.SecurityContext", fields)
    return goprint.as_json(value) if subject.has("invalid-value-as-json") else goprint.as_go(value)
