"""A KubeletConfiguration (v1beta1) file and its drop-ins -> what they say.

Fields that decide nothing here are only looked at for their name and the kind of their value. One that the release does
not know is lost with a warning, as in the kubelet, which reads a file a second time without being strict.
Source: cmd/kubelet/app/server.go (loadConfigFile, mergeKubeletConfigurations) at v1.28.14, v1.29.9 and v1.31.13;
pkg/kubelet/kubeletconfig/util/codec/codec.go (DecodeKubeletConfiguration) at v1.18.6 and v1.31.13.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from runtimes.facts import read_data
from runtimes.files import FileFault
from runtimes.release import parse
from shim.kubelet.config import File
from shim.kubelet.lookup import at
from shim.kubelet.startup import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.decision import Step
    from runtimes.files import Files
    from runtimes.release import Release

API_VERSION, KIND = "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"
SWITCH, GATES = "seccompDefault", "featureGates"
_GO_NAME = "SeccompDefault"
_DROP_IN = ".conf"
_VARIABLE = "KUBELET_CONFIG_DROPIN_DIR_ALPHA"
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "text"),
    "bool": ((bool,), "true or false"),
    "whole": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "duration": ((str,), "text such as 10s"),
    "list": ((list,), "a list"),
    "map": ((dict,), "a mapping"),
    "object": ((dict,), "a mapping"),
}


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where a configuration is: the file, the directory of drop-ins ("" for none), and the kubelet's environment.

    `files` is the node's file system, `shown` what errors call the file.
    """

    files: Files
    config: str = ""
    shown: str = ""
    config_dir: str = ""
    environment: dict[str, str] = {}


def load(sources: Sources, release: Release) -> File:
    """Read everything. Raises `Refused` as the kubelet does, and `BadInput` with file, line and field."""
    said = File()
    if sources.config:
        said = _file(sources, release)
    if sources.config_dir:
        _require_environment(sources, release)
        said = _with_drop_ins(said, sources, release)
    return said


def _file(sources: Sources, release: Release) -> File:
    path = sources.config
    shown = sources.shown or path
    value = _decoded(sources.files, path, shown, release, "config", path)
    notes = _unknown(value, shown, release)
    return File(
        seccomp_default=value.get(SWITCH),  # also where the release does not know it: `settle` tells what is lost
        feature_gates=value.get(GATES) or {},
        place=f"the configuration {shown}",
        notes=notes,
    )


def _require_environment(sources: Sources, release: Release) -> None:
    if not at(release).has("config-dir-needs-environment") or _VARIABLE in sources.environment:
        return
    error = f"flag {sources.config_dir} specified but environment variable {_VARIABLE} not set, cannot start kubelet"
    raise refused(release, "environment", error)


def _with_drop_ins(said: File, sources: Sources, release: Release) -> File:
    """Put the drop-ins on top, one after the other in lexical order."""
    folder = sources.config_dir
    try:
        names = [name for name in sources.files.walk(folder) if name.endswith(_DROP_IN)]
    except FileFault as fault:
        raise refused(release, "drop-in", str(fault), path=folder) from None
    patched = at(release).has("drop-ins-patched")
    notes = list(said.notes)
    switches: dict[str, tuple[Any, str]] = {}
    gates = dict(said.feature_gates)
    place, on = said.place, said.seccomp_default
    for name in names:
        value = _decoded(sources.files, name, name, release, "drop-in", folder)
        gates.update(value.get(GATES) or {})
        if not patched:
            notes += _unknown(value, name, release)
            if value.get(SWITCH):
                on, place = True, f"the drop-in {name}"
            elif SWITCH in value and on:
                because = f"seccompDefault: false in {name} does not turn off what {place} turns on"
                notes.append(at(release).step("drop-ins-patched", because, warns=True))
            continue
        for key in (key for key in value if key.lower() == SWITCH.lower()):
            # A patch with null takes back what earlier drop-ins said, and not what the file says.
            if value[key] is None:
                switches.pop(key, None)
            else:
                switches[key] = (value[key], f"the drop-in {name}")
    # The file's own word stands in the document under the field's Go name; names in capitals sort before it and lose.
    counting = [key for key in sorted(switches) if key >= _GO_NAME]
    if counting:
        on, place = switches[counting[-1]]
    return File(seccomp_default=on, feature_gates=gates, place=place, notes=tuple(notes))


