"""The profiles that CRI-O carries in itself, as each release has them.

    default(release, arch)         the default profile: the library's with CRI-O's own edit, in the docker format
    runtime_tools(release, arch)   what stands in every spec before CRI-O looks at it, and stays in some

Both are facts (profile.yaml, runtime_tools.yaml); the docker format's rules put them together for a host.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from runtimes import profile
from runtimes.docker_format import Entry, Filter, Profile
from runtimes.facts import read_data
from runtimes.release import Span

if TYPE_CHECKING:
    from runtimes.release import Release

_PACKAGE = "runtimes.crio"


@functools.cache
def default(release: Release, arch: str) -> Profile:
    """Return the default profile of a release on a host ("amd64")."""
    return _at(release, arch, "profile")


@functools.cache
def runtime_tools(release: Release, arch: str) -> Profile:
    """Return the filter that a release's runtime-tools puts into a new spec on a host."""
    return _at(release, arch, "runtime_tools")


@functools.cache
def _head(name: str) -> dict[str, Any]:
    data: dict[str, Any] = read_data(_PACKAGE, name)
    return data


def _at(release: Release, arch: str, name: str) -> Profile:
    head = _head(name)
    architectures = {each["arch"]: tuple(each["list"]) for each in head["architectures"]}
    errno_rets = [each["value"] for each in head.get("defaultErrnoRet", ()) if release in Span.read(each)]
    rules = ((rule, rule.at(release)) for rule in profile.load(_PACKAGE, name))
    return Profile(
        default_action=head["defaultAction"],
        default_errno_ret=errno_rets[-1] if errno_rets else None,
        architectures=architectures.get(arch, ()),
        entries=tuple(
            Entry(
                action=syscall.action,
                names=syscall.names or (),
                args=syscall.args,
                includes=_filter(rule.when.get("includes", {})),
                excludes=_filter(rule.when.get("excludes", {})),
                errno_ret=syscall.errno_ret,
            )
            for rule, syscall in rules
            if syscall
        ),
    )


def _filter(record: dict[str, list[str]]) -> Filter:
    return Filter(tuple(record.get("caps", ())), tuple(record.get("arches", ())))
