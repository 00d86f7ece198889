"""`crishim diff`: what a person reads, the exit codes, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from shim.cli.main import main

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
OLD, NEW = str(EXAMPLES / "nodes" / "old-containerd.yaml"), str(EXAMPLES / "nodes" / "new-containerd.yaml")
SHOP = str(EXAMPLES / "pods" / "shop.yaml")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    code = main(["diff", *words])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_it_says_at_once_that_af_alg_is_open_again(capsys: pytest.CaptureFixture[str]) -> None:
    """The 2.1 branch never got the fix of containerd#13327, though 2.1.9 is newer than 2.0.9 which has it."""
    code, lines, _ = run(capsys, "containerd@2.0.9", "containerd@2.1.9")
    assert code == 3
    assert lines[:2] == [
        "containerd 2.0.9 -> containerd 2.1.9",
        "RuntimeDefault ALLOWS what containerd 2.0.9 denied: socket(AF_ALG).",
    ]
    assert "RuntimeDefault on every architecture, every capability set" in lines
    assert "  + socket(AF_ALG)" in lines
    assert any(re.fullmatch(r"    \[.*containerd#13327.*\]", line) for line in lines)


@pytest.mark.parametrize(
    ("description", "words", "code", "line"),
    [
        ("nothing differs", ["containerd@2.0.9", "containerd@2.0.9"], 0,
         "RuntimeDefault is the same, on every architecture and with every set of capabilities."),
        ("a mitigation came in a patch release", ["cri-o@1.35.0", "cri-o@1.35.1"], 3,
         "RuntimeDefault denies what cri-o 1.35.0 allowed: socket(AF_VSOCK)."),
        ("only some capabilities are concerned", ["cri-o@1.32.0", "cri-o@1.33.0"], 3,
         "RuntimeDefault on every architecture, without CAP_SYS_ADMIN"),
        ("families are compared by their profiles", ["containerd@1.7.24", "cri-o@1.30.0"], 3,
         "containerd and cri-o decide by rules of their own: only their profiles are compared."),
        ("a kubelet has rules, but no profile", ["kubelet@1.24.17", "kubelet@1.25.0"], 3, "rules: decision"),
        ("a vendor's name for a release is one", ["containerd@1.6.20~ds1", "containerd@1.6.20"], 0,
         "It decides by the same rules."),
    ],
)  # fmt: skip
def test_releases(capsys: pytest.CaptureFixture[str], description: str, words: list[str], code: int, line: str) -> None:
    found, lines, _ = run(capsys, *words)
    assert (found, line in lines) == (code, True), (description, lines)


def test_without_a_release_the_newest_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = run(capsys, "containerd@2.0.9", "containerd")
    assert re.fullmatch(r"containerd 2\.0\.9 -> containerd \d+\.\d+\.\d+", lines[0])


def test_nodes_are_compared_by_their_settings_and_by_containers_of_each_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines, _ = run(capsys, OLD, NEW)
    assert code == 3
    assert "No manifest was given: these containers are made up, one of each kind." in lines
    assert "  kubelet.seccompDefault: false -> true" in lines
    at = lines.index("default/says-nothing app")
    assert lines[at + 1 : at + 3] == [
        "  Unconfined -> RuntimeDefault of containerd 2.3.4",
        "  - everything else (EPERM)",
    ]
    assert "default/asks-for-Unconfined app, default/privileged app" in lines


def test_nodes_are_compared_by_the_manifests_that_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = run(capsys, OLD, NEW, "-f", SHOP)
    assert code == 3
    assert "Of 3 containers: 1 may do some things more, others less, or fails otherwise; 1 may do less." in lines
    assert any(line.startswith("default/shop web") for line in lines)
    assert not any("made up" in line for line in lines)


def test_the_same_node_differs_in_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = run(capsys, OLD, OLD, "-f", SHOP)
    assert code == 0
    assert "Of 3 containers, none gets anything else." in lines


