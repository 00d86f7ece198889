"""`crishim plan`, as a person runs it."""

from __future__ import annotations

import glob
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shim.cli.main import main
from shim.skew.plan import plan
from shim.skew.plan.effect import effects
from tests.skew.nodes import node
from tests.skew.test_work import dask_cluster

CRISHIM = [sys.executable, "-m", "shim.cli.main"]
ROOT = Path(__file__).parent.parent.parent
DEFAULT = {"seccompProfile": {"type": "RuntimeDefault"}}
AUDIT = {"seccompProfile": {"type": "Localhost", "localhostProfile": "audit.json"}}
HASH = "7d4b9c5f6b"


def pod(name: str, on: str = "worker-1", *, replica_set: str = "", **contexts: Any) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{replica_set}-{HASH}", "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            **({"labels": {"pod-template-hash": HASH}, "ownerReferences": [owner]} if replica_set else {}),
        },
        "spec": {
            "nodeName": on,
            "containers": [
                {"name": each, "image": "x", "securityContext": context} for each, context in contexts.items()
            ],
        },
        "status": {"phase": "Running"},
    }


PODS = [
    pod("web-7d4b9c5f6b-aaaaa", replica_set="web", app=DEFAULT, proxy={}),
    pod("web-7d4b9c5f6b-bbbbb", "worker-2", replica_set="web", app=DEFAULT, proxy={}),
    pod("pay-7d4b9c5f6b-ccccc", "gpu-1", replica_set="pay", pay=AUDIT),
    pod("shell", "worker-2", sh={"privileged": True}),
]
NODES = {
    "n29": ("1.29.9", "containerd 1.7.27"),
    "n30": ("1.30.14", "containerd 1.7.27"),
    "n31": ("1.31.13", "containerd 1.7.27"),
    "n209": ("1.36.3", "containerd 2.0.9"),
    "n219": ("1.36.3", "containerd 2.1.9"),
    "n15": ("1.25.16", "containerd 1.5.18"),
    "n126": ("1.26.15", "containerd 1.5.18"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    profiles = tmp_path / "root/var/lib/kubelet/seccomp"
    profiles.mkdir(parents=True)
    (profiles / "audit.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    (tmp_path / "bare").mkdir()
    for name, (kubelet, runtime) in NODES.items():
        (tmp_path / f"{name}.yaml").write_text(node("root", kubelet, runtime))
    (tmp_path / "bare219.yaml").write_text(node("bare", *NODES["n219"]))
    (tmp_path / "pods.json").write_text(listed(PODS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(pods: list[Any]) -> str:
    """As kubectl prints it."""
    head = {"apiVersion": "v1", "items": pods, "kind": "List", "metadata": {"resourceVersion": ""}}
    return json.dumps(head, indent=4) + "\n"


def planned(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    assert main(["plan", *words]) == code
    return capsys.readouterr().out


PLAN = ["-f", "pods.json"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("before", "after", "code", "said"),
    [
        ("n209", "n209", 0, "3 workloads stay as they are (4 pods)"),
        ("n30", "n31", 3, "3 workloads change now (4 pods)"),
        ("n31", "n209", 3, "1 workload changes at its next restart, 2 stay as they are (4 pods)"),
        ("n209", "n219", 3, "1 workload changes at its next restart, 2 stay as they are (4 pods)"),
        (
            "n209",
            "bare219",
            4,
            "1 workload would fail to start, 1 changes at its next restart, 1 stays as it is (4 pods)",
        ),
        ("n15", "n126", 4, "3 workloads would fail to start (4 pods)"),
    ],
)
def test_the_exit_code_says_how_bad_it_is(
    capsys: pytest.CaptureFixture[str], before: str, after: str, code: int, said: str
) -> None:
    text = planned(capsys, "--from", f"{before}.yaml", "--to", f"{after}.yaml", *PLAN, code=code)
    assert text.splitlines()[1] == said


@pytest.mark.usefixtures("here")
def test_a_plan_says_what_happens_to_whom_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    text = planned(capsys, "--from", "n209.yaml", "--to", "bare219.yaml", *PLAN, code=4)
    blocks = text.split("\n\n")
    assert blocks[0].startswith("containerd 2.0.9 -> 2.1.9\n")
    path = "/var/lib/kubelet/seccomp/audit.json"
    assert blocks[1].splitlines()[:2] == ["would fail to start", f"  Localhost {path} -> refused: CreateContainerError"]
    assert f"open {path}: no such file or directory" in blocks[1]
    assert "    whom     shop/pay (Deployment): pay (1 pod)" in blocks[1]
    head, titles, gained, lost, *_ = blocks[2].splitlines()
    assert head == "changes at its next restart"
    assert titles == "  RuntimeDefault of containerd 2.0.9 -> RuntimeDefault of containerd 2.1.9"
    assert gained.startswith("    + socket")
    assert lost == "    loses the mitigation socket(AF_ALG)"
    assert "containerd#13327;" in blocks[2]
    assert "    whom     shop/web (Deployment): app (2 pods)" in blocks[2]
    web, keeps = "shop/web (Deployment)", "a Localhost profile keeps what there is"
    assert blocks[3].splitlines() == [
        "what to do",
        f"  1. put {path} on the nodes: 1 workload cannot start without it",
        f"  2. decide about {web}, which loses the mitigation socket(AF_ALG): {keeps}",
        "  3. the way back is not exact: what starts meanwhile keeps its filter until it is restarted (1 workload)",
    ]


@pytest.mark.usefixtures("here")
def test_a_plan_says_what_to_do_about_restarts(capsys: pytest.CaptureFixture[str]) -> None:
    text = planned(capsys, "--from", "n30.yaml", "--to", "n209.yaml", *PLAN, code=3)
    assert "  1. on the nodes upgrade kubelet and runtime in either order" in text
    assert "  2. drain the nodes before, because the upgrade restarts shop/pay (Deployment), shop/shell (Pod), " in text
    assert "  3. the way back is exact: it restarts what has changed, too" in text
    text = planned(capsys, "--from", "n31.yaml", "--to", "n209.yaml", *PLAN, code=3)
    assert "restart shop/web (Deployment) afterwards: what the upgrade closes stays open until then" in text
    assert "(io_uring, socket(AF_ALG))" in text


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        # containerd 1.5 serves v1alpha2 only; 1.7 both; 2.0 v1 only (containerd#5619, #9741)
        (
            ("1.25.16", "containerd 1.5.18"),
            ("1.26.15", "containerd 1.7.27"),
            "upgrade the runtime first, then the kubelet",
        ),
        (
            ("1.22.17", "containerd 1.7.27"),
            ("1.23.17", "containerd 2.0.9"),
            "upgrade the kubelet first, then the runtime",
        ),
        (("1.22.17", "containerd 1.5.18"), ("1.26.15", "containerd 2.0.9"), "upgrade kubelet and runtime at once"),
        (
            ("1.25.16", "containerd 1.7.27"),
            ("1.26.15", "containerd 2.0.9"),
            "upgrade kubelet and runtime in either order",
        ),
    ],
)
def test_which_part_of_a_node_comes_first(
    capsys: pytest.CaptureFixture[str], before: tuple[str, str], after: tuple[str, str], said: str
) -> None:
    Path("a.yaml").write_text(node("root", *before))
    Path("b.yaml").write_text(node("root", *after))
    assert said in planned(capsys, "--from", "a.yaml", "--to", "b.yaml", *PLAN, code=3)


INVENTORY = """\
pools:
  gpu: {nodes: ["gpu-*"], from: n209.yaml, to: bare219.yaml}
  workers: {nodes: [worker-1], from: n30.yaml, to: n31.yaml}
"""


def test_pools_go_different_ways(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pools.yaml").write_text(INVENTORY)
    text = planned(capsys, "--nodes", "pools.yaml", *PLAN, code=4)
    assert text.startswith("gpu: containerd 2.0.9 -> 2.1.9\nworkers: kubelet 1.30.14 -> 1.31.13\n")
    assert "! 2 pods of nodes that no pool is for are left out: worker-2" in text
    order = "upgrade the pools in this order: pool workers (1 changes now), pool gpu (1 fails to start)"
    assert order in text
    text = planned(capsys, "--nodes", "pools.yaml", "--from", "n209.yaml", "--to", "n209.yaml", *PLAN, "--json", code=4)
    report = json.loads(text)
    assert report["columns"] == ["gpu", "workers", "n209.yaml -> n209.yaml"]
    rows = {(row["group"], row["head"]): [cell["status"] for cell in row["cells"]] for row in report["rows"]}
    assert rows == {
        ("shop/pay (Deployment)", "pay"): ["refused", "absent", "absent"],
        ("shop/shell (Pod)", "sh"): ["absent", "absent", "same"],
        ("shop/web (Deployment)", "app"): ["absent", "same", "same"],
        ("shop/web (Deployment)", "proxy"): ["absent", "same", "same"],
    }
    assert "node-not-named" not in text


def test_a_plan_for_nobody_is_not_one_in_which_nothing_changes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pools.yaml").write_text(INVENTORY.replace("worker-1", "elsewhere-1").replace("gpu-", "elsewhere-"))
    assert "4 pods of nodes that no pool is for are left out" in planned(capsys, "--nodes", "pools.yaml", *PLAN, code=1)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("before", "after", "cells"),
    [
        (
            "n209",
            "bare219",
            ["refused fails to start", "same unchanged", "pending next restart: may do more", "same unchanged"],
        ),
        ("n31", "n209", ["same unchanged", "same unchanged", "pending next restart: may do less", "same unchanged"]),
        ("n30", "n209", ["same now: restarts as it is"] * 2 + ["lost now: may do less", "same now: restarts as it is"]),
        ("bare219", "bare219", ["refused fails to start, as before"] + ["same unchanged"] * 3),
        (
            "bare219",
            "n209",
            ["changed now: starts", "same unchanged", "pending next restart: may do less", "same unchanged"],
        ),
    ],
)
def test_a_cell_says_what_happens_to_a_container(
    capsys: pytest.CaptureFixture[str], before: str, after: str, cells: list[str]
) -> None:
    main(["plan", "--from", f"{before}.yaml", "--to", f"{after}.yaml", *PLAN, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [row["head"] for row in report["rows"]] == ["pay", "sh", "app", "proxy"]
    assert [f"{row['cells'][0]['status']} {row['cells'][0]['label']}" for row in report["rows"]] == cells
    for row in report["rows"]:
        key = row["cells"][0].get("detail")
        assert key is None or report["details"][key]["title"] == row["cells"][0]["label"]


def test_a_node_that_does_not_run_is_told_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--from", "n15.yaml", "--to", "n126.yaml", "--sarif", "s.json")
    text = planned(capsys, *words, *PLAN, code=4)
    assert text.count("! no pod starts on the nodes: failed to run Kubelet: CRI v1 runtime API is not implemented") == 1
    results = json.loads((here / "s.json").read_text())["runs"][0]["results"]
    assert [each["ruleId"] for each in results] == ["node-does-not-run"]


def test_findings_have_the_line_of_their_pod(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(capsys, "--from", "n209.yaml", "--to", "bare219.yaml", *PLAN, "--sarif", "s.json", code=4)
    lines = (here / "pods.json").read_text().splitlines()
    found = {}
    for result in json.loads((here / "s.json").read_text())["runs"][0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        found[result["ruleId"]] = lines[place["region"]["startLine"] - 1 :][4]
        assert place["artifactLocation"]["uri"].endswith("pods.json")
    assert found["would-fail-to-start"].strip().startswith('"name": "pay-')
    assert found["loses-mitigation"].strip().startswith('"name": "web-')


def test_every_format_is_made(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--from", "n209.yaml", "--to", "bare219.yaml", *PLAN]
    text = planned(capsys, *words, "--markdown", "--report", "r.html", "--junit", "j.xml", code=4)
    assert "shop/pay (Deployment)" in text
    assert "shop/pay (Deployment)" in (here / "r.html").read_text()
    assert (here / "j.xml").read_text().startswith("<?xml")


def test_many_inputs_and_processes_give_the_same_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--from", "n209.yaml", "--to", "bare219.yaml", "--json"]
    (here / "some/deep").mkdir(parents=True)
    for number, each in enumerate(PODS):
        (here / f"some/{'deep/' if number % 2 else ''}{number}.json").write_text(json.dumps(each))
    (here / "some/service.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n")
    (here / "some/.hidden.yaml").write_text("{")
    one = planned(capsys, *words, "-f", "some", code=4)
    assert json.loads(one)["rows"] == json.loads(planned(capsys, *words, *PLAN, code=4))["rows"]
    files = sorted(glob.glob("some/**/*.json", recursive=True))  # noqa: PTH207  names as -f takes them
    for inputs in (
        ["some/**/*.json"],
        [*reversed(files), "some"],
        ["some/[02].json", "some/deep", "./some/deep/1.json"],
    ):
        assert planned(capsys, *words, *(word for each in inputs for word in ("-f", each)), code=4) == one
    assert planned(capsys, *words, "-f", "some", "--jobs", "2", code=4) == one


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-f", "gone.json", "-f", "x*.yaml"], ["gone.json: there is no such file", "x*.yaml: there is no such file"]),
        (["-f", "bare"], ["bare: there is no .yaml or .yml or .json file in it"]),
        (
            ["-f", "bad.json", "-f", "worse.yaml"],
            ["bad.json:3: items[0].spec.hostPID: true or", "worse.yaml:2:1: it is no YAML"],
        ),
        (["-f", "service.yaml"], ["service.yaml: there is no pod in it, only Service"]),
        (["-f", "-", "--from", "n126.yaml"], ["n126.yaml: such a node does not run: failed to run Kubelet: CRI v1"]),
        (["--from", "n126.yaml", "--to", "gone.yaml"], ["gone.yaml: cannot be read"]),
        (["--json", "--markdown"], ["--json and --markdown: both would be printed"]),
    ],
)
def test_wrong_input_is_told_before_anything_is_printed(
    capsys: pytest.CaptureFixture[str], words: list[str], says: list[str]
) -> None:
    pod = '{"kind":"Pod","apiVersion":"v1",\n"spec":{"hostPID":"yes"}}'
    Path("bad.json").write_text(f'{{"kind":"List","apiVersion":"v1","items":[\n{pod}\n]}}')
    Path("worse.yaml").write_text("a: {\n")
    Path("service.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n")
    assert main(["plan", "--from", "n209.yaml", "--to", "n219.yaml", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == len(says)
    for line, sentence in zip(lines, says, strict=True):
        assert line.startswith(sentence)


def run(*words: str, text: str = "", **how: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*CRISHIM, "plan", *words], input=text, capture_output=True, text=True, check=False, env=environment, **how
    )


@pytest.mark.usefixtures("here")
def test_a_dump_comes_through_a_pipe_without_colour_or_a_bar() -> None:
    done = run("--from", "n209.yaml", "--to", "n219.yaml", text=listed(PODS))
    assert (done.returncode, done.stderr) == (3, "")
    assert "\x1b" not in done.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("colour", "columns"), [(True, 80), (False, 80), (False, 40)])
def test_on_a_terminal_it_fits_its_columns(colour: bool, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    if colour:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", "1")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    words = [*CRISHIM, "plan", "--from", "n30.yaml", "--to", "bare219.yaml", *PLAN]
    with subprocess.Popen(words, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        text = b""
        try:
            while chunk := os.read(ours, 4096):
                text += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 4
    shown = text.decode()
    assert ("\x1b[" in shown) == colour
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    path = "/var/lib/kubelet/seccomp/audit.json"
    assert max(map(len, lines[: lines.index("")])) <= columns
    assert [line for line in lines if len(line) > max(columns, 60) and path not in line] == []


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C reaches programs that are started, even where the tests themselves run in the background without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_what_was_read_is_delivered_when_it_is_interrupted(here: Path) -> None:
    many = [pod(f"p-{number}", app=DEFAULT, note={"x": "y" * 4000}) for number in range(3000)]
    text = listed(many).encode()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [*CRISHIM, "plan", "--from", "n209.yaml", "--to", "n219.yaml"]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=False,
        env=environment,
        cwd=here,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(text[: 9 << 20])  # more than two windows, and the list does not end
        process.stdin.flush()
        while Path(f"/proc/{process.pid}/wchan").read_text() not in ("pipe_read", "anon_pipe_read", "0") or busy(
            process.pid
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    sentence = re.fullmatch(rb"crishim plan: interrupted: only ([\d,]+) pods were read\n", err)
    assert sentence
    assert 0 < int(sentence[1].replace(b",", b"")) < 3000
    assert b"workloads change at their next restart (%b pods)" % sentence[1] in out


@pytest.mark.usefixtures("here")
def test_what_was_decided_is_delivered_when_it_is_interrupted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()

    def interrupted(*arguments: Any) -> Any:
        if next(calls):
            raise KeyboardInterrupt
        return effects(*arguments)

    monkeypatch.setattr(plan, "effects", interrupted)
    monkeypatch.setattr(plan, "_BATCH", 1)
    assert main(["plan", "--from", "n209.yaml", "--to", "n219.yaml", *PLAN, "--json"]) == 130
    out, err = capsys.readouterr()
    assert err == "crishim plan: interrupted: only 1 of 3 kinds of pods are decided\n"
    report = json.loads(out)
    assert report["interrupted"] == "only 1 of 3 kinds of pods are decided"
    assert len({row["group"] for row in report["rows"]}) == 1


@pytest.mark.usefixtures("here")
def test_work_goes_over_dask_and_comes_back_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--from", "n209.yaml", "--to", "bare219.yaml", "--json", *PLAN]
    with dask_cluster(1) as cluster:
        over_dask = planned(capsys, *words, "--dask", cluster.scheduler_address, code=4)
    assert over_dask == planned(capsys, *words, code=4)


def test_a_person_who_names_no_pods_is_not_left_waiting(here: Path) -> None:
    ours, theirs = pty.openpty()
    words = [*CRISHIM, "plan", "--from", "n209.yaml", "--to", "n219.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, check=False, env=environment, cwd=here)
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("-f: is missing (")


def busy(pid: int) -> bool:
    """Whether a process used the processor within a moment."""
    before, after = (_used(pid) for _ in range(2))
    return before != after


def _used(pid: int) -> str:
    time.sleep(0.1)
    return " ".join(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])
