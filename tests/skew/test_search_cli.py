"""`crishim skew search` on the command line: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from shim.cli.main import main
from shim.skew.search.properties import PROPERTIES
from shim.skew.search.search import DEPTH, STATES, Search
from tests.cri.harness import running, short_directory

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "skew" / "search" / "af-alg.yaml"
HOST = '{arch: amd64, kernel: "6.1", seccomp: true, cgroup: 2, hostname: HERE}'
FILE = f"""
nodes:
  node-1: {{host: {HOST}, kubelet: {{version: 1.33.5}}, runtime: {{name: containerd, version: 2.0.8}}}}
  node-2: {{host: {HOST}, kubelet: {{version: 1.33.5}}, runtime: {{name: containerd, version: 2.0.9}}}}
workloads:
  shop: |
    apiVersion: v1
    kind: Pod
    metadata: {{name: shop}}
    spec: {{containers: [{{name: web, image: a:1, securityContext: {{seccompProfile: {{type: RuntimeDefault}}}}}}]}}
steps:
  - upgrade: {{runtime: 2.0.9}}
  - upgrade: {{runtime: 2.1.9}}
  - restart: {{workload: shop}}
"""


def search(*arguments: str) -> int:
    return main(["skew", "search", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "moves.yaml"
    path.write_text(FILE)
    return str(path)


def test_what_is_printed_is_a_file_that_can_be_played_from_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pod.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: a}]}}"
    )
    moves = yaml.safe_load(FILE) | {"workloads": {"a": "pod.yaml"}, "steps": ["reboot"]}
    (tmp_path / "moves.yaml").write_text(yaml.safe_dump(moves))
    assert search(str(tmp_path / "moves.yaml"), "--property", "never-unconfined") == 1
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("printed.yaml").write_text(capsys.readouterr().out)
    assert main(["skew", "run", "printed.yaml"]) == 0
    assert "expectation: all held" in capsys.readouterr().out


def test_the_shortest_way_of_all_nodes_is_written_and_can_be_played(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.yaml"
    assert search(file, "--call", "socket(AF_ALG)", "-o", str(found)) == 1
    printed = capsys.readouterr().out
    assert "never-less-confined does not hold on node-2: 2 steps lead there, and no shorter way does" in printed
    assert f"crishim skew run {found} plays it" in printed
    assert list(yaml.safe_load(found.read_text())["nodes"]) == ["node-2"]
    assert main(["skew", "run", str(found)]) == 0


def test_the_example_that_ships_shows_the_line_that_never_got_the_fix(capsys: pytest.CaptureFixture[str]) -> None:
    """containerd#13406 (1.7.32) blocks AF_ALG; 2.1 never got it."""
    assert search(str(EXAMPLE), "--call", "socket(AF_ALG)") == 1
    printed = yaml.safe_load(capsys.readouterr().out)
    upgrades = [step["upgrade"]["runtime"] for step in printed["steps"] if "upgrade" in step]
    assert upgrades == ["1.7.32", "2.1.9"]
    assert printed["steps"][-1]["expect"] == [
        {"container": "web", "profile": "RuntimeDefault of containerd 2.1.9", "allows": "socket(AF_ALG)"}
    ]


def test_a_rollback_that_restarts_a_pod_too_early_is_found_and_shown_by_a_live_server(tmp_path: Path) -> None:
    """KEP-2413: turning the setting off needs a restart of the kubelet; a container keeps what it was made with."""
    found = tmp_path / "found.yaml"
    assert search(str(EXAMPLE.parent / "kep-rollback.yaml"), "--property", "rollback-exact", "-o", str(found)) == 1
    steps = yaml.safe_load(found.read_text())["steps"]
    assert [next(iter(step)) for step in steps] == ["configure", "restart", "configure", "restart", "restart"]
    with short_directory() as directory, running(directory / "a.sock"):
        assert main(["skew", "run", str(found), "--socket", f"unix://{directory}/a.sock"]) == 0


def test_the_report_has_the_way_as_a_table_and_the_surprise_as_a_finding(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(file, "--call", "socket(AF_ALG)", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verb"] == "skew search"
    assert report["columns"] == ["begin", "1 upgrade runtime to 2.1.9", "2 restart workload shop"]
    assert [row["head"] for row in report["rows"]] == ["shop/web"]
    finding = report["findings"][0]
    assert (finding["level"], finding["rule"], finding["file"]) == ("error", "property-does-not-hold", file)
    assert "restart" in Path(file).read_text().splitlines()[finding["line"] - 1]
    assert all(check["passed"] for check in report["checks"])


def test_nothing_is_found_where_nothing_is_there(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(file, "--property", "always-starts", "--property", "never-unconfined") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "always-starts and never-unconfined hold, in whichever order these steps are taken"
    assert [line.partition(":")[0] for line in lines[1:]] == ["node-1", "node-2", "node-2"]
    assert lines[1].endswith("looked at, and nothing is left")
    assert "upgrade runtime to 2.0.9 was never possible: containerd has release 2.0.9 already" in lines[3]


def test_a_bound_that_was_met_is_said(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(file, "--property", "always-starts", "--depth", "1") == 0
    printed = capsys.readouterr().out
    assert "nothing speaks against always-starts as far as was looked" in printed
    assert "not exhaustive: there are more than 1 step" in printed


def test_without_a_step_that_lets_time_pass_a_back_off_is_told_of(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(file).write_text(FILE.replace("workload: shop", "container: web"))
    assert search(file, "--property", "never-unconfined") == 0
    assert "node-1: something waited (as in CrashLoopBackOff), and no step lets time pass" in capsys.readouterr().out


def test_the_help_tells_of_every_property_and_the_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert search("--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for name, each in PROPERTIES.items():
        assert f"{name} {each.says}" in printed
    assert re.findall(r"default: (\d+)", printed) == [str(DEPTH), str(STATES)]


WRONG: list[tuple[list[str], str]] = [
    (["--property", "never"], "--property: there is no property never (one of never-less-confined, rollback-exact"),
    (["--property", "always-starts", "--call", "unshare"], "--call: only never-less-confined looks at calls"),
    (["--call", "socket(AF_NOTHING)"], '"AF_NOTHING" in "socket(AF_NOTHING)" is no number'),
    (["-o", "/no/such/directory/found.yaml"], "there is no directory /no/such/directory"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[row[1] for row in WRONG])
def test_a_wrong_command_line_is_refused_before_anything_is_searched(
    arguments: list[str], words: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(file, *arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_a_wrong_file_is_refused_with_all_that_is_wrong_in_it(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text(
        FILE.replace("runtime: 2.1.9", "runtime: 2.1.99").replace("workload: shop", "workload: nobody")
    )
    assert search(file) == 2
    said = capsys.readouterr().err
    assert "2.1.99 is not a known release" in said
    assert "nothing is workload nobody" in said


def test_what_was_found_before_ctrl_c_is_delivered(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Search.run

    def interrupted(self: Search, *arguments: object) -> object:
        if self.node == "node-2":
            raise KeyboardInterrupt
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Search, "run", interrupted)
    assert search(file, "--call", "socket(AF_ALG)", "--json") == 130
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert "never-less-confined does not hold on node-1: 4 steps lead there" in " ".join(report["summary"])
    assert report["interrupted"] == "node node-2 was not searched to the end"
    assert printed.err.splitlines()[-1] == "crishim skew search: interrupted: node node-2 was not searched to the end"
