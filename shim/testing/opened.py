"""Nodes for the length of a `with`: in this process, or behind a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtimes.errors import BadInput
from shim import nodefile
from shim.cri.client import Client
from shim.cri.direct import Direct
from shim.engine.clock import SystemClock
from shim.engine.engine import Engine
from shim.engine.store import MEMORY, Store
from shim.skew.experiments.rehearsed import LiveClock, OwnClock
from shim.testing.behind import Behind
from shim.testing.choosing import Choice, Said, choices, said
from shim.testing.nodes import CriNode

if TYPE_CHECKING:
    from shim.nodefile import Document

_LONGEST_STOP = 30  # seconds
_SHORT = "/tmp"  # noqa: S108  a socket's path has 107 bytes, and other places for temporary files are deep


class CriServer(CriNode):
    """A node behind a socket. `endpoint` is what clients are told: "unix:///tmp/cri-x/a.sock"."""

    def __init__(self, behind: Behind, root: Path, base: str, endpoint: str) -> None:
        super().__init__(behind, root, base)
        self.endpoint = endpoint

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that is to find this server: crictl, and other clients that read these names."""
        return {**os.environ, "CONTAINER_RUNTIME_ENDPOINT": self.endpoint, "IMAGE_SERVICE_ENDPOINT": self.endpoint}

    def crictl(self, *words: str) -> str:
        """Run the crictl that $CRICTL names, or the one in PATH, and return what it prints.

        Raises `BadInput` where there is none, and `subprocess.CalledProcessError` where it fails, with its words as a
        note.
        """
        binary = os.environ.get("CRICTL") or shutil.which("crictl")
        if not binary:
            raise BadInput("there is no crictl", right="put one into PATH, or set CRICTL")
        done = subprocess.run([binary, *words], capture_output=True, text=True, check=False, env=self.environment)
        try:
            done.check_returncode()
        except subprocess.CalledProcessError as error:
            error.add_note(done.stderr)
            raise
        return done.stdout.strip()


@contextlib.contextmanager
def simulated_node(*node: Any, **settings: Any) -> Iterator[CriNode]:
    """Have a node in this process. The arguments are those of the mark `cri_node`, for one node."""
    with opened(_one(*node, **settings)) as found:
        yield found


@contextlib.contextmanager
def served_node(*node: Any, **settings: Any) -> Iterator[CriServer]:
    """Have a node behind a socket. The arguments are those of the mark `cri_node`, for one node."""
    with served(_one(*node, **settings)) as found:
        yield found


@contextlib.contextmanager
def opened(choice: Choice) -> Iterator[CriNode]:
    """Have the node of a choice in this process."""
    with _rooted(choice.document) as (document, root):
        clock = OwnClock()
        engine = Engine(nodefile.open_node(document), Store.open(MEMORY), clock)
        with contextlib.closing(engine):
            yield CriNode(Behind.of(choice.id, document, Direct(engine), clock), root, choice.base)


@contextlib.contextmanager
def served(choice: Choice) -> Iterator[CriServer]:
    """Have the node of a choice behind a socket."""
    with (
        _rooted(choice.document) as (document, root),
        tempfile.TemporaryDirectory(prefix="cri-", dir=_SHORT) as directory,
        _serving(document, Path(directory) / "a.sock") as socket,
        Client(str(socket)) as client,
    ):
        behind = Behind.of(choice.id, document, client, LiveClock(), shared=True)
        yield CriServer(behind, root, choice.base, f"unix://{socket}")


@contextlib.contextmanager
def _rooted(document: Document) -> Iterator[tuple[Document, Path]]:
    """Give a node a file system of its own, empty, unless its document names one."""
    if document.host.root:
        yield document, Path(document.host.root)
        return
    with tempfile.TemporaryDirectory(prefix="crishim-") as directory:
        yield nodefile.apply_settings(document, {"host.root": directory}), Path(directory)


@contextlib.contextmanager
def _serving(document: Document, socket: Path) -> Iterator[Path]:
    """Serve a node from a thread with an event loop of its own, until the end."""
    from shim.cri.server import serving  # noqa: PLC0415  gRPC's server is slow to import, and few need it

    started: Future[Callable[[], object]] = Future()

    async def serve() -> None:
        engine = Engine(nodefile.open_node(document), Store.open(MEMORY), SystemClock())
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        with contextlib.closing(engine):
            async with serving(engine, socket):
                started.set_result(lambda: loop.call_soon_threadsafe(stop.set))
                await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:  # noqa: BLE001  it is for whoever waits for the start
            started.set_exception(error)

    thread = threading.Thread(target=run, name="crishim", daemon=True)
    thread.start()
    stop = started.result()
    try:
        yield socket
    finally:
        stop()
        thread.join(_LONGEST_STOP)


def _one(*node: Any, **settings: Any) -> Choice:
    mark = said(*node, **settings)
    found = choices([[mark if mark.nodes else Said(({},), mark.settings, mark.ids)]], base=os.getcwd())  # noqa: PTH109
    if len(found) != 1:
        raise BadInput(f"{len(found)} nodes are chosen", right="one")
    return found[0]
