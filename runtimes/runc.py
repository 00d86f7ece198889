"""What the OCI runtime says to a section that it cannot turn into a filter.

Neither containerd nor CRI-O looks into a section: a profile with an unknown action passes them both. It is runc that
refuses, in CreateContainer under CRI-O, in StartContainer or RunPodSandbox under containerd. runc looks three times:

    reading     `runc create` translates names: flags, architectures, actions, operators
    init        the process that becomes the container builds the filter with libseccomp
    listener    `runc create` hands the filter's descriptor to the agent at `listenerPath`

What can be known of that without a kernel is here, in the order in which runc meets it; releases differ in data
(runc.yaml). Not here: a filter that is accepted and then kills the process that installs it; syscall names that
libseccomp does not know, whose rules runc skips without a word, faults and all; and rules that contradict one another
only once libseccomp has taken their comparisons apart ("above 0, and the next argument..." against "at least 1").
Source: opencontainers/runc libcontainer/specconv/spec_linux.go and libcontainer/seccomp; recorded in tests/runc.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes import facts
from runtimes.gojson import quote
from runtimes.release import Release, parse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from runtimes.facts import Facts

KILL, ERRNO, TRACE, NOTIFY = "SCMP_ACT_KILL", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"
MASKED_EQ = "SCMP_CMP_MASKED_EQ"
ACTIONS = {KILL, ERRNO, TRACE, NOTIFY, "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"}
OPERATORS = {MASKED_EQ, *(f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT"))}
BIG_ENDIAN = {f"SCMP_ARCH_{name}" for name in "MIPS MIPS64 MIPS64N32 PPC PPC64 S390 S390X".split()}
LITTLE_ENDIAN = {
    f"SCMP_ARCH_{name}" for name in "X86 X86_64 X32 ARM AARCH64 MIPSEL MIPSEL64 MIPSEL64N32 PPC64LE".split()
}
FLAGS = {f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "SPEC_ALLOW", "LOG")}

EPERM = 1
MAX_ERRNO = 4095  # the first that libseccomp refuses: the kernel could not give it back
MAX_ARGUMENTS = 6

Rule = dict[str, Any]
Action = tuple[str, int]
Conditions = tuple[tuple[int, str, int, int], ...]


def rejects(
    section: dict[str, Any] | None,
    *,
    release: Release | None = None,
    no_new_privileges: bool = False,
    big_endian: bool = False,
    listening: Collection[str] = (),
) -> str | None:
    """Return what stands behind "runc create failed: ", or None where runc takes the section.

    `release` is runc's, from 1.1.0 on (None for the one that is assumed), `no_new_privileges` is the process's,
    `big_endian` the host's order of bytes, and `listening` names the sockets on which a seccomp agent waits.
    """
    if not section or not (section.get("defaultAction") or section.get("syscalls")):
        return None
    # Looking through a default profile takes milliseconds, and every container has the same few sections.
    return _first_objection(
        msgspec.json.encode(section),
        release or assumed_release(),
        frozenset(listening),
        no_new_privileges=no_new_privileges,
        big_endian=big_endian,
    )


@functools.lru_cache(maxsize=256)
def _first_objection(
    text: bytes, release: Release, listening: frozenset[str], *, no_new_privileges: bool, big_endian: bool
) -> str | None:
    section: dict[str, Any] = msgspec.json.decode(text)
    prefix = _facts().value("init-prefix", release)
    wrapped = f"{prefix}unable to init seccomp: " if no_new_privileges else prefix
    return next(
        itertools.chain(
            _reading(section, release),
            (wrapped + text for text in _init(section, release, big_endian=big_endian)),
            (prefix + text for text in _listener(section, release, listening)),
        ),
        None,
    )


def log_line(refusal: str, time: str) -> str:
    """Return what runc writes to its standard error about a refusal, which CRI-O passes on; `time` in RFC 3339."""
    return f"time={quote(time)} level=error msg={quote(f'runc create failed: {refusal}')}\n"


def redundant(section: dict[str, Any]) -> tuple[int, ...]:
    """Return which rules of a section do nothing because they say what the default action says, by index."""
    default = _action(section["defaultAction"], section.get("defaultErrnoRet"))
    rules = section.get("syscalls") or ()
    return tuple(index for index, rule in enumerate(rules) if _action(rule["action"], rule.get("errnoRet")) == default)


def assumed_release() -> Release:
    """Return the runc that is meant where none is named."""
    return parse(_facts()["assumed-release"].values[0].value)


@functools.cache
def _facts() -> Facts:
    return facts.load("runtimes", "runc")


def _knows(name: str, names: Collection[str], release: Release) -> bool:
    """Whether a release knows an action, architecture or flag: one of `names`, or a newer one of the same kind."""
    kind = next(iter(names)).split("_")[:2]
    return name in names or (name.split("_")[:2] == kind and name in _facts() and release in _facts()[name])


# Each of the following yields what runc objects to, in its order; the first objection is the one it utters.


def _reading(section: dict[str, Any], release: Release) -> Iterator[str]:
    flags = section.get("flags") or ()
    if flags and release not in _facts()["flags"]:
        yield "seccomp flags are not yet supported by runc"
    for flag in flags:
        if not _knows(flag, FLAGS, release):
            yield f"seccomp flag {flag} is not known to runc"
        yield from _lacking(flag, release)
    for arch in section.get("architectures") or ():
        if not _knows(arch, BIG_ENDIAN | LITTLE_ENDIAN, release):
            yield f"string {arch} is not a valid arch for seccomp"
    rules = section.get("syscalls") or ()
    for action, args in ((section["defaultAction"], ()), *((rule["action"], _read_args(rule)) for rule in rules)):
        if not _knows(action, ACTIONS, release):
            yield f"string {action} is not a valid action for seccomp"
        for arg in args:
            if arg["op"] not in OPERATORS:
                yield f"string {arg['op']} is not a valid operator for seccomp"


def _read_args(rule: Rule) -> Collection[dict[str, Any]]:
    """A rule without names is not read any further than its action."""
    return rule.get("args") or () if rule["names"] else ()


def _init(section: dict[str, Any], release: Release, *, big_endian: bool) -> Iterator[str]:
    default = _action(section["defaultAction"], section.get("defaultErrnoRet"))
    if any(rule["action"] == NOTIFY and name == "write" for name, rule in _calls(section)):
        yield "SCMP_ACT_NOTIFY cannot be used for the write syscall"
    if default[0] == NOTIFY:
        yield "SCMP_ACT_NOTIFY cannot be used as default action"
    if not _is_possible(default):
        yield "error creating filter: could not create filter"
    for arch in section.get("architectures") or ():
        yield from _lacking(arch, release)
        if (arch in BIG_ENDIAN) is not big_endian:
            yield "error adding architecture to seccomp filter: numerical argument out of domain"
    filters: dict[str, _SyscallFilter] = {}
    for name, rule in _calls(section):
        action = _action(rule["action"], rule.get("errnoRet"))
        if not name:
            yield "empty string is not a valid syscall"
        if action != default:
            yield from filters.setdefault(name, _SyscallFilter(name)).add(action, rule.get("args") or ())


class _SyscallFilter:
    """The rules of one syscall, as libseccomp takes them one after the other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[tuple[Conditions, Action]] = []

    def add(self, action: Action, args: Collection[dict[str, Any]]) -> Iterator[str]:
        for arg in args:
            if arg["index"] >= MAX_ARGUMENTS:
                yield (
                    f"error creating seccomp syscall condition for syscall {self.name}: "
                    f"syscalls only have up to {MAX_ARGUMENTS} arguments ({arg['index']} given)"
                )
        adding = f"error adding seccomp {'rule' if args else 'filter rule'} for syscall {self.name}"
        if not _is_possible(action):
            yield f"{adding}: two checks on same syscall argument"
        for conditions in _split(args):
            if self._contradicts(conditions, action):
                yield f"{adding}: file exists"
            self.rules.append((conditions, action))

    def _contradicts(self, conditions: Conditions, action: Action) -> bool:
        """Whether an earlier rule has these conditions, perhaps with more behind them, for another action.

        A rule without conditions settles the syscall: nothing contradicts it, before or after.
        """
        if not conditions or any(not before for before, _ in self.rules):
            return False
        return any(before[: len(conditions)] == conditions and decided != action for before, decided in self.rules)


