"""Which files a person names with -f: files, directories with all that is below them, patterns, standard input."""

from __future__ import annotations

import glob
import os
import sys
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from runtimes.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN, STDIN_TITLE = "-", "standard input"
SUFFIXES = (".yaml", ".yml", ".json")


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


def named(word: str) -> list[Source]:
    """Return what a word stands for, in order of the paths; nothing where nothing is there.

    Of a directory that is every manifest in it and below it, hidden ones left out.
    """
    return sorted(_named(word))


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
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Source(os.path.join(folder, name), searched=True)  # noqa: PTH118
