"""Whether a spec is one: the runtime spec's rules as a JSON Schema of our own, for the tests of both families."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec

# The order in which the spec's own structs, and so every runtime that writes Go's JSON, list their keys.
ORDER: dict[str, list[str]] = {
    "": "ociVersion process root hostname domainname mounts hooks annotations linux".split(),
    "process": (
        "terminal consoleSize user args commandLine env cwd capabilities rlimits noNewPrivileges apparmorProfile "
        "oomScoreAdj scheduler selinuxLabel ioPriority execCPUAffinity"
    ).split(),
    "process.capabilities": "bounding effective inheritable permitted ambient".split(),
    "linux": (
        "uidMappings gidMappings sysctl resources cgroupsPath namespaces devices netDevices seccomp rootfsPropagation "
        "maskedPaths readonlyPaths mountLabel intelRdt memoryPolicy personality timeOffsets"
    ).split(),
    "linux.resources": "devices memory cpu pids blockIO hugepageLimits network rdma unified".split(),
    "linux.seccomp": (
        "defaultAction defaultErrnoRet architectures flags listenerPath listenerMetadata syscalls"
    ).split(),
}


def check(spec: dict[str, Any]) -> None:
    """Raise `AssertionError` with every fault of a spec, the order of its keys included."""
    spec = msgspec.json.decode(msgspec.json.encode(spec))
    faults = [f"{error.json_path}: {error.message[:200]}" for error in _validator().iter_errors(spec)]
    faults += [f"{path or 'spec'}: {list(found)}" for path, found in _parts(spec) if not _in_order(path, found)]
    assert not faults, "\n".join(faults)


def _parts(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in ORDER:
        part: Any = spec
        for key in filter(None, path.split(".")):
            part = part.get(key) if isinstance(part, dict) else None
        if isinstance(part, dict):
            found.append((path, part))
    return found


def _in_order(path: str, part: dict[str, Any]) -> bool:
    wanted = [key for key in ORDER[path] if key in part]
    return list(part) == wanted


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(Path(__file__).with_name("schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
