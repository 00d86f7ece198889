"""What a node file says of images, wherever it has a say: explain, the kubelet's agent, experiments, plan and matrix.

The order in which CRI-O looks for the annotation is that of internal/config/seccomp/seccompociartifact at v1.30.0; what
a kubelet says of root is verifyRunAsNonRoot in pkg/kubelet/kuberuntime/security_context_others.go.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtimes.errors import BadInput, Refused
from shim.answer import ContainerAnswer, answer_pod, digest
from shim.kubelet import dump, manifest
from shim.nodefile import Document, apply_settings, changes, keep_running, loads, open_node, to_yaml
from shim.skew.matrix.lab import cells, pieces
from shim.skew.matrix.matrix import matrix
from shim.skew.plan.inventory import Inventory, read
from shim.skew.plan.plan import begin, decide, workloads
from shim.skew.plan.tally import Part, Tally, count
from shim.skew.posture import build_of, posture
from shim.testing import simulated_node
from tests.node.registry import Registry, serving

ANNOTATION = "seccomp-profile.kubernetes.cri-o.io"
CONFIG = f"""
[crio.runtime]
default_runtime = "runc"
[crio.runtime.runtimes.runc]
allowed_annotations = ["{ANNOTATION}"]
"""  # which 1.29 refuses to start with: it knows no such annotation
POD = """
apiVersion: v1
kind: Pod
metadata: {name: shop, annotations: %s}
spec:
  securityContext: %s
  containers: [{name: web, image: "%s"}]
