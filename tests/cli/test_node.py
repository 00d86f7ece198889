"""`crishim node`, against the admin service on a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
import yaml

from runtimes.errors import CrishimError
from shim.cli.main import main
from shim.cri.errors import failure
from shim.cri.node_service import NodeService
from shim.cri.pb.shim.v1 import node_pb2 as pb
from shim.nodefile import loads, open_node, to_dict

NODE = "kubelet: {version: 1.28.3}\nruntime: {name: toy, version: 1.1.0}\nhost: {kernel: 6.1.0, hostname: node-7}\n"


class Server:
    """The admin service of a node, without the rest of a server."""

    def __init__(self, path: Path) -> None:
        self.engine = cast("Any", SimpleNamespace(node=open_node(loads(NODE))))
        service = NodeService(self.engine)
        methods: dict[str, tuple[Callable[[Any], Any], Any]] = {
            "Show": (service.show, pb.ShowNodeRequest),
            "Set": (service.set, pb.SetNodeRequest),
            "Replace": (service.replace, pb.ReplaceNodeRequest),
            "Reload": (service.reload, pb.ReloadNodeRequest),
            "Restart": (service.restart, pb.RestartNodeRequest),
        }
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answered(method), request.FromString, lambda answer: answer.SerializeToString()
            )
            for name, (method, request) in methods.items()
        }
        self.grpc = grpc.server(ThreadPoolExecutor(1))
        self.grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shim.v1.NodeService", handlers),))
        self.grpc.add_insecure_port(f"unix:{path}")
        self.grpc.start()

    @staticmethod
    def _answered(method: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return method(request)
            except CrishimError as error:
                context.abort(*failure(error, "shim.v1.NodeService"))

        return answer


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a server is, or might be."""
    monkeypatch.chdir(tmp_path)
    return f"unix://{tmp_path}/n.sock"


@pytest.fixture
def server(socket: str) -> Iterator[Server]:
    found = Server(Path(socket.removeprefix("unix://")))
    yield found
    found.grpc.stop(0).wait()


def out(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["node", *words]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def err(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    assert main(["node", *words]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


@pytest.mark.usefixtures("server")
def test_show_prints_the_whole_node_so_that_it_can_be_edited(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "show", "--socket", socket)
    shown = yaml.safe_load(text)
    unsaid = dict.fromkeys(("config", "configDir", "flags", "environment", "policy", "policyProfile"))
    said = {"version": "1.28.3", "seccompDefault": False, "featureGates": {}, "step": "apply"}
    assert shown["kubelet"] == said | unsaid
    assert shown == to_dict(loads(NODE), full=True)
    assert json.loads(out(capsys, "show", "--socket", socket, "-o", "json")) == shown
    Path("edited.yaml").write_text(text)
    assert out(capsys, "replace", "--socket", socket, "-f", "edited.yaml") == "nothing changed\n"


def test_set_changes_the_live_node(server: Server, socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    old = server.engine.node
    assert out(capsys, "set", "--socket", socket, "kubelet.seccompDefault=true", "runtime.version=2.0.0") == (
        "kubelet.seccompDefault: false -> true\nruntime.version: 1.1.0 -> 2.0.0\n"
    )
    assert server.engine.node is not old
    assert str(server.engine.node.default.runtime.release) == "2.0.0"
    assert out(capsys, "set", "--socket", socket, "kubelet.seccompDefault=true") == "nothing changed\n"


def test_a_dry_run_changes_nothing(server: Server, socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    old = server.engine.node
    answer = out(capsys, "set", "--socket", socket, "--dry-run", "kubelet.version=1.30.0")
    assert answer == "kubelet.version: 1.28.3 -> 1.30.0\n"
    assert server.engine.node is old


def test_reload_and_restart_tell_what_came_of_it(
    server: Server, socket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "crio.conf"
    config.write_text("[crio.runtime]\n")
    server.engine.node = open_node(
        loads(
            f"runtime: {{name: cri-o, version: 1.36.3, config: file://{config}, flags: [--pids-limit=5]}}\n"
            "handlers: {c: {name: containerd}}"
        )
    )
    config.write_text('[crio.runtime]\nlog_size_max = 9000\nseccomp_profile = "/gone.json"\n')
    assert main(["node", "reload", "--socket", socket]) == 0
    out, err = capsys.readouterr()
    assert "handlers.c (containerd " in out
    assert 'runtime (cri-o 1.36.3): seccomp_profile: "" -> "/gone.json"' in out
    assert "warning: runtime (cri-o 1.36.3): log_size_max stays -1: 9000 counts from the next start on" in err
    assert "pids_limit" not in err  # a flag's own setting waits for nothing
    assert main(["node", "restart", "--socket", socket]) == 0
    assert "runtime (cri-o 1.36.3): started" in capsys.readouterr().out
    assert server.engine.node.default.runtime.config.runtime["log_size_max"] == 9000


def test_replace_takes_paths_beside_the_file(
    server: Server, socket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toy.json").write_text('{"handlers": ["own"]}')
    (tmp_path / "node.yaml").write_text(NODE.replace("version: 1.1.0", "version: 1.1.0, config: toy.json"))
    answer = out(capsys, "replace", "--socket", socket, "-f", "node.yaml")
    assert answer == f"runtime.config: none -> file://{tmp_path}/toy.json\n"
    assert server.engine.node.default.runtime.handlers == ("own",)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (["kubelet.version=1.99.0"], 2, "kubelet.version: kubelet 1.99.0 is not a known release"),
        (["kubelet.vers=1"], 2, "kubelet.vers: there is no such setting (did you mean kubelet.version?)"),
        (["kubelet.version"], 2, "is no KEY=VALUE"),
        (["runtime.config=/none.json"], 2, "runtime.config: open /none.json: no such file or directory"),
        (["kubelet.version=1.22.0", "kubelet.seccompDefault=true"], 1, "the SeccompDefault feature gate must be"),
    ],
)
def test_what_is_refused(
    words: list[str], code: int, answer: str, socket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer in err(capsys, "set", "--socket", socket, *words, code=code)


def test_a_node_file_that_is_wrong_never_reaches_the_server(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("node.yaml").write_text("kubelet: {version: 1.99.0}")
    answer = err(capsys, "replace", "--socket", socket, "-f", "node.yaml", code=2)
    assert answer.startswith("node.yaml:1:20: kubelet.version: kubelet 1.99.0")


def test_nobody_answers(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = err(capsys, "show", "--socket", socket, code=1)
    assert answer == f"Error: no server answers at {socket} (start one with crishim serve)\n"


@pytest.mark.parametrize("socket", ["tcp://127.0.0.1:80", "unix://", ""])
def test_a_socket_that_is_none(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert err(capsys, "show", "--socket", socket, code=2).startswith(f"--socket: '{socket}' is no unix socket")


def test_the_default_node_and_the_schema_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    default = out(capsys, "default")
    assert to_dict(loads(default), full=True) == yaml.safe_load(default)
    assert json.loads(out(capsys, "default", "-o", "json")) == yaml.safe_load(default)
    assert json.loads(out(capsys, "schema"))["title"] == "A node of crishim"
