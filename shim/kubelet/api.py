"""What happens to a pod before a kubelet sees it: the API server's warnings, its validation, and what it fills in.

The API server is taken to be of the kubelet's own release, with its gates at their defaults. A static pod meets no API
server; the kubelet validates it with the same rules, and copies nothing between annotations and fields.
Source: pkg/registry/core/pod/strategy.go (applySeccompVersionSkew) and pkg/api/pod/warnings.go at v1.21.1, v1.23.1,
v1.25.10 and v1.27.7; pkg/kubelet/config/common.go (tryDecodeSinglePod) at v1.18.6 and v1.36.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from runtimes.decision import Step
from runtimes.errors import Refused
from shim.kubelet import validation
from shim.kubelet.lookup import at
from shim.kubelet.members import members
from shim.kubelet.pod import Pod, PodSecurityContext, SecurityContext
from shim.kubelet.profile import CONTAINER_ANNOTATION, LOCALHOST_PREFIX, POD_ANNOTATION, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.release import Release
    from shim.kubelet.members import Member
    from shim.kubelet.pod import Container

Source = Literal["api", "static"]

_TYPES = {"unconfined": "Unconfined", "runtime/default": "RuntimeDefault", "docker/default": "RuntimeDefault"}
_ANNOTATIONS = {"Unconfined": "unconfined", "RuntimeDefault": "runtime/default"}
_POD = -1  # beside the numbers of the containers


class Admitted(msgspec.Struct, frozen=True):
    """A pod as the kubelet sees it: what may differ from its manifest.

    `profiles` are the containers' own seccompProfiles and `proc_mounts` their procMount, in the order of the members;
    `steps` are about the pod, `own_steps` about each container.
    """

    annotations: dict[str, str]
    profile: Field | None
    profiles: tuple[Field | None, ...]
    proc_mounts: tuple[str | None, ...]
    steps: tuple[Step, ...]
    own_steps: tuple[tuple[Step, ...], ...]


def admit(pod: Pod, everyone: tuple[Member, ...], release: Release, source: Source) -> Admitted:
    """Let a pod in. Raises `Refused` with the words of who refuses: "api", or "kubelet" for a static pod."""
    server = _Server(pod, everyone, release)
    server.forget()
    if source == "static":
        server.validate(source)
    else:
        server.drop()
        if not pod.origin.template:
            server.copy()
        server.validate(source)
        server.warn()
        if pod.origin.template:
            server.copy()  # a template stays as it is: what is copied is copied when a pod is made from it
    return Admitted(
        annotations=server.annotations,
        profile=server.profile,
        profiles=tuple(server.profiles),
        proc_mounts=tuple(server.proc_mounts),
        steps=server.steps_of(_POD),
        own_steps=tuple(server.steps_of(index) for index in range(len(everyone))),
    )


class Stored(msgspec.Struct, frozen=True):
    """A pod as an API server keeps it, for kubelets of any release to get, and what it did, by container."""

    pod: Pod
    steps: dict[str, tuple[Step, ...]]


def stored(pod: Pod, release: Release, gates_set: Mapping[str, bool]) -> Stored:
    """Have an API server of a release keep a pod. Raises `Refused`.

    It is a Pod then, even where it was the template of a workload.
    """
    everyone = members(pod.spec, release, gates_set)
    admitted = admit(pod, everyone, release, "api")
    kept = {
        each.path: _with_profile(each, profile, proc_mount)
        for each, profile, proc_mount in zip(everyone, admitted.profiles, admitted.proc_mounts, strict=True)
    }

    def listed(name: str, containers: tuple[Container, ...] | None) -> tuple[Container, ...] | None:
        return containers and tuple(kept.get(f"{name}[{at}]", each) for at, each in enumerate(containers))

    context = pod.spec.security_context
    if admitted.profile != pod.spec.profile:
        context = replace(context or PodSecurityContext(), seccomp_profile=admitted.profile)
    spec = replace(
        pod.spec,
        security_context=context,
        init_containers=listed("initContainers", pod.spec.init_containers),
        containers=listed("containers", pod.spec.containers),
        ephemeral_containers=listed("ephemeralContainers", pod.spec.ephemeral_containers),
    )
    origin = replace(pod.origin, kind="Pod", group="", name=pod.name, template="")
    steps = {each.name: (*admitted.steps, *own) for each, own in zip(everyone, admitted.own_steps, strict=True)}
    return Stored(replace(pod, annotations=admitted.annotations, spec=spec, origin=origin), steps)


def _with_profile(member: Member, profile: Field | None, proc_mount: str | None) -> Container:
    context = member.container.security_context or SecurityContext()
    if (context.seccomp_profile, context.proc_mount) == (profile, proc_mount):
        return member.container
    return replace(member.container, security_context=replace(context, seccomp_profile=profile, proc_mount=proc_mount))


class _Server:
    """One pod on its way in."""

    def __init__(self, pod: Pod, everyone: tuple[Member, ...], release: Release) -> None:
        self.pod, self.members, self.release = pod, everyone, release
        self.facts = at(release)
        self.annotations = pod.annotations
        self.profile = pod.spec.profile
        self.profiles = [member.container.profile for member in everyone]
        self.proc_mounts = [
            member.container.security_context.proc_mount if member.container.security_context else None
            for member in everyone
        ]
        self.steps: list[tuple[int, Step]] = []

    def steps_of(self, owner: int) -> tuple[Step, ...]:
        """Return what was said about the pod, or about one container."""
        return tuple(step for index, step in self.steps if index == owner) if self.steps else ()

    def warn(self) -> None:
        """Say what the API server says to annotations that stand without their field.

        It is said about the object as it is stored, so of a pod only where nothing could be copied to the field.
        """
        words = self.facts.value("annotation-warning")
        if not words or not self._has_annotations():
            return
        base = f"{self.pod.origin.template}." if self.pod.origin.template else ""
        for owner, (key, field) in enumerate(self._keys(), _POD):
            if key in self.annotations and field is None:
                self._say(owner, "annotation-warning", f"{base}metadata.annotations[{key}]: {words}", warns=True)

    def copy(self) -> None:
        """Copy between annotations and fields, where only one of the two is set."""
        down, up = (self.facts.has(name) for name in ("annotation-to-field", "field-to-annotation"))
        if not (down and self._has_annotations()) and not (
            up and (self.profile is not None or any(each is not None for each in self.profiles))
        ):
            return
        for owner, (key, field) in enumerate(self._keys(), _POD):
            word = self.annotations.get(key)
            if field is None and word is not None and down:
                made = field_of(word)
                if made is not None:
                    because = f"the API server turns the annotation {key}: {word} into {made}"
                    self._say(owner, "annotation-to-field", because)
                    self._put(owner, made)
            elif field is not None and word is None and up:
                text = annotation_of(field)
                if text is not None:
                    self.annotations = {**self.annotations, key: text}

    def drop(self) -> None:
        """Drop procMount where its gate is off."""
        if self.facts.has("proc-mount-kept"):
            return
        for owner, value in enumerate(self.proc_mounts):
            if value not in (None, "Default"):
                self.proc_mounts[owner] = None
                because = f"the API server makes procMount {value} the default one"
                self._say(owner, "proc-mount-kept", because, warns=True)

    def forget(self) -> None:
        """Drop fields that the release does not know, which happens without a word."""
        if self.facts.has("profile-fields"):
            return
        for owner, (_key, field) in enumerate(self._keys(), _POD):
            if field is not None:
                name = "pod" if owner == _POD else "container"
                because = f"release {self.release} does not know seccompProfile, so that of the {name} is dropped"
                self._say(owner, "profile-fields", because, warns=True)
                self._put(owner, None)

    def validate(self, source: Source) -> None:
        """Raise `Refused` where a rule of the API is broken."""
        errors = validation.errors(
            validation.Subject(
                pod=self.pod,
                members=self.members,
                release=self.release,
                annotations=self.annotations,
                profile=self.profile,
                profiles=tuple(self.profiles),
                proc_mounts=tuple(self.proc_mounts),
                template=bool(self.pod.origin.template) and source == "api",
            )
        )
        if not errors:
            return
        if source == "static":
            message, where = f"invalid pod: [{' '.join(errors)}]", "kubelet"
        else:
            origin = self.pod.origin
            kind = f"{origin.kind}.{origin.group}" if origin.group else origin.kind
            name = origin.name if origin.template else self.pod.name
            listed = ", ".join(dict.fromkeys(errors))
            message = f'{kind} "{name}" is invalid: ' + (f"[{listed}]" if len(set(errors)) > 1 else listed)
            where = "api"
        broken = (self.facts.step("pod-validated", error, layer=where) for error in dict.fromkeys(errors))
        steps = (*(each for _owner, each in self.steps), *broken)
        raise Refused("INVALID_ARGUMENT", message, steps, reason="Invalid", where=where)

    def _keys(self) -> list[tuple[str, Field | None]]:
        """The pod's annotation and field, then those of each container."""
        pairs = [
            (CONTAINER_ANNOTATION + member.name, profile)
            for member, profile in zip(self.members, self.profiles, strict=True)
        ]
        return [(POD_ANNOTATION, self.profile), *pairs]

    def _has_annotations(self) -> bool:
        return any("seccomp" in key for key in self.annotations)

    def _put(self, owner: int, field: Field | None) -> None:
        if owner == _POD:
            self.profile = field
        else:
            self.profiles[owner] = field

    def _say(self, owner: int, fact: str, because: str, *, warns: bool = False) -> None:
        self.steps.append((owner, self.facts.step(fact, because, layer="api", warns=warns)))


def field_of(word: str) -> Field | None:
    """Return the field for an annotation's value, None where it has none."""
    if word in _TYPES:
        return Field(type=_TYPES[word])
    name = word.removeprefix(LOCALHOST_PREFIX)
    return Field(type="Localhost", localhost_profile=name) if name and name != word else None


def annotation_of(field: Field) -> str | None:
    """Return the annotation's value for a field, None where it has none."""
    if field.type == "Localhost":
        return None if field.localhost_profile is None else LOCALHOST_PREFIX + field.localhost_profile
    return _ANNOTATIONS.get(field.type or "")
