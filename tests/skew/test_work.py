"""Spreading work is a map: the same results in the same order, wherever it is done. The laws are those of `map`."""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtimes.decision import Step
from runtimes.errors import BadInput, CapacityExceeded, CrishimError, Refused
from shim.nodefile import BadDocument
from shim.skew import work
from shim.skew.work import spread

MOMENT = 0.01
PLACES = ["here", "processes", "dask"]
# A program that has workers write their process ids down and sleep, longer than any test takes.
SLEEPERS = """
import sys
from functools import partial
from tests.skew.test_work import sleep
from shim.skew.work import spread

if __name__ == "__main__":
    try:
        list(spread(partial(sleep, sys.argv[1]), range(9), jobs=2))
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


# A program that two results come to at once: the first takes long to read, so the second is half written meanwhile.
WRITERS = SLEEPERS.replace("sleep", "write").replace("range(9)", "range(2)")


class SlowToRead:
    """What is not read before a file is there. Another one says that it is being read."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return read_slowly, (self.folder,)


def read_slowly(folder: str) -> None:
    Path(folder, "reading").touch()
    while not Path(folder, "read-on").exists():
        time.sleep(MOMENT)


def write(folder: str, number: int) -> object:
    if number == 0:
        return SlowToRead(folder)
    while not Path(folder, "reading").exists():
        time.sleep(MOMENT)
    Path(folder, "writing").write_text(str(os.getpid()))
    return bytes(1 << 24)


def square(number: int) -> int:
    time.sleep(MOMENT * (number % 3))  # so that later ones are often done before earlier ones
    return number * number


def refuse(fault: CrishimError, number: int) -> int:
    if number == 3:
        raise fault
    return number


