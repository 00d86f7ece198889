"""Which capabilities a container gets. They shape the built-in profile: it reads the bounding set, in its order.

Names are written down as they came, with `CAP_` in front and in capitals: `CAP_SYS_ADMIN` in a request becomes
`CAP_CAP_SYS_ADMIN`, which unlocks nothing. The order is additions after what was there, in the order of the request.
Source: pkg/cri/opts (WithCapabilities), oci/spec_opts.go (WithCapabilities, WithAddedCapabilities,
WithDroppedCapabilities, WithPrivileged); v1.2.14 pkg/server/container_create.go (setOCICapabilities).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.containerd.objection import Objection
from runtimes.decision import Step

if TYPE_CHECKING:
    from runtimes.containerd.known import Known
    from runtimes.host import Host
    from runtimes.request import Capability

DEFAULT = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
        "AUDIT_WRITE"
    ).split()
)
Sets = dict[str, list[str]]
"""bounding, effective, inheritable and permitted, as a spec lists them."""

_ROOT = ("bounding", "effective", "permitted")
SETS = ("bounding", "effective", "inheritable", "permitted")


def default(known: Known) -> Sets:
    """Return the sets that a spec starts with."""
    return {name: list(DEFAULT) for name in _names(known)}


def everything(known: Known, host: Host) -> tuple[str, ...]:
    """Return what ALL means."""
    if known.has("all-capabilities-are-the-daemons-own"):
        return host.capabilities
    last = KERNEL_CAPABILITIES.index(known.value("last-compiled-capability"))
    return KERNEL_CAPABILITIES[: last + 1]


def requested(sets: Sets, asked: Capability | None, known: Known, host: Host) -> tuple[Step, ...]:
    """Change the sets as a request asks. Raises `Objection` where the release checks names."""
    if asked is None:
        return ()
    if known.has("capabilities-checked"):
        _check(asked)
    add = [name.upper() for name in asked.add_capabilities]
    drop = [name.upper() for name in asked.drop_capabilities]
    steps: list[Step] = []
    if "ALL" in add:
        _grant_all(sets, known, host)
        steps.append(_step(f"ALL is added: {len(sets['bounding'])} capabilities", known))
    if "ALL" in drop:
        _drop_all(sets, known)
        steps.append(_step("ALL is dropped" + (", after it was added: nothing is left" if "ALL" in add else ""), known))
    added = _prefixed(add)
    for name in _names(known):
        sets[name] += [each for each in dict.fromkeys(added) if each not in sets[name]]
    dropped = _prefixed(drop)
    for name in SETS if known.has("drop-reaches-inheritable") else _names(known):
        sets[name] = [each for each in sets.get(name, ()) if each not in dropped]
    if added:
        steps.append(_step("added: " + ", ".join(added), known))
    if dropped:
        steps.append(_step("dropped: " + ", ".join(dropped), known))
    return (*steps, *_strange(added, known))


def privileged(sets: Sets, known: Known, host: Host) -> tuple[Step, ...]:
    """Give a privileged container everything, whatever it asked to be without."""
    _replace(sets, everything(known, host), known)
    return (_step(f"privileged: all {len(sets['bounding'])} capabilities, whatever was dropped", known),)


def _grant_all(sets: Sets, known: Known, host: Host) -> None:
    if not known.has("capabilities-checked"):
        _replace(sets, everything(known, host), known)
        return
    for name in _names(known):
        sets[name] += [each for each in everything(known, host) if each not in sets[name]]


def _drop_all(sets: Sets, known: Known) -> None:
    _replace(sets, (), known)


def _replace(sets: Sets, capabilities: tuple[str, ...], known: Known) -> None:
    for name in _names(known):
        sets[name] = list(capabilities)
    if "inheritable" in sets and known.has("drop-reaches-inheritable"):
        sets["inheritable"] = [each for each in sets["inheritable"] if each in capabilities]


def _names(known: Known) -> tuple[str, ...]:
    return SETS if known.has("inheritable-capabilities") else _ROOT


def _prefixed(names: list[str]) -> list[str]:
    return ["CAP_" + name for name in names if name != "ALL"]


def _strange(added: list[str], known: Known) -> tuple[Step, ...]:
    unknown = [name for name in added if name not in KERNEL_CAPABILITIES]
    if not unknown:
        return ()
    because = f"no kernel knows {', '.join(unknown)}: the name is written down as it came, and unlocks nothing"
    return (Step("runtime", "capabilities", because, known.source("capabilities-checked"), warns=True),)


def _check(asked: Capability) -> None:
    for name in (*asked.add_capabilities, *asked.drop_capabilities):
        if name.upper() != "ALL" and "CAP_" + name.upper() not in KERNEL_CAPABILITIES:
            shown = f"AddCapabilities:[{' '.join(asked.add_capabilities)}],"
            shown += f"DropCapabilities:[{' '.join(asked.drop_capabilities)}],"
            raise Objection(
                f"failed to set capabilities &Capability{{{shown}}}: invalid capability: CAP_{name.upper()}"
            )


def _step(because: str, known: Known) -> Step:
    return Step("runtime", "capabilities", because, known.source("all-capabilities-are-the-daemons-own"))