"""


def profile(name: str) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_LOG",
        "syscalls": [{"names": [name], "action": "SCMP_ACT_ALLOW"}],
    }


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with serving(Registry()) as served:
        for name in ("image", "pod"):
            served.push(name, "1", json.dumps(profile(name)).encode())
        yield served


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "crio.conf").write_text(CONFIG)
    return f"file://{tmp_path}/crio.conf"


def document(images: Any, runtime: str = "{name: containerd, version: 2.1.4}", kubelet: str = "1.30.14") -> Document:
    host = '{arch: amd64, kernel: "6.1", seccomp: true, cgroup: 2, hostname: node-1}'
    return loads(
        f"host: {host}\nkubelet: {{version: {kubelet}}}\nruntime: {runtime}\nimages: {json.dumps(images)}",
    )


def written(document: Document, folder: Path) -> str:
    (folder / "node.yaml").write_text(to_yaml(document))
    return str(folder / "node.yaml")


def crio(release: str, config: str = "") -> str:
    return f"{{name: cri-o, version: {release}, config: {json.dumps(config or None)}}}"


def pod_text(image: str, annotations: dict[str, str] | None = None, context: dict[str, Any] | None = None) -> str:
    return POD % (json.dumps(annotations or {}), json.dumps(context or {}), image)


def explained(document: Document, text: str) -> ContainerAnswer:
    node = open_node(document)
    (pod,) = manifest.pods(text, "pod.yaml")
    (web,) = answer_pod(node, node.default, pod).containers
    return web


# --- annotations


@pytest.mark.parametrize(
    ("release", "image", "pod", "applied"),
    [
        ("1.29.13", {"": "image"}, {}, None),
        ("1.30.0", {"": "image"}, {}, "image"),
        ("1.30.0", {"/web": "image"}, {}, "image"),
        ("1.30.0", {"/POD": "image"}, {}, "image"),
        ("1.30.0", {"/other": "image"}, {}, None),
        ("1.30.0", {"": "image"}, {"/POD": "pod"}, "pod"),
        ("1.30.0", {"/web": "image"}, {"/web": "pod"}, "pod"),
        ("1.30.0", {"": "image"}, {"/other": "pod"}, "image"),
        ("1.30.0", {}, {}, None),
        ("1.36.3", {"": "image"}, {}, "image"),
        ("1.36.3", {"": "image"}, {"/web": "pod"}, "pod"),
    ],
)
def test_the_profile_that_an_image_names_is_applied_from_1_30_on_unless_the_pod_names_one(
    registry: Registry, config: str, release: str, image: dict[str, str], pod: dict[str, str], applied: str | None
) -> None:
    def said(names: dict[str, str]) -> dict[str, str]:
        return {ANNOTATION + suffix: f"{registry.host}/{name}:1" for suffix, name in names.items()}

    images = {"quay.io/shop/web:1.2": {"annotations": said(image)}}
    runtime = crio(release) if release.startswith("1.29.") else crio(release, config)
    web = explained(document(images, runtime), pod_text("quay.io/shop/web:1.2", said(pod)))
    assert web.error is None
    assert web.seccomp == (profile(applied) if applied else None)


def test_of_a_containerd_the_annotation_makes_nothing(registry: Registry) -> None:
    images = {"web:1": {"annotations": {ANNOTATION: f"{registry.host}/image:1"}}}
    assert explained(document(images), pod_text("web:1")).seccomp is None


@pytest.mark.parametrize(
    ("said", "pods", "found"),
    [
        ("web", "docker.io/library/web:latest", True),
        ("docker.io/web:latest", "web", True),
        ("web:1", "web", False),
        ("web", "Not An Image", False),
    ],
)
def test_every_spelling_of_a_reference_is_the_image_that_was_described(said: str, pods: str, found: bool) -> None:
    node = open_node(document({said: {"user": "1000"}}))
    try:
        assert (node.image(pods).user == "1000") is found
    except BadInput:
        assert not found


def test_a_served_node_makes_what_explain_says(registry: Registry, config: str, tmp_path: Path) -> None:
    """The pod's image is pulled by the kubelet's agent, and the container is made by the engine."""
    images = {"quay.io/shop/web:1.2": {"annotations": {ANNOTATION: f"{registry.host}/image:1"}}}
    said = document(images, crio("1.36.3", config), "1.36.3")
    with simulated_node(written(said, tmp_path)) as node:
        (made,) = node.create(pod_text("quay.io/shop/web:1.2")).containers
        assert made.section == profile("image")
    assert explained(said, pod_text("quay.io/shop/web:1.2")).seccomp == profile("image")


# --- the user

NON_ROOT = {"runAsNonRoot": True}


@pytest.mark.parametrize(
    ("user", "context", "refused"),
    [
        (None, NON_ROOT, ""),
        ("0", NON_ROOT, "will run as root"),
        ("0:1000", NON_ROOT, "will run as root"),
        ("root", NON_ROOT, "has non-numeric user (root), cannot verify user is non-root"),
        ("nginx", NON_ROOT, "has non-numeric user (nginx), cannot verify user is non-root"),
        ("nginx:nginx", NON_ROOT, "has non-numeric user (nginx), cannot verify user is non-root"),
        ("1000", NON_ROOT, ""),
        ("1000:0", NON_ROOT, ""),
        ("0", {**NON_ROOT, "runAsUser": 7}, ""),
        ("0", {}, ""),
        ("nginx", {}, ""),
        ("nginx:nginx", {}, ""),
    ],
)
@pytest.mark.parametrize("runtime", ["{name: containerd, version: 2.1.4}", "{name: cri-o, version: 1.34.0}"])
def test_what_is_said_of_an_image_decides_whether_it_runs_as_root(
    user: str | None, context: dict[str, Any], refused: str, runtime: str, tmp_path: Path
) -> None:
    said = document({"web:1": {"user": user, "annotations": {"a": "b"}}}, runtime)
    text = pod_text("web:1", context=context)
    web = explained(said, text)
    if refused:
        assert web.error is not None
        assert (web.error.where, web.error.reason) == ("kubelet", "CreateContainerConfigError")
        assert web.error.message.startswith(f"container has runAsNonRoot and image {refused} (pod: ")
    else:
        assert web.error is None
    with simulated_node(written(said, tmp_path)) as node:
        (made,) = node.create(text).containers
        ours, theirs = (each and each.message.partition(" (pod: ")[0] for each in (made.error, web.error))
        assert ours == theirs


def test_an_image_of_which_nothing_is_said_keeps_what_is_taken_for_granted() -> None:
    said = document({"web:1": {"user": "0"}})
    assert explained(said, pod_text("web:2", context=NON_ROOT)).error is None
    assert explained(said, pod_text("web:1", context=NON_ROOT)).error is not None


# --- many nodes, many pods


def test_every_cell_of_a_matrix_is_what_explain_says(registry: Registry, config: str) -> None:
    images = {
        "web:1": {"annotations": {ANNOTATION: f"{registry.host}/image:1"}},
        "web:2": {"user": "0"},
    }
    base = document(images, crio("1.36.3", config))
    pods = [*manifest.pods(pod_text("web:1"), "p"), *manifest.pods(pod_text("web:2", context=NON_ROOT), "p")]
    made = matrix(base, ["1.28.15", "1.30.14"], ["cri-o@1.29.13", "cri-o@1.30.0", "containerd@2.1.4"])
    found = [cell for pod, runtime, piece in pieces(made, pods) for cell in cells(made, pod, runtime, piece)]
    assert len(found) == 12
    for cell in found:
        try:
            node = open_node(made.document(cell.kubelet, cell.runtime))
        except Refused:
            assert cell.runtime.release == "1.29.13"
            continue
        (web,) = answer_pod(node, node.default, cell.pod).containers
        theirs = posture(web, build_of(node, node.default))
        assert (cell.outcome.kind, cell.outcome.digest) == (theirs.kind, theirs.digest)
    assert {cell.outcome.kind for cell in found} > {"refused"}


def test_a_plan_tells_images_apart_of_which_something_is_said(registry: Registry, config: str, tmp_path: Path) -> None:
    images = {"web:1": {"annotations": {f"{ANNOTATION}/web": f"{registry.host}/image:1"}}, "web:3": {"user": "0"}}
    for name, runtime in (("from", crio("1.29.13")), ("to", crio("1.30.0", config))):
        (tmp_path / f"{name}.yaml").write_text(to_yaml(document(images, runtime, "1.29.14")))
    inventory = read("", str(tmp_path / "from.yaml"), str(tmp_path / "to.yaml"))
    context = {"seccompProfile": {"type": "Unconfined"}}
    texts = [
        pod_text("docker.io/library/web:1", context=context),
        pod_text("web:2", context=context).replace("shop", "other"),
        pod_text("web:3", context=NON_ROOT).replace("shop", "root"),
    ]
    found = _planned(inventory, "---\n".join(texts))
    assert found["shop"].digest == digest(profile("image"))
    assert (found["other"].digest, found["other"].differs) == ("", False)
    assert found["root"].refused_before


def _planned(inventory: Inventory, text: str) -> dict[str, Any]:
    tally = Tally()
    for piece in dump.pieces(io.BytesIO(text.encode()), "pods.yaml"):
        tally.add(count(Part(piece), inventory.routes))
    assert not tally.faults
    decided: Any = {}
    list(decide(begin(inventory), tally, {}, decided))
    return {
        each.owner.name: part.effect
        for each in workloads(tally, decided)
        for pools in each.containers.values()
        for parts in pools.values()
        for part in parts
    }


# --- a node that runs


def test_a_description_is_changed_by_its_path_without_a_restart() -> None:
    before = document({"quay.io/shop/web:1": {"user": "1000"}})
    running = open_node(before)
    path = "images.quay.io/shop/web:1.2.user"
    after = apply_settings(before, {path: "1001"})
    assert changes(before, after) == (f"{path}: none -> 1001",)
    node = keep_running(after, running)
    assert (node.image("quay.io/shop/web:1").uid, node.image("quay.io/shop/web:1.2").uid) == (1000, 1001)
    assert open_node(after, running).entries[""] is running.entries[""]


def test_no_experiment_makes_another_image_of_one(tmp_path: Path) -> None:
    with simulated_node(written(document({"web:1": {"user": "1000"}}), tmp_path)) as node:
        with pytest.raises(BadInput, match="what an image is does not change while nodes run"):
            node.set({"images.web:1.user": "0"})
        assert node.document.images["web:1"].user == "1000"