def test_a_node_that_does_not_start_makes_no_container(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Containerd 1.6.20 reads a file of version 9 as one of version 2; 2.0 exits (services/server/config/config.go)."""
    (tmp_path / "config.toml").write_text("version = 9\n")
    files = []
    for version in ("1.6.20", "2.0.0"):
        files.append(tmp_path / f"{version}.yaml")
        files[-1].write_text(f"runtime: {{name: containerd, version: {version}, config: config.toml}}\n")
    code, lines, _ = run(capsys, *map(str, files))
    assert code == 3
    assert "Of 4 containers: 4 would fail to start." in lines
    assert "  - expected containerd config version equal to or less than `3`, got `9`" in lines
    code, lines, _ = run(capsys, str(files[1]), str(files[1]))
    assert code == 0
    assert "  as before: refused: the runtime does not start" in lines


def test_a_kubelet_that_cannot_talk_to_its_runtime_makes_no_container(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Kubernetes 1.26 release note: no CRI v1alpha2 any more, and containerd has had v1 from 1.6 on."""
    files = []
    for version in ("1.25.16", "1.26.15"):
        files.append(tmp_path / f"{version}.yaml")
        files[-1].write_text(f"kubelet: {{version: {version}}}\nruntime: {{name: containerd, version: 1.5.18}}\n")
    code, lines, _ = run(capsys, *map(str, files))
    assert code == 3
    assert "Of 4 containers: 4 would fail to start." in lines
    assert "  Unconfined -> refused: the kubelet does not start" in lines


def test_a_handler_that_only_one_node_has_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with_one, without = tmp_path / "with.yaml", tmp_path / "without.yaml"
    with_one.write_text("runtime: {name: containerd}\nhandlers: {gold: {name: cri-o}}\n")
    without.write_text("runtime: {name: containerd}\n")
    code, lines, _ = run(capsys, str(with_one), str(without), "--handler", "gold")
    assert code == 3
    assert any(line.endswith("-> refused: no handler gold") for line in lines)


@pytest.mark.parametrize(
    ("description", "words", "expected"),
    [
        ("a release that nobody knows", ["containerd@9.9.9", "containerd@2.0.9"], "9.9.9 is not a known release"),
        ("a component that nobody knows", ["contanerd@2.0.9", "containerd@2.0.9"], "there is no component 'contanerd'"),
        ("a kubelet and a runtime", ["kubelet@1.30.2", "containerd@2.0.9"], "two kubelets, two runtimes, or two node"),
        ("a node and a release", [OLD, "containerd@2.0.9"], "are a release and a node file"),
        ("no file", ["no-such.yaml", OLD], "no-such.yaml: cannot be read: No such file"),
        ("manifests on releases", ["containerd@2.0.9", "containerd@2.1.9", "-f", SHOP], "manifests are tried on nodes"),
        ("two things to print", [OLD, NEW, "--json", "--markdown"], "both would be printed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_nothing_is_printed(
    capsys: pytest.CaptureFixture[str], description: str, words: list[str], expected: str
) -> None:
    code, lines, err = run(capsys, *words)
    assert (code, lines) == (2, []), description
    assert expected in err


def test_as_json_it_is_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = run(capsys, "containerd@2.0.9", "containerd@2.1.9", "--json")
    made = json.loads("\n".join(lines))
    assert made["title"] == "containerd 2.0.9 -> containerd 2.1.9"
    assert [detail["changes"] for detail in made["details"].values()] == [["+ socket(AF_ALG)"]]


def test_the_files_that_are_asked_for_are_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page, checks, findings = (tmp_path / name for name in ("page.html", "checks.xml", "findings.sarif"))
    words = ["--report", str(page), "--junit", str(checks), "--sarif", str(findings)]
    assert run(capsys, OLD, NEW, "-f", SHOP, *words)[0] == 3
    assert "default/shop" in page.read_text()
    assert "<failure" in checks.read_text()
    rules = {result["ruleId"] for result in json.loads(findings.read_text())["runs"][0]["results"]}
    assert rules == {"confined-otherwise", "more-confined"}


@pytest.mark.parametrize("words", [["containerd@1.6.39", "containerd@2.3.4"], [OLD, NEW], [OLD, NEW, "-f", SHOP]])
def test_on_a_terminal_of_80_columns_no_line_is_longer(words: list[str]) -> None:
    coloured = on_terminal(words, {})
    assert "\x1b[" in coloured
    plain = on_terminal(words, {"NO_COLOR": "1"})
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    # A word that is longer than a line cannot be broken: the name of a file, say.
    long = [line for line in plain.splitlines() if len(line) > 80]
    assert all(max(map(len, line.split())) > 40 for line in long), long


def on_terminal(words: list[str], environment: dict[str, str]) -> str:
    """Return what the program writes to a terminal of 80 columns."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    there = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"} | environment
    command = [sys.executable, "-m", "shim.cli.main", "diff", *words]
    with subprocess.Popen(command, stdout=its, stderr=subprocess.PIPE, env=there, cwd=EXAMPLES.parent) as process:
        os.close(its)
        written = b""
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            written += some
            if not some:
                break
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(ours)
    assert process.returncode == 3
    return written.decode().replace("\r\n", "\n")


def test_help_says_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--help"]) == 0
    assert "Exit code: 0 where nothing differs, 3 where something does" in " ".join(capsys.readouterr().out.split())
