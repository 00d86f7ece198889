"""The real crictl lives a pod's life, as a person would with it.

The newest release is $CRICTL, else `crictl` on PATH, else what scripts/crictl installed below .tools/. $CRICTL_OLD
names an old one: up to 1.23 it speaks v1alpha2, up to 1.25 both. Without a crictl the tests are skipped, or fail where
CRISHIM_REQUIRE_CRICTL=1 says that they may not be.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cri.harness import IMAGE, NODE, Server

ROOT = Path(__file__).parents[2]
UID = "0f3c8f6e-7d1b-4b7e-9a53-6a4a4f1f0c11"


class Crictl:
    """Runs a crictl binary against a socket."""

    def __init__(self, binary: str, socket: Path) -> None:
        self.words = [binary, "--runtime-endpoint", f"unix://{socket}", "--image-endpoint", f"unix://{socket}"]
        self.words += ["--timeout", "20s"]
        # Nothing but what is on this command line: crictl would mix in a configuration file of the machine.
        self.environment = {key: value for key, value in os.environ.items() if "ENDPOINT" not in key}
        self.commands = set(re.findall(r"^   ([a-z]+)", self("--help"), re.MULTILINE))

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        given = [*self.words, *map(str, words)]
        return subprocess.run(given, capture_output=True, text=True, timeout=120, check=False, env=self.environment)

    def __call__(self, *words: str | Path) -> str:
        """Return what is printed, which for `runp`, `create` and the like is an id."""
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def json(self, command: str, *words: str) -> Any:
        return json.loads(self(command, "--output", "json", *words))

    def refusal(self, *words: str | Path) -> str:
        done = self.run(*words)
        assert done.returncode != 0, (words, done.stdout)
        return done.stderr

    def background(self, *words: str) -> subprocess.Popen[str]:
        given = [*self.words, *words]
        return subprocess.Popen(
            given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment
        )


def newest() -> str:
    installed = sorted(map(str, ROOT.glob(".tools/*/crictl")))
    found = os.environ.get("CRICTL") or shutil.which("crictl") or (installed[-1] if installed else None)
    if not found and os.environ.get("CRISHIM_REQUIRE_CRICTL") == "1":
        pytest.fail("there is no crictl, and CRISHIM_REQUIRE_CRICTL=1 requires it: run scripts/crictl")
    return found or pytest.skip("there is no crictl: run scripts/crictl, or set CRICTL")


def old() -> str:
    return os.environ.get("CRICTL_OLD") or pytest.skip("CRICTL_OLD names no old crictl")


@pytest.fixture(params=[newest, old], ids=["newest", "old"])
def binary(request: pytest.FixtureRequest) -> str:
    return str(request.param())


@pytest.fixture
def place(short_path: Path) -> Path:
    """Lay out a node and config files as people write them: enums as numbers."""
    files: dict[str, Any] = {
        "pod.json": {
            "metadata": {"name": "web", "namespace": "default", "uid": UID, "attempt": 1},
            "log_directory": str(short_path / "logs"),
            "labels": {"app": "web"},
            "linux": {"security_context": {"namespace_options": {"network": 0, "pid": 1, "ipc": 0}}},
        },
        "default.json": {
            "metadata": {"name": "default", "attempt": 0},
            "image": {"image": IMAGE},
            "command": ["sleep", "3600"],
            "envs": [{"key": "GREETING", "value": "hello"}],
            "mounts": [{"host_path": "/srv", "container_path": "/data", "readonly": True, "propagation": 0}],
            "log_path": "default/0.log",
            "linux": {"resources": {"cpu_shares": 128}, "security_context": {"seccomp": {"profile_type": 0}}},
        },
        "unconfined.json": {
            "metadata": {"name": "unconfined"},
            "image": {"image": IMAGE},
            "log_path": "unconfined/0.log",
            "linux": {"security_context": {"seccomp": {"profile_type": 1}}},
        },
    }
    for name, content in files.items():
        (short_path / name).write_text(json.dumps(content))
    (short_path / "node.yaml").write_text(NODE)
    return short_path


@pytest.fixture
def server(place: Path) -> Iterator[Server]:
    started = Server(place / "a.sock", "--node", place / "node.yaml", "--state", place / "state")
    yield started
    sys.stderr.write(started.stop())  # pytest shows it if the test failed


def seccomp(crictl: Crictl, container: str) -> Any:
    return crictl.json("inspect", container)["info"]["runtimeSpec"]["linux"].get("seccomp")


def lay_out(crictl: Crictl, place: Path) -> tuple[str, str, str]:
    """Pull, and run a pod with two containers; return the ids of the pod, the confined and the unconfined one."""
    crictl("pull", IMAGE)
    pod = crictl("runp", place / "pod.json")
    default = crictl("create", pod[:13], place / "default.json", place / "pod.json")
    unconfined = crictl("create", pod, place / "unconfined.json", place / "pod.json")
    assert crictl("ps", "--quiet") == ""
    for each in (default, unconfined):
        assert crictl("start", each[:13]) == each[:13]
    return pod, default, unconfined


def test_the_runtime_and_its_images(binary: str, server: Server) -> None:
    crictl = Crictl(binary, server.socket)
    assert re.search(r"RuntimeName: +containerd\nRuntimeVersion: +v?2\.3\.4\n", crictl("version"))
    conditions = {each["type"] for each in crictl.json("info")["status"]["conditions"]}
    assert conditions >= {"RuntimeReady", "NetworkReady"}
    assert json.loads(crictl("imagefsinfo"))["status"]

    before = set(crictl("images", "--quiet", "--no-trunc").split())
    reference = crictl("pull", IMAGE).removeprefix("Image is up to date for ")
    assert reference in set(crictl("images", "--quiet", "--no-trunc").split()) - before
    assert re.search(r"busybox +1\.29-2 +", crictl("images"))
    assert crictl.json("inspecti", reference)["status"]["repoTags"] == [IMAGE]
    crictl("rmi", reference)
    assert "present" in crictl.refusal("inspecti", reference)


def test_what_runs_is_shown(binary: str, place: Path, server: Server) -> None:
    crictl = Crictl(binary, server.socket)
    pod, default, unconfined = lay_out(crictl, place)
    assert crictl("pods", "--quiet", "--id", pod[:8], "--state", "ready", "--label", "app=web") == pod
    assert re.search(rf"^{pod[:13]} .* web +default ", crictl("pods"), re.MULTILINE)
    shown = crictl.json("inspectp", pod[:13])
    assert (shown["status"]["state"], shown["status"]["metadata"]["uid"]) == ("SANDBOX_READY", UID)
    assert "runtimeSpec" in shown["info"]

    running = ("ps", "--quiet", "--no-trunc")
    assert set(crictl(*running, "--pod", pod[:8]).split()) == {default, unconfined}
    assert crictl(*running, "--name", "unconf") == unconfined
    assert crictl(*running, "--label", "app=none") == ""
    status = crictl.json("inspect", default[:13])["status"]
    assert (status["state"], status["logPath"]) == ("CONTAINER_RUNNING", f"{place}/logs/default/0.log")
    assert status["mounts"][0]["containerPath"] == "/data"
    assert seccomp(crictl, default[:13])["defaultAction"] == "SCMP_ACT_ERRNO"
    assert seccomp(crictl, unconfined) is None

    crictl("logs", default[:13])
    assert (place / "logs/default/0.log").exists()
    crictl("update", "--cpu-share", "512", default[:13])
    resources = crictl.json("inspect", default)["status"].get("resources")  # shown since 1.25
    assert resources is None or resources["linux"]["cpuShares"] in ("512", 512)


def test_figures(binary: str, place: Path, server: Server) -> None:
    crictl = Crictl(binary, server.socket)
    pod, default, unconfined = lay_out(crictl, place)
    assert {each["attributes"]["id"] for each in crictl.json("stats")["stats"]} == {default, unconfined}
    assert re.search(rf"^{default[:13]} .*\d", crictl("stats", default[:13]), re.MULTILINE)
    if "statsp" in crictl.commands:  # since 1.24
        assert [each["attributes"]["id"] for each in crictl.json("statsp")["stats"]] == [pod]
        assert pod[:13] in crictl("statsp")
    if "metricsp" in crictl.commands:  # since 1.28
        (metrics,) = json.loads(crictl("metricsp"))["podMetrics"]
        assert metrics["podSandboxId"] == pod
        assert {each["containerId"] for each in metrics["containerMetrics"]} == {default, unconfined}


def test_the_end_of_a_life_after_a_restart(binary: str, place: Path, server: Server) -> None:
    crictl = Crictl(binary, server.socket)
    pod, default, unconfined = lay_out(crictl, place)
    section = seccomp(crictl, default)
    server.stop()
    with Server(server.socket, "--state", place / "state"):
        assert set(crictl("ps", "--quiet", "--no-trunc").split()) == {default, unconfined}
        assert seccomp(crictl, default[:13]) == section
        crictl("stop", "--timeout", "1", default[:13])
        assert crictl("ps", "--quiet", "--no-trunc", "--state", "exited") == default
        assert crictl.json("inspect", default)["status"]["state"] == "CONTAINER_EXITED"
        crictl("rm", default[:13])
        crictl.refusal("inspect", default)
        crictl("rm", "--force", unconfined)
        assert crictl("ps", "--all", "--quiet") == ""
        crictl("stopp", pod[:13])
        assert crictl.json("inspectp", pod)["status"]["state"] == "SANDBOX_NOTREADY"
        crictl("rmp", pod[:13])
        assert crictl("pods", "--quiet") == ""


def test_events_are_told_as_they_happen(binary: str, place: Path, server: Server) -> None:
    crictl = Crictl(binary, server.socket)
    if "events" not in crictl.commands:
        pytest.skip("this crictl has no events: they are of 1.29")
    template = "{{.containerId}} {{.containerEventType}}"
    listener = crictl.background("events", "--output", "go-template", "--template", template)
    try:
        pod = crictl("runp", place / "pod.json")
        crictl("rmp", "--force", pod)
        assert listener.stdout
        for name in ("CREATED", "STARTED", "STOPPED", "DELETED"):
            assert listener.stdout.readline().split() == [pod, f"CONTAINER_{name}_EVENT"]
    finally:
        listener.kill()
        listener.communicate()


def test_a_runtime_handler_picks_the_runtime(binary: str, place: Path, server: Server) -> None:
    crictl = Crictl(binary, server.socket)
    pod = crictl("runp", "--runtime", "crio-1.36", place / "pod.json")
    assert crictl.json("inspectp", pod)["status"]["runtimeHandler"] == "crio-1.36"
    assert "no-such-handler" in crictl.refusal("runp", "--runtime", "no-such-handler", place / "pod.json")


def test_what_is_not_there_is_said(binary: str, server: Server) -> None:
    crictl = Crictl(binary, server.socket)
    for command in ("inspect", "inspectp", "rm", "rmp", "start"):
        assert "code = NotFound" in crictl.refusal(command, "f" * 64)
    assert "present" in crictl.refusal("inspecti", "no-such-image")
