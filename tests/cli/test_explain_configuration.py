"""A kubelet set up as people have it, seen from `crishim explain` and `crishim node`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shim.cli.main import main
from shim.nodefile import apply_settings, load, open_node, to_yaml

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: app, image: nginx}]\n"
CONFIG = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nseccompDefault: true\n"
NODE = "host: {arch: amd64, root: fs}\nruntime: {name: containerd, version: 2.1.0}\nkubelet:\n  version: 1.30.4\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fs/var/lib/kubelet").mkdir(parents=True)
    (tmp_path / "fs/var/lib/kubelet/config.yaml").write_text(CONFIG)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop/10.conf").write_text(CONFIG)
    (tmp_path / "pod.yaml").write_text(POD)
    return tmp_path


@pytest.mark.parametrize(
    ("kubelet", "says"),
    [
        ("config: /var/lib/kubelet/config.yaml", "the configuration /var/lib/kubelet/config.yaml turns"),
        ("flags: [--config, /var/lib/kubelet/config.yaml]", "the configuration /var/lib/kubelet/config.yaml turns"),
        ("flags: [--config=var/lib/kubelet/config.yaml]", "the configuration /var/lib/kubelet/config.yaml turns"),
        ("config: mine.yaml", "mine.yaml turns seccompDefault on"),
        ("configDir: drop", "the drop-in {here}/drop/10.conf turns seccompDefault on"),
        ("flags: [--seccomp-default]", "/configz does not show that"),
    ],
)
def test_explain_names_what_turned_it_on(
    here: Path, capsys: pytest.CaptureFixture[str], kubelet: str, says: str
) -> None:
    (here / "node.yaml").write_text(f"{NODE}  {kubelet}\n")
    assert main(["explain", "-f", "pod.yaml", "--node", "node.yaml", "-o", "json"]) == 0
    ((answer,),) = (pod["containers"] for pod in json.loads(capsys.readouterr().out)["pods"])
    assert answer["cri"]["seccomp"]["profile_type"] == "RuntimeDefault"
    assert says.replace("{here}", str(here)) in " ".join(step["because"] for step in answer["steps"])


@pytest.mark.parametrize(
    ("kubelet", "code", "sentence"),
    [
        ("config: gone.yaml", 1, "crishim explain: the kubelet refuses: failed to load kubelet config file, path: "),
        ("config: /gone.yaml", 1, "error: open /gone.yaml: no such file or directory"),
        ("flags: [--seccomp-default=maybe]", 1, 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("flags: [--seccomp-profile-root=/p]", 1, "unknown flag: --seccomp-profile-root"),
        ("flags: --seccomp-default", 2, 'node.yaml:5:10: kubelet.flags: is text "--seccomp-default", not a list'),
        ("flags: [--help]", 2, "node.yaml:5:10: kubelet.flags: with --help a kubelet prints something and ends"),
        ("config: mine.yaml\n  flags: [--config=/x]", 2, "node.yaml:5:11: kubelet.config: config is there twice"),
        ("config: wrong.yaml", 2, "wrong.yaml:3: seccompDefault: true or false is expected"),
        ("config: tab.yaml", 2, "tab.yaml:1:1: a tab stands where YAML wants spaces"),
    ],
)
def test_what_is_wrong_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], kubelet: str, code: int, sentence: str
) -> None:
    (here / "wrong.yaml").write_text(CONFIG.replace("true", "1"))
    (here / "tab.yaml").write_text("\tkind: x\n")
    (here / "node.yaml").write_text(f"{NODE}  {kubelet}\n")
    assert main(["explain", "-f", "pod.yaml", "--node", "node.yaml"]) == code
    assert sentence in capsys.readouterr().err


def test_settings_of_a_kubelet_can_be_changed_one_by_one(here: Path) -> None:
    (here / "node.yaml").write_text(NODE)
    document = load("node.yaml")
    for path, text, on in (
        ("kubelet.flags", "[--seccomp-default]", True),
        ("kubelet.flags", "null", False),
        ("kubelet.config", "/var/lib/kubelet/config.yaml", True),
        ("kubelet.seccompDefault", "false", False),
        ("kubelet.seccompDefault", "null", True),
    ):
        document = apply_settings(document, {path: text})
        assert open_node(document).kubelet.settings.seccomp_default.on is on, (path, text)
    (here / "again.yaml").write_text(to_yaml(document, full=True))
    assert open_node(load("again.yaml")).kubelet.settings.seccomp_default.on
