"""The built-in profile, which RuntimeDefault means: `profile.yaml` -> the section of one build, host and container.

Theory of operation: containerd appends rules to one list. Everybody's rules come first, then what the kernel's version
and the build's architecture add, then one rule for each capability of the *bounding* set in that set's own order, and
last what stands there because CAP_SYS_ADMIN does not. So a build's list is made once per kernel and architecture, and
a container's section is a concatenation.

Sections are cached and shared: whoever gets one must not change it.
Source: contrib/seccomp/seccomp_default.go, function DefaultProfile, at the tags v1.2.0-beta.0 to v2.4.0-beta.0.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes import profile
from runtimes.containerd.known import PACKAGE
from runtimes.decision import Step
from runtimes.facts import read_data
from runtimes.release import Span

if TYPE_CHECKING:
    from runtimes.profile import Rule
    from runtimes.release import Release

Entry = dict[str, Any]
_KERNEL = re.compile(r"\s*(\d+)\.(\d+)")
_SOURCE = "contrib/seccomp/seccomp_default.go"


@functools.lru_cache(maxsize=4096)
def section(release: Release, arch: str, kernel: str, bounding: tuple[str, ...]) -> tuple[Entry, tuple[Step, ...]]:
    """Return the profile as JSON-shaped values, and a step for every condition in it that was looked at.

    `arch` is the GOARCH of the daemon, `kernel` a uname release, `bounding` the capabilities as the spec lists them.
    """
    build = _build(release, arch, kernel)
    entries, steps = list(build.entries), list(build.steps)
    for capability in bounding:
        if capability in build.with_capability:
            entry, step = build.with_capability[capability]
            entries.append(entry)
            steps.append(step)
    for capability, entry, step in build.without_capability:
        if capability not in bounding:
            entries.append(entry)
            steps.append(step)
    return ({**build.head, "syscalls": entries} if entries else build.head), tuple(steps)


class _Build(msgspec.Struct):
    """What one release gives on one architecture and kernel, ready to be put together."""

    head: Entry
    entries: list[Entry] = []
    steps: list[Step] = []
    with_capability: dict[str, tuple[Entry, Step]] = {}
    without_capability: list[tuple[str, Entry, Step]] = []


@functools.lru_cache(maxsize=512)
def _build(release: Release, arch: str, kernel: str) -> _Build:
    build = _Build({"defaultAction": _data()["defaultAction"]})
    for rule in profile.load(PACKAGE):
        syscall = rule.at(release)
        if syscall is None or not _is_for(rule, arch):
            continue
        names = syscall.names or ()
        entry: Entry = msgspec.to_builtins(syscall)
        listed = ", ".join(names)
        if "capability" in rule.when:
            capability = rule.when["capability"]
            step = _step(rule, f"{capability} is in the bounding set: {listed} allowed")
            build.with_capability[capability] = (entry, step)
        elif "without" in rule.when:
            capability = rule.when["without"]
            step = _step(rule, f"{capability} is not in the bounding set: {rule.says}")
            build.without_capability.append((capability, entry, step))
        elif "kernel" in rule.when:
            _add_for_kernel(build, rule, entry, kernel)
        else:
            build.entries.append(entry)
            if "arch" in rule.when:
                build.steps.append(_step(rule, f"on {arch}: {listed} allowed"))
            elif len(build.entries) == 1:
                because = f"the profile of containerd {release.upstream} denies with EPERM what it does not allow"
                build.steps.append(_step(rule, f"{because}, and allows {len(names)} system calls to everybody"))
    _add_architectures(build, release, arch)
    return build


def _add_for_kernel(build: _Build, rule: Rule, entry: Entry, kernel: str) -> None:
    least, names = rule.when["kernel"], ", ".join(entry["names"])
    running, required = _number(kernel), _number(least)
    if running and required and running >= required:
        build.entries.append(entry)
        build.steps.append(_step(rule, f"kernel {kernel} is at least {least}: {names} allowed"))
    else:
        build.steps.append(_step(rule, f"kernel {kernel} is not known to be at least {least}: {names} not allowed"))


def _add_architectures(build: _Build, release: Release, arch: str) -> None:
    for record in _data()["architectures"]:
        if record["arch"] == arch and release in Span.read(record):
            build.head["architectures"] = record["names"]
            because = f"a build for {arch} filters " + ", ".join(record["names"])
            build.steps.append(Step("profile", "architectures", because, record.get("source", _SOURCE)))
            return
    because = f"a build for {arch} names no architecture: the filter holds for the native one"
    build.steps.append(Step("profile", "architectures", because, _SOURCE))


def _is_for(rule: Rule, arch: str) -> bool:
    wanted, unwanted = rule.when.get("arch"), rule.when.get("not-arch", ())
    return (wanted is None or arch in wanted) and arch not in unwanted


def _step(rule: Rule, because: str) -> Step:
    return Step("profile", rule.rule, because, rule.source)


def _number(kernel: str) -> tuple[int, int] | None:
    """Read a uname release as containerd does: two numbers; None where they are not there."""
    found = _KERNEL.match(kernel)
    return (int(found[1]), int(found[2])) if found else None


@functools.cache
def _data() -> dict[str, Any]:
    return read_data(PACKAGE, "profile")  # type: ignore[no-any-return]
