"""Which files -f names: files, patterns, directories, standard input."""

from __future__ import annotations

import glob
import os
import sys
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from runtimes.errors import BadInput
from shim.nodefile import BadDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STDIN, STDIN_TITLE = "-", "standard input"
_SUFFIXES = (".yaml", ".yml", ".json")


class Source(msgspec.Struct, frozen=True, order=True):
    """A file, "-" for standard input. `searched` marks one that a directory holds: it may be about other things."""

    path: str
    searched: bool = False

    @property
    def title(self) -> str:
        """How errors name it."""
        return STDIN_TITLE if self.path == STDIN else self.path

    def open(self) -> BinaryIO:
        """Open it. Raises `BadInput`."""
        if self.path == STDIN:
            return sys.stdin.buffer
        try:
            return open(self.path, "rb")  # noqa: PTH123  pathlib is slow to import; the caller closes it
        except OSError as fault:
            raise BadInput(f"cannot be read: {fault.strerror}", where=self.path) from None


def sources(words: Sequence[str]) -> list[Source]:
    """Return the files that some words name, each once, in an order of their own.

    A directory stands for the manifests in it and below it, hidden ones left out. Raises `BadInput` for all that is
    wrong.
    """
    if not words and sys.stdin.isatty():
        right = "files, or pods on standard input: kubectl get pods -A -o json | crishim plan ..."
        raise BadInput("is missing", where="-f", right=right)
    found: dict[str, Source] = {}
    faults = []
    for word in words or (STDIN,):
        there = list(_named(word))
        if not there:
            searched = os.path.isdir(word)  # noqa: PTH112
            what = f"there is no {' or '.join(_SUFFIXES)} file in it" if searched else "there is no such file"
            faults.append(BadInput(what, where=word))
        for each in there:
            file = os.path.realpath(each.path) if each.path != STDIN else STDIN
            named = each if file == STDIN else Source(os.path.normpath(each.path), each.searched)
            found[file] = min(named, found.get(file, named))
    if faults:
        raise BadDocument(faults)
    return sorted(found.values())


def _named(word: str) -> Iterator[Source]:
    if word == STDIN or (os.path.exists(word) and not os.path.isdir(word)):  # noqa: PTH110, PTH112
        yield Source(word)
    elif os.path.isdir(word):  # noqa: PTH112
        yield from _below(word)
    else:
        for path in glob.glob(word, recursive=True):  # noqa: PTH207
            yield from _below(path) if os.path.isdir(path) else (Source(path),)  # noqa: PTH112


def _below(directory: str) -> Iterator[Source]:
    for folder, folders, files in os.walk(directory):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for name in files:
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield Source(os.path.join(folder, name), searched=True)  # noqa: PTH118
