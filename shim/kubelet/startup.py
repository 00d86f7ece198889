"""How a kubelet that does not start says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.errors import Refused
from shim.kubelet.lookup import at

if TYPE_CHECKING:
    from runtimes.release import Release


def refused(release: Release, check: str, error: str, *, path: str = "") -> Refused:
    """Return the refusal of a check ("parse", "gates", "flags", "config", "run"...) in the words of a release.

    `path` is the file or directory that the check was about.
    """
    facts = at(release)
    quoted = error.replace("\\", "\\\\").replace('"', '\\"')
    message = facts.value("startup-words")[check].format(error=error, quoted=quoted, path=path)
    step = facts.step("startup-words", f"kubelet {release} refuses to start: {error}")
    return Refused("FAILED_PRECONDITION", message, (step,), reason="StartupRefused", where="kubelet")
