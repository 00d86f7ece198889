"""`crishim kubelet`: the node's kubelet as a process that runs static pods against a runtime's socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from shim.cri.agent import Agent
    from shim.kubelet.pod import Pod

_PERIOD = 1.0  # seconds between two looks at the runtime and the manifests, as a kubelet relists
_SUFFIXES = (".yaml", ".yml", ".json")


@click.command("kubelet")
@click.option("--node", "node_file", metavar="FILE", help="The node file.  [default: this host, newest releases]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the node.")
@click.option("--manifests", required=True, metavar="DIR", help="The directory of static pods.")
@click.option("--socket", metavar="unix:///PATH", help="The runtime.  [default: crishim in the runtime directory]")
@click.option("--once", is_flag=True, help="Do what can be done now, say what has to wait, and end.")
@click.option("--end-init", is_flag=True, help="End init containers once they run: crishim serve runs no process.")
def command(
    node_file: str | None, settings: tuple[str, ...], manifests: str, socket: str | None, once: bool, end_init: bool
) -> None:
    """Run the pods of a directory as the node's kubelet would.

    It connects in the versions of the CRI that the release speaks, makes sandboxes, pulls images, starts containers in
    their order, restarts what ends (with the kubelet's back-off), and forgets what is over. What exists it asks the
    runtime for: started again, with another release or another setting, it leaves alone what runs, as a kubelet does.
    Ctrl-C stops it, and nothing else.

    Exit code: 0; 1 where the kubelet does not start, and with --once where a pod does not run; 2 where a file is wrong.
    """
    import os

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    from shim.cli.node import server_path
    from shim.cli.pairs import pairs
    from shim.cri.agent import Agent
    from shim.cri.client import Client
    from shim.engine.clock import SystemClock
    from shim.nodefile import apply_settings, default_document, load, open_node

    document = load(node_file) if node_file else default_document()
    if settings:
        document = apply_settings(document, pairs(settings))
    node = open_node(document)
    pods = _pods(manifests)
    path = server_path(socket)
    with Client(path) as client:
        agent = Agent(
            node.kubelet,
            client,
            SystemClock(),
            click.echo,
            node=node.host.hostname,
            endpoint=f"unix://{path}",
            end_init=end_init,
        )
        if once:
            waits = agent.settle(pods)
            for wait in waits:
                click.echo(f"{agent.titled(wait)}: waiting: {wait.why}")
            raise click.exceptions.Exit(1 if waits or agent.refused else 0)
        _forever(agent, manifests)


def _forever(agent: Agent, manifests: str) -> None:
    import signal
    import threading

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"kubelet {agent.kubelet.release} runs the pods of {manifests}")
    while not stop.is_set():
        agent.step(_pods(manifests))
        stop.wait(_PERIOD)


def _pods(manifests: str) -> list[Pod]:
    """Read every manifest of a directory, in the order of their names; hidden files are not manifests."""
    import os

    from runtimes.errors import BadInput
    from shim.kubelet import manifest
    from shim.nodefile import read_user_file

    try:
        names = sorted(os.listdir(manifests))  # noqa: PTH208  pathlib is slow to import
    except OSError as fault:
        raise BadInput(f"cannot be read: {fault.strerror}", where=manifests, right="a directory") from None
    found = []
    for name in names:
        if name.endswith(_SUFFIXES) and not name.startswith("."):
            path = f"{manifests}/{name}"
            found += manifest.pods(read_user_file(path), path)
    return found
