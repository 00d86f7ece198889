"""Profile facts -> rules of a seccomp section, for one release.

Both families write their default profile down as a list of rules, each with the releases it holds for:

    - rule: base                       # a name for people and for explanations, unique in the file
      says: allowed to every container # what it is for, where the names alone do not tell
      names:                           # in the order in which the runtime emits them
        - accept
        - io_uring_setup: {since: [1.3.8, 1.4.1, 1.5.0], until: [2.0.0], source: "containerd#9320"}
        - timerfd_create: {until: [1.4.0]}        # a name that moved stands twice, once at each place
      action: SCMP_ACT_ALLOW           # the default
      errnoRet: 38
      args: [{index: 0, value: 40, op: SCMP_CMP_NE}]
      since: [...]                     # for the whole rule
      until: [...]
      when: {capability: CAP_SYS_ADMIN}           # what the family's own composition looks at
      source: ...

`Rule.at(release)` is what stands in the section; whether `when` is met is for the family to say.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.facts import read_data
from runtimes.oci import ALLOW, Arg, Syscall
from runtimes.release import Span

if TYPE_CHECKING:
    from runtimes.release import Release


class Name(msgspec.Struct, frozen=True):
    """One syscall name of a rule and the releases that have it there."""

    name: str
    span: Span
    source: str = ""


class Rule(msgspec.Struct, frozen=True):
    """One rule of a profile, over all releases."""

    rule: str
    names: tuple[Name, ...]
    action: str
    errno_ret: int | None
    args: tuple[Arg, ...]
    span: Span
    when: dict[str, Any]
    source: str
    says: str = ""

    def at(self, release: Release) -> Syscall | None:
        """Return the rule as a release has it, None where it has not."""
        if release not in self.span:
            return None
        names = tuple(name.name for name in self.names if release in name.span)
        return Syscall(names=names, action=self.action, errno_ret=self.errno_ret, args=self.args) if names else None


@functools.cache
def load(package: str, name: str = "profile") -> tuple[Rule, ...]:
    """Read the rules of a package's profile file, in the order of the file."""
    return tuple(_rule(record) for record in read_data(package, name)["rules"])


def _rule(record: dict[str, Any]) -> Rule:
    return Rule(
        rule=record["rule"],
        names=tuple(_name(entry) for entry in record["names"]),
        action=record.get("action", ALLOW),
        errno_ret=record.get("errnoRet"),
        args=tuple(msgspec.convert(arg, Arg) for arg in record.get("args", ())),
        span=Span.read(record),
        when=record.get("when", {}),
        source=record.get("source", ""),
        says=record.get("says", ""),
    )


def _name(entry: str | dict[str, dict[str, Any]]) -> Name:
    if isinstance(entry, str):
        return Name(entry, Span())
    ((name, record),) = entry.items()
    return Name(name, Span.read(record), record.get("source", ""))
