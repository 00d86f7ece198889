"""Log files of containers, where `crictl logs` and a kubelet look for them: on the disk of this host.

A simulated container says nothing, so its log is an empty file; a line in it would be one that no real container of
that image writes. It is made when the container is started, as containerd does (createContainerLoggers, openLogFile).

The path comes from a request. It may lead anywhere below the pod's own log directory and nowhere else: no `..`, and no
symbolic link on the way down.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runtimes.errors import BadInput, Refused

_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o640
# Without blocking: a FIFO that nobody reads is an error instead of the end of the server.
_OPEN_LOG = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def log_path(directory: str, path: str) -> str:
    """Return where the log of a container goes, "" where it has none. Raises `BadInput` for a path that leads away."""
    if not directory or not path:
        return ""
    whole = os.path.normpath(f"{directory}/{path}")
    if "\0" in whole:
        raise BadInput("a path cannot hold a null character", where="request", field="log_path")
    if not directory.startswith("/"):
        raise BadInput(f"{directory!r} is relative", where="request", field="log_directory", right="an absolute path")
    if not whole.startswith(os.path.normpath(directory).rstrip("/") + "/"):
        raise BadInput(f"{path!r} leads out of the log directory", where="request", field="log_path")
    return whole


def make(directory: str, path: str) -> None:
    """Make sure that the log file at `path`, which `log_path` returned, is there. Raises `Refused`."""
    if not path:
        return
    try:
        Path(directory).mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
        here = os.open(directory, _OPEN_DIRECTORY)
        try:
            *folders, name = os.path.relpath(path, directory).split("/")
            for folder in folders:
                here = _enter(here, folder)
            os.close(os.open(name, _OPEN_LOG, _FILE_MODE, dir_fd=here))
        finally:
            os.close(here)
    except OSError as error:
        raise Refused("UNKNOWN", f"failed to create and open log file: open {path}: {_as_go_says(error)}") from error


def _enter(here: int, folder: str) -> int:
    """Return a descriptor of a folder, made if need be, in exchange for that of its parent."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, _DIRECTORY_MODE, dir_fd=here)
    below = os.open(folder, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
    os.close(here)
    return below


def _as_go_says(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
