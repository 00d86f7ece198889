"""The capability sets of a container or infra container, in the order in which CRI-O leaves them.

What a request adds comes first, in its own order, then the configured defaults, less what it drops. ALL stands for
what the kernel and the vendored library both know, in the kernel's order, whatever the daemon itself holds.
Source: internal/factory/container/container.go SpecSetupCapabilities; vendored runtime-tools generate.go.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.crio.at import at
from runtimes.decision import Step
from runtimes.errors import Refused
from runtimes.gojson import quote

if TYPE_CHECKING:
    from runtimes.crio.config import Config
    from runtimes.host import Host
    from runtimes.release import Release
    from runtimes.request import Capability

_SOURCE = "internal/factory/container/container.go SpecSetupCapabilities"
# The kernel that brought each of the last ones. Source: include/uapi/linux/capability.h of Linux.
_NEWER = {"CAP_CHECKPOINT_RESTORE": (5, 9), "CAP_BPF": (5, 8), "CAP_PERFMON": (5, 8)}


class Capabilities(msgspec.Struct, frozen=True):
    """The sets that differ: bounding, effective and permitted are one; ambient is filled only for the privileged."""

    bounding: tuple[str, ...]
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return `process.capabilities` in the order of the spec's struct; an empty set is left out."""
        bounding = list(self.bounding)
        sets = {
            "bounding": bounding,
            "effective": bounding,
            "inheritable": list(self.inheritable),
            "permitted": bounding,
            "ambient": list(self.ambient),
        }
        return {name: list(members) for name, members in sets.items() if members}


@functools.cache
def known(release: Release, kernel: str) -> tuple[str, ...]:
    """Return what ALL stands for on a host, in the kernel's order."""
    last = KERNEL_CAPABILITIES.index(at(release).value("last-known-capability"))
    found = re.match(r"(\d+)\.(\d+)", kernel)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    return tuple(name for name in KERNEL_CAPABILITIES[: last + 1] if version >= _NEWER.get(name, (0, 0)))


def privileged(release: Release, host: Host) -> Capabilities:
    """Return every capability in every set."""
    every = known(release, host.kernel)
    because = f"a privileged container gets all {len(every)} capabilities in every set, whatever it adds or drops"
    step = Step("runtime", "privileged-capabilities", because, "vendored runtime-tools generate.go SetupPrivileged")
    return Capabilities(every, every, every, (step,))


def setup(release: Release, host: Host, config: Config, request: Capability | None) -> Capabilities:
    """Work out the sets of an unprivileged container; None asks for the defaults. Raises `Refused`."""
    facts = at(release)
    every = known(release, host.kernel)
    add = list(request.add_capabilities) if request else []
    drop = list(request.drop_capabilities) if request else []
    add_all, drop_all = _has_all(add), _has_all(drop)
    defaults = list(config.runtime["default_capabilities"] or ())
    steps = []
    if not add_all and not drop_all:
        add += defaults
    elif drop_all and not facts.has("drop-all-drops-defaults"):
        add += defaults
        because = "dropping ALL does not drop the default capabilities: this release adds them again first"
        steps.append(Step("runtime", "drop-all-drops-defaults", because, _SOURCE, warns=True))

    bounding = dict.fromkeys(every if add_all else ())
    if drop_all:
        bounding.clear()
    folded = {name.casefold() for name in every}
    for name in (_prefixed(name) for name in add if name.upper() != "ALL"):
        if name.casefold() not in folded:
            raise Refused("UNKNOWN", f"unknown capability {quote(name)} to add", tuple(steps))
        bounding.setdefault(name.upper())
    for name in (_prefixed(name) for name in drop if name.upper() != "ALL"):
        if name.upper() not in KERNEL_CAPABILITIES:
            message = f"failed to drop cap {name} invalid capability: {name.upper()}"
            raise Refused("UNKNOWN", message, tuple(steps))
        bounding = _without(bounding, name.upper())

    how = facts.value("inheritable-capabilities")
    inheritable = how == "always" or (how == "option" and bool(config.runtime["add_inheritable_capabilities"]))
    held = tuple(bounding)
    because = f"the bounding set holds {len(held)} capabilities: {', '.join(held) or 'none'}"
    steps.append(Step("runtime", "capabilities", because, _SOURCE))
    return Capabilities(held, held if inheritable else (), (), tuple(steps))


def _without(held: dict[str, None], name: str) -> dict[str, None]:
    """Take one out as runtime-tools does: the last one of the list takes its place."""
    if name not in held:
        return held
    *others, last = held
    return dict.fromkeys(last if each == name else each for each in others)


def _has_all(names: list[str]) -> bool:
    return any(name.upper() == "ALL" for name in names)


def _prefixed(name: str) -> str:
    return name if name.lower().startswith("cap_") else "CAP_" + name.upper()