def die(_number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(folder: str, _number: int) -> None:
    name = Path(folder, f"{os.getpid()}.new")
    name.touch()
    name.rename(name.with_suffix(""))
    time.sleep(3600)


def dask_cluster(workers: int) -> Any:
    distributed = pytest.importorskip("distributed", reason="needs the extra crishim[dask]")
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Dask cluster of two processes on this machine."""
    with dask_cluster(2) as made:
        yield made.scheduler_address


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "dask":
        return {"dask": request.getfixturevalue("cluster")}
    return {"jobs": 2 if request.param == "processes" else 1}


def test_results_come_in_the_order_of_the_items_wherever_they_are_made(place: dict[str, Any]) -> None:
    assert list(spread(square, range(40), **place)) == [square(number) for number in range(40)]


def test_nothing_comes_of_nothing(place: dict[str, Any]) -> None:
    assert list(spread(square, [], **place)) == []


def test_an_endless_iterable_is_no_reason_to_wait(place: dict[str, Any]) -> None:
    """Only some items are taken ahead of the results: else this would take all memory there is."""
    taken = itertools.count()
    assert list(itertools.islice(spread(square, taken, **place), 10)) == [square(number) for number in range(10)]
    assert next(taken) < 100


def test_progress_is_told_of_each_result(place: dict[str, Any]) -> None:
    told: list[int] = []
    list(spread(square, range(7), **place, done=told.append))
    assert sum(told) == 7


FAULTS = [
    BadInput("is wrong", where="pod.yaml", line=3, column=5, field="spec", right="another"),
    BadDocument([BadInput("one", where="a", line=2), BadInput("other", where="a", line=1)]),
    Refused("UNKNOWN", "no", (Step("runtime", "rule", "because"),), reason="CreateContainerError", where="kubelet"),
    CapacityExceeded("too much"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_what_a_task_raises_arrives_in_its_turn_and_whole(fault: CrishimError, place: dict[str, Any]) -> None:
    results = spread(partial(refuse, fault), range(9), **place)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(type(fault)) as raised:
        next(results)
    assert str(raised.value) == str(fault)
    assert {**vars(raised.value), "faults": ()} == {**vars(fault), "faults": ()}
    assert list(results) == []


def test_a_process_that_is_killed_is_told_and_not_waited_for() -> None:
    with pytest.raises(CapacityExceeded, match="killed"):
        list(spread(die, range(9), jobs=2))


def test_a_worker_of_a_cluster_that_is_killed_is_told_and_not_waited_for() -> None:
    # Before anything is set: distributed adds its defaults when it is imported, and they would go with what was set.
    pytest.importorskip("distributed", reason="needs the extra crishim[dask]")
    dask = pytest.importorskip("dask")

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        dask_cluster(1) as made,
        pytest.raises(CapacityExceeded, match="killed"),
    ):
        list(spread(die, range(2), dask=made.scheduler_address))


@pytest.mark.parametrize(
    "address", ["nonsense://127.0.0.1:1", "localhost", "127.0.0.1:port", "tcp://", ":::", "tls://127.0.0.1:1"]
)
def test_a_cluster_that_does_not_answer_is_bad_input(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra crishim[dask]")
    monkeypatch.setattr(distributed, "Client", None)  # one that comes to nothing waits 20 s, and leaves a traceback
    with pytest.raises(BadInput, match=rf"^--dask: no Dask scheduler answers at {re.escape(address)}: "):
        list(spread(square, range(2), dask=address))


def test_something_else_that_listens_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs the extra crishim[dask]")
    monkeypatch.setattr(work, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(BadInput, match=rf"no Dask scheduler answers at 127\.0\.0\.1:{port}: \S"):
            list(spread(square, range(2), dask=f"127.0.0.1:{port}"))


def test_workers_of_another_release_are_refused(monkeypatch: pytest.MonkeyPatch, cluster: str) -> None:
    from importlib import metadata  # noqa: PLC0415

    ours = metadata.version("crishim")
    monkeypatch.setattr(metadata, "version", lambda _name: "9.9.9")  # here, not in the workers
    with pytest.raises(BadInput, match=rf"--dask: the Dask worker tcp://\S+ has crishim {ours} "):
        list(spread(square, range(2), dask=cluster))


@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["Ctrl-C", "the parent is killed"],
)
def test_no_process_is_left_behind(how: signal.Signals, code: int, tmp_path: Path) -> None:
    program, told = tmp_path / "sleepers.py", tmp_path / "told"
    program.write_text(SLEEPERS)
    told.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(program), str(told)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as parent:
        while len(list(told.glob("*[0-9]"))) < 2:
            assert parent.poll() is None
            time.sleep(MOMENT)
        if how == signal.SIGINT:  # as a terminal does: to all of them
            os.killpg(parent.pid, how)
        else:
            parent.send_signal(how)
        assert parent.wait() == code
        assert parent.stderr is not None
        said = parent.stderr.read()
    if how == signal.SIGINT:
        assert said == "interrupted\n"
    for file in told.glob("*[0-9]"):
        while _works(file.name):
            time.sleep(MOMENT)


def test_ctrl_c_waits_for_nobody_who_was_just_about_to_answer(tmp_path: Path) -> None:
    """A process that ends in the middle of a result would have the rest of it waited for, without end."""
    program = tmp_path / "writers.py"
    program.write_text(WRITERS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(program), str(tmp_path)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as parent:
        while not (writing := tmp_path / "writing").exists() or not (process := writing.read_text()):
            assert parent.poll() is None
            time.sleep(MOMENT)
        while Path("/proc", process, "stat").read_text().rpartition(") ")[2][0] != "S":  # waits to be read
            time.sleep(MOMENT)
        os.killpg(parent.pid, signal.SIGINT)
        for _ in range(50):  # time enough for it to end, if it does what it should not
            time.sleep(MOMENT)
        (tmp_path / "read-on").touch()
        try:
            assert parent.communicate(timeout=60)[1] == "interrupted\n"
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def _works(process: str) -> bool:
    try:
        state = Path("/proc", process, "stat").read_text().rpartition(") ")[2]
    except OSError:
        return False
    return not state.startswith(("Z", "X"))


def test_without_the_extra_dask_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed.comm.core", None)
    with pytest.raises(BadInput, match=r"--dask: Dask is not installed \(pip install 'crishim\[dask\]'\)"):
        list(spread(square, range(2), dask="tcp://127.0.0.1:1"))
