"""A profile from where CRI-O has it (itself, crio.conf, a Localhost file) to the section for one container.

    internal(release, arch), configured(data, release), local(data, release)   -> Loaded
    compose(loaded, release, arch, bounding)                                   -> Composed
    notified(section, listener, release)                                       -> the section under the notifier

Both halves are remembered: a daemon decodes a file once for as long as its bytes stay the same, and composes it once
per set of those capabilities that the profile looks at. So sections are shared: whoever gets one must not change it.
Source: internal/config/seccomp/seccomp.go and notifier.go, the vendored pkg/seccomp.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes import docker_format, runc
from runtimes.crio import decoders, default_profile
from runtimes.crio.at import PACKAGE, at
from runtimes.decision import Step
from runtimes.docker_format import Dialect, Profile
from runtimes.facts import load
from runtimes.gojson import GoJsonFault, Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.docker_format import Entry
    from runtimes.oci import Seccomp
    from runtimes.release import Release

_FORMAT = "vendored pkg/seccomp/seccomp_linux.go setupSeccomp"
_NOTIFIABLE = {"SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD"}
_DOES = {"SCMP_ACT_ALLOW": "allow", "SCMP_ACT_ERRNO": "refuse"}
_SHOWN = 5  # names in a sentence
# The facts about the default profile that a decision tells; the profile itself says more (profile.yaml).
_MARKS = (
    "blocked-syscalls-eperm",
    "blocked-syscalls-enosys",
    "unshare-needs-sys-admin",
    "clone-namespaces-refused",
    "perf-event-open-needs-perfmon",
    "vsock-refused",
)


class Loaded(msgspec.Struct, frozen=True, eq=False):
    """A profile ready to be composed, and the keys of its file that the release dropped in silence."""

    profile: Profile
    dropped: tuple[str, ...] = ()
    is_internal: bool = False


class Composed(msgspec.Struct, frozen=True, eq=False):
    """What a profile is on one host for one capability set: None where it means no seccomp at all."""

    section: Seccomp | None
    json: dict[str, Any] | None
    steps: tuple[Step, ...]


@functools.cache
def dialect(release: Release) -> Dialect:
    """Return what the profile package of a release knows."""
    facts = at(release)
    return Dialect(
        errno_ret=facts.has("profile-errno-ret"),
        default_errno_ret=facts.has("profile-default-errno-ret"),
        errno_names=facts.has("profile-errno-names"),
        flags=facts.has("profile-flags"),
        rule_per_name=facts.has("profile-rule-per-name"),
    )


@functools.cache
def toolchain(release: Release) -> Toolchain:
    """Return which generation of encoding/json a release was built with."""
    return Toolchain(at(release).value("json-toolchain"))


@functools.cache
def internal(release: Release, arch: str) -> Loaded:
    """Return the default profile that CRI-O carries in itself."""
    return Loaded(default_profile.default(release, arch), is_internal=True)


@functools.cache
def marks(release: Release) -> tuple[Step, ...]:
    """Return what a person should know of that profile, as steps."""
    facts = load(PACKAGE)
    return tuple(
        Step("profile", name, facts[name].says, facts[name].source) for name in _MARKS if at(release).has(name)
    )


@functools.cache
def runtime_tools(release: Release, arch: str) -> Composed:
    """Return the filter that stands in a spec which CRI-O leaves alone."""
    return _compose(Loaded(default_profile.runtime_tools(release, arch)), arch, frozenset(), Dialect())


def configured(data: bytes, release: Release) -> Loaded:
    """Read the file of `seccomp_profile`. Raises `GoJsonFault`, in the words of the library that the release uses."""
    decoder = at(release).value("config-profile-decoder")
    if decoder != "encoding/json":
        decoders.check(data, docker_format.shape(dialect(release)), decoder)
    return local(data, release)


def local(data: bytes, release: Release) -> Loaded:
    """Read a Localhost file. Raises `GoJsonFault`."""
    found = _decoded(data, release)
    if isinstance(found, str):
        raise GoJsonFault(found)
    return found


@functools.lru_cache(maxsize=512)
def _decoded(data: bytes, release: Release) -> Loaded | str:
    try:
        decoded = docker_format.decode(data, dialect(release), toolchain(release))
    except GoJsonFault as fault:
        return str(fault)
    return Loaded(decoded.profile, decoded.dropped)


def compose(loaded: Loaded, release: Release, arch: str, bounding: Iterable[str]) -> Composed:
    """Put a profile together. Raises `runtimes.docker_format.ProfileFault`."""
    named = loaded.profile.capabilities
    return _compose(loaded, arch, named.intersection(bounding), dialect(release))


@functools.lru_cache(maxsize=4096)
def _compose(loaded: Loaded, arch: str, held: frozenset[str], known: Dialect) -> Composed:
    section = docker_format.compose(loaded.profile, arch, held, known)
    steps = (*_dropped_steps(loaded), *_condition_steps(loaded.profile, arch, held))
    if section is None:
        because = "the profile has no default action and no rules: that means no seccomp at all, without a word"
        return Composed(None, None, (*steps, Step("profile", "empty-profile", because, _FORMAT, warns=True)))
    return Composed(section, as_json(section), steps)


@functools.lru_cache(maxsize=4096)
def rejection(composed: Composed, *, no_new_privileges: bool, big_endian: bool) -> str | None:
    """Return what the OCI runtime says to a profile that it cannot make a filter of, None where it takes it."""
    return runc.rejects(composed.json, no_new_privileges=no_new_privileges, big_endian=big_endian)


def as_json(section: Seccomp) -> dict[str, Any]:
    """Return a section as JSON-shaped values, lists and not tuples."""
    return msgspec.json.decode(msgspec.json.encode(section))  # type: ignore[no-any-return]


def notified(section: Seccomp, listener: str, release: Release) -> tuple[dict[str, Any], Step]:
    """Return a section as the notifier rewrites it: a rule's refusal becomes a notification; the default stays."""
    drops_errno = at(release).has("notifier-drops-errno")
    rules = []
    for rule in section.syscalls:
        errno_ret = None if drops_errno else rule.errno_ret
        changed = msgspec.structs.replace(rule, action="SCMP_ACT_NOTIFY", errno_ret=errno_ret)
        rules.append(changed if rule.action in _NOTIFIABLE else rule)
    count = sum(rule.action in _NOTIFIABLE for rule in section.syscalls)
    because = (
        f"the seccomp notifier is asked for: {count} rules that refuse become SCMP_ACT_NOTIFY, heard at {listener}"
        f"; the default action {section.default_action} stays and is not seen by it"
    )
    rewritten = msgspec.structs.replace(section, syscalls=tuple(rules), listener_path=listener)
    source = "internal/config/seccomp/notifier.go injectNotifier"
    return as_json(rewritten), Step("runtime", "notifier", because, source)


