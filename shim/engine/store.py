"""The memory of a node: one SQLite database in a directory, and the lock that keeps a second process out of it.

What was acknowledged is there after `kill -9`: an answer is given after its COMMIT. The journal is a write-ahead log
and `synchronous` is NORMAL: a COMMIT hands its pages to the operating system and does not wait for the disk. A process
that is killed loses nothing that way, because the pages are the kernel's by then; only a power failure can take the
last commits, and even that leaves a sound database. Waiting for the disk at each CreateContainer would cost ten times
the rest of it, for a simulation.

A database is never silently made anew: it is built under another name and renamed once it is whole, so that a missing,
empty or foreign file under its own name is damage, and is said to be.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtimes.errors import BadInput, CapacityExceeded
from shim.engine import codec

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = ":memory:"
FILE_NAME = "crishim.db"

_APPLICATION_ID = 0x63726973  # "cris": tells our databases from others
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- What many objects share, once: seccomp sections, steps, what a node was like.
CREATE TABLE bodies (digest BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

-- `life` is what changes, `made` what does not; `section`, `steps` and `origin` are digests of bodies.
CREATE TABLE sandboxes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, entry TEXT NOT NULL, name TEXT NOT NULL,
    life BLOB NOT NULL, made BLOB NOT NULL, section BLOB, steps BLOB NOT NULL, origin BLOB NOT NULL, spec BLOB NOT NULL
);
CREATE UNIQUE INDEX sandbox_names ON sandboxes (name, entry);

CREATE TABLE containers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, entry TEXT NOT NULL, name TEXT NOT NULL,
    life BLOB NOT NULL, made BLOB NOT NULL, section BLOB, steps BLOB NOT NULL, origin BLOB NOT NULL, spec BLOB NOT NULL
);
CREATE UNIQUE INDEX container_names ON containers (name, entry);

CREATE TABLE images (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, facts BLOB NOT NULL);

-- `heard` tells whether anybody was listening.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, type INTEGER NOT NULL,
    id TEXT NOT NULL, sandbox TEXT NOT NULL, heard INTEGER NOT NULL
);
"""


