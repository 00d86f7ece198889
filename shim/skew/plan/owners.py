"""Whose pod is it? The workload that a person deployed, rather than what a controller made of it.

Names of the objects in between follow from the controllers: a ReplicaSet is called after its Deployment and the hash
in its label, a Job after its CronJob and the minute it was due.
Source: pkg/controller/deployment/sync.go (getNewReplicaSet) and pkg/controller/cronjob/utils.go (getJobName) at
v1.36.3; argoproj/argo-rollouts utils/replicaset (the label of a Rollout).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from shim.kubelet.api import Source
    from shim.kubelet.pod import Pod

STATIC = "static Pod"

_HASHES = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
_DUE = re.compile(r"-(?:\d{8}|\d{10})$")  # minutes since 1970, or seconds as before Kubernetes 1.21
_SOURCE, _MIRROR = "kubernetes.io/config.source", "kubernetes.io/config.mirror"


class Owner(msgspec.Struct, frozen=True, order=True):
    """A workload."""

    namespace: str
    name: str
    kind: str

    def __str__(self) -> str:
        """As people name it: "shop/web (Deployment)"."""
        return f"{self.namespace}/{self.name} ({self.kind})"


def owner(pod: Pod) -> Owner:
    """Return the workload of a pod: the object that has its template, its controller, or the pod itself."""
    origin, controller = pod.origin, pod.controller
    if origin.template:
        return Owner(pod.namespace, origin.name or pod.name, origin.kind)
    if source(pod) == "static":
        return Owner(pod.namespace, pod.name.removesuffix(f"-{pod.node.lower()}"), STATIC)
    if controller is None or not controller.name:
        return Owner(pod.namespace, pod.name, "Pod")
    kind, name = controller.kind or "", controller.name
    if kind == "ReplicaSet":
        for label, above in _HASHES.items():
            suffix = f"-{pod.labels.get(label, '')}"
            if len(suffix) > 1 and name.endswith(suffix):
                return Owner(pod.namespace, name.removesuffix(suffix), above)
    if kind == "Job" and (due := _DUE.search(name)):
        return Owner(pod.namespace, name[: due.start()], "CronJob")
    return Owner(pod.namespace, name, kind)


def source(pod: Pod) -> Source:
    """Return where the kubelet has a pod from: one that a file on its node describes is only mirrored by the API."""
    if pod.annotations.get(_SOURCE) == "file" or _MIRROR in pod.annotations:
        return "static"
    return "static" if pod.controller is not None and pod.controller.kind == "Node" else "api"
