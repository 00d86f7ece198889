"""The seccomp section of the OCI runtime spec, as frozen values.

Field order, and which fields disappear when empty, are those of the spec's Go structs, because that is what a real
runtime writes: `names`, `action`, `index`, `value`, `op` and `defaultAction` are always there, the rest only when set.
Source: opencontainers/runtime-spec specs-go/config.go and schema/config-linux.json.
"""

from __future__ import annotations

from typing import Any

import msgspec

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"
LOG = "SCMP_ACT_LOG"


class Arg(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One comparison of a syscall argument. `value` and `value_two` are unsigned 64-bit numbers."""

    index: int
    value: int
    value_two: int = 0
    op: str


class Syscall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One rule. `names` is None where a profile file had no such key: Go writes `null` then."""

    names: tuple[str, ...] | None
    action: str
    errno_ret: int | None = None
    args: tuple[Arg, ...] = ()


class Seccomp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`linux.seccomp`. Lists keep their order: equality with a real runtime's answer includes it."""

    default_action: str
    default_errno_ret: int | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: tuple[Syscall, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the section as JSON-shaped values, ready to be put into a spec."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, section: object) -> Seccomp:
        """Read a section back. Raises `msgspec.ValidationError` where it is not one."""
        return msgspec.convert(section, cls)


def logged(section: Seccomp) -> Seccomp:
    """Return the audit variant of a profile: what it denies with an error is allowed, and written to the kernel's log.

    This is the profile to try out first that KEP-2413 recommends. A log entry has no error number, so those go too.
    """

    def rule(syscall: Syscall) -> Syscall:
        return msgspec.structs.replace(syscall, action=LOG, errno_ret=None) if syscall.action == ERRNO else syscall

    found = msgspec.structs.replace(section, syscalls=tuple(rule(syscall) for syscall in section.syscalls))
    if section.default_action != ERRNO:
        return found
    return msgspec.structs.replace(found, default_action=LOG, default_errno_ret=None)
