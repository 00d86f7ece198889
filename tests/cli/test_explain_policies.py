"""The alternatives of KEP-2413: kubelets that never shipped, with runtimes that did and need nothing new for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shim.answer import digest
from shim.cli.main import main
from shim.cri.node_service import warnings
from shim.nodefile import load, open_node

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: silent, image: nginx}
  - {name: default, image: nginx, securityContext: {seccompProfile: {type: RuntimeDefault}}}
  - {name: unconfined, image: nginx, securityContext: {seccompProfile: {type: Unconfined}}}
"""
PROFILE = '{"defaultAction": "SCMP_ACT_LOG"}'
OWN = "/var/lib/kubelet/seccomp/kubernetes-default.json"
RUNTIMES = ["containerd 2.3.4", "containerd 1.6.20", "cri-o 1.36.3", "cri-o 1.24.6"]


def explained(tmp_path: Path, runtime: str, kubelet: str) -> int:
    name, version = runtime.split()
    folder = tmp_path / "etc"
    folder.mkdir(exist_ok=True)
    (folder / "p.json").write_text(PROFILE)
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text("[]")
    (tmp_path / "pod.yaml").write_text(POD)
    (tmp_path / "node.yaml").write_text(
        f"host: {{arch: amd64, kernel: 6.18.0, seccomp: true, root: .}}\n"
        f"runtime: {{name: {name}, version: {version}}}\n"
        f"kubelet: {{version: 1.28.3, {kubelet}}}\n"
    )
    return main(["explain", "-f", str(tmp_path / "pod.yaml"), "--node", str(tmp_path / "node.yaml"), "-o", "json"])


def containers(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    (pod,) = json.loads(capsys.readouterr().out)["pods"]
    return {each["name"]: each for each in pod["containers"]}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("kubelet", "asks", "file"),
    [
        ("policy: KubernetesDefault", "Localhost", OWN),
        ("policy: combined", "Localhost", OWN),
        ("policy: combined, policyProfile: KubernetesDefault", "Localhost", OWN),
        ("policy: combined, policyProfile: RuntimeDefault", "RuntimeDefault", ""),
        ("policy: combined, policyProfile: /etc/p.json", "Localhost", "/etc/p.json"),
        ("policy: profile-path, policyProfile: /etc/p.json", "Localhost", "/etc/p.json"),
        ("policy: profile-path", "Unconfined", ""),
        ('policy: profile-path, policyProfile: ""', "Unconfined", ""),
    ],
)
def test_what_a_silent_container_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runtime: str, kubelet: str, asks: str, file: str
) -> None:
    assert explained(tmp_path, runtime, kubelet) == 0
    found = containers(capsys)
    silent = found["silent"]
    assert silent["cri"]["seccomp"] == {"profile_type": asks, "localhost_ref": file}
    (step,) = (step for step in silent["steps"] if step["rule"].startswith("policy."))
    assert step["warns"]
    assert "never shipped" in step["because"]
    assert "KEP-2413" in step["source"]
    # An explicit profile is nobody's business, and a policy says nothing about it.
    assert found["unconfined"]["seccomp"] is None
    assert found["default"]["cri"]["seccomp"]["profile_type"] == "RuntimeDefault"
    assert not any(step["rule"].startswith("policy.") for step in found["default"]["steps"])
    if asks == "RuntimeDefault":
        assert digest(silent["seccomp"]) == digest(found["default"]["seccomp"])
    elif file == "/etc/p.json":
        assert silent["seccomp"]["defaultAction"] == "SCMP_ACT_LOG"
    elif asks == "Unconfined":
        assert silent["seccomp"] is None
    else:
        assert silent["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
        assert len({name for rule in silent["seccomp"]["syscalls"] for name in rule["names"]}) > 300


@pytest.mark.parametrize(
    ("kubelet", "code", "sentence"),
    [
        (
            "policy: combined, policyProfile: /etc/gone.json",
            1,
            (
                "crishim explain: the kubelet refuses: the default seccomp profile /etc/gone.json cannot be used: "
                "open /etc/gone.json: no such file or directory"
            ),
        ),
        ("policy: combined, policyProfile: /etc/broken.json", 1, "/etc/broken.json cannot be used: it is no JSON"),
        ("policy: combined, policyProfile: /etc/other.json", 1, "cannot be used: it is no seccomp profile"),
        ("policy: KubernetesDefault, policyProfile: x", 2, "kubelet.policyProfile: KubernetesDefault brings its own"),
        ("policy: combined, seccompDefault: true", 2, "kubelet.policy: a policy takes the place of seccompDefault"),
        ("policy: Kubernetes", 2, 'kubelet.policy: "Kubernetes" is not one of the values'),
        ("policyProfile: x", 2, "kubelet.policy: '' is no policy"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kubelet: str, code: int, sentence: str
) -> None:
    assert explained(tmp_path, RUNTIMES[0], kubelet) == code
    assert sentence in capsys.readouterr().err


def test_a_file_that_is_not_looked_at_fails_when_a_container_is_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explained(tmp_path, RUNTIMES[0], "policy: profile-path, policyProfile: gone.json") == 1
    error = containers(capsys)["silent"]["error"]
    assert (error["where"], error["reason"]) == ("runtime", "CreateContainerError")
    assert "open /var/lib/kubelet/seccomp/gone.json: no such file or directory" in error["message"]


def test_a_node_and_an_answer_say_that_there_never_was_such_a_kubelet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explained(tmp_path, RUNTIMES[0], "policy: KubernetesDefault")
    capsys.readouterr()
    main(["explain", "-f", str(tmp_path / "pod.yaml"), "--node", str(tmp_path / "node.yaml")])
    head = "pod default/web on kubelet 1.28.3 with policy KubernetesDefault (which never shipped), containerd 2.3.4"
    assert " ".join(capsys.readouterr().out.split()).startswith(head)
    (warning,) = warnings(open_node(load(str(tmp_path / "node.yaml"))))
    assert "never shipped" in warning
