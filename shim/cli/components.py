"""The components that verbs name: the kubelet, and every family of runtimes that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.errors import BadInput

if TYPE_CHECKING:
    from runtimes.facts import Facts
    from runtimes.model import KnownRelease, RuntimeModel
    from runtimes.profile import Rule
    from runtimes.release import Release

KUBELET = "kubelet"


def releases_of(name: str) -> tuple[KnownRelease, ...]:
    """Return the known releases of a component, oldest first. Raises `BadInput` where there is no such component."""
    if name == KUBELET:
        from shim.kubelet.releases import releases

        return releases()
    return model_of(name).releases()


def release_of(name: str, text: str) -> Release:
    """Return a release of a component. Raises `BadInput` where it is not known."""
    if name == KUBELET:
        from shim.kubelet import releases

        return releases.known(text)[0]
    from runtimes.model import known

    return known(model_of(name), text)


def facts_of(name: str) -> Facts:
    """Return the facts of a component."""
    if name == KUBELET:
        from runtimes.facts import load

        return load("shim.kubelet")
    return model_of(name).facts()


def profile_of(name: str) -> tuple[Rule, ...]:
    """Return the rules of a component's default profile, () where it keeps none in the form that we share."""
    from shim.changes import rules_of

    return () if name == KUBELET else rules_of(model_of(name))


def model_of(name: str) -> RuntimeModel:
    """Return a family of runtimes. Raises `BadInput` where there is no such."""
    from runtimes.model import find, names

    try:
        return find(name)
    except BadInput:
        from shim.nodefile.reading import nearest

        everything = (KUBELET, *names())
        raise BadInput(f"there is no component {name!r}", right=nearest(name, everything)) from None
