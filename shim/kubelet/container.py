"""One container of a pod -> the CreateContainer request for it.

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go (generateContainerConfig) and labels.go
(newContainerAnnotations) at v1.18.6 and v1.36.3.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from runtimes.decision import Step
from runtimes.errors import Refused
from runtimes.request import (
    ContainerMetadata,
    ContainerRequest,
    ImageSpec,
    KeyValue,
    LinuxContainerConfig,
    LinuxContainerResources,
    NamespaceOption,
    WindowsContainerConfig,
)
from shim.kubelet import security
from shim.kubelet.expansion import expand
from shim.kubelet.labels import CONTAINER_HASH, CONTAINER_NAME, RESTART_COUNT
from shim.kubelet.lookup import at

if TYPE_CHECKING:
    from runtimes.release import Release
    from shim.kubelet.lookup import Lookup
    from shim.kubelet.members import Member
    from shim.kubelet.pod import Container, PodSpec
    from shim.kubelet.profile import Asked

# The rule of a step that tells what a rehearsal without a node cannot say.
LEFT_OUT = "left-out"

_GRACE = 30  # seconds


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a container's request takes from its pod and node. `labels` are those that every container of it gets,
    `full_name` is how error texts name the pod.
    """

    facts: Lookup
    spec: PodSpec
    full_name: str
    labels: dict[str, str]
    options: NamespaceOption
    windows: bool


def request(
    member: Member,
    around: Surroundings,
    asked: Asked,
    proc_mount: str | None,
    resources: LinuxContainerResources,
    user: security.User,
) -> ContainerRequest:
    """Return the request for a container whose profile is decided; `user` is the image's."""
    container = member.container
    own, pod = container.security_context, around.spec.security_context
    linux = windows = None
    if around.windows:
        windows = WindowsContainerConfig(security_context=security.windows(own, pod))
    else:
        paths = _paths(around.facts, proc_mount)
        context = security.container(own, pod, around.options, asked.bare(), paths, user)
        linux = LinuxContainerConfig(resources=resources, security_context=context)
    envs = _environment(container)
    values = {each.key: each.value for each in envs}
    return ContainerRequest(
        metadata=ContainerMetadata(name=member.name),
        image=_image(around.facts, container.image or ""),
        command=tuple(expand(word, values) for word in container.command or ()),
        args=tuple(expand(word, values) for word in container.args or ()),
        working_dir=container.working_dir or "",
        envs=envs,
        labels={**around.labels, CONTAINER_NAME: member.name},
        annotations=_annotations(container, around),
        log_path=f"{member.name}/0.log",
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdin_once),
        tty=bool(container.tty),
        linux=linux,
        windows=windows,
    )


def check_root(member: Member, around: Surroundings, user: security.User) -> None:
    """Raise `Refused` where runAsNonRoot is set and the container would run as root, or as who knows whom."""
    if around.windows:
        return
    words = around.facts.value("non-root-words")
    text = security.root_refused(member.container.security_context, around.spec.security_context, user, words)
    if text is None:
        return
    because = "runAsNonRoot is set, and who the container would run as may be root"
    step = around.facts.step("non-root-words", because)
    message = text.format(pod=around.full_name, container=member.name, user=user[1])
    raise Refused("UNKNOWN", message, (step,), reason="CreateContainerConfigError", where="kubelet")


def steps(member: Member, release: Release) -> tuple[Step, ...]:
    """Return what there is to say about a container besides its profile."""
    container, found = member.container, []
    if member.kind == "init" and container.restart_policy == "Always":
        because = "its restartPolicy is dropped: it runs to its end before others start, like any init container"
        found.append(at(release).step("sidecar-containers", because, warns=True))
    if container.security_context and container.security_context.privileged:
        because = "privileged is sent beside the profile: what the profile then counts for is the runtime's decision"
        found.append(at(release).step("privileged-beside-profile", because))
    if container.volume_mounts:
        found.append(_left_out("volume mounts"))
    if container.env_from:
        found.append(_left_out("envFrom"))
    if container.env and any(each.value_from and not each.value for each in container.env):
        found.append(_left_out("variables with valueFrom"))
    if container.target_container_name:
        found.append(_left_out("the target of an ephemeral container"))
    return tuple(found)


