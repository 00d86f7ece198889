"""`crishim skew run` as a person calls it: exit codes, what it prints and where, and what is left after Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from shim.cli.main import main
from shim.cli.terminal import Terminal
from shim.skew.experiments import play as playing
from shim.skew.experiments.file import schema
from tests.cri.harness import V1, Admin, Server, pod, running, short_directory
from tests.skew.playing import EXAMPLES, ROOT

RUN = [sys.executable, "-m", "shim.cli.main", "skew", "run"]
HOST = '{arch: amd64, kernel: "6.1", seccomp: true, cgroup: 2, hostname: n}'
NODE = f"{{host: {HOST}, kubelet: {{version: 1.30.14}}, runtime: {{name: containerd, version: 1.7.24}}}}"
WORKLOAD = """
workloads:
  shop: |
    apiVersion: v1
    kind: Pod
    metadata: {name: shop}
    spec: {containers: [{name: web, image: nginx:1}]}
"""


def one(expect: str = "{container: web, profile: Unconfined}") -> str:
    return f"title: one\nnodes:\n  n1: {NODE}\n{WORKLOAD}\nsteps: [restart: runtime]\nexpect: [{expect}]\n"


EXPECTED = "[{container: web, profile: Unconfined}, {node: n2, container: web, state: Running}]"
TWO = f"title: two\nnodes:\n  n1: {NODE}\n  n2: {NODE}\n{WORKLOAD}\nsteps: [restart: runtime]\nexpect: {EXPECTED}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "e.yaml"
    path.write_text(one())
    return path


def _server(path: Path) -> Server:
    return Server(path, "--state", ":memory:")


def run(*words: str | Path) -> int:
    return main(["skew", "run", *map(str, words)])


# Exit codes


def test_0_where_everything_held(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\n1 node, 1 step; 1 expectation: all held\n")
    assert not err


def test_1_where_something_did_not_with_the_steps_before_and_after(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(one("{container: web, profile: RuntimeDefault}"))
    assert run(file) == 1
    out, err = capsys.readouterr()
    tail = out[out.index("failed") :].splitlines()
    assert tail[0] == "failed 1 at the end, shop/web on n1: profile RuntimeDefault"
    assert tail[1] == "    expected profile RuntimeDefault, found profile Unconfined"
    kubelet = "kubelet: no seccompProfile is set, and seccompDefault is off: kubelet 1.30.14 sends Unconfined"
    assert f"    before: {kubelet}" in tail
    assert f"    after: {kubelet}" in tail
    assert f"    {file}:13" in tail
    assert tail[-1] == "1 node, 1 step; 1 expectation: 1 failed"
    assert not err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--socket", "tcp://1.2.3.4:5"), "--socket: 'tcp://1.2.3.4:5' is no unix socket (unix:///path/to/a.sock)"),
        (("--socket", "n7=unix:///a.sock"), "--socket: there is no node n7 (one of n1)"),
        (("--socket", "n1="), "--socket: "),
        (("--json", "--markdown"), "--json and --markdown: both would be printed"),
    ],
)
def test_2_where_the_command_line_is_wrong(
    words: tuple[str, ...], answer: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, *words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(answer)


def test_2_where_a_node_has_no_server(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(TWO)
    assert run(file, "--socket", "n1=unix:///a.sock") == 2
    assert capsys.readouterr().err == "--socket: no server for node n2 (--socket n2=unix:///PATH)\n"


def test_2_where_there_is_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none.yaml") == 2
    assert "none.yaml: cannot be read: No such file or directory" in capsys.readouterr().err


def test_1_where_nobody_listens(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "--socket", "unix:///none/a.sock") == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("crishim skew: no crishim answers at unix:///none/a.sock: ")
    assert err.endswith("(start one with crishim serve)\n")


def test_1_where_the_server_is_somebodys(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with short_directory() as directory, running(directory / "a.sock"):
        client = V1(directory / "a.sock")
        client("RunPodSandbox", config=pod("mine"))
        assert run(file, "--socket", f"unix://{directory}/a.sock") == 1
        assert len(client("ListPodSandbox").items) == 1
        client.channel.close()
    out, err = capsys.readouterr()
    assert not out
    assert "an experiment needs a server to itself" in err


def test_a_server_for_each_node_or_one_for_all(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(TWO)
    assert run(file) == 0
    here = capsys.readouterr().out
    with short_directory() as directory, running(directory / "a.sock"), running(directory / "b.sock"):
        first, second = (f"unix://{directory}/{name}.sock" for name in "ab")
        assert run(file, "--socket", first) == 0
        assert capsys.readouterr().out == here
        assert run(file, "--socket", f"n2={second}", "--socket", f"n1={first}") == 0
        assert capsys.readouterr().out == here


def test_1_where_a_server_dies_and_what_was_finished_is_told(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(TWO)
    whole = playing.play
    with short_directory() as directory, running(directory / "a.sock"), _server(directory / "b.sock") as server:

        def stop(node: str, _step: int) -> None:
            if node == "n2":
                server.stop(signal.SIGKILL)

        monkeypatch.setattr(playing, "play", lambda asked, sockets: whole(asked, sockets, stop))
        words = ("--socket", f"n1=unix://{directory}/a.sock", "--socket", f"n2=unix://{directory}/b.sock")
        assert run(file, *words) == 1
    out, err = capsys.readouterr()
    assert "  n1: kubelet 1.30.14, containerd 1.7.24\n    shop/web starts with Unconfined\n" in out
    assert "n2" not in out
    assert out.endswith("1 of 2 nodes, 1 step; 1 expectation: all held\n")
    assert err.startswith("crishim skew run: interrupted: node n2 was not played to its end: node n2: ")


def test_1_where_the_only_server_dies(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = playing.play
    with short_directory() as directory, _server(directory / "a.sock") as server:
        monkeypatch.setattr(
            playing,
            "play",
            lambda asked, sockets: whole(asked, sockets, lambda _node, _step: server.stop(signal.SIGKILL)),
        )
        assert run(file, "--socket", f"unix://{directory}/a.sock") == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("crishim skew: node n1: ")


def test_130_after_ctrl_c_and_what_was_finished_is_told(file: Path) -> None:
    """The second node's server takes the connection and never answers; that is when the signal comes."""
    file.write_text(TWO)
    with short_directory() as directory, running(directory / "a.sock"), socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{directory}/b.sock")
        silent.listen()
        words = ["--socket", f"n1=unix://{directory}/a.sock", "--socket", f"n2=unix://{directory}/b.sock"]
        report = file.with_name("r.json")
        with subprocess.Popen(
            [*RUN, str(file), *words, "--junit", str(report)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            connection.close()
    assert process.returncode == 130
    assert "  n1: kubelet 1.30.14, containerd 1.7.24\n" in out
    assert "n2" not in out
    assert err == "crishim skew run: interrupted: node n2 was not played to its end\n"
    assert ET.fromstring(report.read_text()).get("tests")  # noqa: S314  we wrote it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("as_in_a_program")
def test_130_in_the_middle_and_the_server_is_given_back(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupt(_node: str, step: int) -> None:
        if step == 1:
            signal.raise_signal(number)

    whole = playing.play
    monkeypatch.setattr(playing, "play", lambda asked, sockets: whole(asked, sockets, interrupt))
    with short_directory() as directory, running(directory / "a.sock"):
        admin, client = Admin(directory / "a.sock"), V1(directory / "a.sock")
        before = admin("Show").node_yaml
        assert run(file, "--socket", f"unix://{directory}/a.sock") == 130
        assert admin("Show").node_yaml == before
        assert not client("ListPodSandbox").items
        admin.channel.close()
        client.channel.close()
    out, err = capsys.readouterr()
    assert out.startswith("one\n\nbegin\n  n1: kubelet 1.30.14, containerd 1.7.24\n")
    assert out.endswith("\n\n1 node, 0 steps; nothing was expected\n")
    assert err == "crishim skew run: interrupted: node n1 was played up to step 0 of 1\n"


@pytest.fixture
def as_in_a_program() -> Iterator[None]:
    """Signals do what they do where nobody has asked for anything else."""
    handlers: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    for number, handler in before.items():
        signal.signal(number, handler)


# What is printed


def test_json_markdown_and_files_tell_of_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junit, sarif = file.with_name("j.xml"), file.with_name("s.sarif")
    assert run(file, "--json", "--junit", junit, "--sarif", sarif) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["columns"] == ["begin", "1 restart the runtime"]
    assert len(shown["rows"]) == 1
    assert json.loads(sarif.read_text())["version"] == "2.1.0"
    assert ET.fromstring(junit.read_text()).get("failures") == "0"  # noqa: S314  we wrote it
    assert run(file, "--markdown") == 0
    assert "restart the runtime" in capsys.readouterr().out


def test_all_tells_of_every_container_after_every_step(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "--all") == 0
    assert "1 restart the runtime\n  n1\n    shop/web  Running: Unconfined\n" in capsys.readouterr().out


def test_what_was_announced_is_not_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ROOT / "examples" / "skew" / "io-uring-2.0.yaml") == 0
    out = capsys.readouterr().out
    assert out.count("- io_uring_enter, io_uring_register, io_uring_setup (EPERM)") == 2  # once for each node
    change = "RuntimeDefault of containerd 1.7.34 -> RuntimeDefault of containerd 2.0.0"
    assert f"database/postgres changes: {change}, as step 1 said\n" in out


def test_a_waiting_container_is_said_to_wait(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(one().replace("[restart: runtime]", "[restart: {container: web}, restart: {container: web}]"))
    assert run(file) == 0
    assert "    shop/web ends; it had Unconfined (CrashLoopBackOff)\n" in capsys.readouterr().out


def test_the_schema_is_printed_for_editors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skew", "schema"]) == 0
    shown = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(shown)
    assert shown == schema()


def on_terminal(columns: int, *words: str | Path, **environment: str) -> str:
    """Return what is printed on a terminal of a width."""
    import fcntl  # noqa: PLC0415
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM", "COLUMNS")}
    with subprocess.Popen(
        [*RUN, *map(str, words)], cwd=ROOT, stdout=theirs, env={**clean, "TERM": "xterm", **environment}
    ) as process:
        os.close(theirs)
        chunks = list(_chunks(ours))
    os.close(ours)
    assert process.returncode == 0
    return b"".join(chunks).decode().replace("\r\n", "\n")


def _chunks(file: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(file, 65536)
        except OSError:  # the other end is closed
            return
        if not chunk:
            return
        yield chunk


def too_long(shown: str) -> list[str]:
    """Return the lines that do not fit. A word that is longer than a line has nowhere to be broken."""
    return [line for line in shown.splitlines() if len(line) > 80 and " " in line.strip()]


def test_a_terminal_gets_colour_and_80_columns() -> None:
    path = ROOT / "examples" / "skew" / "mixed-fleet.yaml"
    coloured, plain = on_terminal(80, path), on_terminal(80, path, NO_COLOR="1")
    assert "\x1b[33m" in coloured
    assert "\x1b" not in plain
    assert too_long(plain) == too_long(re.sub(r"\x1b\[[0-9;]*m", "", coloured)) == []
    assert on_terminal(80, path, TERM="dumb") == plain


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_fits_80_columns(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(terminal: Terminal) -> None:
        terminal.colour, terminal.width = False, 80

    monkeypatch.setattr(Terminal, "__init__", narrow)
    assert run(path) == 0
    assert too_long(capsys.readouterr().out) == []


def test_the_documentation_shows_what_is_really_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wide(terminal: Terminal) -> None:
        terminal.colour, terminal.width = False, 96

    monkeypatch.setattr(Terminal, "__init__", wide)
    monkeypatch.chdir(ROOT)
    shown = (ROOT / "docs" / "skew.md").read_text()
    commands = re.findall(r"^    \$ crishim skew run (\S+)\n((?:    .*\n|\n)+)", shown, re.MULTILINE)
    examples = {path: block for path, block in commands if path.startswith("examples/")}
    assert len(examples) == 2
    for path, block in examples.items():
        assert run(path) == 0
        assert re.sub(r"^    ", "", block, flags=re.MULTILINE).rstrip() == capsys.readouterr().out.rstrip()


def test_a_pipe_gets_no_colour_and_whole_lines() -> None:
    path = ROOT / "examples" / "skew" / "kep-2413.yaml"
    done = subprocess.run([*RUN, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert not done.stderr
    assert re.search(r"^      because kubelet: .{90,}$", done.stdout, re.MULTILINE)


def test_a_reader_that_has_enough_is_no_fault() -> None:
    path = ROOT / "examples" / "skew" / "mixed-fleet.yaml"
    command = f"{' '.join(RUN)} {path} | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "A fleet of containerd and CRI-O nodes, upgraded one after the other\n"
    assert not done.stderr
