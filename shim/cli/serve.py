"""`crishim serve`: a node behind a socket, until it is told to stop."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runtimes.errors import BadInput, CrishimError

if TYPE_CHECKING:
    from pathlib import Path

    from shim.engine.engine import Engine
    from shim.engine.store import Store
    from shim.node import Node

log = logging.getLogger("crishim.serve")


@click.command("serve")
@click.option("--node", "node_file", metavar="FILE", help="The node file.  [default: the node of the last time]")
@click.option("--listen", metavar="unix:///PATH", help="The socket.  [default: in the user's runtime directory]")
@click.option("--state", metavar="DIR", help="Where to keep what exists.  [default: in the user's state directory]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@click.option("--log-format", type=click.Choice(["auto", "human", "json"]), default="auto")
def command(node_file: str | None, listen: str | None, state: str | None, log_level: str, log_format: str) -> None:
    """Serve the Container Runtime Interface on a unix socket.

    Point crictl, a test suite or a kubelet at it. No image is pulled and no process is run: what a container would have
    got is decided, kept, and shown by `crictl inspect`.

    What exists is there again when the server is started with the same --state; ":memory:" forgets it. With --node the
    node file counts from now on, for what is created from now on.

    Logs go to stderr, for people on a terminal and as JSON lines elsewhere. SIGTERM and Ctrl-C stop the server.
    """
    from shim import nodefile
    from shim.cri import logs, sockets
    from shim.engine.store import Store

    logs.set_up(log_level, log_format)
    node = nodefile.open_node(nodefile.load(node_file)) if node_file else None
    with _exit_1():
        path = sockets.socket_path(listen or _default_socket())
        with contextlib.closing(Store.open(state or _default_state())) as store:
            _serve(node, node_file, store, path)


@contextlib.contextmanager
def _exit_1() -> Iterator[None]:
    """Tell what is wrong with the machine from what is wrong with the command line, which is exit code 2."""
    try:
        yield
    except CrishimError as error:
        click.echo(f"crishim serve: {error}", err=True)
        raise click.exceptions.Exit(1) from None


def _serve(node: Node | None, node_file: str | None, store: Store, path: Path) -> None:
    import asyncio
    import os

    # The C core writes to stderr by itself what we say in sentences. Must be set before it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    from shim.engine.clock import SystemClock
    from shim.engine.engine import Engine

    engine = Engine(_chosen(node, node_file, store), store, SystemClock())
    try:
        asyncio.run(_until_told_to_stop(engine, path))
    finally:
        engine.close()


def _chosen(node: Node | None, node_file: str | None, store: Store) -> Node:
    """Return the node of the file, if there was one, else the one that was in force the last time, else the default."""
    from shim import nodefile

    kept = store.node_document()
    if node is not None:
        if kept not in (None, nodefile.to_dict(node.document)):
            log.info("the node file takes the place of the node that was kept", extra={"node": node_file})
        return node
    if kept is None:
        return nodefile.open_node(nodefile.default_document())
    where = f"the node kept in {store.directory}"
    try:
        return nodefile.open_node(nodefile.loads(json.dumps(kept), where))
    except BadInput as error:
        raise BadInput(str(error), right="start once with --node") from error


async def _until_told_to_stop(engine: Engine, path: Path) -> None:
    import asyncio
    import signal

    from shim.cri.server import serving

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(engine, path):
        name, release = engine.version().runtime_name, engine.node.default.runtime.release
        click.echo(f"crishim serves {name} {release} at unix://{path}; try: crictl -r unix://{path} version")
        await stop.wait()
        log.info("stopping")


def _default_socket() -> str:
    import platformdirs

    return f"{platformdirs.user_runtime_dir('crishim')}/crishim.sock"


def _default_state() -> str:
    import platformdirs

    return platformdirs.user_state_dir("crishim")
