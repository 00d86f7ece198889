"""The store: what survives, and what is said when it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.errors import BadInput, CapacityExceeded, CrishimError, Refused
from runtimes.request import ImageSpec, KeyValue, LinuxContainerResources, SecurityProfile
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.store import FILE_NAME, Store
from tests.engine.fakes import ToyPersona, box, pod, pod_with, toy_engine, toy_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def everything(engine: Engine) -> dict[str, Any]:
    """Return all that can be asked about what exists."""
    return {
        "sandboxes": engine.sandboxes(),
        "containers": engine.containers(),
        "images": engine.images(),
        "pods": [engine.sandbox_status(each.id, verbose=True) for each in engine.sandboxes()],
        "boxes": [engine.container_status(each.id, verbose=True) for each in engine.containers()],
        "stats": engine.list_container_stats(),
        "events": engine._journal.notes(),  # noqa: SLF001  a subscriber would change what the next one hears
    }


def lived(directory: Path) -> Engine:
    """Make an engine that has seen something of everything."""
    engine = toy_engine(Store.open(directory))
    engine.pull_image(ImageSpec(image="busybox"))
    engine.pull_image(ImageSpec(image="quay.io/a/b@sha256:" + "a" * 64))
    for number in range(3):
        config = pod_with(uid=f"u{number}", seccomp=SecurityProfile(), log_directory=str(directory / "logs"))
        sandbox = engine.run_sandbox(config, "beta" if number == 1 else "")
        for name in ("created", "running", "exited"):
            made = engine.create_container(sandbox, box(name, profile="mine", log_path=f"{name}/0.log"))
            if name != "created":
                engine.start_container(made)
            if name == "exited":
                engine.stop_container(made, 10)
    engine.update_container_resources(engine.containers()[0].id, LinuxContainerResources(cpu_shares=7))
    engine.update_sandbox_resources(engine.sandboxes()[0].id, LinuxContainerResources(cpu_shares=8), None)
    engine.stop_sandbox(engine.sandboxes()[2].id)
    engine.remove_container(engine.containers()[-1].id)
    return engine


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    engine = lived(tmp_path)
    before = everything(engine)
    engine.close()
    again = toy_engine(Store.open(tmp_path))
    assert everything(again) == before
    assert [each.state for each in again.containers()] == [0, 1, 2] * 2 + [0, 2]
    with pytest.raises(Refused, match=r"RunPodSandbox\.name-reserved"):
        again.run_sandbox(pod(uid="u0"))
    network = again.sandbox_status(again.run_sandbox(pod(uid="new"))).status.network
    taken = {view.status.network.ip for view in before["pods"]}
    assert network
    assert network.ip not in taken
    again.close()


def test_a_copy_has_everything_and_each_goes_its_own_way(tmp_path: Path) -> None:
    engine = lived(tmp_path)
    before = everything(engine)
    copy = engine.copy(VirtualClock())
    assert everything(copy) == before | {"stats": copy.list_container_stats()}  # they name the directory
    copy.remove_sandbox(copy.sandboxes()[0].id)
    copy.run_sandbox(pod(uid="new"))
    after = everything(copy)
    assert everything(engine) == before
    assert after != before
    engine.close()
    assert everything(copy) == after
    copy.close()


def test_a_spec_is_kept_to_the_byte(tmp_path: Path) -> None:
    engine = lived(tmp_path)
    infos = [engine.container_status(each.id, verbose=True).info for each in engine.containers()]
    engine.close()
    again = toy_engine(Store.open(tmp_path))
    assert [again.container_status(each.id, verbose=True).info for each in again.containers()] == infos
    again.close()


def test_what_containers_share_is_kept_once_and_goes_with_the_last(tmp_path: Path) -> None:
    engine = toy_engine(Store.open(tmp_path))
    engine.pull_image(ImageSpec(image="busybox"))
    sandbox = engine.run_sandbox(pod())
    for number in range(5):
        engine.create_container(sandbox, box(f"b{number}", profile="mine" if number else "other"))

    def sections() -> int:
        row = engine._ground.store.row("SELECT count(*) FROM bodies WHERE length(body) > 2000")  # noqa: SLF001
        return int(row[0]) if row else -1

    assert sections() == 2
    engine.remove_container(engine.containers()[0].id)
    engine.close()
    engine = toy_engine(Store.open(tmp_path))
    assert sections() == 1
    engine.close()


def test_text_that_is_no_utf8_survives(tmp_path: Path) -> None:
    engine = toy_engine(Store.open(tmp_path))
    engine.pull_image(ImageSpec(image="busybox"))
    envs = (KeyValue(key="A", value=b"\xff\xfe".decode(errors="surrogateescape")),)
    made = engine.create_container(engine.run_sandbox(pod()), box(envs=envs))
    engine.close()
    engine = toy_engine(Store.open(tmp_path))
    assert engine._containers.made(made).request.envs == envs  # noqa: SLF001  the toy's info does not show it
    engine.close()


def test_the_node_in_force_and_the_range_of_addresses_are_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    assert store.node_document() is None
    engine = toy_engine(store)
    engine.node = toy_node(default=ToyPersona("gamma"), delta=ToyPersona("delta"))
    engine.update_runtime_config("10.1.0.0/24")
    engine.close()
    store = Store.open(tmp_path)
    document: Any = store.node_document()
    assert document["kubelet"]["version"] == "1.30.0"
    assert list(document["handlers"]) == ["delta"]
    engine = toy_engine(store)
    network = engine.sandbox_status(engine.run_sandbox(pod())).status.network
    assert network
    assert network.ip == "10.1.0.2"
    engine.close()


def test_an_address_of_a_stopped_pod_is_free_after_a_restart(tmp_path: Path) -> None:
    engine = toy_engine(Store.open(tmp_path))
    engine.update_runtime_config("10.1.0.0/30")
    engine.stop_sandbox(engine.run_sandbox(pod()))
    engine.close()
    engine = toy_engine(Store.open(tmp_path))
    engine.run_sandbox(pod(uid="other"))
    engine.close()


def test_a_pid_of_before_a_restart_is_not_given_again(tmp_path: Path) -> None:
    def pid(engine: Engine, uid: str) -> int:
        info = engine.sandbox_status(engine.run_sandbox(pod(uid=uid)), verbose=True).info["info"]
        number: int = json.loads(info)["pid"]
        return number

    engine = toy_engine(Store.open(tmp_path))
    before = [pid(engine, "a"), pid(engine, "b")]
    engine.close()
    engine = toy_engine(Store.open(tmp_path))
    assert pid(engine, "c") not in before
    engine.close()


def test_a_change_that_breaks_off_is_none() -> None:
    store = Store.open(":memory:")
    with contextlib.suppress(RuntimeError), store.change():
        kept = store.keep(b"body")
        raise RuntimeError
    with pytest.raises(BadInput):
        store.body(kept)
    with store.change():
        store.keep(b"body")
    assert store.body(kept) == b"body"
    store.close()


def test_events_that_nobody_heard_are_told_after_a_restart(tmp_path: Path) -> None:
    engine = toy_engine(Store.open(tmp_path))
    engine.run_sandbox(pod())
    engine.close()
    engine = toy_engine(Store.open(tmp_path))
    assert len(engine._journal._unheard()) == 2  # noqa: SLF001  what the first subscriber is told
    engine.close()


def test_in_memory_nothing_is_kept_and_several_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engines = [toy_engine(Store.open(":memory:")) for _ in range(2)]
    engines[0].run_sandbox(pod())
    assert engines[1].sandboxes() == []
    for engine in engines:
        engine.close()
    assert list(tmp_path.iterdir()) == []


# Who may open it


def test_a_second_server_is_refused_and_named_the_first(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with pytest.raises(BadInput, match=f"{tmp_path}: in use by process {os.getpid()}"):
        Store.open(tmp_path)
    store.close()
    store.close()
    Store.open(tmp_path).close()


def test_a_lock_of_a_process_that_is_gone_is_none(tmp_path: Path) -> None:
    script = (
        "import os, signal; from shim.engine.store import Store; "
        f"s = Store.open({str(tmp_path)!r}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.run([sys.executable, "-c", script], check=False)
    assert child.returncode == -signal.SIGKILL
    Store.open(tmp_path).close()


# What cannot be used


@contextlib.contextmanager
def not_root() -> Iterator[Path]:
    """Give a directory of somebody who may do nothing elsewhere."""
    directory = Path(tempfile.mkdtemp(prefix="crishim-"))
    directory.chmod(0o755)
    root = os.geteuid() == 0
    try:
        if root:
            os.chown(directory, 65534, 65534)
            os.seteuid(65534)
        yield directory
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(directory)


def test_a_directory_that_cannot_be_written() -> None:
    with not_root() as directory:
        directory.chmod(0o555)
        for place in (directory, directory / "below"):
            with pytest.raises(BadInput, match=f"^{directory}.*: Permission denied"):
                Store.open(place)
        directory.chmod(0o755)


def test_a_database_that_cannot_be_written() -> None:
    with not_root() as directory:
        lived(directory).close()
        for path, mode in ((directory / FILE_NAME, 0o444), (directory, 0o555)):
            before = path.stat().st_mode
            path.chmod(mode)
            with pytest.raises(BadInput, match=f"^{path}: cannot be written"):
                toy_engine(Store.open(directory))
            path.chmod(before)
        toy_engine(Store.open(directory)).close()


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(BadInput, match=str(tmp_path / "file")):
            Store.open(place)


def _overwrite(at: int, what: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(what)

    return damage


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE sandboxes (id)")
        database.commit()


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_overwrite(0, b"not a database"), "damaged: file is not a database"),
        (_overwrite(4096, b"\xff" * 20_000), "damaged: "),
        (_cut, "damaged: "),
        (_empty, "this is not a database of crishim"),
        (_foreign, "this is not a database of crishim"),
        (_newer, "written by a newer crishim, with schema 99"),
    ],
)
def test_a_damaged_database_is_said_to_be_and_left_alone(
    tmp_path: Path, damage: Callable[[Path], None], text: str
) -> None:
    lived(tmp_path).close()
    path = tmp_path / FILE_NAME
    damage(path)
    before = path.read_bytes()
    with pytest.raises(BadInput) as fault:
        toy_engine(Store.open(tmp_path))
    assert str(fault.value).startswith(f"{path}: {text}")
    assert path.read_bytes() == before
    with pytest.raises(BadInput):  # and the directory is free again
        Store.open(tmp_path)


def test_a_database_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    engine = lived(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy")
    engine.close()
    assert (tmp_path / "copy" / f"{FILE_NAME}-wal").stat().st_size > 0
    (tmp_path / "copy" / FILE_NAME).unlink()
    with pytest.raises(BadInput, match="missing, though its write-ahead log is there"):
        Store.open(tmp_path / "copy")
    assert not (tmp_path / "copy" / FILE_NAME).exists()


def test_a_body_that_is_gone_is_damage(tmp_path: Path) -> None:
    engine = lived(tmp_path)
    with engine._ground.store.change():  # noqa: SLF001
        engine._ground.store.write("DELETE FROM bodies")  # noqa: SLF001
    with pytest.raises(BadInput, match=f"{tmp_path / FILE_NAME}: body [0-9a-f]+ is missing or damaged"):
        engine.container_status(engine.containers()[0].id, verbose=True)
    engine.close()


def test_a_half_made_database_of_a_killed_process_is_made_again(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half")
    (tmp_path / f"{FILE_NAME}.new-journal").write_bytes(b"half")
    Store.open(tmp_path).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [FILE_NAME, "lock"]


# No room


def fill(engine: Engine) -> Exception:
    """Make containers until it says no; everything that it said yes to must be there, and nothing else."""
    sandbox = engine.sandboxes()[0].id
    made = [each.id for each in engine.containers()]
    for number in range(100_000):
        before = everything(engine)
        try:
            made.append(engine.create_container(sandbox, box(f"f{number}", labels={"x": "y" * 5000})))
        except CrishimError as error:
            assert everything(engine) == before
            assert [each.id for each in engine.containers()] == made
            return error
    pytest.fail("it never got full")


def test_a_full_database_says_so_and_loses_nothing(tmp_path: Path) -> None:
    engine = lived(tmp_path)
    engine._ground.store.row("PRAGMA max_page_count = 60")  # noqa: SLF001
    error = fill(engine)
    assert isinstance(error, CapacityExceeded)
    assert str(error).startswith(f"{tmp_path / FILE_NAME}: database or disk is full")
    before = everything(engine)
    with pytest.raises(CapacityExceeded):
        engine.run_sandbox(pod(uid="new", labels={"x": "y" * 50_000}))
    assert everything(engine) == before
    engine.remove_sandbox(engine.sandboxes()[0].id)  # makes room
    engine.run_sandbox(pod(uid="after"))
    before = everything(engine)
    engine.close()
    engine = toy_engine(Store.open(tmp_path))
    assert everything(engine) == before
    engine.close()


_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from shim.engine.store import Store
from tests.engine.test_store import fill, lived, toy_engine
engine = lived(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
error = fill(engine)
print(type(error).__name__, error)
for each in engine.containers():
    print(each.id)
"""


def test_a_disk_that_takes_no_more_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    limit = 2_000_000
    child = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path), str(limit)], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    error, *ids = child.stdout.splitlines()
    assert str(tmp_path / FILE_NAME) in error
    assert error.split()[0] in ("CapacityExceeded", "BadInput")
    engine = toy_engine(Store.open(tmp_path))
    assert [each.id for each in engine.containers()] == ids
    engine.close()


def test_a_lock_that_cannot_be_had_is_said_to_be_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(BadInput, match=f"^{tmp_path}/lock: Is a directory"):
        Store.open(tmp_path)
