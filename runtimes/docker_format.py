"""Profiles in the docker format (archMap, includes, excludes, errno names), as containers/common's package reads them.

A profile in the runtime spec's own format is read by the same struct, so this is also how CRI-O reads that one:

    decode(data, dialect)                      bytes -> Profile; unknown keys are dropped, and named
    compose(profile, arch, bounding, dialect)  Profile -> the section for one host and one capability set

Nothing sorts, merges or checks: rules and names keep their order and their duplicates, and an action, architecture or
syscall that nobody knows goes through to the OCI runtime. `minKernel` is not known to the struct, so such a rule always
applies. A profile without a default action and without rules means no seccomp at all.

Source: containers/common pkg/seccomp/seccomp_linux.go (setupSeccomp), types.go and errno_list.go, and its forerunner
seccomp/containers-golang.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.gojson import Pointer, Record, Shape, Slice, Text, Toolchain, Unsigned
from runtimes.gojson import decode as decode_json
from runtimes.oci import Arg, Seccomp, Syscall

if TYPE_CHECKING:
    from collections.abc import Collection

# GOARCH -> the architecture whose entry of `archMap` counts. A host that is not here gets no list at all.
NATIVE = {
    "amd64": "SCMP_ARCH_X86_64",
    "arm64": "SCMP_ARCH_AARCH64",
    "mips64": "SCMP_ARCH_MIPS64",
    "mips64n32": "SCMP_ARCH_MIPS64N32",
    "mipsel64": "SCMP_ARCH_MIPSEL64",
    "mipsel64n32": "SCMP_ARCH_MIPSEL64N32",
    "s390x": "SCMP_ARCH_S390X",
}

# The names that `errno` may have, with Linux's generic numbers; there is no EINTR, for instance.
_ERRNO_TEXT = (
    "EPERM 1 ENOENT 2 ESRCH 3 EIO 5 ENXIO 6 E2BIG 7 ENOEXEC 8 EBADF 9 ECHILD 10 EAGAIN 11 ENOMEM 12 EACCES 13 "
    "EFAULT 14 ENOTBLK 15 EBUSY 16 EEXIST 17 EXDEV 18 ENODEV 19 ENOTDIR 20 EISDIR 21 EINVAL 22 ENFILE 23 EMFILE 24 "
    "ENOTTY 25 ETXTBSY 26 EFBIG 27 ENOSPC 28 ESPIPE 29 EROFS 30 EMLINK 31 EPIPE 32 EDOM 33 ERANGE 34 EDEADLK 35 "
    "ENAMETOOLONG 36 ENOLCK 37 ENOSYS 38 ENOTEMPTY 39 ELOOP 40 ENOMSG 42 EIDRM 43 EREMOTE 66 EBADMSG 74 EOVERFLOW 75 "
    "EILSEQ 84 EUSERS 87 ENOTSOCK 88 EDESTADDRREQ 89 EMSGSIZE 90 EPROTOTYPE 91 ENOPROTOOPT 92 EPROTONOSUPPORT 93 "
    "ESOCKTNOSUPPORT 94 EOPNOTSUPP 95 ENOTSUP 95 EPFNOSUPPORT 96 EAFNOSUPPORT 97 EADDRINUSE 98 EADDRNOTAVAIL 99 "
    "ENETDOWN 100 ENETUNREACH 101 ENETRESET 102 ECONNABORTED 103 ECONNRESET 104 ENOBUFS 105 EISCONN 106 ENOTCONN 107 "
    "ESHUTDOWN 108 ETOOMANYREFS 109 ETIMEDOUT 110 ECONNREFUSED 111 EHOSTDOWN 112 EHOSTUNREACH 113 EALREADY 114 "
    "EINPROGRESS 115 ESTALE 116 EDQUOT 122 ENOMEDIUM 123 EMEDIUMTYPE 124 ECANCELED 125 EOWNERDEAD 130 "
    "ENOTRECOVERABLE 131"
).split()
ERRNO = dict(zip(_ERRNO_TEXT[::2], map(int, _ERRNO_TEXT[1::2]), strict=True))


class ProfileFault(Exception):
    """A profile that decodes but cannot be composed; `str(fault)` is the package's text.

    `panics` tells a nil pointer that takes the daemon down from an error that it returns.
    """

    def __init__(self, text: str, *, panics: bool = False) -> None:
        self.panics = panics
        super().__init__(text)


class Dialect(msgspec.Struct, frozen=True):
    """What the package of an era knows. Keys it does not know are dropped in silence."""

    errno_ret: bool = True
    default_errno_ret: bool = True
    errno_names: bool = True
    flags: bool = True
    rule_per_name: bool = False


class Filter(msgspec.Struct, frozen=True):
    """A condition. Architectures are GOARCHs; capabilities are compared letter by letter: `SYS_ADMIN` never matches."""

    caps: tuple[str, ...] = ()
    arches: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """One entry of `syscalls`. An argument that is null is None."""

    action: str = ""
    name: str = ""
    names: tuple[str, ...] = ()
    args: tuple[Arg | None, ...] = ()
    includes: Filter = Filter()
    excludes: Filter = Filter()
    errno_ret: int | None = None
    errno: str = ""

    def applies(self, arch: str, bounding: Collection[str]) -> bool:
        """Whether it holds on a host for a capability set."""
        return self.suits(arch) and not (
            any(cap in bounding for cap in self.excludes.caps) or any(cap not in bounding for cap in self.includes.caps)
        )

    def suits(self, arch: str) -> bool:
        """Whether it can hold on a host at all."""
        return arch not in self.excludes.arches and (not self.includes.arches or arch in self.includes.arches)


class Profile(msgspec.Struct, frozen=True, dict=True):
    """A profile before it met a host. `arch_map` holds architecture and subarchitectures; a null entry is None."""

    default_action: str = ""
    default_errno_ret: int | None = None
    default_errno: str = ""
    architectures: tuple[str, ...] = ()
    arch_map: tuple[tuple[str, tuple[str, ...]], ...] = ()
    flags: tuple[str, ...] = ()
    listener_path: str = ""
    listener_metadata: str = ""
    entries: tuple[Entry | None, ...] = ()

    @functools.cached_property
    def capabilities(self) -> frozenset[str]:
        """Every capability that a condition names: the only ones that the section can depend on."""
        filters = [each for entry in self.entries if entry for each in (entry.includes, entry.excludes)]
        return frozenset(cap for each in filters for cap in each.caps)


class Decoded(msgspec.Struct, frozen=True):
    """A profile and the paths of the keys that were silently lost, "syscalls[3].minKernel" for instance."""

    profile: Profile
    dropped: tuple[str, ...] = ()


def decode(data: bytes, dialect: Dialect, toolchain: Toolchain = Toolchain.SHORT_ESCAPES) -> Decoded:
    """Read a profile. Raises `runtimes.gojson.GoJsonFault`."""
    decoded = decode_json(data, shape(dialect), toolchain)
    return Decoded(from_json(decoded.value), decoded.dropped)


def from_json(value: dict[str, Any]) -> Profile:
    """Take a profile from JSON-shaped values that have the struct's types."""
    return Profile(
        default_action=value.get("defaultAction") or "",
        default_errno_ret=value.get("defaultErrnoRet"),
        default_errno=value.get("defaultErrno") or "",
        architectures=tuple(value.get("architectures") or ()),
        arch_map=tuple(
            (each["architecture"], tuple(each["subArchitectures"] or ())) for each in value.get("archMap") or ()
        ),
        flags=tuple(value.get("flags") or ()),
        listener_path=value.get("listenerPath") or "",
        listener_metadata=value.get("listenerMetadata") or "",
        entries=tuple(_entry(each) if each else None for each in value.get("syscalls") or ()),
    )


