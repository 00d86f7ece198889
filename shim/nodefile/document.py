"""The node document as values: what a user said, and what that means with the defaults filled in."""

from __future__ import annotations

import functools
import posixpath
import re
from typing import Any

import msgspec

from runtimes.errors import BadInput
from runtimes.host import Host
from runtimes.model import KnownRelease, find
from shim.nodefile.reading import Places
from shim.nodefile.thishost import this_host

DEFAULT_RUNTIME = "containerd"
NAMED = ("handlers", "images")  # the parts of which there are many, each with a name of the user's own
OWN_FILE = "file://"  # before the absolute path of a file that is this machine's, not the node's


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A mapping of the document. None stands for what was left out."""


class HostPart(Part, frozen=True):
    """`host`: the machine."""

    arch: str | None = None
    kernel: str | None = None
    seccomp: bool | None = None
    root: str | None = None
    cgroup: int | None = None
    hostname: str | None = None
    capabilities: tuple[str, ...] | None = None


class KubeletPart(Part, frozen=True):
    """`kubelet`."""

    version: str | None = None
    seccomp_default: bool | None = None
    feature_gates: dict[str, bool] | None = None
    config: str | None = None
    config_dir: str | None = None
    flags: tuple[str, ...] | None = None
    environment: dict[str, str] | None = None
    policy: str | None = None
    policy_profile: str | None = None
    step: str | None = None


class RuntimePart(Part, frozen=True):
    """`runtime`, and each of `handlers`."""

    name: str | None = None
    version: str | None = None
    config: str | None = None
    handler: str | None = None
    flags: tuple[str, ...] | None = None
    environment: dict[str, str] | None = None
    settings: dict[str, Any] | None = None


class ImagePart(Part, frozen=True):
    """One of `images`."""

    annotations: dict[str, str] | None = None
    user: str | None = None


class Origin(msgspec.Struct, frozen=True):
    """Where a document comes from: the name that errors begin with, and the place of each field."""

    where: str = ""
    places: Places = {}

    def fault(self, field: str, fault: BadInput) -> BadInput:
        """Return a fault that something below found in a field, with the field's place."""
        line, column = self.places.get(field, (None, None))
        where = self.where if line else ""
        what, right = (str(fault), "") if fault.where else (fault.what, fault.right)
        return BadInput(what, where=where, line=line, column=column, field=field, right=right)


class Document(Part, frozen=True):
    """A node document. `to_dict` shows it without its origin."""

    host: HostPart = HostPart()
    kubelet: KubeletPart = KubeletPart()
    runtime: RuntimePart = RuntimePart()
    handlers: dict[str, RuntimePart] = {}
    images: dict[str, ImagePart] = {}
    origin: Origin = Origin()


def from_dict(value: dict[str, Any], origin: Origin) -> Document:
    """Return the document of values that meet the schema."""
    said = {key: part for key, part in value.items() if part is not None}
    for named in NAMED:
        said[named] = {name: part or {} for name, part in said.get(named, {}).items()}
    document = msgspec.convert(said, Document)
    return msgspec.structs.replace(document, origin=origin)


def anchored(document: Document, base: str) -> tuple[Document, list[BadInput]]:
    """Return the document with its relative paths started in the directory `base`, so that it can be kept and sent.

    Where there is no directory, because the document came without a file, a relative path is a fault.
    """
    faults: list[BadInput] = []

    def absolute(field: str, path: str | None, scheme: str = "") -> str | None:
        if not path or path.startswith(("/", OWN_FILE)):
            return path
        if not base:
            fault = BadInput(f"{path} is relative, and this document came without a file", right="an absolute path")
            faults.append(document.origin.fault(field, fault))
        return f"{scheme}{posixpath.normpath(posixpath.join(base, path))}"

    def of_runtime(field: str, part: RuntimePart) -> RuntimePart:
        return msgspec.structs.replace(part, config=absolute(f"{field}.config", part.config, OWN_FILE))

    root = absolute("host.root", document.host.root)
    kubelet = msgspec.structs.replace(
        document.kubelet,
        config=absolute("kubelet.config", document.kubelet.config, OWN_FILE),
        config_dir=absolute("kubelet.configDir", document.kubelet.config_dir, OWN_FILE),
    )
    absolutes = msgspec.structs.replace(
        document,
        kubelet=kubelet,
        host=msgspec.structs.replace(document.host, root=root),
        runtime=of_runtime("runtime", document.runtime),
        handlers={name: of_runtime(f"handlers.{name}", part) for name, part in document.handlers.items()},
    )
    return absolutes, faults


