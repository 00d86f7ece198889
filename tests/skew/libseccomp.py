"""The real libseccomp, asked over ctypes the way runc asks it, and a machine that runs the filter it makes.

runc's way is that of libcontainer/seccomp/seccomp_linux.go at v1.3.0: the default action, the architectures, a binary
tree from 33 rules on, then rule by rule; one that says what the default says is left out, and so is a name that the
library does not know. What runc puts in front of the filter (its ENOSYS stub) is not here.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import functools
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_OPERATORS = {
    f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)
}
_WITH_DATA = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
X86_64 = 0xC000003E
_OPTIMISE, _NO_SUCH_CALL, _MANY = 8, -1, 32

_INSTRUCTION = struct.Struct("HBBI")
_WORD = 0xFFFFFFFF


class Rejected(Exception):
    """libseccomp does not take a rule: with such a section, runc starts no container."""


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


@functools.cache
def library() -> Any:
    """Return the library of this machine, None where there is none."""
    name = ctypes.util.find_library("seccomp")
    if name is None:
        return None
    found = ctypes.CDLL(name)
    found.seccomp_init.restype = ctypes.c_void_p
    found.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    found.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
    found.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    found.seccomp_arch_native.restype = ctypes.c_uint32
    return found


def number(name: str) -> int | None:
    """Return the number of a call on this machine; None where the library knows none."""
    found = library().seccomp_syscall_resolve_name(name.encode())
    return found if found >= 0 else None


def action(name: str, errno_ret: int | None) -> int:
    """Return what a filter answers for an action."""
    return _ACTIONS[name] | ((errno.EPERM if errno_ret is None else errno_ret) if name in _WITH_DATA else 0)


class Program:
    """The filter that the library makes of a section. Raises `Rejected` where it refuses to."""

    def __init__(self, section: dict[str, Any]) -> None:
        self.native = library().seccomp_arch_native()
        self.instructions = tuple(_INSTRUCTION.iter_unpack(_compiled(section)))

    def run(self, call: int, args: Mapping[int, int]) -> int:
        """Return what the filter answers about a call of this machine's own architecture."""
        data = struct.pack("=IIQ6Q", call, self.native, 0, *(args.get(index, 0) for index in range(6)))
        accumulator = at = 0
        while True:
            code, if_true, if_false, k = self.instructions[at]
            at += 1
            match code:
                case 0x20:  # load a word of the call's data
                    (accumulator,) = struct.unpack_from("=I", data, k)
                case 0x54:
                    accumulator &= k
                case 0x15:
                    at += if_true if accumulator == k else if_false
                case 0x25:
                    at += if_true if accumulator > k else if_false
                case 0x35:
                    at += if_true if accumulator >= k else if_false
                case 0x05:
                    at += k
                case 0x06:
                    return int(k)
                case _:
                    raise AssertionError(f"libseccomp is not known to use the instruction {code:#x}")


def _compiled(section: dict[str, Any]) -> bytes:
    seccomp = library()
    default = action(section["defaultAction"], section.get("defaultErrnoRet"))
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(default)))
    assert context.value, "no memory"
    try:
        for name in section.get("architectures", ()):
            token = seccomp.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
            added = seccomp.seccomp_arch_add(context, ctypes.c_uint32(token))
            if added not in (0, -errno.EEXIST):
                raise Rejected(f"{name}: {os.strerror(-added)}")
        rules = [
            (name, action(rule["action"], rule.get("errnoRet")), rule.get("args", ()))
            for rule in section.get("syscalls", ())
            for name in rule["names"] or ()
        ]
        if len(rules) > _MANY:
            seccomp.seccomp_attr_set(context, _OPTIMISE, ctypes.c_uint32(2))
        for name, decided, args in rules:
            _add(context, default, name, decided, args)
        return _exported(context)
    finally:
        seccomp.seccomp_release(context)


def _add(context: ctypes.c_void_p, default: int, name: str, decided: int, args: Any) -> None:
    call = library().seccomp_syscall_resolve_name(name.encode())
    if decided == default or call == _NO_SUCH_CALL:
        return
    for conditions in _split(args):
        array = (_Comparison * len(conditions))(*conditions)
        added = library().seccomp_rule_add_array(
            context, ctypes.c_uint32(decided), call, ctypes.c_uint(len(conditions)), array
        )
        if added:
            raise Rejected(f"{name}: {os.strerror(-added)}")


def _split(args: Any) -> Iterator[list[_Comparison]]:
    """Where a rule looks at one argument twice, runc makes a rule of each comparison."""
    read = [_Comparison(arg["index"], _OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0)) for arg in args]
    if len({arg["index"] for arg in args}) == len(read):
        yield read
    else:
        yield from ([each] for each in read)


def _exported(context: ctypes.c_void_p) -> bytes:
    memory = os.memfd_create("filter")
    try:
        assert library().seccomp_export_bpf(context, memory) == 0
        return os.pread(memory, os.fstat(memory).st_size, 0)
    finally:
        os.close(memory)
