"""What a section makes of one system call: the reading that runc and libseccomp have of it.

    a rule whose action is the default one            counts for nothing
    a rule without arguments                          beats those with arguments, and of two the first one counts
    a rule that names one argument twice              holds where either comparison does
    any other rule with arguments                     holds where every comparison does; of two, the first one counts

The last half sentence is libseccomp's affair where two rules with different actions overlap, which in the built-in
profiles they do not. Names that the node's libseccomp or kernel does not know are not looked at.
Source: opencontainers/runc libcontainer/seccomp/seccomp_linux.go (InitSeccomp, matchCall, getAction) at v1.3.0;
seccomp/libseccomp src/db.c (db_rule_add) at v2.5.4.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.oci import ALLOW, ERRNO, LOG, Arg, Seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtimes.oci import Syscall

_EPERM = 1
_WITH_NUMBER = (ERRNO, "SCMP_ACT_TRACE")
_LETS_THROUGH = (ALLOW, LOG)
# An operator: its sign, the sign of its opposite, and what it means.
_OPERATORS: dict[str, tuple[str, str, Callable[[int, int], bool]]] = {
    "SCMP_CMP_NE": ("!=", "==", operator.ne),
    "SCMP_CMP_LT": ("<", ">=", operator.lt),
    "SCMP_CMP_LE": ("<=", ">", operator.le),
    "SCMP_CMP_EQ": ("==", "!=", operator.eq),
    "SCMP_CMP_GE": (">=", "<", operator.ge),
    "SCMP_CMP_GT": (">", "<=", operator.gt),
}
MASKED = "SCMP_CMP_MASKED_EQ"


class Verdict(msgspec.Struct, frozen=True, order=True):
    """What happens to a call: an action, and the error number that goes with it (None where none does)."""

    action: str
    errno: int | None = None

    @property
    def allowed(self) -> bool:
        """Whether the call reaches the kernel, with or without a line in its log."""
        return self.action in _LETS_THROUGH


UNCONFINED = Verdict(ALLOW)


class Filter:
    """A section, ready to be asked. None, no section at all, allows everything."""

    def __init__(self, section: dict[str, Any] | None) -> None:
        read = Seccomp.from_json(section) if section is not None else Seccomp(default_action=ALLOW)
        self.default = _verdict(read.default_action, read.default_errno_ret)
        self._rules: dict[str, list[tuple[Verdict, Syscall]]] = {}
        for rule in read.syscalls:
            verdict = _verdict(rule.action, rule.errno_ret)
            if verdict != self.default:
                for name in rule.names or ():
                    self._rules.setdefault(name, []).append((verdict, rule))

    @property
    def names(self) -> tuple[str, ...]:
        """The system calls that are not left to the default, in the order of the section."""
        return tuple(self._rules)

    def of(self, syscall: str, args: Mapping[int, int] | None = None) -> Verdict:
        """Return the verdict about a call. Arguments are unsigned 64-bit numbers; one that is not given is 0."""
        rules = self._rules.get(syscall, ())
        for verdict, rule in rules:
            if not rule.args:
                return verdict
        return next((verdict for verdict, rule in rules if _holds(rule.args, args or {})), self.default)

    def conditions(self, syscall: str) -> tuple[Arg, ...]:
        """Return the comparisons on which the verdict about a call depends, each once; none where it does not."""
        rules = self._rules.get(syscall, ())
        if any(not rule.args for _, rule in rules):
            return ()
        return tuple(dict.fromkeys(arg for _, rule in rules for arg in rule.args))


@functools.lru_cache(maxsize=256)
def _read(section: bytes) -> Filter:
    return Filter(msgspec.json.decode(section))


def filter_of(section: dict[str, Any] | None) -> Filter:
    """Return the filter of a section; one that was read a short time ago is not read again."""
    return _read(msgspec.json.encode(section))


def holds(arg: Arg, given: int) -> bool:
    """Whether a comparison holds for an argument."""
    if arg.op == MASKED:
        return given & arg.value == arg.value_two
    return _OPERATORS[arg.op][2](given, arg.value)


def comparison(arg: Arg) -> str:
    """Write a comparison as a person would: "arg0 == 38"."""
    if arg.op == MASKED:
        return f"arg{arg.index} & {arg.value:#x} == {arg.value_two:#x}"
    return f"arg{arg.index} {_OPERATORS[arg.op][0]} {arg.value}"


def opposite(arg: Arg) -> str:
    """Write what holds where a comparison does not."""
    if arg.op == MASKED:
        return f"arg{arg.index} & {arg.value:#x} != {arg.value_two:#x}"
    return f"arg{arg.index} {_OPERATORS[arg.op][1]} {arg.value}"


def _holds(args: tuple[Arg, ...], given: Mapping[int, int]) -> bool:
    indexes = [arg.index for arg in args]
    matches = any if len(set(indexes)) < len(indexes) else all
    return matches(holds(arg, given.get(arg.index, 0)) for arg in args)


def _verdict(action: str, errno: int | None) -> Verdict:
    if action not in _WITH_NUMBER:
        return Verdict(action)
    return Verdict(action, _EPERM if errno is None else errno)
