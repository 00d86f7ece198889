"""Which profile applies to a container or sandbox, and what its section is.

Theory of operation. Three rules were in force, each a function here, chosen by facts:

    by_path               the string seccomp_profile_path alone
    by_path_or_setting    where it is empty, the setting unset_seccomp_profile
    by_message            the message `seccomp`; where it is absent the string, then the setting. Both are parsed
                          before anything else is looked at, so that a bad one fails a privileged container too

Each ends in a `Choice`: no profile of the request's own, the built-in one, or a file. A file is read when the section
is made, after everything else about the container was found good. A container never inherits its sandbox's profile:
each request is decided alone.

Source: generateSeccompSpecOpts, generateSeccompSecurityProfile, generateSecurityProfile at each tag (v1.2.14, v1.3.10
pkg/server/container_create.go, v1.4.13 pkg/server/container_create_unix.go, v1.5.0 to v1.7.34
pkg/cri/server/container_create_linux.go, from v2.0.0 internal/cri/server and internal/cri/sputil).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.containerd import default_profile
from runtimes.containerd.objection import Objection
from runtimes.decision import Step
from runtimes.files import FileFault
from runtimes.gojson import GoJsonFault, Toolchain, decode_seccomp, quote
from runtimes.request import LOCALHOST, RUNTIME_DEFAULT, UNCONFINED, SecurityProfile

if TYPE_CHECKING:
    from runtimes.containerd.known import Known
    from runtimes.files import Files
    from runtimes.host import Host

_PREFIX = "localhost/"
_DEFAULTS = ("runtime/default", "docker/default")
_UNCONFINED = "unconfined"
_SHOWN = 12  # dropped keys that a step names


class Asked(msgspec.Struct, frozen=True):
    """What a security context says about seccomp. `message` is None where it was not sent."""

    message: SecurityProfile | None = None
    path: str = ""
    privileged: bool = False


class Choice(msgspec.Struct, frozen=True):
    """The profile that applies: "none" (the request puts none there), "default" or "file"."""

    kind: str
    steps: tuple[Step, ...]
    file: str = ""


def choose(asked: Asked, setting: str, known: Known, host: Host) -> Choice:
    """Return the profile that applies. `setting` is unset_seccomp_profile. Raises `Objection`."""
    if known.has("seccomp-message"):
        return by_message(asked, setting, known, host)
    if known.has("unset-seccomp-profile"):
        return by_path_or_setting(asked, setting, known, host)
    return by_path(asked, known, host)


def section(
    choice: Choice, known: Known, host: Host, bounding: tuple[str, ...], files: Files
) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """Return the section of a choice that is not "none", and the steps that made it. Raises `Objection`."""
    if choice.kind == "default":
        return default_profile.section(known.release, host.arch, host.kernel, bounding)
    return _from_file(choice.file, known, files)


# The three rules.


def by_path(asked: Asked, known: Known, host: Host) -> Choice:
    """Only the string counts."""
    if asked.privileged:
        return _privileged(known, ())
    return _path(asked.path, known, host, ())


def by_path_or_setting(asked: Asked, setting: str, known: Known, host: Host) -> Choice:
    """The setting stands in for an empty string."""
    if asked.privileged:
        return _privileged(known, ())
    if not asked.path and setting:
        return _path(setting, known, host, (_setting_step(setting, known),))
    return _path(asked.path, known, host, ())


def by_message(asked: Asked, setting: str, known: Known, host: Host) -> Choice:
    """The message counts; the string and then the setting stand in for it."""
    profile = asked.message
    steps: tuple[Step, ...] = ()
    if profile is not None:
        steps = _ignored(asked, setting, known)
    elif asked.path:
        profile, steps = _parsed(asked.path, known, (_path_step(asked.path, known),))
    elif setting:
        profile, steps = _parsed(setting, known, (_setting_step(setting, known),))
    if asked.privileged:
        return _privileged(known, steps)
    if not host.seccomp:
        return _unsupported(known, steps, wanted=profile is not None and profile.profile_type != UNCONFINED)
    if profile is None:
        return _nothing_said(known, steps)
    return _profile(profile, known, steps)


def _profile(profile: SecurityProfile, known: Known, steps: tuple[Step, ...]) -> Choice:
    if profile.profile_type != LOCALHOST and profile.localhost_ref:
        step = _step("seccomp-message", "a localhost_ref is only allowed with the type Localhost", known)
        text = "seccomp config invalid LocalhostRef must only be set if ProfileType is Localhost"
        raise Objection(text, (*steps, step))
    if profile.profile_type == UNCONFINED:
        return Choice("none", (*steps, _step("seccomp-message", "the profile is Unconfined: no filter is set", known)))
    if profile.profile_type == RUNTIME_DEFAULT:
        because = "the profile is RuntimeDefault (number 0, so an empty message means it too): the built-in profile"
        return Choice("default", (*steps, _step("seccomp-message", because, known)))
    if profile.profile_type == LOCALHOST:
        file = profile.localhost_ref.removeprefix(_PREFIX)
        because = f"the profile is Localhost: the file {quote(file)} of the node"
        return Choice("file", (*steps, _step("seccomp-message", because, known)), file)
    step = _step("seccomp-message", f"{profile.profile_type} is the number of no profile type", known)
    raise Objection("seccomp unknown ProfileType", (*steps, step))


def _path(path: str, known: Known, host: Host, steps: tuple[Step, ...]) -> Choice:
    """Apply the rules of a string, for the releases that know nothing else."""
    if not host.seccomp:
        return _unsupported(known, steps, wanted=path not in ("", _UNCONFINED))
    if not path:
        return _nothing_said(known, steps)
    if not steps:
        steps = (_path_step(path, known),)
    if path == _UNCONFINED:
        return Choice("none", (*steps, _step("bad-profile", "unconfined: no filter is set", known)))
    if path in _DEFAULTS:
        return Choice("default", (*steps, _step("bad-profile", f"{path}: the built-in profile", known)))
    if not path.startswith(_PREFIX):
        raise _bad(path, known, steps)
    file = path.removeprefix(_PREFIX)
    return Choice("file", (*steps, _step("bad-profile", f"the file {quote(file)} of the node", known)), file)


def _parsed(path: str, known: Known, steps: tuple[Step, ...]) -> tuple[SecurityProfile, tuple[Step, ...]]:
    if path in _DEFAULTS:
        return SecurityProfile(profile_type=RUNTIME_DEFAULT), steps
    if path == _UNCONFINED:
        return SecurityProfile(profile_type=UNCONFINED), steps
    if not path.startswith(_PREFIX):
        raise _bad(path, known, steps)
    return SecurityProfile(profile_type=LOCALHOST, localhost_ref=path.removeprefix(_PREFIX)), steps


def _bad(path: str, known: Known, steps: tuple[Step, ...]) -> Objection:
    known_words = "runtime/default, docker/default nor unconfined"
    because = f"{quote(path)} is neither {known_words}, and does not begin with localhost/"
    text = known.value("bad-profile").format(profile=quote(path))
    return Objection(text, (*steps, _step("bad-profile", because, known)))


def _privileged(known: Known, steps: tuple[Step, ...]) -> Choice:
    because = "privileged: no filter is set, whatever the request names"
    return Choice("none", (*steps, Step("runtime", "privileged", because, known.source("seccomp-message"))))


def _unsupported(known: Known, steps: tuple[Step, ...], *, wanted: bool) -> Choice:
    how = known.value("host-without-seccomp")
    because = f"the host has no seccomp filter (found out with {how}); any profile but Unconfined is refused"
    step = _step("host-without-seccomp", because, known)
    if wanted:
        raise Objection("seccomp is not supported", (*steps, step))
    return Choice("none", (*steps, step))


def _nothing_said(known: Known, steps: tuple[Step, ...]) -> Choice:
    because = "neither the request nor the configuration names a profile: no filter is set"
    return Choice("none", (*steps, _step("unset-seccomp-profile", because, known)))


def _ignored(asked: Asked, setting: str, known: Known) -> tuple[Step, ...]:
    """Say what the message puts out of force, with a warning where that says something else."""
    found = []
    if asked.path:
        because = f"the message `seccomp` is there: seccomp_profile_path ({quote(asked.path)}) is not looked at"
        found.append(Step("runtime", "seccomp-message", because, known.source("seccomp-message"), warns=True))
    if setting:
        because = f"the message `seccomp` is there: unset_seccomp_profile ({quote(setting)}) has no effect"
        found.append(_step("seccomp-message", because, known))
    return tuple(found)


def _path_step(path: str, known: Known) -> Step:
    return _step("seccomp-message", f"seccomp_profile_path says {quote(path)}", known)


def _setting_step(setting: str, known: Known) -> Step:
    because = f"the request names no profile: unset_seccomp_profile of the configuration says {quote(setting)}"
    return _step("unset-seccomp-profile", because, known)


def _step(rule: str, because: str, known: Known) -> Step:
    return Step("runtime", rule, because, known.source(rule))


# A profile from a file of the node.


def _from_file(path: str, known: Known, files: Files) -> tuple[dict[str, Any], tuple[Step, ...]]:
    words = known.value("profile-error-words")
    try:
        data = files.read(path)
    except FileFault as fault:
        step = _step("profile-error-words", f"the file cannot be read: {fault}", known)
        raise Objection(words["load"].format(path=quote(path), error=fault), (step,)) from None
    fields, toolchain = tuple(known.value("seccomp-fields")), known.value("json-toolchain")
    try:
        found, dropped = _decoded(data, fields, toolchain)
    except GoJsonFault as fault:
        step = _step("profile-error-words", f"the file is no profile: {fault}", known)
        raise Objection(words["decode"].format(path=quote(path), error=fault), (step,)) from None
    return found, _file_steps(path, found, dropped, known)


@functools.lru_cache(maxsize=256)
def _decoded(data: bytes, fields: tuple[str, ...], toolchain: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    profile = decode_seccomp(data, fields, toolchain=Toolchain(toolchain))
    return profile.section.to_json(), profile.dropped


def _file_steps(path: str, found: dict[str, Any], dropped: tuple[str, ...], known: Known) -> tuple[Step, ...]:
    source = known.source("seccomp-fields")
    steps = [Step("profile", "localhost-file", f"the profile is the content of {quote(path)}, decoded", source)]
    if dropped:
        more = len(dropped) - _SHOWN
        shown = ", ".join(dropped[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        because = f"keys that this release's runtime-spec does not have are silently dropped: {shown}"
        steps.append(Step("profile", "localhost-file", because, source, warns=True))
    nameless = sum(1 for rule in found.get("syscalls", ()) if not rule["names"])
    if nameless:
        because = f"{nameless} of the rules name no system call, and so do nothing"
        steps.append(Step("profile", "localhost-file", because, source, warns=True))
    if not found["defaultAction"]:
        because = (
            "there is no defaultAction: the OCI runtime takes a profile without rules for none, and refuses others"
        )
        steps.append(Step("profile", "localhost-file", because, source, warns=True))
    return tuple(steps)
