"""A Localhost profile as containerd reads it: json.Unmarshal into the runtime spec's LinuxSeccomp."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.gojson.decode import decode
from runtimes.gojson.shape import Pointer, Record, Shape, Slice, Text, Unsigned
from runtimes.gojson.toolchain import Toolchain
from runtimes.oci import Seccomp

if TYPE_CHECKING:
    from collections.abc import Iterable

SECCOMP_FIELDS = ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata", "errnoRet")
"""The JSON keys of LinuxSeccomp and LinuxSyscall that not every release of the runtime spec has."""


class SeccompProfile(msgspec.Struct, frozen=True):
    """A decoded profile and the paths of the keys that were silently lost, "archMap" or "syscalls[3].includes"."""

    section: Seccomp
    dropped: tuple[str, ...] = ()


def decode_seccomp(
    data: bytes,
    fields: Iterable[str] = SECCOMP_FIELDS,
    toolchain: Toolchain = Toolchain.SHORT_ESCAPES,
) -> SeccompProfile:
    """Decode a profile. `fields` names those of `SECCOMP_FIELDS` that the vendored runtime spec has.

    Raises `GoJsonFault`. Nothing is checked beyond types: unknown actions, architectures and syscalls are stored.
    """
    decoded = decode(data, seccomp_shape(frozenset(fields)), toolchain)
    return SeccompProfile(Seccomp.from_json(_without_nil(decoded.value)), decoded.dropped)


@functools.cache
def seccomp_shape(fields: frozenset[str]) -> Record:
    """Return specs.LinuxSeccomp with those of the optional fields. Source: runtime-spec specs-go/config.go."""
    arg: dict[str, Shape] = {
        "index": Unsigned("uint"),
        "value": Unsigned("uint64"),
        "valueTwo": Unsigned("uint64"),
        "op": Text("specs.LinuxSeccompOperator"),
    }
    syscall: dict[str, Shape] = {
        "names": Slice(Text()),
        "action": Text("specs.LinuxSeccompAction"),
        "errnoRet": Pointer(Unsigned("uint")),
        "args": Slice(Record("specs.LinuxSeccompArg", arg)),
    }
    seccomp: dict[str, Shape] = {
        "defaultAction": Text("specs.LinuxSeccompAction"),
        "defaultErrnoRet": Pointer(Unsigned("uint")),
        "architectures": Slice(Text("specs.Arch")),
        "flags": Slice(Text("specs.LinuxSeccompFlag")),
        "listenerPath": Text(),
        "listenerMetadata": Text(),
        "syscalls": Slice(Record("specs.LinuxSyscall", _known(syscall, fields))),
    }
    return Record("specs.LinuxSeccomp", _known(seccomp, fields))


def _known(struct: dict[str, Shape], fields: frozenset[str]) -> dict[str, Shape]:
    return {key: shape for key, shape in struct.items() if key not in SECCOMP_FIELDS or key in fields}


def _without_nil(value: Any) -> Any:
    """Drop what is nil, as Marshal does for every key but `names`."""
    if isinstance(value, list):
        return [_without_nil(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_nil(item) for key, item in value.items() if item is not None or key == "names"}
