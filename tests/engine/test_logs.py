"""Log files: made where they should be, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes.errors import BadInput, Refused
from runtimes.request import ImageSpec
from shim.engine.values import CONTAINER_CREATED, CONTAINER_EXITED
from tests.engine.fakes import box, pod, toy_engine

if TYPE_CHECKING:
    from shim.engine.engine import Engine


@pytest.fixture
def engine() -> Engine:
    engine = toy_engine()
    engine.pull_image(ImageSpec(image="busybox"))
    return engine


def created(engine: Engine, directory: str, path: str) -> str:
    return engine.create_container(engine.run_sandbox(pod(log_directory=directory)), box(log_path=path))


def test_the_log_is_an_empty_file_once_the_container_is_started(engine: Engine, tmp_path: Path) -> None:
    made = created(engine, f"{tmp_path}/pods/ns_pod_u1", "box/0.log")
    log = tmp_path / "pods/ns_pod_u1/box/0.log"
    assert engine.container_status(made).status.log_path == str(log)
    assert not log.exists()
    engine.start_container(made)
    assert log.read_bytes() == b""
    assert oct(log.stat().st_mode & 0o777) in ("0o640", "0o600")


def test_a_log_that_is_there_is_added_to(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("before\n")
    engine.start_container(created(engine, str(tmp_path), "a.log"))
    assert (tmp_path / "a.log").read_text() == "before\n"


def test_reopening_makes_the_file_that_was_rotated_away_anew(engine: Engine, tmp_path: Path) -> None:
    made = created(engine, str(tmp_path), "box/0.log")
    with pytest.raises(Refused, match=r"ReopenContainerLog.state .* state=CONTAINER_CREATED"):
        engine.reopen_log(made)
    engine.start_container(made)
    (tmp_path / "box/0.log").rename(tmp_path / "box/0.log.1")
    engine.reopen_log(made)
    assert sorted(each.name for each in (tmp_path / "box").iterdir()) == ["0.log", "0.log.1"]
    engine.stop_container(made)
    with pytest.raises(Refused, match=r"ReopenContainerLog.state .* state=CONTAINER_EXITED"):
        engine.reopen_log(made)


@pytest.mark.parametrize(("directory", "path"), [("", "a.log"), ("{tmp}", ""), ("", "")])
def test_without_both_parts_there_is_no_log(engine: Engine, tmp_path: Path, directory: str, path: str) -> None:
    made = created(engine, directory.format(tmp=tmp_path), path)
    engine.start_container(made)
    engine.reopen_log(made)
    assert engine.container_status(made).status.log_path == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("directory", "path", "field"),
    [
        ("{tmp}/logs", "../out.log", "log_path"),
        ("{tmp}/logs", "a/../../out.log", "log_path"),
        ("{tmp}/logs", ".", "log_path"),
        ("{tmp}/logs", "..", "log_path"),
        ("{tmp}/logs", "../logs-too/a", "log_path"),
        ("{tmp}/logs", "a\0b", "log_path"),
        ("logs", "a.log", "log_directory"),
    ],
)
def test_a_path_that_leads_away_is_refused(
    engine: Engine, tmp_path: Path, directory: str, path: str, field: str
) -> None:
    with pytest.raises(BadInput) as fault:
        created(engine, directory.format(tmp=tmp_path), path)
    assert fault.value.field == field
    assert engine.containers() == []
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_wander_as_long_as_it_stays(engine: Engine, tmp_path: Path) -> None:
    engine.start_container(created(engine, f"{tmp_path}/./logs/", "/a/../b//0.log"))
    assert (tmp_path / "logs/b/0.log").exists()


def _folder(inside: Path, outside: Path) -> None:
    (inside / "box").symlink_to(outside)


def _file(inside: Path, outside: Path) -> None:
    (inside / "box").mkdir()
    (inside / "box/0.log").symlink_to(outside / "0.log")


def _in_the_way(inside: Path, _outside: Path) -> None:
    (inside / "box").write_text("")


def _a_directory(inside: Path, _outside: Path) -> None:
    (inside / "box/0.log").mkdir(parents=True)


def _a_fifo(inside: Path, _outside: Path) -> None:
    (inside / "box").mkdir()
    os.mkfifo(inside / "box/0.log")


@pytest.mark.parametrize(
    ("obstacle", "text"),
    [
        (_folder, "not a directory"),
        (_file, "too many levels of symbolic links"),
        (_in_the_way, "not a directory"),
        (_a_directory, "is a directory"),
        (_a_fifo, "no such device or address"),
    ],
)
def test_what_is_in_the_way_of_a_log_fails_the_start(
    engine: Engine, tmp_path: Path, obstacle: object, text: str
) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    assert callable(obstacle)
    obstacle(inside, outside)
    made = created(engine, str(inside), "box/0.log")
    assert engine.container_status(made).status.state == CONTAINER_CREATED
    with pytest.raises(Refused) as refusal:
        engine.start_container(made)
    assert refusal.value.message == f"failed to create and open log file: open {inside}/box/0.log: {text}"
    status = engine.container_status(made).status
    assert (status.state, status.reason, status.message) == (CONTAINER_EXITED, "StartError", refusal.value.message)
    assert list(outside.iterdir()) == []


def test_a_name_that_is_too_long_is_the_systems_to_refuse(engine: Engine, tmp_path: Path) -> None:
    made = created(engine, str(tmp_path), "x" * 300_000)
    with pytest.raises(Refused, match="file name too long"):
        engine.start_container(made)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "box").write_text("")
    before = open_descriptors()
    with pytest.raises(Refused):
        engine.start_container(created(engine, str(tmp_path), "box/a/b/0.log"))
    sandbox = engine.sandboxes()[0].id
    engine.start_container(engine.create_container(sandbox, box("other", log_path="a/b/c/0.log")))
    assert open_descriptors() == before
