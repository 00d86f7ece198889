"""Requests, hosts, profile files and configurations at random: what the properties are tried with."""

from __future__ import annotations

import json
import types
import typing
from typing import Any

from hypothesis import strategies as st

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.crio import model
from runtimes.crio.config import keys
from runtimes.host import Host
from runtimes.request import ContainerRequest, Message, SandboxRequest

PROFILE = "/p.json"
NOTIFIER = "io.kubernetes.cri-o.seccompNotifierAction"

releases = st.sampled_from([str(known.release) for known in model.releases()])
hosts = st.builds(
    Host,
    arch=st.sampled_from(["amd64", "arm64", "s390x", "ppc64le", "riscv64", "mips"]),
    kernel=st.sampled_from(["6.1.0", "5.8.0", "4.4", "next", ""]),
    cgroup=st.sampled_from([1, 2]),
    seccomp=st.booleans(),
)

# --- requests: every field of every message, at values where something changes, and others

_SPECIAL: dict[str, list[Any]] = {
    "localhost_ref": ["", PROFILE, "/none", "rel", "/"],
    "seccomp_profile_path": [
        "",
        "unconfined",
        "runtime/default",
        "docker/default",
        f"localhost/{PROFILE}",
        "localhost/",
        "x",
    ],
    "add_capabilities": ["ALL", "all", "CHOWN", "cap_sys_admin", "BPF", "X"],
    "cgroup_parent": ["", "/a", "a.slice", "/kubepods.slice/b.slice", "kubepods/b"],
    "container_path": ["", "/", "/etc/hosts", "/sys", "/dev/shm", "/run", "a"],  # noqa: S108
    "host_path": ["", "/", "/a/../b", "rel"],
    "page_size": ["", "2MB", "1GB", "x"],
    "annotations": [NOTIFIER, "io.containers.trace-syscall", "io.kubernetes.cri-o.userns-mode", "a"],
}
_PLAIN = {bool: st.booleans(), int: st.integers(0, 4) | st.sampled_from([-(2**63), -1, 1000, 2**31, 2**63 - 1])}
_UNSIGNED = {"host_id", "container_id", "length", "attempt", "limit"}
_SPECIAL["drop_capabilities"] = _SPECIAL["add_capabilities"]


def _of(hint: Any, name: str) -> st.SearchStrategy[Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.none() | _of(next(each for each in args if each is not type(None)), name)
    if origin is tuple:
        return st.lists(_of(args[0], name), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(_of(str, name), _of(str, ""), max_size=2)
    if hint is str:
        return st.sampled_from(_SPECIAL.get(name, ["", "a", "{0} %s", "é\x00"])) | st.text(max_size=8)
    if name in _UNSIGNED:
        return st.sampled_from([0, 1, 1000, 2**32 - 1])
    return _PLAIN[hint] if hint in _PLAIN else message(hint)


def message(kind: type[Message]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    fields = {name: _of(hint, name) for name, hint in hints.items() if not name.startswith("_")}
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))


sandboxes, containers = message(SandboxRequest), message(ContainerRequest)


# --- profile files

_names = st.sampled_from(["read", "bpf", "nosuch", ""]) | st.text(max_size=4)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_condition = st.fixed_dictionaries(
    {},
    optional={
        "caps": st.lists(st.sampled_from(KERNEL_CAPABILITIES), max_size=2) | _json,
        "arches": st.lists(st.sampled_from(["amd64", "arm64"])) | _json,
        "minKernel": _names,
    },
)
_rule = st.fixed_dictionaries(
    {},
    optional={
        "names": st.lists(_names, max_size=3) | _json,
        "name": _names,
        "action": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY", "x", ""]) | _json,
        "errnoRet": st.integers(-1, 5000) | _json,
        "errno": st.sampled_from(["EPERM", "ENOSYS", "1", "EX", ""]),
        "args": st.lists(
            st.fixed_dictionaries({}, optional={"index": st.integers(-1, 7), "value": st.integers(), "op": _names})
        ),
        "includes": _condition,
        "excludes": _condition,
    },
)
_profile = st.fixed_dictionaries(
    {},
    optional={
        "defaultAction": st.sampled_from(["SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "x", ""]) | _json,
        "defaultErrnoRet": st.integers(-1, 5000) | _json,
        "defaultErrno": st.sampled_from(["EPERM", "x", ""]),
        "architectures": st.lists(st.sampled_from(["SCMP_ARCH_X86_64", "x"])) | _json,
        "archMap": st.lists(
            st.fixed_dictionaries({}, optional={"architecture": _names, "subArchitectures": st.lists(_names)})
        )
        | _json,
        "flags": st.lists(st.sampled_from(["SECCOMP_FILTER_FLAG_LOG", "x"])),
        "listenerPath": _names,
        "syscalls": st.lists(st.none() | _rule, max_size=3) | _json,
        "x": _json,
    },
)
profile_bytes = (
    st.binary(max_size=30)
    | _profile.map(lambda value: json.dumps(value).encode())
    | st.tuples(_profile, st.integers(0, 60), st.binary(max_size=2)).map(
        lambda parts: json.dumps(parts[0]).encode()[: parts[1]] + parts[2]
    )
)


# --- configuration

_values = st.sampled_from(
    [
        '""',
        '"x"',
        '"/p.json"',
        "true",
        "0",
        "-1",
        "1.5",
        "[]",
        '["CHOWN"]',
        "[1]",
        "{}",
        '{a = "b"}',
        "{a = 1}",
        "1979-05-27",
    ]
)
_tables = {
    "crio": "root",
    "crio.runtime": "runtime",
    "crio.image": "image",
    "crio.runtime.runtimes.runc": "handler",
    "crio.runtime.runtimes.kata": "handler",
    "crio.runtime.workloads.w": "workload",
}


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = []
    for table, kind in _tables.items():
        known = [key.key for key in keys(kind)]
        taken = draw(st.lists(st.tuples(st.sampled_from([*known, "nothing"]), _values), max_size=3))
        lines += [f"[{table}]", *(f"{key} = {value}" for key, value in dict(taken).items())]
    return "\n".join(lines)
