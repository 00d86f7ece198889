"""`crishim node`: the node of a running server, seen and changed over its socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from shim.cri.pb.shim.v1 import node_pb2 as pb

_Answer: TypeAlias = (
    "pb.ShowNodeResponse | pb.SetNodeResponse | pb.ReplaceNodeResponse | pb.ReloadNodeResponse | pb.RestartNodeResponse"
)

_TIMEOUT = 10.0  # seconds; a node is opened in far less

_socket = click.option(
    "--socket", metavar="unix:///PATH", help="The server.  [default: in the user's runtime directory]"
)
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")


@click.group("node")
def command() -> None:
    """Show or change the node of a running server.

    A change counts for what is created from then on. Sandboxes and containers that exist keep what they were created
    with, as they do on a real node.
    """


@command.command("show", short_help="Print the node that a server speaks for.")
@_socket
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def show(socket: str | None, output: str) -> None:
    """Print the node that a server speaks for, its defaults filled in."""
    from shim.cri.pb.shim.v1 import node_pb2 as pb

    answer = _call(socket, "Show", pb.ShowNodeRequest(), pb.ShowNodeResponse.FromString)
    click.echo(answer.node_yaml if output == "yaml" else answer.node_json, nl=output == "json")
    _warn(answer)


@command.command("set", short_help="Change settings: kubelet.seccompDefault=true.")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@_socket
@_dry_run
@click.option("--keep-running", is_flag=True, help="Let it wait for `node reload` or `node restart`.")
def set_(settings: tuple[str, ...], socket: str | None, dry_run: bool, keep_running: bool) -> None:
    """Change settings: kubelet.seccompDefault=true, handlers.crio-1.36.version=1.36.3.

    All of them are changed or, when one is refused, none. The value null takes a setting back to its default. A runtime
    that is concerned is started anew, unless it is to keep running; the others go on with what they have read.
    """
    from shim.cli.pairs import pairs
    from shim.cri.pb.shim.v1 import node_pb2 as pb

    request = pb.SetNodeRequest(settings=pairs(settings), dry_run=dry_run, keep_running=keep_running)
    _report(_call(socket, "Set", request, pb.SetNodeResponse.FromString))


@command.command("replace")
@click.option("-f", "--filename", "name", required=True, metavar="FILE", help="A node file; - is stdin.")
@_socket
@_dry_run
def replace(name: str, socket: str | None, dry_run: bool) -> None:
    """Put another node file in force."""
    from shim.cri.pb.shim.v1 import node_pb2 as pb
    from shim.nodefile import load, to_yaml

    document = load(name)  # here, because its relative paths start beside it
    request = pb.ReplaceNodeRequest(node_yaml=to_yaml(document), origin=document.origin.where, dry_run=dry_run)
    _report(_call(socket, "Replace", request, pb.ReplaceNodeResponse.FromString))


@command.command("reload")
@_socket
def reload(socket: str | None) -> None:
    """Tell the runtimes to read their configuration again, as SIGHUP does.

    CRI-O takes over what its release reloads, and loses what flags and environment variables had set there; the rest
    waits for a restart. Runtimes that do not reload say so.
    """
    from shim.cri.pb.shim.v1 import node_pb2 as pb

    _report_effects(_call(socket, "Reload", pb.ReloadNodeRequest(), pb.ReloadNodeResponse.FromString))


@command.command("restart")
@_socket
def restart(socket: str | None) -> None:
    """Start the runtimes anew, with their files, flags and variables as they are now."""
    from shim.cri.pb.shim.v1 import node_pb2 as pb

    _report_effects(_call(socket, "Restart", pb.RestartNodeRequest(), pb.RestartNodeResponse.FromString))


@command.command("default", short_help="Print the node that is taken where none is given.")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def default(output: str) -> None:
    """Print the node that is taken where none is given: this host, the newest kubelet, the newest containerd."""
    from shim.nodefile import default_document, to_dict, to_yaml

    if output == "yaml":
        click.echo(to_yaml(default_document(), full=True), nl=False)
    else:
        import json

        click.echo(json.dumps(to_dict(default_document(), full=True), indent=2))


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of a node file, for editors."""
    import json

    from shim.nodefile import schema as node_schema

    click.echo(json.dumps(node_schema(), indent=2))


def _call(socket: str | None, method: str, request: Any, decode: Callable[[bytes], Any]) -> Any:
    """Call the admin service. Ends with a sentence where nobody answers or the node refuses."""
    import os

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the C core writes to stderr what we say in sentences
    import grpc

    path = server_path(socket)
    with grpc.insecure_channel(f"unix:{path}", options=[("grpc.default_authority", "localhost")]) as channel:
        call = channel.unary_unary(
            f"/shim.v1.NodeService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=decode,
        )
        try:
            return call(request, timeout=_TIMEOUT)
        except grpc.RpcError as error:
            raise _failure(error, path) from None


def _failure(error: Any, path: str) -> Exception:
    import grpc

    from runtimes.errors import BadInput

    code = error.code()
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return click.ClickException(f"no server answers at unix://{path} (start one with crishim serve)")
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return click.ClickException(f"the server at unix://{path} is not crishim")
    text = error.details() or code.name
    return BadInput(text) if code == grpc.StatusCode.INVALID_ARGUMENT else click.ClickException(text)


def server_path(socket: str | None) -> str:
    """Return the path of a socket that the user named, or of the one that a server takes by itself."""
    import os

    from runtimes.errors import BadInput

    if socket is None:
        import platformdirs

        return f"{platformdirs.user_runtime_dir('crishim')}/crishim.sock"
    path = socket.removeprefix("unix://")
    if "://" in path or not path:
        raise BadInput(f"{socket!r} is no unix socket", where="--socket", right="unix:///path/to/a.sock")
    return os.path.abspath(path)  # noqa: PTH100


def _report(answer: pb.SetNodeResponse | pb.ReplaceNodeResponse) -> None:
    for line in answer.changes or ("nothing changed",):
        click.echo(line)
    _warn(answer)


def _report_effects(answer: pb.ReloadNodeResponse | pb.RestartNodeResponse) -> None:
    for line in answer.effects or ("nothing changed",):
        click.echo(line)
    _warn(answer)


def _warn(answer: _Answer) -> None:
    for warning in answer.warnings:
        click.echo(f"warning: {warning}", err=True)
