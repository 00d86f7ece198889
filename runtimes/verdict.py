"""What a section makes of one system call: the reading that runc and libseccomp have of it.

    a rule whose action is the default one            counts for nothing
    a rule without arguments                          beats those with arguments, and of two the first one counts
    a rule that names one argument twice              holds where either comparison does
    any other rule with arguments                     holds where every comparison does
    of two that hold, the one counts whose            comparison is of a later argument; else an exact one (==, !=,
                                                      mask) before <, that before >; else the narrower one

This is what libseccomp's own filter does, which tests/skew/test_verdict.py runs: for every built-in profile, for rules
of all kinds where a call has one, and for several of one action. It is not said that libseccomp always does so: where
rules of one call share an argument in conditions that go on with other arguments, or compare with values above 32 bits
(GHSA-4q85-33p6-j5g6, mended in 2.6.1), it merges comparisons and may lose one; and a mask beside other comparisons of
the same argument, several !=, and < and >= that meet at one value are settled by the order in which they were added
where their actions differ. No published profile is known to have such rules.

Calls are those of the node's own architecture. Names that its libseccomp or kernel does not know are not looked at, nor
is the ENOSYS that runc puts in front of a filter for calls with a higher number than any that the section names.
Source: opencontainers/runc libcontainer/seccomp/seccomp_linux.go (InitSeccomp, matchCall, getAction) and patchbpf at
v1.3.0; seccomp/libseccomp src/db.c at v2.5.4.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from runtimes.oci import ALLOW, ERRNO, LOG, Arg, Seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

Conditions: TypeAlias = tuple[Arg, ...]  # a rule holds where all of them do; () holds always


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
        rules: dict[str, list[tuple[Conditions, Verdict]]] = {}
        for rule in read.syscalls:
            verdict = _verdict(rule.action, rule.errno_ret)
            if verdict != self.default:
                for name in rule.names or ():
                    rules.setdefault(name, []).extend((conditions, verdict) for conditions in _split(rule.args))
        self._rules = {name: _in_order(found) for name, found in rules.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The system calls that are not left to the default, in the order of the section."""
        return tuple(self._rules)

    def rules(self, syscall: str) -> tuple[tuple[Conditions, Verdict], ...]:
        """Return the rules of a call in the order in which they are tried."""
        return self._rules.get(syscall, ())

    def of(self, syscall: str, args: Mapping[int, int] | None = None) -> Verdict:
        """Return the verdict about a call. Arguments are unsigned 64-bit numbers; one that is not given is 0."""
        given = args or {}
        for conditions, verdict in self.rules(syscall):
            if all(holds(arg, given.get(arg.index, 0)) for arg in conditions):
                return verdict
        return self.default

    def conditions(self, syscall: str) -> tuple[Arg, ...]:
        """Return the comparisons on which the verdict about a call depends, each once; none where it does not."""
        return tuple(dict.fromkeys(arg for conditions, _ in self.rules(syscall) for arg in conditions))


@functools.lru_cache(maxsize=256)
def _read(section: bytes) -> Filter:
    return Filter(msgspec.json.decode(section))


def filter_of(section: dict[str, Any] | None) -> Filter:
    """Return the filter of a section; one that was read a short time ago is not read again."""
    return _read(msgspec.json.encode(section))


def holds(arg: Arg, given: int) -> bool:
    """Whether a comparison holds for an argument."""
    if arg.op == MASKED:
        return given & arg.value == arg.value_two & arg.value  # libseccomp masks both sides
    return _OPERATORS[arg.op][2](given, arg.value)


def comparison(arg: Arg) -> str:
    """Write a comparison as a person would: "arg0 == 38"."""
    if arg.op == MASKED:
        return f"arg{arg.index} & {arg.value:#x} == {arg.value_two & arg.value:#x}"
    return f"arg{arg.index} {_OPERATORS[arg.op][0]} {arg.value}"


def opposite(arg: Arg) -> str:
    """Write what holds where a comparison does not."""
    if arg.op == MASKED:
        return f"arg{arg.index} & {arg.value:#x} != {arg.value_two & arg.value:#x}"
    return f"arg{arg.index} {_OPERATORS[arg.op][1]} {arg.value}"


def _split(args: tuple[Arg, ...]) -> tuple[Conditions, ...]:
    """Return the rules that runc makes of one: several, of a comparison each, where an argument is named twice.

    libseccomp takes the arguments in their order, and a mask without a bit for no comparison.
    """
    looking = tuple(sorted((arg for arg in args if arg.op != MASKED or arg.value), key=lambda arg: arg.index))
    if len({arg.index for arg in args}) == len(args):
        return (looking,)
    return tuple((arg,) for arg in looking) if len(looking) == len(args) else ((),)


def _in_order(rules: list[tuple[Conditions, Verdict]]) -> tuple[tuple[Conditions, Verdict], ...]:
    """Return the rules of a call in the order in which libseccomp tries them: the first that holds counts."""
    for rule in rules:
        if not rule[0]:
            return (rule,)
    return tuple(sorted(rules, key=lambda rule: tuple(map(_place, rule[0]))))


def _place(arg: Arg) -> tuple[int, int, int]:
    """Return where a comparison stands among others: first those of later arguments, then the more exact ones."""
    if arg.op in ("SCMP_CMP_LT", "SCMP_CMP_LE"):
        return -arg.index, 1, arg.value
    if arg.op in ("SCMP_CMP_GT", "SCMP_CMP_GE"):
        return -arg.index, 2, -arg.value
    return -arg.index, 0, -(arg.value_two & arg.value if arg.op == MASKED else arg.value)


def _verdict(action: str, errno: int | None) -> Verdict:
    if action not in _WITH_NUMBER:
        return Verdict(action)
    return Verdict(action, _EPERM if errno is None else errno)
