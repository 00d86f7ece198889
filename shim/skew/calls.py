"""System calls as people write them: `unshare`, `socket(AF_ALG)`, `clone(CLONE_NEWUSER)`, `socket(38):EPERM`."""

from __future__ import annotations

import errno
import re

import msgspec

from runtimes.errors import BadInput
from shim.skew.constants import NUMBERS, named

_FORM = re.compile(r"(?P<name>[a-z_][a-z0-9_]*)(?:\((?P<args>[^()]*)\))?(?::(?P<errno>[A-Z0-9]+))?")
_ANY = ("", "_", "*")  # an argument that does not matter
_RIGHT = "a call such as unshare, socket(AF_ALG) or socket(38):EPERM"


class Call(msgspec.Struct, frozen=True):
    """A system call with the arguments that matter, and the error that is expected of it, None for any."""

    text: str
    syscall: str
    args: dict[int, int] = {}
    errno: int | None = None


def call(text: str) -> Call:
    """Read one call. Raises `BadInput`."""
    found = _FORM.fullmatch(text.replace(" ", ""))
    if not found:
        raise BadInput(f'"{text}" is no system call', right=_RIGHT)
    words = (found["args"] or "").split(",")
    args = {index: _number(word, text) for index, word in enumerate(words) if word not in _ANY}
    return Call(text, found["name"], args, _errno(found["errno"], text))


def call_of(syscall: str, args: dict[int, int]) -> Call:
    """Return a call with these arguments, written as `call` reads it."""
    words = [named(syscall, index, args[index]) if index in args else "_" for index in range(max(args, default=-1) + 1)]
    return Call(f"{syscall}({', '.join(words)})" if words else syscall, syscall, args)


def _number(word: str, text: str) -> int:
    if word in NUMBERS:
        return NUMBERS[word]
    try:
        number = int(word, 0)
    except ValueError:
        raise BadInput(f'"{word}" in "{text}" is no number', right="such as 38, 0x10000000 or AF_ALG") from None
    return number & 0xFFFFFFFFFFFFFFFF


def _errno(word: str | None, text: str) -> int | None:
    if word is None:
        return None
    if word.isdecimal():
        return int(word)
    if not hasattr(errno, word):
        raise BadInput(f'"{word}" in "{text}" is no error', right="such as EPERM, ENOSYS or 1")
    return int(getattr(errno, word))
