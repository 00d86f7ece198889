"""How a model reads the node's files without touching a file system: the caller hands in a `Files`."""

from __future__ import annotations

from typing import Protocol

# What Go's syscall.Errno prints for the faults a read can have.
NO_SUCH_FILE = "no such file or directory"
IS_A_DIRECTORY = "is a directory"
NOT_A_DIRECTORY = "not a directory"
PERMISSION_DENIED = "permission denied"


class FileFault(Exception):
    """A file could not be read. `str(fault)` is what Go's os.ReadFile says: "open F: no such file or directory"."""

    def __init__(self, operation: str, path: str, errno: str) -> None:
        self.operation, self.path, self.errno = operation, path, errno
        super().__init__(f"{operation} {path}: {errno}")


class Files(Protocol):
    """The node's file system, as far as a decision reads it. Paths are the node's own, absolute or relative."""

    def read(self, path: str) -> bytes:
        """Return the content. Raises `FileFault`; "open" and "read" faults are told apart as Go tells them apart."""
        ...

    def walk(self, path: str) -> tuple[str, ...]:
        """Return the regular files below a directory, recursively, in lexical order. Raises `FileFault`."""
        ...


class MemoryFiles(dict[str, bytes]):
    """Files held in memory: for tests and for the rehearsal of a node that is not there."""

    def read(self, path: str) -> bytes:
        """Return the content of one of the files."""
        if path in self:
            return self[path]
        if any(name.startswith(path.rstrip("/") + "/") for name in self) and path:
            raise FileFault("read", path, IS_A_DIRECTORY)
        raise FileFault("open", path, NO_SUCH_FILE)

    def walk(self, path: str) -> tuple[str, ...]:
        """Return the files below a directory."""
        found = tuple(sorted(name for name in self if name.startswith(path.rstrip("/") + "/")))
        if not found:
            raise FileFault("lstat", path, NO_SUCH_FILE)
        return found