def _dropped_steps(loaded: Loaded) -> list[Step]:
    steps = []
    for key in loaded.dropped:
        what = "the rule applies to every kernel" if key.endswith(".minKernel") else "it is dropped without a word"
        because = f"`{key}` is no key that this release reads in a profile: {what}"
        steps.append(Step("profile", "dropped-key", because, _FORMAT, warns=True))
    return steps


def _condition_steps(profile: Profile, arch: str, held: frozenset[str]) -> list[Step]:
    """Tell what each capability that the profile looks at did, and what the architecture did."""
    entries = [entry for entry in profile.entries if entry and entry.suits(arch)]
    steps = []
    for capability in sorted(profile.capabilities):
        has = capability in held
        asking = [each for each in entries if capability in (*each.includes.caps, *each.excludes.caps)]
        holding = [each for each in asking if each.applies(arch, held)]
        state = "is" if has else "is not"
        if not asking:
            continue
        effects = [text for text in (_effect(holding, "hold"), _effect(_rest(asking, holding), "are left out")) if text]
        because = f"{capability} {state} in the bounding set: {'; '.join(effects)}"
        steps.append(Step("profile", f"capability {capability}", because, _FORMAT))
    foreign = [each for each in entries if not each.includes.caps and each.includes.arches]
    matched = [each for each in foreign if each.applies(arch, held)]
    if matched:
        steps.append(Step("profile", f"architecture {arch}", f"on {arch} {_effect(matched, 'hold')}", _FORMAT))
    return steps


def _rest(entries: list[Entry], without: list[Entry]) -> list[Entry]:
    return [each for each in entries if not any(each is other for other in without)]


def _effect(entries: list[Entry], what: str) -> str:
    texts = []
    for action in dict.fromkeys(each.action for each in entries):
        names = [name for each in entries if each.action == action for name in (each.names or (each.name,))]
        names = list(dict.fromkeys(names))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        does = _DOES.get(action, f"answer {action} to")
        texts.append(f"rules that {does} {', '.join(names[:_SHOWN])}{more} {what}")
    return ", ".join(texts)
