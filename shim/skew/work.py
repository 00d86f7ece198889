"""Work that is spread over processes, or over the workers of a Dask cluster, and comes back in the order of its items.

A task is a function of a module (or a `functools.partial` of one), so that it can be sent; what it takes and returns
can be pickled. Only some items are under way at a time, so that an endless iterable needs no more memory than a short
one.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runtimes.errors import BadInput, CapacityExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection

Item = TypeVar("Item")
Result = TypeVar("Result")

_UNDER_WAY = 3  # items for each process: one being worked on, and what keeps it from waiting for the next
_FEWEST_UNDER_WAY = 16  # of a cluster, which may grow meanwhile
_BLINK = 0.1  # seconds from one look at whether the parent lives to the next
_SECONDS = 10  # to wait for a scheduler


def spread(
    task: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    jobs: int = 1,
    dask: str = "",
    done: Callable[[int], object] | None = None,
) -> Iterator[Result]:
    """Yield the result of the task for each item, in the order of the items.

    `jobs` is the number of processes, `dask` the address of a Dask scheduler, "" for none; `done` is told how many
    results have come since it was told last. What a task raises is raised here, in its turn. When the caller gives up
    (an exception such as KeyboardInterrupt, or `close()`), what was not finished is cancelled.

    Raises `BadInput` where Dask is not installed or does not answer, and `CapacityExceeded` where a process is killed.
    """
    if dask:
        results = _over_dask(task, items, dask)
    elif jobs > 1:
        results = _over_processes(task, items, jobs)
    else:
        results = map(task, items)
    for result in results:
        yield result
        if done is not None:
            done(1)


class _Future(Protocol):
    """What concurrent.futures and Dask have in common."""

    def result(self) -> Any: ...

    def cancel(self) -> object: ...


def _in_order(
    submit: Callable[[Item], _Future], items: Iterable[Item], at_most: int, under_way: deque[_Future]
) -> Iterator[Any]:
    """Keep a number of items `under_way`, and yield what becomes of them."""
    for item in items:
        if len(under_way) == at_most:
            yield under_way.popleft().result()
        under_way.append(submit(item))
    while under_way:
        yield under_way.popleft().result()


# Processes of this machine.


def _over_processes(task: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    # "spawn", because a fork of a process with threads (gRPC's, a progress bar's) may hang.
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_live_with, initargs=(theirs,))

    def submit(item: Item) -> _Future:
        with uninterrupted():
            return executor.submit(_interruptibly, task, item)

    try:
        yield from _in_order(submit, items, jobs * _UNDER_WAY, deque())
    except BrokenProcessPool:
        raise CapacityExceeded(
            "a process was killed while it worked, perhaps for lack of memory: try fewer --jobs"
        ) from None
    except BaseException:
        # Ends the processes, in the middle of whatever they do. What is under way is not cancelled before: the executor
        # has a thread that wants to blame it for their end, and that fails aloud where it was.
        ours.close()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


# In a process: held except while it works on an item. If it ended in the middle of reading one, or of writing what came
# of it, the parent would wait for the rest without end.
_between_items = threading.Lock()


def _interruptibly(task: Callable[[Item], Result], item: Item) -> Result:
    _between_items.release()
    try:
        return task(item)
    finally:
        _between_items.acquire()


def _live_with(lifeline: Connection) -> None:
    """In a process: end when the other end of a pipe is closed, as it also is where the parent is killed."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        with contextlib.suppress(OSError):
            lifeline.poll(None)
        while parent is not None and parent.is_alive() and not _between_items.acquire(timeout=_BLINK):
            pass
        os._exit(1)

    _between_items.acquire()
    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back for a moment. A process that is started meanwhile never sees it: its parent says when to end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# A Dask cluster.


def _over_dask(task: Callable[[Item], Result], items: Iterable[Item], address: str) -> Iterator[Result]:
    try:
        import distributed.comm.core  # noqa: PLC0415  an extra, and slow to import
    except ImportError:
        raise BadInput("Dask is not installed", where="--dask", right="pip install 'crishim[dask]'") from None
    _require_answer(address)
    client: Any = distributed.Client(address, timeout=_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    with client:
        _require_same_release(client)
        at_most = max(_FEWEST_UNDER_WAY, _UNDER_WAY * sum(client.nthreads().values()))
        under_way: deque[_Future] = deque()
        try:
            yield from _in_order(lambda item: client.submit(task, item, pure=False), items, at_most, under_way)
        except distributed.KilledWorker as fault:
            raise CapacityExceeded(f"the Dask workers that had one piece of work were killed: {fault}") from None
        except (CancelledError, distributed.comm.core.CommClosedError):
            raise CapacityExceeded(f"the connection to the Dask scheduler at {address} was lost") from None
        finally:
            for future in under_way:
                future.cancel()


def _require_answer(address: str) -> None:
    """Refuse an address where nobody answers: a client that comes to nothing would wait, and leave a traceback."""
    import distributed.comm.core  # noqa: PLC0415

    async def knock() -> None:
        security: Any = distributed.Security()  # type: ignore[no-untyped-call]
        means = security.get_connection_args("client")
        line: Any = await distributed.comm.core.connect(  # type: ignore[no-untyped-call]
            address, timeout=_SECONDS, **means
        )
        line.abort()

    try:
        asyncio.run(asyncio.wait_for(knock(), _SECONDS))
    except Exception as fault:  # noqa: BLE001  each kind of address has errors of its own
        why = str(fault) or f"nothing came within {_SECONDS} s"
        what, right = f"no Dask scheduler answers at {address}: {why}", "the address that it prints when it starts"
        raise BadInput(what, where="--dask", right=right) from None


def _require_same_release(client: Any) -> None:
    """Refuse workers that would answer otherwise than this program, or not at all."""

    def release() -> str:  # local, so that it is sent as it is: a worker may have nothing to import it from
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            return version("crishim")
        except PackageNotFoundError:
            return ""

    for worker, theirs in client.run(release).items():
        if theirs != release():
            what = f"the Dask worker {worker} has {'crishim ' + theirs if theirs else 'no crishim'}"
            raise BadInput(what, where="--dask", right=f"crishim {release()} on every worker")
