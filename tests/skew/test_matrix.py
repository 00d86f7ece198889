"""A matrix against what is published about releases, and against `answer_pod`, the one engine, cell by cell."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput, Refused
from shim.answer import Error, answer_pod
from shim.kubelet import manifest
from shim.kubelet.pod import Pod
from shim.node import Node
from shim.nodefile import BadDocument, Document, default_document, loads, open_node, to_dict
from shim.skew.matrix.lab import Piece, cells, pieces
from shim.skew.matrix.matrix import NO_COMMON_CRI, Cell, Matrix, containers, matrix
from shim.skew.posture import build_of, posture

TEXT = """
apiVersion: v1
kind: Pod
metadata: {name: unset}
spec: {containers: [{name: only, image: nginx}]}
---
apiVersion: v1
kind: Pod
metadata: {name: default}
spec:
  securityContext: {seccompProfile: {type: RuntimeDefault}}
  containers: [{name: only, image: nginx}]
---
apiVersion: v1
kind: Pod
metadata: {name: privileged}
spec: {containers: [{name: only, image: nginx, securityContext: {privileged: true}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: several, annotations: {container.seccomp.security.alpha.kubernetes.io/old: runtime/default}}
spec:
  initContainers: [{name: first, image: busybox}]
  containers:
  - {name: old, image: nginx}
  - {name: lost, image: nginx, securityContext: {seccompProfile: {type: Localhost, localhostProfile: not-there.json}}}
  - {name: admin, image: nginx, securityContext: {seccompProfile: {type: RuntimeDefault}, capabilities: {add: [SYS_ADMIN]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: refused}
spec:
  containers: [{name: only, image: nginx, securityContext: {seccompProfile: {type: RuntimeDefault, localhostProfile: a}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      securityContext: {runAsNonRoot: true}
      containers: [{name: app, image: nginx}]
"""  # noqa: E501
PODS = {pod.name: pod for pod in manifest.pods(TEXT, "pods.yaml")}
FACTS = yaml.safe_load(Path(__file__).with_name("matrix_facts.yaml").read_text())


def decided(made: Matrix, pods: list[Pod]) -> list[Cell]:
    return [cell for pod, runtime, piece in pieces(made, pods) for cell in cells(made, pod, runtime, piece)]


@pytest.mark.parametrize("row", FACTS, ids=lambda row: f"{row['kubelet']} {row['runtime']}: {row['says']}")
def test_a_published_fact_holds_in_every_cell_that_it_is_about(row: dict[str, Any]) -> None:
    runtimes = [row["runtime"], *([row["also"]] if "also" in row else [])]
    made = matrix(default_document(), [row["kubelet"]], runtimes, row["set"])
    found = [
        cell
        for cell in decided(made, [PODS[row["container"]]])
        if cell.runtime.family == row["runtime"].partition("@")[0]
    ]
    assert found
    others = {
        f"{cell.runtime} under {cell.kubelet}: {cell.outcome.title(cell.runtime)}"
        for cell in found
        if cell.outcome.title(cell.runtime).removesuffix(f" of {cell.runtime}") != row["outcome"]
    }
    assert others == set()
    if "also" in row:
        assert {cell.runtime.settings for cell in found} == {()}


SAMPLE = matrix(
    loads("host: {arch: amd64}"),
    ["1.18, 1.19.0, 1.21.5, 1.22, 1.24.0..1.24.3, 1.25, 1.27.0, 1.29.0, latest"],
    [
        "containerd@1.2.0, 1.3, 1.4.13, 1.5.18, 1.6.20~ds1, 1.7.24, 2.0.0, 2.0.9, 2.1, 2.3.4",
        "cri-o@1.20,1.24,1.30,1.36",
    ],
    [
        "seccompDefault=true,",
        "featureGates.SeccompDefault=true,",
        "unset_seccomp_profile=runtime/default,",
        "seccomp_profile=/not/there.json,",
        "arch=amd64,arm64",
    ],
)
CELLS: dict[str, list[Cell]] = {}


def cells_of(name: str) -> list[Cell]:
    if name not in CELLS:
        CELLS[name] = decided(SAMPLE, [PODS[name]])
    return CELLS[name]


@given(st.data())
def test_each_cell_is_what_explain_would_say(data: st.DataObject) -> None:
    """The law of the whole thing, up to pairs that cannot talk at all, about which explain does not know."""
    cell = data.draw(st.sampled_from(cells_of(data.draw(st.sampled_from(sorted(PODS))))))
    document = SAMPLE.document(cell.kubelet, cell.runtime)
    assert loads_again(to_dict(document)) == to_dict(document)
    outcome = cell.outcome
    if outcome.of == NO_COMMON_CRI:
        return
    node = opened(document)
    if isinstance(node, Refused):
        expected_error = Error(node.where, node.reason, node.code, str(node))
        assert (outcome.kind, outcome.digest, outcome.error) == ("refused", "", expected_error)
        return
    answers = {each.name: each for each in answer_pod(node, node.default, cell.pod).containers}
    if outcome.kind == "absent":
        assert cell.container not in answers
        return
    expected = posture(answers[cell.container], build_of(node, node.default))
    assert (outcome.kind, outcome.digest, outcome.error) == (expected.kind, expected.digest, expected.error)
    assert outcome.title(cell.runtime) == expected.title


def opened(document: Document) -> Node | Refused:
    try:
        return open_node(document)
    except Refused as refusal:
        return refusal


def loads_again(value: dict[str, Any]) -> dict[str, Any]:
    return to_dict(loads(yaml.safe_dump(value)))


def test_every_cell_is_there_once_and_in_order() -> None:
    found = [(cell.runtime, cell.kubelet, cell.container) for cell in cells_of("several")]
    names = containers(PODS["several"])
    assert names == ("first", "old", "lost", "admin")
    assert found == list(itertools.product(SAMPLE.runtimes, SAMPLE.kubelets, names))
    assert len(SAMPLE.kubelets) == 4 * 12
    assert len(SAMPLE.runtimes) == 4 * (10 + 4)


def test_a_setting_of_one_family_is_not_varied_for_another() -> None:
    settings = {point.family: dict(point.settings).keys() for point in SAMPLE.runtimes}
    assert settings == {
        "containerd": {"unset_seccomp_profile", "arch"},
        "cri-o": {"seccomp_profile", "arch"},
    }


def test_what_the_base_says_of_its_runtime_holds_for_its_family(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nunset_seccomp_profile = "runtime/default"\n')
    base = loads(f"runtime: {{config: {config}}}\nkubelet: {{version: 1.25.0}}")
    made = matrix(base, [], ["containerd@1.4", "cri-o@1.23"], [])
    kinds = {cell.runtime.family: cell.outcome.kind for cell in decided(made, [PODS["unset"]])}
    assert kinds == {"containerd": "RuntimeDefault", "cri-o": "Unconfined"}


def test_without_releases_the_base_is_the_matrix() -> None:
    made = matrix(loads("kubelet: {version: 1.25.0}\nruntime: {name: cri-o, version: 1.23.5}"))
    assert ([str(point) for point in made.kubelets], [str(point) for point in made.runtimes]) == (
        ["kubelet 1.25.0"],
        ["cri-o 1.23.5"],
    )


def test_a_third_family_is_a_row_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package under tests/thirdparty: Toy 1 confines nothing unless it is told to, 2 does."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "thirdparty"))
    made = matrix(default_document(), ["1.19"], ["toy@all"], ["seccompDefault=,false"])
    found = {cell.runtime.release: cell.outcome.kind for cell in decided(made, [PODS["unset"]])}
    assert found == {"1.0.0": "Unconfined", "1.1.0": "Unconfined", "2.0.0": "RuntimeDefault"}


def test_a_policy_that_places_a_file_is_shared_by_runtimes() -> None:
    """KubernetesDefault is a file that the kubelet puts on the node, and that its runtime has to find there."""
    made = matrix(default_document(), ["1.36"], ["containerd@2.3"], ["kubelet.policy=KubernetesDefault,"])
    found = {dict(cell.runtime.settings)["kubelet.policy"]: cell.outcome for cell in decided(made, [PODS["unset"]])}
    assert {policy: outcome.kind for policy, outcome in found.items()} == {
        "KubernetesDefault": "Localhost",
        "": "Unconfined",
    }


def test_everything_that_is_wrong_with_the_options_is_told_at_once() -> None:
    with pytest.raises(BadDocument) as raised:
        matrix(default_document(), ["1.99", "1.36..1.19"], ["podman@1", "cri-o@2.0"], ["nothing=1", "seccompDefault=x"])
    assert [str(fault) for fault in raised.value.faults] == [
        "--kubelet: kubelet 1.99 is not a known line of releases (the known lines go from 1.18 to 1.36)",
        "--kubelet: '1.36..1.19' runs backwards (1.19..1.36)",
        "--runtime: there is no runtime 'podman' (one of containerd, cri-o)",
        "--runtime: cri-o 2.0 is not a known line of releases (the known lines go from 1.18 to 1.36)",
        "--set: there is no setting nothing",
        '--set: kubelet.seccompDefault: is text "x", not true or false',
    ]


def test_a_setting_that_names_what_is_not_there_is_bad_input() -> None:
    made = matrix(default_document(), ["1.36"], ["containerd@2.3"], ["runtime.config=/not/there.toml"])
    with pytest.raises(BadInput, match=r"/not/there\.toml"):
        decided(made, [PODS["unset"]])


def test_a_piece_is_small() -> None:
    """What is sent back for a pod on a runtime does not grow with what a section is."""
    _, _, piece = next(pieces(SAMPLE, [PODS["several"]]))
    assert isinstance(piece, Piece)
    assert len(piece.rows) < len(piece.which) / 4
