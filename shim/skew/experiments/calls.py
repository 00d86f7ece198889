"""System calls as people write them: `unshare`, `socket(AF_ALG)`, `clone(CLONE_NEWUSER)`, `socket(38):EPERM`."""

from __future__ import annotations

import errno
import re

from runtimes.errors import BadInput
from shim.skew.experiments.experiment import Call

_FORM = re.compile(r"(?P<name>[a-z_][a-z0-9_]*)(?:\((?P<args>[^()]*)\))?(?::(?P<errno>[A-Z0-9]+))?")
# Linux include/linux/socket.h and include/uapi/linux/sched.h.
CONSTANTS = {
    "AF_UNIX": 1,
    "AF_INET": 2,
    "AF_NETLINK": 16,
    "AF_ALG": 38,
    "AF_VSOCK": 40,
    "CLONE_NEWNS": 0x20000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWNET": 0x40000000,
}
_RIGHT = "a call such as unshare, socket(AF_ALG) or socket(38):EPERM"


def call(text: str) -> Call:
    """Read one call. Raises `BadInput`."""
    found = _FORM.fullmatch(text.replace(" ", ""))
    if not found:
        raise BadInput(f'"{text}" is no system call', right=_RIGHT)
    words = (found["args"] or "").split(",")
    args = {index: _number(word, text) for index, word in enumerate(words) if word not in ("", "_")}
    return Call(text, found["name"], args, _errno(found["errno"], text))


def _number(word: str, text: str) -> int:
    if word in CONSTANTS:
        return CONSTANTS[word]
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
