"""Names of the numbers that profiles compare arguments with, so that a line can be read: socket(AF_ALG).

Source: Linux 6.12, include/linux/socket.h (address families, the same on every architecture), and include/uapi/linux/
netlink.h, sched.h and personality.h.
"""

from __future__ import annotations

import re

_FAMILIES = {
    0: "AF_UNSPEC",
    1: "AF_UNIX",
    2: "AF_INET",
    10: "AF_INET6",
    16: "AF_NETLINK",
    17: "AF_PACKET",
    29: "AF_CAN",
    30: "AF_TIPC",
    31: "AF_BLUETOOTH",
    38: "AF_ALG",
    39: "AF_NFC",
    40: "AF_VSOCK",
    44: "AF_XDP",
}
_NAMESPACES = {
    0x00020000: "CLONE_NEWNS",
    0x02000000: "CLONE_NEWCGROUP",
    0x04000000: "CLONE_NEWUTS",
    0x08000000: "CLONE_NEWIPC",
    0x10000000: "CLONE_NEWUSER",
    0x20000000: "CLONE_NEWPID",
    0x40000000: "CLONE_NEWNET",
}
# The number is that of an argument; clone's flags are its second one on s390.
_VALUES: dict[tuple[str, int], dict[int, str]] = {
    ("socket", 0): _FAMILIES,
    ("socketpair", 0): _FAMILIES,
    ("socket", 2): {9: "NETLINK_AUDIT"},
    ("personality", 0): {
        0x0: "PER_LINUX",
        0x8: "PER_LINUX32",
        0x20000: "UNAME26",
        0x20008: "UNAME26|PER_LINUX32",
        0xFFFFFFFF: "0xffffffff",  # asks which one it is
    },
}
_FLAGS: dict[tuple[str, int], dict[int, str]] = {
    ("clone", 0): _NAMESPACES,
    ("clone", 1): _NAMESPACES,
    ("unshare", 0): _NAMESPACES,
}
NUMBERS = {
    name: number
    for names in (*_VALUES.values(), *_FLAGS.values())
    for number, name in names.items()
    if name.isidentifier()
}
_EQUALITY = re.compile(r"\barg(\d) (==|!=) (\d+)")
_MASK = re.compile(r"\barg(\d) & (0x[0-9a-f]+) (==|!=) 0x0\b")
_ONE_KIND = re.compile(r"arg\d == \w[\w|*]*( and arg\d == \w[\w|*]*)*")


def named(syscall: str, index: int, value: int) -> str:
    """Write an argument of a call: by its name, where it has one that `NUMBERS` knows."""
    name = _VALUES.get((syscall, index), {}).get(value, "")
    return name if name in NUMBERS else str(value)


def called(syscall: str, where: str) -> str:
    """Write a call with its arguments for a person: "socket(AF_ALG)", "clone where arg0 & CLONE_NEW* != 0".

    `where` is the text of `shim.skew.compare.Change`; what has no name in it stays the number that it is.
    """
    if not where:
        return syscall
    said = _EQUALITY.sub(lambda found: _equality(syscall, found), where)
    said = _MASK.sub(lambda found: _mask(syscall, found), said)
    kinds = said.split(" or ")
    if said != where and all(_ONE_KIND.fullmatch(kind) for kind in kinds):
        return ", ".join(f"{syscall}({_arguments(kind)})" for kind in kinds)
    return f"{syscall} where {said}"


def _equality(syscall: str, found: re.Match[str]) -> str:
    index, sign, value = found.groups()
    return f"arg{index} {sign} {_VALUES.get((syscall, int(index)), {}).get(int(value), value)}"


def _mask(syscall: str, found: re.Match[str]) -> str:
    index, mask, sign = int(found[1]), int(found[2], 16), found[3]
    flags = _FLAGS.get((syscall, index), {})
    there = [name for bit, name in flags.items() if mask & bit]
    if not there or mask & ~sum(flags):
        return found[0]
    some = there[0] if len(there) == 1 else f"({'|'.join(there)})"
    return f"arg{index} & {'CLONE_NEW*' if len(there) == len(flags) else some} {sign} 0"


def _arguments(kind: str) -> str:
    """Write "arg0 == AF_NETLINK and arg2 == NETLINK_AUDIT" as a call's arguments: "AF_NETLINK, *, NETLINK_AUDIT"."""
    given = {int(part[3]): part.partition(" == ")[2] for part in kind.split(" and ")}
    return ", ".join(given.get(index, "*") for index in range(max(given) + 1))