def to_dict(document: Document, *, full: bool = False) -> dict[str, Any]:
    """Return the document in the order of its schema: what was said, or with `full` everything."""
    shown: dict[str, Any] = msgspec.to_builtins(fill(document) if full else document)
    del shown["origin"]
    many = {named: {name: _said(part, full=full) for name, part in shown.pop(named).items()} for named in NAMED}
    said = {name: _said(part, full=full) for name, part in shown.items()} | many
    return said if full else {name: part for name, part in said.items() if part}


def to_yaml(document: Document, *, full: bool = False) -> str:
    """Return the document as YAML that can be edited and read again."""
    return "".join(f"{line}\n" for line in _lines(to_dict(document, full=full))) or "{}\n"


def fill(document: Document) -> Document:
    """Return the document with every default filled in. Raises `BadInput` where a runtime is not known."""
    host = {"root": "/", **msgspec.structs.asdict(this_host()), **_said(msgspec.structs.asdict(document.host))}
    name = document.runtime.name or DEFAULT_RUNTIME
    return msgspec.structs.replace(
        document,
        host=HostPart(**host),
        kubelet=_fill_kubelet(document.kubelet),
        runtime=_fill_runtime(document.runtime, name),
        handlers={key: _fill_runtime(part, part.name or name) for key, part in document.handlers.items()},
    )


def host_of(filled: Document) -> Host:
    """Return the machine of a document that is filled in."""
    part = filled.host
    return msgspec.convert({key: value for key, value in msgspec.structs.asdict(part).items() if key != "root"}, Host)


@functools.cache
def newest_kubelet() -> str:
    """Return the newest kubelet release that is known."""
    from shim.kubelet.releases import releases  # noqa: PLC0415  not needed where a document names one

    return newest_stable(releases())


def newest_stable(releases: tuple[KnownRelease, ...]) -> str:
    """Return the newest of some releases that is no pre-release; where there are none but those, the newest."""
    everything = [known.release for known in releases]
    stable = [release for release in everything if "-" not in release.upstream]
    return max(stable or everything).upstream


def _fill_kubelet(part: KubeletPart) -> KubeletPart:
    """Fill in what a kubelet does by default; with files or flags of its own it is these that say it."""
    own = part.config or part.config_dir or part.flags
    return msgspec.structs.replace(
        part,
        version=part.version or newest_kubelet(),
        seccomp_default=part.seccomp_default if own else bool(part.seccomp_default),
        feature_gates=part.feature_gates or {},
        step=part.step or "apply",
    )


def _fill_runtime(part: RuntimePart, name: str) -> RuntimePart:
    version = part.version or newest_stable(find(name).releases())
    return msgspec.structs.replace(part, name=name, version=version)


def _said(part: dict[str, Any], *, full: bool = False) -> dict[str, Any]:
    """Return what is set; with `full` also what stands for nothing: a runtime without a configuration file.

    That one has no flags, variables or single settings goes without saying.
    """
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in part.items()
        if value is not None or (full and not (key in ("flags", "environment", "settings") and "handler" in part))
    }


# Plain text that YAML reads back as the text it is; everything else is put in quotes.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./~+-]*|\d+\.\d+\.\d+[A-Za-z0-9.~+-]*")
_WIDTH = 100
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def _lines(value: dict[str, Any], indent: str = "") -> list[str]:
    lines: list[str] = []
    for key, item in value.items():
        head = f"{indent}{_scalar(key)}:"
        if isinstance(item, dict) and item:
            lines += [head, *_lines(item, indent + "  ")]
        elif isinstance(item, list) and item:
            lines += [head, *_wrapped([_scalar(each) for each in item], indent + "  ")]
        else:
            lines.append(f"{head} {_scalar(item)}")
    return lines


def _wrapped(words: list[str], indent: str) -> list[str]:
    """Write a list as lines of a readable length."""
    lines = [f"{indent}["]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append(f"{indent} ")
        lines[-1] += f"{word}, "
    lines[-1] = lines[-1].removesuffix(", ") + "]"
    return [line.rstrip() for line in lines]


def _scalar(value: Any) -> str:
    """Write a scalar, or an empty collection, as YAML. What needs quotes gets JSON's, which YAML reads."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    text = msgspec.json.encode(value).decode()
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)