def _listener(section: dict[str, Any], release: Release, listening: Collection[str]) -> Iterator[str]:
    path = section.get("listenerPath")
    if path in listening or not any(rule["action"] == NOTIFY for _, rule in _calls(section)):
        return
    yield (
        "failed to connect with seccomp agent specified in the seccomp profile: "
        f"dial unix {path}: connect: no such file or directory"
        if path
        else str(_facts().value("no-listener", release))
    )


def _calls(section: dict[str, Any]) -> Iterator[tuple[str, Rule]]:
    """Every syscall with its rule: runc makes one rule for each name."""
    for rule in section.get("syscalls") or ():
        for name in rule["names"] or ():
            yield name, rule


def _action(action: str, errno: int | None) -> Action:
    """Return an action with what it gives back, of which sixteen bits are kept."""
    if action in (ERRNO, TRACE):
        return action, EPERM if errno is None else errno & 0xFFFF
    return (KILL if action == "SCMP_ACT_KILL_THREAD" else action), 0


def _is_possible(action: Action) -> bool:
    return action[0] != ERRNO or action[1] < MAX_ERRNO


def _split(args: Collection[dict[str, Any]]) -> list[Conditions]:
    """Return the conditions of a rule; where two are about one argument, each is made a rule of its own."""
    conditions = [_condition(arg) for arg in args]
    if len({index for index, *_ in conditions}) < len(conditions):
        return [(condition,) for condition in conditions]
    return [tuple(sorted(conditions))]


def _condition(arg: dict[str, Any]) -> tuple[int, str, int, int]:
    value, second = arg["value"], arg.get("valueTwo", 0)
    return (arg["index"], arg["op"], value, second & value if arg["op"] == MASKED_EQ else 0)


def _lacking(name: str, release: Release) -> Iterator[str]:
    lacking: dict[str, str] = _facts().value("library-lacks", release)
    if name in lacking:
        yield lacking[name]
