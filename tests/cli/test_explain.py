"""`crishim explain`, on nodes with the toy family that is installed from outside."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from shim.cli import main as cli
from shim.cli.main import main

ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "shim/schemas/explain.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  initContainers:
  - {name: setup, image: busybox, securityContext: {seccompProfile: {type: Unconfined}}}
  - {name: proxy, image: proxy, restartPolicy: Always, securityContext: {seccompProfile: {type: RuntimeDefault}}}
  containers:
  - {name: app, image: nginx}
  - name: admin
    image: busybox
    securityContext:
      capabilities: {add: [SYS_ADMIN]}
      seccompProfile: {type: RuntimeDefault}
"""

LOCALHOST = """\
apiVersion: v1
kind: Pod
metadata: {name: local}
spec:
  containers:
  - {name: here, image: busybox, securityContext: {seccompProfile: {type: Localhost, localhostProfile: here.json}}}
  - {name: gone, image: busybox, securityContext: {seccompProfile: {type: Localhost, localhostProfile: gone.json}}}
  - {name: empty, image: busybox, securityContext: {seccompProfile: {type: Localhost, localhostProfile: ""}}}
"""

NODE = "kubelet: {version: 1.32.0}\nhost: {arch: amd64, root: fs}\nruntime: {name: toy, version: 2.0.0}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a node, its files and some pods."""
    profiles = tmp_path / "fs/var/lib/kubelet/seccomp"
    profiles.mkdir(parents=True)
    (profiles / "here.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    for name, text in (("node.yaml", NODE), ("pod.yaml", POD), ("local.yaml", LOCALHOST)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explained(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[dict[str, Any]]:
    """Run `explain -o json`, and hold its answer against the schema."""
    assert main(["explain", "--node", "node.yaml", "-o", "json", *words]) == code
    answer = json.loads(capsys.readouterr().out)
    VALIDATOR.validate(answer)
    pods: list[dict[str, Any]] = answer["pods"]
    return pods


@pytest.mark.usefixtures("here")
def test_the_shape_of_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    (pod,) = explained(capsys, "-f", "pod.yaml")
    assert pod["pod"] == "shop/web"
    assert [(each["name"], each["kind"]) for each in pod["containers"]] == [
        ("setup", "init"),
        ("proxy", "sidecar"),
        ("app", "container"),
        ("admin", "container"),
    ]
    setup = pod["containers"][0]
    assert setup["cri"] == {"seccomp": {"profile_type": "Unconfined", "localhost_ref": ""}, "seccomp_profile_path": ""}
    assert (setup["outcome"], setup["error"], setup["seccomp"]) == ("ok", None, None)
    admin = pod["containers"][3]
    assert admin["seccomp"] == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "syscalls": [{"names": ["read", "write", "mount"], "action": "SCMP_ACT_ALLOW"}],
    }
    assert {step["layer"] for step in admin["steps"]} == {"kubelet", "profile"}
    assert pod["sandbox"]["cri"]["seccomp"]["profile_type"] == "RuntimeDefault"


@pytest.mark.usefixtures("here")
def test_a_pod_went_through_its_kubelet_once(capsys: pytest.CaptureFixture[str]) -> None:
    (pod,) = explained(capsys, "-f", "pod.yaml")
    for answer in (pod["sandbox"], *pod["containers"]):
        assert "explicit" not in [step["rule"] for step in answer["steps"]]


@pytest.mark.usefixtures("here")
def test_refusals(capsys: pytest.CaptureFixture[str]) -> None:
    (pod,) = explained(capsys, "-f", "local.yaml", code=1)
    there, gone, empty = pod["containers"]
    assert (there["outcome"], there["seccomp"]) == ("ok", {"defaultAction": "SCMP_ACT_LOG"})
    assert gone["error"] == {
        "where": "runtime",
        "reason": "CreateContainerError",
        "code": "UNKNOWN",
        "message": "toy cannot load a profile: open /var/lib/kubelet/seccomp/gone.json: no such file or directory",
    }
    assert gone["seccomp"] is None
    assert gone["cri"]["seccomp"]["localhost_ref"] == "/var/lib/kubelet/seccomp/gone.json"
    assert empty["error"]["where"] == "kubelet"
    assert empty["error"]["reason"] == "CreateContainerConfigError"
    assert empty["cri"] == {"seccomp": None, "seccomp_profile_path": ""}


