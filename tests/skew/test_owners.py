"""Whose pod it is, for pods as clusters name them. The names are those that the controllers' sources make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shim.kubelet import manifest
from shim.skew.plan.owners import owner, source


def reference(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "x/v1", "kind": kind, "name": name, "uid": "1", "controller": True, **more}


HASH = {"pod-template-hash": "7d4b9c5f6b"}


@pytest.mark.parametrize(
    ("why", "name", "metadata", "whose"),
    [
        (
            "a Deployment's ReplicaSet is called after it and the hash of the template",
            "web-7d4b9c5f6b-x2x4z",
            {"labels": HASH, "ownerReferences": [reference("ReplicaSet", "web-7d4b9c5f6b")]},
            "shop/web (Deployment)",
        ),
        (
            "a Rollout's has another label",
            "web-7d4b9c5f6b-x2x4z",
            {
                "labels": {"rollouts-pod-template-hash": "7d4b9c5f6b"},
                "ownerReferences": [reference("ReplicaSet", "web-7d4b9c5f6b")],
            },
            "shop/web (Rollout)",
        ),
        (
            "a ReplicaSet of its own",
            "web-x2x4z",
            {"labels": HASH, "ownerReferences": [reference("ReplicaSet", "web")]},
            "shop/web (ReplicaSet)",
        ),
        (
            "a CronJob's Job is called after it and the minute it was due",
            "report-28549440-abcde",
            {"ownerReferences": [reference("Job", "report-28549440")]},
            "shop/report (CronJob)",
        ),
        (
            "or after the second, before Kubernetes 1.21",
            "report-1606521600-abcde",
            {"ownerReferences": [reference("Job", "report-1606521600")]},
            "shop/report (CronJob)",
        ),
        ("a Job of its own", "o-abcde", {"ownerReferences": [reference("Job", "o-2024")]}, "shop/o-2024 (Job)"),
        ("a StatefulSet", "db-0", {"ownerReferences": [reference("StatefulSet", "db")]}, "shop/db (StatefulSet)"),
        ("a DaemonSet", "cni-q8s7d", {"ownerReferences": [reference("DaemonSet", "cni")]}, "shop/cni (DaemonSet)"),
        ("an operator's own kind", "pg-1", {"ownerReferences": [reference("Cluster", "pg")]}, "shop/pg (Cluster)"),
        (
            "the mirror of a static pod bears its node's name",
            "etcd-node-1",
            {"ownerReferences": [reference("Node", "Node-1")]},
            "shop/etcd (static Pod)",
        ),
        (
            "even where it has no owner",
            "etcd-node-1",
            {"annotations": {"kubernetes.io/config.source": "file"}},
            "shop/etcd (static Pod)",
        ),
        (
            "an owner that does not control it",
            "p",
            {"ownerReferences": [reference("X", "x", controller=False)]},
            "shop/p (Pod)",
        ),
        ("nobody", "p", {"annotations": {"kubernetes.io/config.source": "api"}}, "shop/p (Pod)"),
    ],
)
def test_whose_a_pod_is(why: str, name: str, metadata: dict[str, Any], whose: str) -> None:
    thing = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"nodeName": "Node-1", "containers": []},
    }
    (pod,) = manifest.pods(json.dumps(thing), "p.json")
    assert str(owner(pod)) == whose, why
    assert (source(pod) == "static") == whose.endswith("(static Pod)"), why


@pytest.mark.parametrize(
    ("manifested", "whose"),
    [
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {}}",
            "shop/web (Deployment)",
        ),
        (
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {template: {}}",
            "default/db (StatefulSet)",
        ),
        (
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: r}\nspec: {jobTemplate: {spec: {template: {}}}}",
            "default/r (CronJob)",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: p}", "default/p (Pod)"),
    ],
)
def test_whose_a_template_is(manifested: str, whose: str) -> None:
    (pod,) = manifest.pods(manifested, "m.yaml")
    assert str(owner(pod)) == whose


@pytest.mark.parametrize(("phase", "ended"), [("Succeeded", True), ("Failed", True), ("Running", False), (None, False)])
def test_a_pod_that_is_over_is_known(phase: str | None, ended: bool) -> None:
    thing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n"}}
    (pod,) = manifest.pods(json.dumps(thing | ({"status": {"phase": phase}} if phase else {})), "p.json")
    assert (pod.ended, pod.node) == (ended, "n")
