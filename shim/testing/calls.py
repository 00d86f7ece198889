"""System calls as a check names them, and what a section makes of them for every value of what is left open."""

from __future__ import annotations

import difflib
import errno as numbers
import functools
import re
import warnings
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from runtimes.host import Host
from runtimes.model import find, known
from runtimes.verdict import UNCONFINED, Filter, Verdict, filter_of
from shim.builtin import builtin_profile
from shim.skew.compare import outcome, points
from shim.testing.choosing import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARGUMENT = re.compile(r"arg([0-5])")
_LARGEST = (1 << 64) - 1
_LIKENESS = 0.85


def arguments(given: Mapping[str, Any]) -> dict[int, int]:
    """Return arguments by their number, as the kernel sees them: 64 bits, unsigned. Raises `BadInput`."""
    found = {}
    for name, value in given.items():
        named = _ARGUMENT.fullmatch(name)
        if not named:
            raise BadInput(f"a system call has no argument {name}", right="arg0 to arg5")
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadInput(f"{name} is {value!r}", right="a number, such as socket.AF_ALG")
        found[int(named[1])] = int(value) & _LARGEST
    return found


def error_number(given: str | int) -> int:
    """Return the number of an error, "EPERM" or 1. Raises `BadInput`."""
    if isinstance(given, int):
        return given
    found = getattr(numbers, given, None)
    if not isinstance(found, int):
        raise BadInput(f"{given!r} is no error", right="such as EPERM or ENOSYS")
    return found


def verdicts(section: dict[str, Any] | None, syscall: str, given: Mapping[int, int]) -> tuple[Verdict, ...]:
    """Return every verdict that a call meets with these arguments and any others: several where those count."""
    read = filter_of(section)
    left_open = tuple(arg for arg in read.conditions(syscall) if arg.index not in given)
    return tuple(dict.fromkeys(read.of(syscall, {**given, **dict(point)}) for point in points(left_open)))


def shown(verdict: Verdict) -> str:
    """Say a verdict: "allowed", "allowed (SCMP_ACT_LOG)", "denied (EPERM)", "denied (SCMP_ACT_KILL)"."""
    if verdict == UNCONFINED:
        return "allowed"
    return f"{'allowed' if verdict.allowed else 'denied'} ({outcome(verdict)})"


def warn_of_typo(syscall: str, section: dict[str, Any] | None) -> None:
    """Warn of a name that no profile has, where it looks like one: whatever is called so is denied by default."""
    __tracebackhide__ = True
    if syscall in filter_of(section).names or syscall in _named():
        return
    close = difflib.get_close_matches(syscall, _named(), n=1, cutoff=_LIKENESS)
    if close:
        message = f"no profile names a system call {syscall!r} (did you mean {close[0]}?)"
        warnings.warn(message, UserWarning, stacklevel=4)


@functools.cache
def _named() -> frozenset[str]:
    """Return the calls that the newest and the oldest profiles name, for a container with every capability."""
    found: set[str] = set()
    for family in ("containerd", "cri-o"):
        model = find(family)
        for each in (model.releases()[0], model.releases()[-1]):
            release = known(model, each.release.upstream)
            made = builtin_profile(model, release, msgspec.convert(HOST, Host), add=("ALL",))
            found.update(Filter(made.section).names)
    return frozenset(found)