def test_a_section_that_the_oci_runtime_rejects_is_seen_when_the_container_starts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "fs/var/lib/kubelet/seccomp/gone.json").write_text('{"defaultAction": "SCMP_ACT_BOGUS"}')
    (pod,) = explained(capsys, "-f", "local.yaml", code=1)
    error = pod["containers"][1]["error"]
    assert (error["reason"], error["message"]) == ("RunContainerError", "toy cannot play with SCMP_ACT_BOGUS")
    assert [step["layer"] for step in pod["containers"][1]["steps"]] == ["kubelet", "runtime"]


def test_without_its_sandbox_no_container_is_created(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "toy.json").write_text('{"no-sandbox": "toy has no sand"}')
    (pod,) = explained(capsys, "-f", "local.yaml", "--set", f"runtime.config=file://{here}/toy.json", code=1)
    answers = [pod["sandbox"], *pod["containers"]]
    assert {(each["error"]["reason"], each["error"]["message"]) for each in answers} == {
        ("FailedCreatePodSandBox", "toy has no sand")
    }
    assert pod["containers"][0]["steps"][-1]["rule"] == "sandbox-first"


def test_a_pod_that_the_api_refuses_has_every_container_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.yaml").write_text(POD.replace("{type: Unconfined}", "{type: Bogus}"))
    (pod,) = explained(capsys, "-f", "bad.yaml", code=2)
    assert pod["sandbox"]["error"]["where"] == "api"
    assert {each["outcome"] for each in pod["containers"]} == {"refused"}
    assert [each["name"] for each in pod["containers"]] == ["setup", "proxy", "app", "admin"]


@pytest.mark.usefixtures("here")
def test_containers_of_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    pods = explained(capsys, "-f", "pod.yaml", "-f", "local.yaml", "--container", "app", "--container", "here")
    assert [[each["name"] for each in pod["containers"]] for pod in pods] == [["app"], ["here"]]
    assert main(["explain", "--node", "node.yaml", "-f", "pod.yaml", "--container", "nobody"]) == 2
    assert capsys.readouterr().err == "--container: no pod has a container nobody\n"


@pytest.mark.parametrize(
    ("words", "layer", "confined"),
    [
        ([], "kubelet", False),
        (["--set", "kubelet.seccompDefault=true"], "kubelet", True),
        (["--set", "kubelet.version=1.19.3"], "profile", True),
        (["--set", "kubelet.version=1.19.3", "--set", "runtime.version=1.1.0"], "runtime", False),
    ],
)
@pytest.mark.usefixtures("here")
def test_settings_of_the_node(words: list[str], layer: str, confined: bool, capsys: pytest.CaptureFixture[str]) -> None:
    (pod,) = explained(capsys, "-f", "pod.yaml", "--container", "app", *words)
    (app,) = pod["containers"]
    assert bool(app["seccomp"]) is confined
    assert layer in [step["layer"] for step in app["steps"]]


def test_a_handler_of_the_node(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "node.yaml").write_text(NODE + "handlers: {old: {version: 1.0.0}}\n")
    command = ["explain", "--node", "node.yaml", "-f", "pod.yaml", "--handler"]
    assert main([*command, "old"]) == 0
    assert "pod shop/web on kubelet 1.32.0, toy 1.0.0, amd64\n" in capsys.readouterr().out
    assert main([*command, "kata"]) == 1
    assert capsys.readouterr().err == 'crishim explain: the runtime refuses: toy has no handler "kata"\n'


