"""The node's file system: a directory of this machine that stands for it.

`HostFiles("/")` is this host; `HostFiles("fleet/node-7")` is a node whose files were copied there. Paths are the node's
own. They are followed by hand, one name at a time: a symbolic link is read and resolved inside the directory, an
absolute target starts again at its top, and `..` stops there, as after chroot(2). So nothing outside is ever opened,
whatever the links say, and a fault is told in the words in which Go's os package would tell it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from typing import TYPE_CHECKING

from runtimes.errors import CapacityExceeded
from runtimes.files import FileFault

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from runtimes.artifacts import Artifacts

FILE_LIMIT = 16 * 1024 * 1024  # bytes of one file
WALK_LIMIT = 10_000  # entries of one walk

_PATH_MAX = 4096  # bytes, the final NUL among them: the kernel's limit for a path that is handed to it
_LINKS_MAX = 40  # the kernel's limit for one resolution
_DEV_NULL = os.makedev(1, 3)

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class HostFiles:
    """The `Files` of a directory. It is opened anew for each call, so files may change under a running server.

    `artifacts` is what answers for registries, None where none is to be asked.
    """

    def __init__(self, root: str = "/", artifacts: Artifacts | None = None) -> None:
        self.artifacts = artifacts
        self.root = os.path.abspath(root)  # noqa: PTH100  pathlib is slow to import

    def read(self, path: str) -> bytes:
        """Return the content. Raises `FileFault`, and `CapacityExceeded` past `FILE_LIMIT`."""
        with _Walker(self.root, path) as walker:
            walker.go(path)
            return walker.content()

    def walk(self, path: str) -> tuple[str, ...]:
        """Return everything below a directory that is no directory itself, as Go's filepath.Walk visits it.

        Names are sorted within a directory, and links are named, not followed: a `path` that is a file, or a link, is
        all there is. Raises `FileFault`, and `CapacityExceeded` past `WALK_LIMIT` entries.
        """
        found: list[str] = []
        todo = [_clean(path)]
        seen = 0
        while todo:
            place = todo.pop()
            with _Walker(self.root, place, operation="lstat") as walker:
                if walker.go(place, follow_last=False):
                    names = walker.names()
                    seen += len(names)
                    if seen > WALK_LIMIT:
                        raise CapacityExceeded(f"there are more than {WALK_LIMIT} files below {path}")
                    todo.extend(posixpath.join(place, name) for name in reversed(names))
                else:
                    found.append(place)
        return tuple(found)


class _Walker:
    """One path being followed. Holds a descriptor for each directory from the top down to where it stands."""

    def __init__(self, root: str, path: str, operation: str = "open") -> None:
        self.path, self.operation = path, operation
        self.name = b"."  # what was found, inside the directory on top of the stack
        self.stack: list[int] = []
        try:
            self.stack.append(os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as fault:
            raise self.fault(fault.errno) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.up_to(0)

    def go(self, path: str, *, follow_last: bool = True) -> bool:
        """Follow a path from the top. Return whether it leads to a directory."""
        try:
            return self._go(_bytes(path), follow_last=follow_last)
        except OSError as fault:
            raise self.fault(fault.errno) from None

    def content(self) -> bytes:
        """Read the file that was found."""
        try:
            self._refuse_special()
            file = os.open(self.name, _READ, dir_fd=self.stack[-1])
        except OSError as fault:
            raise self.fault(fault.errno) from None
        try:
            return self._read(file)
        except OSError as fault:
            self.operation = "read"
            raise self.fault(fault.errno) from None
        finally:
            os.close(file)

    def names(self) -> list[str]:
        """Return the sorted names in the directory that was found."""
        try:
            directory = os.open(b".", _READ | os.O_DIRECTORY, dir_fd=self.stack[-1])
        except OSError as fault:
            self.operation = "open"
            raise self.fault(fault.errno) from None
        try:
            return sorted(os.listdir(directory))  # noqa: PTH208  a descriptor has no Path
        finally:
            os.close(directory)

    def fault(self, number: int | None) -> FileFault:
        """Tell an errno as Go prints it: strerror's text in lower case."""
        text = os.strerror(number or 0)
        return FileFault(self.operation, self.path, text[:1].lower() + text[1:])

    def up_to(self, depth: int) -> None:
        """Leave directories until `depth` of them are left."""
        while len(self.stack) > depth:
            os.close(self.stack.pop())

    def _go(self, path: bytes, *, follow_last: bool) -> bool:
        if not path:
            raise OSError(errno.ENOENT, "")
        if len(path) >= _PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, "")
        todo = _names(path)
        links = 0
        while todo:
            name = todo.pop()
            if name == b"..":
                self.up_to(max(1, len(self.stack) - 1))
            elif name != b".":
                target = self._enter(name, last=not todo, follow_last=follow_last)
                if target is not None:
                    links += 1
                    if links > _LINKS_MAX:
                        raise OSError(errno.ELOOP, "")
                    if target.startswith(b"/"):
                        self.up_to(1)
                    todo.extend(_names(target))
        return self.name == b"."

    def _enter(self, name: bytes, *, last: bool, follow_last: bool) -> bytes | None:
        """Step onto one name: into a directory, onto the last file, or return where a link points."""
        entry = os.open(name, _LOOK, dir_fd=self.stack[-1])
        kind = stat.S_IFMT(os.fstat(entry).st_mode)
        if kind == stat.S_IFDIR:
            self.stack.append(entry)
            return None
        try:
            if kind == stat.S_IFLNK and (follow_last or not last):
                return os.readlink(b"", dir_fd=entry)
        finally:
            os.close(entry)
        if not last:
            raise OSError(errno.ENOTDIR, "")
        self.name = name
        return None

    def _refuse_special(self) -> None:
        """Opening a pipe or a device may block, or do something."""
        entry = os.stat(self.name, dir_fd=self.stack[-1], follow_symlinks=False)
        kind = stat.S_IFMT(entry.st_mode)
        if kind in (stat.S_IFIFO, stat.S_IFBLK) or (kind == stat.S_IFCHR and entry.st_rdev != _DEV_NULL):
            raise CapacityExceeded(f"{self.path} is a pipe or a device: only regular files are read")

    def _read(self, file: int) -> bytes:
        parts: list[bytes] = []
        left = FILE_LIMIT + 1
        while left > 0 and (part := os.read(file, min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
        if left <= 0:
            raise CapacityExceeded(f"{self.path} is larger than {FILE_LIMIT} bytes, the most that is read of a file")
        return b"".join(parts)


def _names(path: bytes) -> list[bytes]:
    """Return the names of a path, the first one last. A slash at the end asks for a directory, as "/." does."""
    names = [name for name in path.split(b"/") if name]
    return ([b"."] if path.endswith(b"/") else []) + names[::-1]


def _bytes(path: str) -> bytes:
    """Return a path as the kernel takes it. Raises what the kernel would say."""
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, from an escape in a document: no file is called so
        raise OSError(errno.ENOENT, "") from None
    if b"\0" in encoded:
        raise OSError(errno.EINVAL, "")
    return encoded


def _clean(path: str) -> str:
    """Shorten a path as Go's filepath.Clean does."""
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean
