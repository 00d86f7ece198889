"""`crishim explain` on the releases that come with it: what real daemons were recorded to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shim.answer import digest
from shim.cli.main import main

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: silent, image: nginx}
  - {name: default, image: nginx, securityContext: {seccompProfile: {type: RuntimeDefault}}}
  - {name: unconfined, image: nginx, securityContext: {seccompProfile: {type: Unconfined}}}
  - {name: gone, image: nginx, securityContext: {seccompProfile: {type: Localhost, localhostProfile: gone.json}}}
"""

# sha256 of the canonical JSON of the section that a real daemon of that release made of RuntimeDefault with default
# capabilities, on x86_64 and Linux 6.18.
RECORDED = {
    "containerd 1.6.20": "4fa7b290481caaf3742bc232a69103658f55cc2bcb252acbf7f83f3e56adde1d",
    "containerd 2.3.4": "46d672b3640ef25e3278dd04202c0821940e492e92e307edecc8433133291aa3",
    "cri-o 1.24.6": "371ff42a95ffe148ef852c3349c600852742f6c6338230c8b579359f00062a9c",
    "cri-o 1.36.3": "f15b8a0e8a398defc2355cd6e309f9559db95b7cabf1b591e6fb941ef8ccd42b",
}


def explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runtime: str, kubelet: str, config: str = ""
) -> dict[str, dict[str, Any]]:
    name, version = runtime.split()
    (tmp_path / "pod.yaml").write_text(POD)
    (tmp_path / "config.toml").write_text(config)
    setting = ", config: config.toml" if config else ""
    (tmp_path / "node.yaml").write_text(
        f"kubelet: {kubelet}\n"
        f"host: {{arch: amd64, kernel: 6.18.0, seccomp: true, root: .}}\n"
        f"runtime: {{name: {name}, version: {version}{setting}}}\n"
    )
    code = main(["explain", "-f", str(tmp_path / "pod.yaml"), "--node", str(tmp_path / "node.yaml"), "-o", "json"])
    assert code == ("1.18" not in kubelet)  # the Localhost file is not there, and 1.18 knows no Localhost field
    (pod,) = json.loads(capsys.readouterr().out)["pods"]
    return {each["name"]: each for each in pod["containers"]}


@pytest.mark.parametrize("runtime", RECORDED)
@pytest.mark.parametrize("seccomp_default", [False, True])
def test_containers_get_what_a_real_daemon_gave_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runtime: str, seccomp_default: bool
) -> None:
    kubelet = f"{{version: 1.28.3, seccompDefault: {str(seccomp_default).lower()}}}"
    found = explained(tmp_path, capsys, runtime, kubelet)
    assert digest(found["default"]["seccomp"]) == RECORDED[runtime]
    assert found["unconfined"]["seccomp"] is None
    assert digest(found["silent"]["seccomp"]) == (RECORDED[runtime] if seccomp_default else "")
    error = found["gone"]["error"]
    assert (error["where"], error["reason"]) == ("runtime", "CreateContainerError")
    assert "open /var/lib/kubelet/seccomp/gone.json: no such file or directory" in error["message"]


def test_a_setting_for_what_is_unset_works_until_kubelets_send_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """containerd#9937: a kubelet upgrade takes the profile away that the runtime's configuration gave."""
    config = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nunset_seccomp_profile = "runtime/default"\n'
    before = explained(tmp_path, capsys, "containerd 1.6.20", "{version: 1.19.16}", config)
    assert before["silent"]["cri"] == {"seccomp": None, "seccomp_profile_path": ""}
    assert digest(before["silent"]["seccomp"]) == RECORDED["containerd 1.6.20"]
    after = explained(tmp_path, capsys, "containerd 1.6.20", "{version: 1.20.15}", config)
    assert after["silent"]["cri"]["seccomp"]["profile_type"] == "Unconfined"
    assert after["silent"]["seccomp"] is None


@pytest.mark.parametrize("line", [f"1.{minor}" for minor in range(18, 37)])
def test_of_all_kubelets_only_two_lines_ever_leave_a_profile_unset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """The same, for every line: with 1.18 and 1.19 the runtime's setting decides, from 1.20 on it never does."""
    config = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nunset_seccomp_profile = "runtime/default"\n'
    silent = explained(tmp_path, capsys, "containerd 1.6.20", f'{{version: "{line}"}}', config)["silent"]
    unset = line in ("1.18", "1.19")
    assert (silent["cri"]["seccomp"] is None) is unset
    assert digest(silent["seccomp"]) == (RECORDED["containerd 1.6.20"] if unset else "")
    said = [step["because"] for step in silent["steps"] if step["layer"] == "runtime"]
    assert any("unset_seccomp_profile" in because for because in said)
