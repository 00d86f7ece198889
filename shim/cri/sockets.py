"""The unix socket that a server listens on: taken without stealing a live one, given back on the way out.

grpc unlinks whatever socket it finds at a path before it binds there, a live one too, and whoever stops first takes the
path of the other away. So a server holds a lock beside its socket, `<socket>.lock`, for as long as it lives, and knocks
at a socket that is already there before it removes it. The lock dies with its process, so a stale socket is taken over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from runtimes.errors import BadInput

LONGEST_PATH = 107  # sun_path of Linux has 108 bytes, the last of them a NUL
SOCKET_MODE = 0o660
DIRECTORY_MODE = 0o750

WHERE = "--listen"


def socket_path(endpoint: str) -> Path:
    """Return the absolute path of an endpoint: "unix:///run/crishim.sock" or a path. Raises `BadInput`."""
    scheme, colon, rest = endpoint.partition("://")
    if colon and scheme != "unix":
        raise BadInput(f"{endpoint} is no unix socket", where=WHERE, right="unix:///path/to/a.sock")
    if colon and not rest.startswith("/"):
        raise BadInput(f"the path in {endpoint} is not absolute", where=WHERE, right="unix:///path/to/a.sock")
    if not colon and re.match(r"[a-z][a-z0-9+-]*:", endpoint):
        raise BadInput(f"{endpoint} is no unix socket", where=WHERE, right="unix:///path/to/a.sock")
    if not endpoint or endpoint.endswith("/"):
        raise BadInput(f"{endpoint!r} names no file", where=WHERE, right="unix:///path/to/a.sock")
    path = Path(rest if colon else endpoint).absolute()
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise BadInput(
            f"the path {path} has {length} bytes, and Linux allows {LONGEST_PATH} for a unix socket",
            where=WHERE,
            right="choose a shorter path",
        )
    return path


@contextlib.contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Hold a path for one server. Within, nothing is there any more and nobody else who asks will get it.

    Raises `BadInput` where the path is taken, is not a socket, or cannot be made.
    """
    with _sentences(path):
        _make_directory(path.parent)
        lock = _locked(path)
    try:
        with _sentences(path):
            _clear(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        _lock_path(path).unlink(missing_ok=True)  # while it is still held: whoever opened it meanwhile will notice
        os.close(lock)


@contextlib.contextmanager
def owner_and_group_only() -> Iterator[None]:
    """Have sockets made within get `SOCKET_MODE` at once, so that there is no moment in which others may connect."""
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        yield
    finally:
        os.umask(before)


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _make_directory(directory: Path) -> None:
    before = os.umask(0o777 & ~DIRECTORY_MODE)
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    finally:
        os.umask(before)


def _locked(path: Path) -> int:
    """Return a descriptor that holds the lock."""
    lock_path = _lock_path(path)
    while True:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, lock_path):
                return lock
        except BlockingIOError:
            os.close(lock)
            raise _in_use(path) from None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # its last owner removed it between our opening and our locking: there may be a new one


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on; refuse anything else that is there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BadInput(f"{path} is there already, and it is {_kind(mode)}, not a socket", where=WHERE)
    if _answers(path):
        raise _in_use(path)
    path.unlink()


def _answers(path: Path) -> bool:
    """Whether somebody listens: a full queue or a slow answer means yes, only a refusal means no."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (BlockingIOError, TimeoutError):
            return True
        return True


def _in_use(path: Path) -> BadInput:
    return BadInput(f"another server is listening on {path}", where=WHERE, right="stop it or choose another path")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFREG: "a regular file", stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "a special file")


@contextlib.contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or errno.errorcode.get(error.errno or 0, "unknown error")
        place = error.filename or path
        raise BadInput(f"cannot listen on {path}: {place}: {reason}", where=WHERE) from error
