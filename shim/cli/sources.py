"""The files of the -f options of a verb that takes any number of them, or standard input where there are none."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from runtimes.errors import BadInput
from shim.nodefile import BadDocument
from shim.skew.files import STDIN, SUFFIXES, Source, named

if TYPE_CHECKING:
    from collections.abc import Sequence


def sources(words: Sequence[str]) -> list[Source]:
    """Return the files that some words name, each once, in an order of their own. Raises `BadInput` for all that is
    wrong.
    """
    if not words and sys.stdin.isatty():
        right = "files, or pods on standard input: kubectl get pods -A -o json | crishim plan ..."
        raise BadInput("is missing", where="-f", right=right)
    found: dict[str, Source] = {}
    faults = []
    for word in words or (STDIN,):
        there = named(word)
        if not there:
            searched = os.path.isdir(word)  # noqa: PTH112  pathlib is slow to import
            what = f"there is no {' or '.join(SUFFIXES)} file in it" if searched else "there is no such file"
            faults.append(BadInput(what, where=word))
        for each in there:
            file = os.path.realpath(each.path) if each.path != STDIN else STDIN
            tidied = each if file == STDIN else Source(os.path.normpath(each.path), each.searched)
            found[file] = min(tidied, found.get(file, tidied))
    if faults:
        raise BadDocument(faults)
    return sorted(found.values())
