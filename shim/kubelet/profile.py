"""Which profile a container asks for: its own field over the pod's, annotations in their time, the kubelet's default.

One profile goes over the CRI in up to two forms, the string `seccomp_profile_path` and the message `seccomp`. They are
decided by different rules, and there are releases in which they contradict each other for one container; a runtime that
reads one or the other then runs it differently.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import Refused
from runtimes.request import LOCALHOST, RUNTIME_DEFAULT, UNCONFINED, SecurityProfile
from shim.kubelet.lookup import at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.decision import Step
    from runtimes.release import Release
    from shim.kubelet.config import Settings

POD_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"
RUNTIME_DEFAULT_PATH = "runtime/default"
LOCALHOST_PREFIX = "localhost/"

TYPES = {"RuntimeDefault": RUNTIME_DEFAULT, "Unconfined": UNCONFINED, "Localhost": LOCALHOST}
NAMES = {number: name for name, number in TYPES.items()}
_REMEMBERED = 4096  # decisions kept, and characters of the annotations that one is kept for
_WORDS = {"RuntimeDefault": RUNTIME_DEFAULT_PATH, "Unconfined": "unconfined"}


class Field(msgspec.Struct, frozen=True, rename="camel"):
    """`securityContext.seccompProfile` as it stands in a pod, where it may lack a type."""

    type: str | None = None
    localhost_profile: str | None = None

    def __str__(self) -> str:
        """As a person would write it."""
        name = self.type or "a field without a type"
        return f"{name} {self.localhost_profile!r}" if self.localhost_profile is not None else name


class Asked(msgspec.Struct, frozen=True):
    """What goes over the CRI: the message (None where it is not sent), the string, and why."""

    message: SecurityProfile | None
    path: str
    steps: tuple[Step, ...] = ()

    def bare(self) -> Asked:
        """The answer without its reasons: what two containers that were decided about differently can agree in."""
        return Asked(self.message, self.path)


class Rules:
    """How one kubelet, with its settings, decides."""

    def __init__(self, release: Release, settings: Settings) -> None:
        self.release, self.settings = release, settings
        facts = at(release)
        self.has, self.value, self.step = facts.has, facts.value, facts.step
        self.blueprints: dict[Any, Any] = {}  # what plan.py remembers
        self._decided: dict[tuple[Field | None, Field | None, str | None, str | None, str], Asked] = {}

    def container(
        self,
        container: Field | None = None,
        pod: Field | None = None,
        annotations: Mapping[str, str] | None = None,
        name: str = "",
    ) -> Asked:
        """Decide for a container. Raises `Refused` where the container is not created at all.

        Containers that agree in everything that counts are decided once.
        """
        own = (annotations or {}).get(CONTAINER_ANNOTATION + name) if name else None
        theirs = (annotations or {}).get(POD_ANNOTATION)
        key = (container, pod, own, theirs, name if own is not None else "")
        asked = self._decided.get(key)
        if asked is None:
            words = ((CONTAINER_ANNOTATION + name, own), (POD_ANNOTATION, theirs))
            asked = self._decide(container, pod, tuple((each, word) for each, word in words if word is not None))
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            if len(own or "") + len(theirs or "") + len(name) <= _REMEMBERED:
                self._decided[key] = asked
        return asked

    def _decide(self, container: Field | None, pod: Field | None, annotations: tuple[tuple[str, str], ...]) -> Asked:
        """Decide, given the annotations that may count, the container's before the pod's."""
        field, owner = (container, "container") if container is not None else (pod, "pod")
        if field is not None:
            self._require_profile(field, owner)
        steps = self._unset(annotations) if field is None else self._set(field, owner)
        message = self._message(field) if self.has("container-message-sent") else None
        path = self._path(container, pod, annotations, steps) if self.has("container-path-sent") else ""
        if field is None and (message is not None or (self.settings.policy is not None and not annotations)):
            steps.append(self._default())
        elif message is None and not path:
            because = f"no profile comes of it: kubelet {self.release} says nothing about seccomp, the runtime decides"
            steps.append(self.step("container-message-sent", because))
        return Asked(message, path, tuple(steps))

    def sandbox(self, annotations: Mapping[str, str] | None = None) -> Asked:
        """Decide for the pause container. Only the oldest releases ask the pod about it."""
        kind = self.value("sandbox-path")
        word = (annotations or {}).get(POD_ANNOTATION)
        if kind == "annotation":
            because = (
                f"the sandbox's profile is the pod's annotation, {word!r}"
                if word is not None
                else "the pod has no seccomp annotation, so nothing is said about the sandbox's profile"
            )
            path = "" if word is None else self.annotated(word)
            return Asked(None, path, (self.step("sandbox-path", because),))
        message = SecurityProfile() if self.has("sandbox-message-sent") else None
        rule = "sandbox-path" if message is None else "sandbox-message-sent"
        step = self.step(rule, "the sandbox gets RuntimeDefault, whatever the pod says")
        return Asked(message, RUNTIME_DEFAULT_PATH if kind == "constant" else "", (step,))

    def annotated(self, word: str) -> str:
        """Return the string for the value of an annotation. Whatever is not a local file is passed on as it stands."""
        if word.startswith(LOCALHOST_PREFIX):
            return LOCALHOST_PREFIX + self._joined(word.removeprefix(LOCALHOST_PREFIX))
        return word

    def _require_profile(self, field: Field, owner: str) -> None:
        if field.type != "Localhost" or field.localhost_profile or not self.has("localhost-profile-required"):
            return
        step = self.step("localhost-profile-required", f"the {owner} says Localhost and names no profile")
        raise Refused(
            "UNKNOWN",
            "localhostProfile must be set if seccompProfile type is Localhost.",
            (step,),
            reason="CreateContainerConfigError",
            where="kubelet",
        )

    def _set(self, field: Field, owner: str) -> list[Step]:
        """What there is to say about a field."""
        if field.type in _WORDS:
            return [self.step("profile-fields", f"the {owner} says {field}")]
        if field.type == "Localhost" and field.localhost_profile:
            file = self._joined(field.localhost_profile)
            step = self.step("profile-fields", f"the {owner} says {field}: the file {file}")
            return [*self.settings.profile_root.steps, step]
        rule = "localhost-profile-required" if field.type == "Localhost" else "profile-fields"
        sent = "Unconfined" if self.has("container-message-sent") else "no profile at all"
        because = f"the {owner} says {field}, and kubelet {self.release} makes {sent} of that"
        because += " (CVE-2023-2431)" if field.type == "Localhost" else ""
        return [self.step(rule, because, warns=True)]

    def _unset(self, annotations: tuple[tuple[str, str], ...]) -> list[Step]:
        """What there is to say where there is no field: the settings, and an annotation that is not read any more."""
        steps = list(self.settings.steps)
        if annotations and not self.has("annotations-read"):
            key, word = annotations[0]
            because = f"the annotation {key} says {word!r}, which kubelet {self.release} does not read"
            steps.append(self.step("annotations-read", because, warns=True))
        return steps

    def _default(self) -> Step:
        if self.settings.policy is not None:
            return self.settings.policy.step
        if self.settings.seccomp_default.on:
            return self.step("seccomp-default", "no seccompProfile is set, and seccompDefault is on: RuntimeDefault")
        off = ", and seccompDefault is off" if self.has("seccomp-default") else ""
        because = f"no seccompProfile is set{off}: kubelet {self.release} sends Unconfined"
        return self.step("container-message-sent", because)

    def _message(self, field: Field | None) -> SecurityProfile:
        if field is None and self.settings.policy is not None:
            return self.settings.policy.profile
        if field is None:
            return SecurityProfile(profile_type=RUNTIME_DEFAULT if self.settings.seccomp_default.on else UNCONFINED)
        if field.type == "Localhost" and field.localhost_profile:
            return SecurityProfile(profile_type=LOCALHOST, localhost_ref=self._joined(field.localhost_profile))
        return SecurityProfile(profile_type=RUNTIME_DEFAULT if field.type == "RuntimeDefault" else UNCONFINED)

    def _path(
        self, container: Field | None, pod: Field | None, annotations: tuple[tuple[str, str], ...], steps: list[Step]
    ) -> str:
        """The first that exists: container field, container annotation, pod field, pod annotation, the default."""
        counting = [(key, word) for key, word in annotations if key != POD_ANNOTATION or pod is None]
        if container is not None or not counting or not self.has("annotations-read"):
            return self._word(container if container is not None else pod)
        key, word = counting[0]
        path = self.annotated(word)
        because = f"seccomp_profile_path is what the annotation {key} says, {word!r}"
        differs = self.has("container-message-sent") and path != self._word(pod)
        if differs:
            because += "; the message seccomp, which a runtime prefers, does not follow it"
        steps.append(self.step("annotations-read", because, warns=differs))
        return path

    def _word(self, field: Field | None) -> str:
        if field is not None and field.type in _WORDS:
            return _WORDS[field.type]
        if field is not None and field.type == "Localhost" and field.localhost_profile:
            return LOCALHOST_PREFIX + self._joined(field.localhost_profile)
        if field is None and self.settings.policy is not None:
            return self.settings.policy.path
        return RUNTIME_DEFAULT_PATH if self.settings.seccomp_default.on else ""

    def _joined(self, name: str) -> str:
        """Join a profile's name to the root, as Go's filepath.Join does: lexically cleaned, "" where both are empty."""
        parts = [part for part in (self.settings.profile_root.path, name) if part]
        if not parts:
            return ""
        path = posixpath.normpath("/".join(parts))
        return path[1:] if path.startswith("//") else path
