"""A cluster's dump, as `kubectl get pods -A -o json` prints it -> the requests that a kubelet sends, and how fast.

    scripts/bench --only manifests [--pods 20000]

Every figure is one beside `json.loads` of the same bytes, in a process of its own, so that the memory is its own too.
The pods are like a cluster's: those of 400 Deployments, with status, volumes and probes. What is a pod's own is its
metadata, its status and the name of its token; the rest is its Deployment's. DEPLOYMENTS=20000 in the environment makes
every pod another one, which is the worst that there can be: nothing is decided twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CONTEXTS: list[dict[str, Any]] = [
    {},
    {
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    },
    {"seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/audit.json"}},
    {"privileged": True},
    {"runAsUser": 1000, "runAsNonRoot": True, "readOnlyRootFilesystem": True},
]
ROUNDS = 3
DEPLOYMENTS = int(os.environ.get("DEPLOYMENTS", "400"))
WORK = {
    "json.loads": "json.loads(data)",
    "manifests": "[kubelet.requests(pod) for pod in pods(data, 'dump.json')]",
}
CHILD = """
import gc, json, sys, time
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.manifest import pods
gc.set_threshold(50_000)  # as main.py has it
data = open(sys.argv[1], "rb").read()
kubelet = Kubelet.start("1.36.3", seccomp_default=True)
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
before, start = peak(), time.perf_counter()
made = {work}
print(json.dumps([time.perf_counter() - start, peak() - before]))
"""


def dump(number: int) -> bytes:
    """Return a PodList of that many pods."""
    items = [_pod(serial) for serial in range(number)]
    return json.dumps(
        {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}, indent=4
    ).encode()


def measure(number: int) -> dict[str, float]:
    """Return seconds, and bytes at the peak beyond those of the dump itself, of both: the best of a few rounds."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="crishim-bench-") as folder:
        path = Path(folder) / "dump.json"
        path.write_bytes(dump(number))
        size = path.stat().st_size
        for _ in range(ROUNDS):
            for name, work in WORK.items():
                code = CHILD.replace("{work}", work)
                done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
                seconds, memory = json.loads(done.stdout)
                best = found.setdefault(name, [seconds, memory])
                found[name] = [min(best[0], seconds), min(best[1], memory)]
    (plain, plain_memory), (ours, memory) = found["json.loads"], found["manifests"]
    return {
        "pods": number,
        "bytes": size,
        "pods_per_second": number / ours,
        "seconds": ours,
        "json_seconds": plain,
        "ratio": ours / plain,
        "memory": memory,
        "json_memory": plain_memory,
        "memory_ratio": memory / plain_memory,
    }


def shown(figures: dict[str, float]) -> str:
    """Return the figures as a person reads them."""
    return (
        f"manifests to requests, {figures['pods']:.0f} pods in {figures['bytes'] / 2**20:.0f} MiB: "
        f"{figures['pods_per_second']:.0f} pods/s, {figures['ratio']:.2f} times as long as json.loads "
        f"({figures['json_seconds']:.2f} s); memory {figures['memory'] / 2**20:.0f} MiB, "
        f"{figures['memory_ratio']:.2f} times as much"
    )


def _pod(serial: int) -> dict[str, Any]:
    app = f"app-{serial % DEPLOYMENTS}"
    name = f"{app}-7d4b9c{serial % 1000:04d}-{serial:06d}"
    labels = {"app.kubernetes.io/name": app, "app.kubernetes.io/part-of": "shop", "pod-template-hash": "7d4b9c5f6b"}
    kind = serial % DEPLOYMENTS
    containers = [_container(kind, number) for number in range(1 + kind % 3)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{app}-7d4b9c-",
            "namespace": f"team-{serial % 40}",
            "uid": f"00000000-0000-4000-8000-{serial:012d}",
            "resourceVersion": str(10**6 + serial),
            "creationTimestamp": "2025-01-01T00:00:00Z",
            "labels": labels,
            "annotations": {"kubernetes.io/config.seen": "2025-01-01T00:00:00Z", "checksum/config": f"{serial:064x}"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": app,
                    "uid": f"{serial:036d}",
                    "controller": True,
                }
            ],
        },
        "spec": {
            "containers": containers,
            "initContainers": [_container(kind, 9)] if kind % 5 == 0 else [],
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}} if kind % 4 == 0 else {},
            "serviceAccountName": app,
            "nodeName": f"node-{serial % 200}",
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler",
            "tolerations": [
                {
                    "key": f"node.kubernetes.io/{key}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
                for key in ("not-ready", "unreachable")
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": f"{app}-config", "defaultMode": 420}},
                {
                    "name": f"kube-api-access-{serial:05x}",
                    "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
                },
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.{serial % 250}.{serial % 240}.{serial % 230}",
            "hostIP": f"192.168.1.{serial % 250}",
            "startTime": "2025-01-01T00:00:00Z",
            "conditions": [
                {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2025-01-01T00:00:00Z"}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [
                {
                    "name": each["name"],
                    "image": each["image"],
                    "imageID": f"registry.example/{app}@sha256:{serial:064x}",
                    "containerID": f"containerd://{serial:064x}",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": "2025-01-01T00:00:00Z"}},
                    "lastState": {},
                }
                for each in containers
            ],
        },
    }


def _container(kind: int, number: int) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1}
    return {
        "name": f"c{number}",
        "image": f"registry.example/app-{kind}:v{kind % 7}",
        "imagePullPolicy": "IfNotPresent",
        "args": ["--port=8080", f"--shard={kind % 64}"],
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "A", "value": "b"},
        ],
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": CONTEXTS[(kind + number) % len(CONTEXTS)],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/app"},
            {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
    }


if __name__ == "__main__":
    measured = measure(int(sys.argv[1]))
    print(json.dumps({**measured, "says": shown(measured)}))