@pytest.mark.usefixtures("here")
def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--node", "node.yaml", "-f", "pod.yaml", "-f", "local.yaml"]) == 1
    text = capsys.readouterr().out
    for fragment in (
        "pod shop/web on kubelet 1.32.0, toy 2.0.0, amd64\n",
        "\n  init setup\n    asks for  Unconfined\n    gets      no filter: unconfined\n    because   kubelet    ",
        "\n  container admin\n    asks for  RuntimeDefault\n    gets      a filter: by default SCMP_ACT_ERRNO ",
        "(errno 38), 3 syscalls in 1 rule, sha256 a66e74e8376b\n",
        "              profile    toy's default profile [toy NEWS]\n",
        "\npod default/local on kubelet 1.32.0",
        "    asks for  Localhost /var/lib/kubelet/seccomp/here.json\n    gets      a filter: by default SCMP_ACT_LOG, ",
        "    gets      refused by the runtime: CreateContainerError (UNKNOWN): toy cannot load a profile: open /var/",
        "    asks for  nothing\n    gets      refused by the kubelet: CreateContainerConfigError",
    ):
        assert fragment in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("here")
def test_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, cli.__file__, "explain", "--node", "node.yaml", "-o", "json", "-f", "-"],
        input=POD,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests/thirdparty"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["pods"][0]["pod"] == "shop/web"
    assert "rich" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
@pytest.mark.usefixtures("here")
def test_colour_is_for_terminals_that_want_it(environment: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT}/tests/thirdparty", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, cli.__file__, "explain", "--node", "node.yaml", "-f", "pod.yaml"],
        stdout=theirs,
        env={**inherited, **paths, **environment},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed: this is how a terminal says so
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0
    assert (b"\x1b[1m" in shown) is coloured
    assert all(len(line) <= 80 for line in _plain(shown).splitlines() if "sha256" not in line)


def _plain(shown: bytes) -> str:
    for code in (b"\x1b[0m", b"\x1b[1m", b"\x1b[2m", b"\x1b[32m", b"\x1b[33m", b"\x1b[36m"):
        shown = shown.replace(code, b"")
    return shown.decode()


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("a.yaml", b"", "a.yaml: "),
        ("a.yaml", b"\tkind: Pod", "a.yaml:1:1: a tab"),
        ("a.yaml", b"kind: Pod\xff", "a.yaml:1: byte 0xff"),
        ("a.yaml", b"apiVersion: v1\nkind: Service\n", "a.yaml: there is no pod"),
        ("a.yaml", b"apiVersion: v1\nkind: Pod\nspec: {containers: 3}\n", "a.yaml:3"),
        ("gone.yaml", None, "gone.yaml: cannot be read: No such file or directory"),
    ],
)
def test_a_manifest_that_is_wrong(
    here: Path, name: str, content: bytes | None, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (here / name).write_bytes(content)
    assert main(["explain", "--node", "node.yaml", "-f", "pod.yaml", "-f", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(answer)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--node", "gone.yaml"], "gone.yaml: cannot be read: No such file or directory"),
        (["--set", "kubelet.version"], "Error: 'kubelet.version' is no KEY=VALUE, such as kubelet.seccompDefault=true"),
        (
            ["--set", "kubelet.vresion=1.28.0"],
            "kubelet.vresion: there is no such setting (did you mean kubelet.version?)",
        ),
        (["--source", "file"], "Error: Invalid value for '--source'"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_command_line_that_is_wrong(words: list[str], answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--node", "node.yaml", "-f", "pod.yaml", *words]) == 2
    assert answer in capsys.readouterr().err


def test_a_node_file_that_is_wrong_is_told_line_by_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "node.yaml").write_text("kubelet:\n  version: 1.99.0\nruntime:\n  name: toy\n  version: 7.0.0\n")
    assert main(["explain", "--node", "node.yaml", "-f", "pod.yaml"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "node.yaml:2:12: kubelet.version: kubelet 1.99.0 is not a known release (the nearest known: 1.36.3)",
        "node.yaml:5:12: runtime.version: toy 7.0.0 is not a known release (the nearest known: 2.1.0-beta.1)",
    ]


def test_a_pod_that_must_not_run_as_root_is_not_held_against_an_unknown_image(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "nonroot.yaml").write_text(POD.replace("spec:\n", "spec:\n  securityContext: {runAsNonRoot: true}\n", 1))
    (pod,) = explained(capsys, "-f", "nonroot.yaml")
    assert {each["outcome"] for each in pod["containers"]} == {"ok"}


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert list(VALIDATOR.iter_errors({"pods": [{"pod": "a/b", "sandbox": {}, "containers": []}]}))