def _decoded(files: Files, path: str, shown: str, release: Release, check: str, blamed: str) -> dict[str, Any]:
    """Read one file. Raises `Refused` where there is none or it is empty, `BadInput` where it is malformed."""
    patches = check == "drop-in" and at(release).has("drop-ins-patched")
    kind = "drop-in kubelet" if patches else "kubelet"
    try:
        raw = files.read(path)
    except FileFault as fault:
        error = f'failed to read {kind} config file "{path}", error: {fault}'
        raise refused(release, check, _within(check, kind, path, error), path=blamed) from None
    if not raw:
        error = f'kubelet config file "{path}" was empty'
        raise refused(release, check, _within(check, kind, path, error), path=blamed)
    text = _text(raw, shown)
    return _checked(text, shown, release)


def _within(check: str, kind: str, path: str, error: str) -> str:
    """Wrap a drop-in's fault in where it was met."""
    if check == "config":
        return error
    loading = f"failed to load {kind if kind != 'kubelet' else 'Kubelet'} config file {path}, error {error}"
    return f"failed to load kubelet dropin file, path: {path}, error: {loading}"


def _text(raw: bytes, shown: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        byte = f"byte 0x{raw[fault.start]:02x} is no UTF-8"
        raise BadInput(byte, where=shown, line=line, right="a file in UTF-8") from None


def _checked(text: str, shown: str, release: Release) -> dict[str, Any]:
    from shim.kubelet import yamlfile  # noqa: PLC0415  YAML takes a while to import, and most nodes do without

    found = [value for value, _line in yamlfile.documents(text, shown) if value is not None]
    if len(found) != 1 or not isinstance(found[0], dict):
        raise BadInput("it is no configuration of a kubelet", where=shown, right=f"one mapping of kind {KIND}")
    value: dict[str, Any] = found[0]
    for field, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if value.get(field) != wanted:
            what = f"it is {value[field]!r}" if field in value else "it is missing"
            raise _bad(what, text, shown, field, wanted)
    for field, item in value.items():
        if field.lower() == SWITCH.lower() and not isinstance(item, bool | None):
            raise _bad("true or false is expected", text, shown, field)
        kind = _fields().get(field)
        if kind is None or item is None or not _exists(field, release):
            continue
        types, words = _KINDS[kind["is"]]
        if not isinstance(item, types) or (isinstance(item, bool) and bool not in types):
            raise _bad(f"{words} is expected", text, shown, field)
    for gate, on in (value.get(GATES) or {}).items():
        if not isinstance(on, bool):
            raise _bad("true or false is expected", text, shown, f"{GATES}.{gate}")
    return value


def _bad(what: str, text: str, shown: str, field: str, right: str = "") -> BadInput:
    from shim.kubelet import yamlfile  # noqa: PLC0415

    return BadInput(what, where=shown, line=yamlfile.line_of(text, 1, field), field=field, right=right)


def _unknown(value: dict[str, Any], shown: str, release: Release) -> tuple[Step, ...]:
    """Say which fields of a file are lost. seccompDefault has a step of its own."""
    lost = [name for name in value if name not in ("apiVersion", "kind", SWITCH) and not _exists(name, release)]
    if not lost:
        return ()
    meant = ", ".join(f"{name}{_meant(name)}" for name in lost)
    because = f"{shown} has what kubelet {release} does not know: {meant}; it logs a warning and goes on without"
    return (at(release).step("lenient-configuration", because, warns=True),)


def _meant(name: str) -> str:
    close = next(_alike(name), "")
    return f" (did you mean {close}?)" if close else ""


def _alike(name: str) -> Iterator[str]:
    """Names of fields are case-sensitive, which is the mistake that is made most often."""
    return (field for field in _fields() if field.lower() == name.lower() and field != name)


def _exists(name: str, release: Release) -> bool:
    field = _fields().get(name)
    return name in ("apiVersion", "kind") or (
        field is not None and ("since" not in field or release >= parse(f"{field['since']}.0"))
    )


@functools.cache
def _fields() -> dict[str, dict[str, str]]:
    return read_data("shim.kubelet", "configuration")  # type: ignore[no-any-return]
