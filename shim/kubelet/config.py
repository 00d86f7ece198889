"""How a kubelet was set up -> what is in effect, or the refusal to start.

A kubelet takes flags first, checks them against the gates that flags set, reads its configuration file, puts the flags
on top of it, and checks again on the way to running. Which of these checks a mistake meets first decides the words that
it is refused with.
Source: cmd/kubelet/app/server.go (NewKubeletCommand, run, RunKubelet) and cmd/kubelet/app/options/options.go
(ValidateKubeletFlags) at v1.18.6, v1.22.0, v1.26.15 and v1.36.3.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import msgspec

from runtimes.decision import Step
from shim.kubelet import gates
from shim.kubelet.lookup import at
from shim.kubelet.policy import Policy
from shim.kubelet.startup import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtimes.release import Release

GATE = "SeccompDefault"
ROOT_DIR = "/var/lib/kubelet"
_FLAG_NEEDS_GATE = "the SeccompDefault feature gate must be enabled in order to use the --seccomp-default flag"
_SETTING_NEEDS_GATE = "the SeccompDefault feature gate must be enabled in order to use the SeccompDefault configuration"


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; None and {} where it says nothing."""

    seccomp_default: bool | None = None
    feature_gates: dict[str, bool] = {}
    seccomp_profile_root: str | None = None
    root_dir: str | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says, its drop-ins included; None and {} where it says nothing.

    `place` names who had the last word about seccompDefault, `notes` is what there is to say about the reading.
    """

    seccomp_default: bool | None = None
    feature_gates: dict[str, bool] = {}
    place: str = "the configuration"
    notes: tuple[Step, ...] = ()


class Switch(msgspec.Struct, frozen=True):
    """A setting in effect, where it comes from ("default", "file" or "flag"), and what there is to say about it."""

    on: bool
    origin: str = "default"
    steps: tuple[Step, ...] = ()


class Folder(msgspec.Struct, frozen=True):
    """A folder in effect, in the same way."""

    path: str
    origin: str = "default"
    steps: tuple[Step, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is in effect. `gates` are those that were set, by name."""

    seccomp_default: Switch
    profile_root: Folder
    gates: dict[str, bool] = {}
    notes: tuple[Step, ...] = ()
    policy: Policy | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """What there is to say where nothing but the kubelet's default decides."""
        return self.seccomp_default.steps


def settle(release: Release, flags: Flags, load: Callable[[], File]) -> Settings:
    """Start up as far as settings go; `load` reads the configuration, when its turn comes.

    Raises `Refused` with `where="kubelet"`.
    """
    _parse(release, flags)
    _set_gates(release, flags.feature_gates)
    if _lacks_gate(release, flags.seccomp_default, flags.feature_gates):
        raise refused(release, "flags", _FLAG_NEEDS_GATE)
    file = load()
    both = {**file.feature_gates, **flags.feature_gates}
    _set_gates(release, both)
    if _lacks_gate(release, flags.seccomp_default, both):
        raise refused(release, "run", _FLAG_NEEDS_GATE)
    if _lacks_gate(release, file.seccomp_default, both):
        raise refused(release, "run", _SETTING_NEEDS_GATE)
    return Settings(
        seccomp_default=_seccomp_default(release, file, flags, both),
        profile_root=_profile_root(release, flags),
        gates=both,
        notes=file.notes,
    )


def _parse(release: Release, flags: Flags) -> None:
    facts = at(release)
    if flags.seccomp_default is not None and not facts.has("seccomp-default"):
        raise refused(release, "parse", "unknown flag: --seccomp-default")
    if flags.seccomp_profile_root is not None and facts.has("profile-root-follows-root-dir"):
        raise refused(release, "parse", "unknown flag: --seccomp-profile-root")


def _set_gates(release: Release, wanted: Mapping[str, bool]) -> None:
    error = gates.refusal(wanted, release)
    if error:
        raise refused(release, "gates", error)


def _lacks_gate(release: Release, switch: bool | None, wanted: Mapping[str, bool]) -> bool:
    return bool(switch) and at(release).has("gate-required") and not gates.enabled(GATE, release, wanted)


def _seccomp_default(release: Release, file: File, flags: Flags, wanted: Mapping[str, bool]) -> Switch:
    if not at(release).has("seccomp-default"):
        return Switch(False, steps=_unknown_setting(release, file))
    step = at(release).step
    steps = []
    on, origin = bool(file.seccomp_default or flags.seccomp_default), "default"
    if file.seccomp_default:
        origin = "file"
        steps.append(step("seccomp-default", f"{file.place} turns seccompDefault on"))
        if flags.seccomp_default is False:
            because = f"--seccomp-default=false does not turn off what {file.place} turns on: either one suffices"
            steps.append(step("seccomp-default", because, warns=True))
    elif flags.seccomp_default:
        origin = "flag"
        because = "--seccomp-default turns it on; /configz does not show that, it prints the configuration alone"
        steps.append(step("seccomp-default", because))
    steps += _gate_steps(release, wanted, on=on)
    return Switch(on, origin, tuple(steps))


def _unknown_setting(release: Release, file: File) -> tuple[Step, ...]:
    """A file with a setting that the release does not know is read all the same; what is lost is only logged."""
    if not file.seccomp_default:
        return ()
    because = f"kubelet {release} does not know seccompDefault: it logs a warning and goes on without it"
    return (at(release).step("lenient-configuration", because, warns=True),)


def _gate_steps(release: Release, wanted: Mapping[str, bool], *, on: bool) -> list[Step]:
    gate = gates.find(GATE, release)
    if gate is None or not (on or wanted.get(GATE)):
        return []
    how = "locked" if gate.locked else "on by default" if gate.default else "off by default"
    stage = f"the gate SeccompDefault is {gate.stage} and {how} in kubelet {release}"
    step = at(release).step
    steps = []
    if not on:
        steps.append(step("gate.SeccompDefault", "the gate SeccompDefault is on, seccompDefault is not", warns=True))
    else:
        steps.append(step("gate.SeccompDefault", stage))
    if gate.stage == "GA" and GATE in wanted:
        because = "Setting GA feature gate SeccompDefault=true. It will be removed in a future release."
        steps.append(step("gate.SeccompDefault", because))
    return steps


def _profile_root(release: Release, flags: Flags) -> Folder:
    facts = at(release)
    if facts.has("profile-root-follows-root-dir"):
        origin = "default" if flags.root_dir is None else "flag"
        return Folder(posixpath.join(ROOT_DIR if flags.root_dir is None else flags.root_dir, "seccomp"), origin)
    step = facts.step
    steps = []
    if flags.seccomp_profile_root is not None and facts.value("profile-root-flag-deprecated"):
        because = f"Flag --seccomp-profile-root has been deprecated, {facts.value('profile-root-flag-deprecated')}"
        steps.append(step("profile-root-flag-deprecated", because))
    if flags.root_dir is not None and flags.seccomp_profile_root is None:
        because = f"kubelet {release} looks for profiles below {ROOT_DIR}/seccomp: --root-dir does not move that"
        steps.append(step("profile-root-follows-root-dir", because, warns=True))
    if flags.seccomp_profile_root is None:
        return Folder(f"{ROOT_DIR}/seccomp", steps=tuple(steps))
    return Folder(flags.seccomp_profile_root, "flag", tuple(steps))
