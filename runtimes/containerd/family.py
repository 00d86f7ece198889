"""The family: which releases of containerd there are, what is known of them, and how one is started."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from runtimes import facts
from runtimes.containerd import config, written
from runtimes.containerd.daemon import Daemon
from runtimes.containerd.known import PACKAGE, every
from runtimes.errors import BadInput
from runtimes.model import KnownRelease
from runtimes.release import Release, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.facts import Facts
    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.model import Setup


class Containerd:
    """Meets `runtimes.model.RuntimeModel`."""

    name = "containerd"

    def releases(self) -> tuple[KnownRelease, ...]:
        """Every release from 1.2.0-beta.0 on, oldest first."""
        return _releases()

    def facts(self) -> Facts:
        """What changed when."""
        return every()

    def runtime(self, release: Release, host: Host, setup: Setup, files: Files) -> Daemon:
        """Start one daemon. Raises `Refused` where the release refuses its configuration, `BadInput` for a bad one."""
        for field in ("flags", "environment"):
            if getattr(setup, field):
                raise BadInput("nothing that containerd takes there has a say", field=field, right="runtime.config")
        return Daemon(release, host, setup, files)

    def settings(self) -> tuple[str, ...]:
        """Return the settings that can be written into a configuration file: those of the CRI plugin."""
        return config.names()

    def has_setting(self, name: str) -> bool:
        """Whether one can be written, "containerd.runtimes.NAME.key" among them."""
        return config.has(name)

    def written(
        self, release: Release, settings: Mapping[str, Any], path: str, files: Files
    ) -> tuple[str, dict[str, bytes]]:
        """Write settings over what a configuration file says."""
        return written.written(release, settings, path, files)


@functools.cache
def _releases() -> tuple[KnownRelease, ...]:
    return tuple(
        KnownRelease(parse(name), date, line["end"])
        for line in facts.read_data(PACKAGE, "releases")["lines"]
        for name, date in line["releases"].items()
    )


model = Containerd()
