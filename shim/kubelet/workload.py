"""An object of the API -> the pods in it: a Pod itself, a list, or the template of a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from runtimes.errors import BadInput
from shim.kubelet.pod import Origin, Part, Pod, PodSpec, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator


class Metadata(Part, frozen=True):
    """`metadata` of an object."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[Reference, ...] | None = None


class Template(Part, frozen=True):
    """A pod template."""

    metadata: Metadata | None = None
    spec: PodSpec | None = None


class JobSpec(Part, frozen=True):
    """`spec` of a Job, as far as it holds pods."""

    template: Template | None = None


class JobTemplate(Part, frozen=True):
    """`jobTemplate` of a CronJob."""

    spec: JobSpec | None = None


class Spec(PodSpec, frozen=True):
    """`spec` of any object that holds pods: a Pod's own, or one that has a template in one of its places."""

    template: Template | None = None
    job_template: JobTemplate | None = None
    node_name: str | None = None


class Status(Part, frozen=True):
    """`status` of a pod."""

    phase: str | None = None


class Head(Part, frozen=True):
    """What every object says of itself."""

    api_version: str | None = None
    kind: str | None = None


class Listed(Head, frozen=True):
    """A list, its items not yet looked at."""

    items: tuple[msgspec.Raw, ...] | None = None


class Item(Head, frozen=True):
    """An object that may hold pods."""

    metadata: Metadata | None = None
    spec: Spec | None = None
    template: Template | None = None
    status: Status | None = None


class Object(Item, frozen=True):
    """A document: such an object, or a list of them."""

    items: tuple[Item, ...] | None = None


_ENDED = ("Succeeded", "Failed")


class Kind(NamedTuple):
    """Where the pods of a kind are, and how their names begin with its own. `path` is "" for a Pod."""

    path: str
    suffix: str = ""


# Pods of a workload have names that its controller makes up, except those of a StatefulSet. Here they go by the
# workload's own name: no profile depends on it.
KINDS = {
    "Pod": Kind(""),
    "Deployment": Kind("spec.template"),
    "ReplicaSet": Kind("spec.template"),
    "ReplicationController": Kind("spec.template"),
    "DaemonSet": Kind("spec.template"),
    "StatefulSet": Kind("spec.template", "-0"),
    "Job": Kind("spec.template"),
    "CronJob": Kind("spec.jobTemplate.spec.template"),
    "PodTemplate": Kind("template"),
}


def is_list(kind: str | None) -> bool:
    """Whether an object of this kind holds `items`: List, PodList, DeploymentList."""
    return bool(kind) and kind.endswith("List")  # type: ignore[union-attr]


def pods(found: Object, origin: Origin) -> Iterator[Pod]:
    """Yield the pods of a document. `origin` says where it stands; kinds without pods yield nothing."""
    kind = _kind(found, origin)
    if not is_list(kind):
        yield from _pods(found, kind, origin)
    else:
        # The items of a typed list ("PodList"), as the API server itself sends it, say neither kind nor version.
        typed = kind.removesuffix("List")
        for index, item in enumerate(found.items or ()):
            if typed and not item.kind:
                item = msgspec.structs.replace(item, kind=typed, api_version=found.api_version)  # noqa: PLW2901
            yield from item_pods(item, msgspec.structs.replace(origin, path=f"items[{index}]", line=None))


def item_pods(found: Item, origin: Origin) -> Iterator[Pod]:
    """Yield the pods of one item of a list. `origin` says where that stands."""
    yield from _pods(found, _kind(found, origin), origin)


def _pods(found: Item, kind: str, origin: Origin) -> Iterator[Pod]:
    if is_list(kind):
        raise _bad("a list stands in a list", origin, "kind", "objects that are no lists")
    if kind in KINDS:
        yield _pod(found, kind, origin)


def _kind(found: Head, origin: Origin) -> str:
    right = "apiVersion and kind, as in `apiVersion: v1`, `kind: Pod`"
    for field, value in (("apiVersion", found.api_version), ("kind", found.kind)):
        if not value:
            raise _bad(f"{field} is missing", origin, field, right)
    if found.kind == "Pod" and found.api_version != "v1":
        raise _bad(f"there is no Pod in {found.api_version!r}", origin, "apiVersion", "v1")
    return found.kind or ""


def _pod(found: Item, kind: str, origin: Origin) -> Pod:
    own = found.metadata or Metadata()
    template = _template(found, kind)
    metadata = own if template is None else template.metadata or Metadata()
    spec = found.spec if template is None else template.spec
    name = own.name or own.generate_name or ""
    node = own_spec.node_name if template is None and (own_spec := found.spec) else None
    if node is not None:  # the spec is without it, so that pods of one template have equal ones
        spec = msgspec.structs.replace(spec, node_name=None)  # type: ignore[type-var]  # there is one then
    return Pod(
        name=name + KINDS[kind].suffix if name else "",
        namespace=own.namespace or "default",
        uid=(own.uid or "") if template is None else "",
        labels=metadata.labels or {},
        annotations=metadata.annotations or {},
        spec=spec or PodSpec(),
        origin=msgspec.structs.replace(
            origin, kind=kind, group=_group(found.api_version), name=own.name or "", template=KINDS[kind].path
        ),
        node=node or "",
        controller=_controller(own) if template is None else None,
        ended=kind == "Pod" and found.status is not None and found.status.phase in _ENDED,
    )


def _controller(own: Metadata) -> Reference | None:
    """Return the one owner that takes care of a pod; others only have it deleted with them."""
    return next((each for each in own.owner_references or () if each.controller), None)


def _template(found: Item, kind: str) -> Template | None:
    """The pod template of a workload, None for a Pod."""
    if kind == "Pod":
        return None
    if kind == "PodTemplate":
        return found.template or Template()
    spec: Spec | JobSpec | None = found.spec
    if kind == "CronJob":
        job = found.spec.job_template if found.spec else None
        spec = job.spec if job else None
    return (spec.template if spec else None) or Template()


def _group(api_version: str | None) -> str:
    """The group of an apiVersion: "apps" of "apps/v1", "" of "v1"."""
    return (api_version or "").rpartition("/")[0]


def _bad(what: str, origin: Origin, field: str, right: str) -> BadInput:
    place = f"{origin.path}.{field}".lstrip(".")
    return BadInput(what, where=origin.where, line=origin.line, field=place, right=right)
