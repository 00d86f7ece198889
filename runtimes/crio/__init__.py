"""CRI-O: every release from 1.18 on.

`model` is the family; see runtimes/model.py for what it offers, and the modules beside this one for how.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from runtimes.facts import load as load_facts
from runtimes.facts import read_data
from runtimes.model import KnownRelease
from runtimes.release import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.crio.daemon import Daemon
    from runtimes.facts import Facts
    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.model import Setup
    from runtimes.release import Release


class CrioModel:
    """The family."""

    name = "cri-o"

    @functools.cache  # noqa: B019  there is one model, and it lives as long as the program
    def releases(self) -> tuple[KnownRelease, ...]:
        """Every release that the model answers for, oldest first."""
        lines = read_data("runtimes.crio", "releases")["lines"]
        return tuple(
            KnownRelease(parse(tag), date, line["end"]) for line in lines for tag, date in line["releases"].items()
        )

    def facts(self) -> Facts:
        """What changed when."""
        return load_facts("runtimes.crio")

    def runtime(self, release: Release, host: Host, setup: Setup, files: Files) -> Daemon:
        """Start one daemon.

        Raises `Refused` if that release refuses to start so, `BadInput` for a setup that names what is not there.
        """
        from runtimes.crio.daemon import Daemon  # noqa: PLC0415  a list of releases needs none of it

        return Daemon(release, host, setup, files)

    def settings(self) -> tuple[str, ...]:
        """Return the settings that can be written into a configuration file: every key of crio.conf."""
        from runtimes.crio import written  # noqa: PLC0415  most nodes say nothing there

        return written.names()

    def has_setting(self, name: str) -> bool:
        """Whether one can be written, "runtimes.NAME.key" among them."""
        from runtimes.crio import written  # noqa: PLC0415

        return written.has(name)

    def written(
        self, release: Release, settings: Mapping[str, Any], path: str, files: Files
    ) -> tuple[str, dict[str, bytes]]:
        """Write settings over what a configuration file, or a directory of them, says."""
        from runtimes.crio import written  # noqa: PLC0415

        return written.written(release, settings, path, files)


model = CrioModel()
