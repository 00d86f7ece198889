"""What decides about a pod's containers, without what does not: a cluster has many pods and few cases.

Left out are names, images, commands, variables, mounts and the like. Names count where annotations refer to them, and
an image counts where it is missing, where no runtime could read its name, and where a node file says something of it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from shim.images import normalise
from shim.kubelet.api import Source
from shim.kubelet.pod import Container, Origin, Pod, PodSecurityContext, PodSpec, SecurityContext
from shim.skew.plan.owners import source

if TYPE_CHECKING:
    from collections.abc import Collection

_IMAGE = "any.invalid/image"  # which nobody has, so no node file says anything of it
_SOMEBODY = 1000
_UID = "00000000-0000-4000-8000-000000000000"
_POLICIES = ("OnFailure", "Never")
_SECCOMP = "seccomp"

Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""The names of a pod's containers as it calls them: init containers, regular ones, ephemeral ones."""


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pod as far as it decides. `template` is where its template stands in an object of `kind`, "" for a pod.

    `unnamed` says that it has no name, `ended` that it is over.
    """

    spec: PodSpec
    source: Source = "api"
    kind: str = "Pod"
    group: str = ""
    template: str = ""
    annotations: dict[str, str] = {}
    unnamed: bool = False
    ended: bool = False

    @property
    def handler(self) -> str:
        """The RuntimeClass, as the pod names it."""
        return self.spec.runtime_class_name or ""

    def pod(self) -> Pod:
        """Return a pod of this case. One from a file has no uid: its kubelet makes one."""
        name = "" if self.unnamed else "pod"
        origin = Origin("", kind=self.kind, group=self.group, name=name, template=self.template)
        uid = "" if self.source == "static" else _UID
        return Pod(name, "namespace", uid, {}, self.annotations, self.spec, origin)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Case)


def case_of(pod: Pod, images: Collection[str] = ()) -> tuple[bytes, Names]:
    """Return what decides about a pod, in a form that can be compared, sent and read, and its containers' names.

    `images` are the canonical references of those of which a node says something. Annotations of theirs may refer to a
    container by its name, and the pod's own decide before them.
    """
    spec, annotations = pod.spec, pod.annotations
    groups = (spec.init_containers or (), spec.containers or (), spec.ephemeral_containers or ())
    names: Names = tuple([tuple([each.name or "" for each in group]) for group in groups])  # type: ignore[assignment]
    said = images and any(each.image and _canonical(each.image) in images for group in groups for each in group)
    counting = _counting(annotations, always=bool(said)) if annotations else {}
    every = [name for group in names for name in group]
    keep = bool(said or counting) or not all(every) or len(set(every)) < len(every)
    initial, regular, ephemeral = (
        tuple([_bare(each, each.name if keep else f"{kind}-{number}", images) for number, each in enumerate(group)])
        for kind, group in zip(("init", "container", "ephemeral"), groups, strict=True)
    )
    bare = PodSpec(
        init_containers=initial or None,
        containers=regular or None,
        ephemeral_containers=ephemeral or None,
        security_context=_of_pod(spec.security_context) if spec.security_context else None,
        host_network=spec.host_network or None,
        host_pid=spec.host_pid or None,
        host_ipc=spec.host_ipc or None,
        host_users=spec.host_users,
        share_process_namespace=spec.share_process_namespace or None,
        os=spec.os,
        restart_policy=spec.restart_policy if spec.restart_policy in _POLICIES else None,
        runtime_class_name=spec.runtime_class_name or None,
    )
    origin = pod.origin
    made = (
        Case(bare, source(pod), origin.kind, origin.group, origin.template, counting, not pod.name)
        if origin.template
        else Case(bare, source(pod), annotations=counting, unnamed=not pod.name, ended=pod.ended)
    )
    return _encoder.encode(made), names


def read(key: bytes) -> Case:
    """Return the case of a form that `case_of` made."""
    return _decoder.decode(key)


def _bare(container: Container, name: str | None, images: Collection[str]) -> Container:
    return Container(
        name=name,
        image=_image(container.image, images),
        security_context=_of_container(container.security_context) if container.security_context else None,
        restart_policy=container.restart_policy,
    )


@functools.lru_cache(maxsize=1 << 12)
def _of_container(context: SecurityContext) -> SecurityContext:
    """Leave out who exactly a container runs as, which OpenShift has another one for in each namespace.

    Where the API may refuse a context, its text shows all of it.
    """
    if context.allow_privilege_escalation is False and (context.privileged or context.capabilities):
        shown = context.capabilities.add if context.capabilities else None
        if context.privileged or shown:
            return context
    return msgspec.structs.replace(
        context,
        run_as_user=_root_or_not(context.run_as_user),
        run_as_group=_root_or_not(context.run_as_group),
        se_linux_options=None,
    )


@functools.lru_cache(maxsize=1 << 12)
def _of_pod(context: PodSecurityContext) -> PodSecurityContext:
    return msgspec.structs.replace(
        context,
        run_as_user=_root_or_not(context.run_as_user),
        run_as_group=_root_or_not(context.run_as_group),
        supplemental_groups=None,
        supplemental_groups_policy=None,
        fs_group=None,
        sysctls=None,
        se_linux_options=None,
    )


def _root_or_not(user: int | None) -> int | None:
    return user and _SOMEBODY


def _image(image: str | None, images: Collection[str]) -> str | None:
    """Return one name for all images that a node takes, but for those of which something is said."""
    name = _canonical(image) if image else None
    if name is None:
        return image
    return name if name in images else _IMAGE


@functools.lru_cache(maxsize=1 << 14)
def _canonical(image: str) -> str | None:
    try:
        return normalise(image)
    except BadInput:
        return None


def _counting(annotations: dict[str, str], *, always: bool) -> dict[str, str]:
    """Return the annotations that have a say: those about seccomp, and beside these the others' names.

    CRI-O lets an annotation through where another one is there, whatever that says.
    """
    if not always and not any(_SECCOMP in key for key in annotations):
        return {}
    return {key: word if _SECCOMP in key else "" for key, word in sorted(annotations.items())}