@functools.cache
def _left_out(what: str) -> Step:
    return Step("kubelet", LEFT_OUT, f"{what}: left out, because it takes a node to know them")


@functools.lru_cache(maxsize=1 << 16)
def digest(name: str, image: str) -> str:
    """Return the hash by which a kubelet tells that a container has changed, in hexadecimal digits.

    It is FNV-1a over the JSON of the two, as spew writes bytes.
    Source: pkg/kubelet/container/helpers.go (HashContainer) and pkg/util/hash/hash.go (DeepHashObject) at v1.31.13; an
    example is in helpers_test.go (TestHashContainer) at v1.36.3.
    """
    rest = _spewed(b',"name":%b}' % msgspec.json.encode(name), "]")
    return f"{_fnv(rest, _begun(image)):x}"


@functools.lru_cache(maxsize=1 << 12)
def _begun(image: str) -> int:
    """Hash what all containers of an image have in common: most of it."""
    return _fnv(b"([]uint8)[" + _spewed(b'{"image":%b' % msgspec.json.encode(image), " "))


def _spewed(encoded: bytes, end: str) -> bytes:
    """Write bytes as numbers."""
    return f"{' '.join(map(str, encoded))}{end}".encode()


def _fnv(content: bytes, value: int = 0x811C9DC5) -> int:
    """FNV-1a of 32 bits, from the beginning or from where it was left."""
    for byte in content:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def fingerprint(container: Container, release: Release) -> str:
    """Return the hash of a container in a release; before it was that of `digest`, something that changes when it does.

    In those releases it is made from the JSON of every field of the API, defaulted ones included, of which only those
    that count for a request are known here. So the digits are not a kubelet's, and its restarts are.
    """
    if at(release).has("container-hash-of-name-and-image"):
        return digest(container.name or "", container.image or "")
    return f"{_fnv(msgspec.json.encode(container)):x}"


def _annotations(container: Container, around: Surroundings) -> dict[str, str]:
    grace = around.spec.termination_grace_period_seconds
    path = container.termination_message_path or "/dev/termination-log"
    found = {
        RESTART_COUNT: "0",
        "io.kubernetes.container.terminationMessagePath": path,
        "io.kubernetes.container.terminationMessagePolicy": container.termination_message_policy or "File",
        "io.kubernetes.pod.terminationGracePeriod": str(_GRACE if grace is None else grace),
    }
    if around.facts.has("container-hash-of-name-and-image"):
        found[CONTAINER_HASH] = digest(container.name or "", container.image or "")
    return found


def _environment(container: Container) -> tuple[KeyValue, ...]:
    """The variables with a value of their own. A value can refer to those that stand before it."""
    if not container.env:
        return ()
    values: dict[str, str] = {}
    for each in container.env:
        if each.value or not each.value_from:
            values[each.name or ""] = expand(each.value or "", values)
    return tuple(KeyValue(key=key, value=value) for key, value in values.items())


@functools.lru_cache(maxsize=256)
def _paths(facts: Lookup, proc_mount: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths to mask and to protect, none for an unmasked /proc."""
    if proc_mount == "Unmasked":
        return (), ()
    return tuple(facts.value("masked-paths")), tuple(facts.value("readonly-paths"))


def _image(facts: Lookup, name: str) -> ImageSpec:
    """The image as it is written; a kubelet that has pulled it sends the id that the runtime gave it."""
    if facts.has("image-as-written"):
        return ImageSpec(image=name, user_specified_image=name)
    return ImageSpec(image=name)
