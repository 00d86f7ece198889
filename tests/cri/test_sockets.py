"""Who gets a socket path, and what is left of it afterwards."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runtimes.errors import BadInput
from shim.cri import sockets


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        pytest.param("unix:///run/crishim.sock", "/run/crishim.sock", id="as crictl writes it"),
        pytest.param("/run/crishim.sock", "/run/crishim.sock", id="a bare path"),
        pytest.param("unix:///run/a b#c%20.sock", "/run/a b#c%20.sock", id="no character is special"),
        pytest.param("/" + "x" * 106, "/" + "x" * 106, id="107 bytes"),
    ],
)
def test_endpoints(endpoint: str, path: str) -> None:
    assert sockets.socket_path(endpoint) == Path(path)


def test_a_relative_path_counts_from_the_working_directory(monkeypatch: pytest.MonkeyPatch, short_path: Path) -> None:
    monkeypatch.chdir(short_path)
    assert sockets.socket_path("a.sock") == short_path / "a.sock"


@pytest.mark.parametrize(
    ("endpoint", "complaint"),
    [
        pytest.param("tcp://127.0.0.1:80", "no unix socket", id="tcp"),
        pytest.param("npipe:////./pipe/containerd", "no unix socket", id="a pipe of Windows"),
        pytest.param("unix-abstract:name", "no unix socket", id="an abstract socket"),
        pytest.param("localhost:80", "no unix socket", id="host and port"),
        pytest.param("unix://run/crishim.sock", "not absolute", id="a slash too few"),
        pytest.param("", "names no file", id="nothing"),
        pytest.param("unix:///run/", "names no file", id="a directory"),
        pytest.param("/" + "x" * 107, "108 bytes, and Linux allows 107", id="a byte too long"),
        pytest.param("/" + "é" * 54, "109 bytes, and Linux allows 107", id="bytes count, not characters"),
    ],
)
def test_endpoints_that_are_refused(endpoint: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=rf"^--listen: .*{complaint}"):
        sockets.socket_path(endpoint)


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with sockets.owner_and_group_only():
        listener.bind(str(path))
    listener.listen()
    return listener


def test_a_missing_directory_is_made_and_the_path_left_empty(short_path: Path) -> None:
    path = short_path / "run" / "crishim" / "a.sock"
    with sockets.reserved(path):
        assert not path.exists()
        assert [stat.S_IMODE(each.stat().st_mode) for each in path.parents[:2]] == [0o750, 0o750]
        with listen(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert list(path.parent.iterdir()) == []


def stale_socket(path: Path) -> None:
    listen(path).close()


def stale_socket_and_lock(path: Path) -> None:
    stale_socket(path)
    path.with_name(path.name + ".lock").touch()


@pytest.mark.parametrize("leave", [stale_socket, stale_socket_and_lock])
def test_what_a_killed_server_left_is_taken_over(short_path: Path, leave: Callable[[Path], None]) -> None:
    path = short_path / "a.sock"
    leave(path)
    with sockets.reserved(path):
        assert not path.exists()
    assert list(short_path.iterdir()) == []


def test_of_two_servers_the_second_is_refused_and_the_first_unharmed(short_path: Path) -> None:
    path = short_path / "a.sock"
    with sockets.reserved(path), listen(path):
        with pytest.raises(BadInput, match=rf"another server is listening on {path}"), sockets.reserved(path):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        assert path.with_name("a.sock.lock").exists()


def test_a_server_that_has_no_socket_yet_is_not_overtaken(short_path: Path) -> None:
    path = short_path / "a.sock"
    with sockets.reserved(path), pytest.raises(BadInput, match="another server"), sockets.reserved(path):
        pass


def test_a_live_socket_without_a_lock_is_not_stolen(short_path: Path) -> None:
    path = short_path / "containerd.sock"
    with listen(path) as listener:
        with pytest.raises(BadInput, match="another server is listening"), sockets.reserved(path):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            listener.accept()[0].close()
    assert [each.name for each in short_path.iterdir()] == ["containerd.sock"]


def test_a_server_too_busy_to_answer_is_alive(short_path: Path) -> None:
    path = short_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(path))
        listener.listen(0)
        client.connect(str(path))  # takes the only place in the queue
        with pytest.raises(BadInput, match="another server is listening"), sockets.reserved(path):
            pass


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        pytest.param(Path.touch, "a regular file", id="a regular file"),
        pytest.param(Path.mkdir, "a directory", id="a directory"),
        pytest.param(lambda path: path.symlink_to("/nowhere"), "a symbolic link", id="a link"),
        pytest.param(os.mkfifo, "a special file", id="a pipe"),
    ],
)
def test_what_is_no_socket_stays(short_path: Path, make: Callable[[Path], None], kind: str) -> None:
    path = short_path / "a.sock"
    make(path)
    with pytest.raises(BadInput, match=f"it is {kind}, not a socket"), sockets.reserved(path):
        pass
    assert [each.name for each in short_path.iterdir()] == ["a.sock"]


def test_a_lock_that_its_owner_just_removed_is_not_relied_on(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner may leave between our opening of its lock and our locking it: that lock keeps nobody out."""
    path = short_path / "a.sock"
    lock = path.with_name("a.sock.lock")
    lock.touch()
    real = fcntl.flock

    def flock_as_the_owner_leaves(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        lock.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_as_the_owner_leaves)
    with sockets.reserved(path), pytest.raises(BadInput, match="another server"), sockets.reserved(path):
        pass


def test_a_directory_that_is_none_is_a_sentence(short_path: Path) -> None:
    (short_path / "file").touch()
    refused = pytest.raises(BadInput, match=r"cannot listen on .*/file/a.sock: .*/file")
    with refused, sockets.reserved(short_path / "file" / "a.sock"):
        pass