def compose(profile: Profile, arch: str, bounding: Collection[str], dialect: Dialect) -> Seccomp | None:
    """Return the section for a host ("amd64") and a bounding set; None where the profile means no seccomp.

    Raises `ProfileFault`.
    """
    if not profile.default_action and not profile.entries:
        return None
    if profile.architectures and profile.arch_map:
        raise ProfileFault(_both("architectures", "archMap"))
    return Seccomp(
        default_action=profile.default_action,
        default_errno_ret=_errno(profile.default_errno, profile.default_errno_ret),
        architectures=profile.architectures or _mapped(profile.arch_map, arch),
        flags=profile.flags,
        listener_path=profile.listener_path,
        listener_metadata=profile.listener_metadata,
        syscalls=tuple(
            rule for entry in profile.entries for rule in _rules(entry, arch, bounding, dialect.rule_per_name)
        ),
    )


def _rules(entry: Entry | None, arch: str, bounding: Collection[str], per_name: bool) -> list[Syscall]:
    if entry is None:
        raise ProfileFault("invalid memory address or nil pointer dereference", panics=True)
    if not entry.applies(arch, bounding):
        return []
    if entry.name and entry.names:
        raise ProfileFault(_both("name", "names"))
    errno_ret = _errno(entry.errno, entry.errno_ret)
    names = (entry.name,) if entry.name else entry.names
    if not names:
        return []
    args = tuple(arg for arg in entry.args if arg)
    if len(args) < len(entry.args):
        raise ProfileFault("invalid memory address or nil pointer dereference", panics=True)
    groups = [(name,) for name in names] if per_name else [names]
    return [Syscall(names=group, action=entry.action, errno_ret=errno_ret, args=args) for group in groups]