class Store:
    """An open store. One process at a time has it.

    Every method raises `CapacityExceeded` where there is no room to write, and `BadInput` where the file is damaged or
    the disk fails; both name the file.
    """

    def __init__(self, database: sqlite3.Connection, path: str, lock: int | None) -> None:
        self._database, self._path, self._lock = database, path, lock
        # Digests of bodies that are committed, and of those that the change under way will commit. Nearly every object
        # shares its bodies with others, so nearly every `keep` needs no statement.
        self._kept: set[bytes] = set()
        self._pending: list[bytes] = []

    @classmethod
    def open(cls, directory: Path | str) -> Store:
        """Open or make the store in a directory; ":memory:" gives one that nothing survives.

        Raises `BadInput` where the directory cannot be used, is in use, is damaged or was written by a newer crishim.
        """
        if str(directory) == MEMORY:
            database = sqlite3.connect(MEMORY, isolation_level=None, check_same_thread=False)
            database.executescript(_SCHEMA)
            return cls(database, MEMORY, None)
        path = Path(directory) / FILE_NAME
        lock = _take(Path(directory))
        try:
            with _faults(str(path)):
                return cls(_open(path), str(path), lock)
        except BaseException:
            os.close(lock)
            raise

    def copy(self) -> Store:
        """Return another store with the same content, in memory."""
        database = sqlite3.connect(MEMORY, isolation_level=None, check_same_thread=False)
        with _faults(self._path):
            self._database.backup(database)
        return Store(database, MEMORY, None)

    @property
    def directory(self) -> str:
        """Where it lies; "/" for one in memory."""
        return "/" if self._path == MEMORY else str(Path(self._path).parent)

    def close(self) -> None:
        """Close it. Closing twice is no error."""
        with _faults(self._path):
            self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Commit all that is written inside when it ends, or nothing of it where it ends with an exception."""
        self._run("BEGIN IMMEDIATE")
        self._pending = []
        try:
            yield
            self._run("COMMIT")
            self._remember()
        except BaseException:
            # SQLite rolls some faults back by itself; what is then left to do fails, and says nothing new.
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def write(self, statement: str, *values: object) -> int:
        """Run a statement inside of a change; return the number of the row that it put in."""
        return self._run(statement, *values).lastrowid or 0

    def row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        """Return the first row of a query."""
        found: tuple[Any, ...] | None = self._run(query, *values).fetchone()
        return found

    def must_row(self, query: str, *values: object) -> tuple[Any, ...]:
        """Return the first row of a query for what is known to exist: without it the file is damaged."""
        found = self.row(query, *values)
        if found is None:
            raise BadInput(f"row {values} is missing", where=self._path, right=_RESTORE)
        return found

    def rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Go through the rows of a query."""
        found = self._run(query, *values)
        while batch := self._fetch(found):
            yield from batch

    def keep(self, body: bytes) -> bytes:
        """Write a body down unless it is there already, inside of a change; return its digest."""
        digest = hashlib.sha256(body).digest()
        if digest not in self._kept:
            self._run("INSERT OR IGNORE INTO bodies VALUES (?, ?)", digest, body)
            self._pending.append(digest)
        return digest

    def body(self, digest: bytes) -> bytes:
        """Return a body by its digest."""
        found = self.row("SELECT body FROM bodies WHERE digest = ?", digest)
        if found is None or hashlib.sha256(found[0]).digest() != digest:
            raise BadInput(f"body {digest.hex()} is missing or damaged", where=self._path, right=_RESTORE)
        body: bytes = found[0]
        return body

    def setting(self, key: str) -> Any | None:
        """Return a setting as JSON-shaped values, None where it was never set."""
        found = self.row("SELECT value FROM settings WHERE key = ?", key)
        return None if found is None else codec.decode(found[0], object)

    def set(self, key: str, value: Any) -> None:
        """Write a setting down."""
        with self.change():
            self.write("INSERT OR REPLACE INTO settings VALUES (?, ?)", key, codec.encode(value))

    def node_document(self) -> Any | None:
        """Return the node document that was last in force as JSON-shaped values, None in a new store."""
        return self.setting("node")

    def _remember(self) -> None:
        if len(self._kept) > _REMEMBERED:
            self._kept.clear()
        self._kept.update(self._pending)

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.DatabaseError as error:
            raise _fault(error, self._path) from error

    def _fetch(self, cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
        with _faults(self._path):
            return cursor.fetchmany(1000)


_REMEMBERED = 4096  # digests; a node has a few sections, and one list of steps for each way to one

_RESTORE = "move the directory away to start anew, or put a copy of it back"


def _take(directory: Path) -> int:
    """Make the directory and lock it for as long as this process lives or keeps the descriptor open."""
    path = directory / "lock"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else str(path)
        raise BadInput(f"{error.strerror}", where=where, right="a state directory that can be written") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        by = f"process {owner}" if owner else "another process"
        raise BadInput(f"in use by {by}", where=str(directory), right="one server for each state directory") from error
    try:
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    except OSError:
        pass  # The number is only there to be shown to others: a full disk is for the database to report.
    return lock


def _open(path: Path) -> sqlite3.Connection:
    # SQLite would open what it cannot write, and speak of a disk error at the first change.
    for each in (path.parent, path):
        if each.exists() and not os.access(each, os.R_OK | os.W_OK, effective_ids=True):
            raise BadInput("cannot be written", where=str(each), right="a state directory that can be")
    if not path.exists():
        leftover = path.with_name(path.name + "-wal")
        if leftover.exists():
            raise BadInput("missing, though its write-ahead log is there", where=str(path), right=_RESTORE)
        _build(path)
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _build(path: Path) -> None:
    """Make an empty database under another name, and rename it when it is whole."""
    draft = path.with_name(path.name + ".new")
    for leftover in (draft, draft.with_name(draft.name + "-journal")):
        leftover.unlink(missing_ok=True)
    database = sqlite3.connect(draft, isolation_level=None)
    try:
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    finally:
        database.close()
    draft.rename(path)


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    # Alone in the file anyway: an exclusive lock spares the shared-memory file, and its cost at each commit.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    ours = database.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if not ours:
        raise BadInput("this is not a database of crishim", where=str(path), right=_RESTORE)
    if version > _SCHEMA_VERSION:
        raise BadInput(
            f"written by a newer crishim, with schema {version}",
            where=str(path),
            right=f"this one reads schema {_SCHEMA_VERSION}; use the newer one or another state directory",
        )
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise BadInput(f"damaged: {found}", where=str(path), right=_RESTORE)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    # Moving pages from the log to the file waits for the disk: seldom, and many pages at once. 4000 are 16 MiB.
    database.execute("PRAGMA wal_autocheckpoint = 4000")


@contextlib.contextmanager
def _faults(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _fault(error, path) from error
    except OSError as error:
        raise BadInput(f"{error.strerror}", where=error.filename or path) from error


def _fault(error: sqlite3.DatabaseError, path: str) -> Exception:
    """Say whose fault a failure of SQLite is. What can only be a bug stays as it is."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return CapacityExceeded(f"{path}: {error}: nothing was changed; make room and call again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return BadInput(f"damaged: {error}", where=path, right=_RESTORE)
    if code == sqlite3.SQLITE_BUSY:
        return BadInput(f"in use by another process: {error}", where=path)
    return BadInput(f"{error}", where=path)