def _mapped(arch_map: tuple[tuple[str, tuple[str, ...]], ...], arch: str) -> tuple[str, ...]:
    native = NATIVE.get(arch)
    return next(((own, *others) for own, others in arch_map if own == native), ())


def _errno(name: str, number: int | None) -> int | None:
    if not name:
        return number
    if name.isascii() and name.isdigit() and int(name) < 1 << 32:
        return int(name)
    if name not in ERRNO:
        raise ProfileFault(f"unknown errno {name}")
    return ERRNO[name]


def _both(one: str, other: str) -> str:
    return f"'{one}' and '{other}' were specified in the seccomp profile, use either '{one}' or '{other}'"


def _entry(value: dict[str, Any]) -> Entry:
    return Entry(
        action=value["action"],
        name=value["name"],
        names=tuple(value["names"] or ()),
        args=tuple(each and _arg(each) for each in value["args"] or ()),
        includes=_filter(value["includes"]),
        excludes=_filter(value["excludes"]),
        errno_ret=value.get("errnoRet"),
        errno=value.get("errno") or "",
    )


def _arg(value: dict[str, Any]) -> Arg:
    return Arg(index=value["index"], value=value["value"], value_two=value["valueTwo"], op=value["op"])


def _filter(value: dict[str, Any]) -> Filter:
    return Filter(tuple(value["caps"] or ()), tuple(value["arches"] or ()))


@functools.cache
def shape(dialect: Dialect) -> Record:
    """Return the struct that the package decodes into."""
    arch, action = Text("seccomp.Arch"), Text("seccomp.Action")
    condition = Record("seccomp.Filter", {"caps": Slice(Text()), "arches": Slice(Text())})
    arg: dict[str, Shape] = {
        "index": Unsigned("uint"),
        "value": Unsigned("uint64"),
        "valueTwo": Unsigned("uint64"),
        "op": Text("seccomp.Operator"),
    }
    syscall: dict[str, Shape] = {
        "name": Text(),
        "names": Slice(Text()),
        "action": action,
        "args": Slice(Pointer(Record("seccomp.Arg", arg))),
        "comment": Text(),
        "includes": condition,
        "excludes": condition,
        "errnoRet": Pointer(Unsigned("uint")),
        "errno": Text(),
    }
    architecture: dict[str, Shape] = {"architecture": arch, "subArchitectures": Slice(arch)}
    known = {"errnoRet": dialect.errno_ret, "errno": dialect.errno_names}
    syscall = {key: field for key, field in syscall.items() if known.get(key, True)}
    profile: dict[str, Shape] = {
        "defaultAction": action,
        "defaultErrnoRet": Pointer(Unsigned("uint")),
        "defaultErrno": Text(),
        "architectures": Slice(arch),
        "archMap": Slice(Record("seccomp.Architecture", architecture)),
        "syscalls": Slice(Pointer(Record("seccomp.Syscall", syscall))),
        "flags": Slice(Text()),
        "listenerPath": Text(),
        "listenerMetadata": Text(),
    }
    known = {
        "defaultErrnoRet": dialect.default_errno_ret,
        "defaultErrno": dialect.errno_names,
        "flags": dialect.flags,
        "listenerPath": dialect.flags,
        "listenerMetadata": dialect.flags,
    }
    return Record("seccomp.Seccomp", {key: field for key, field in profile.items() if known.get(key, True)})
