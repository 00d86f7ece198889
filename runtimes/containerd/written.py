"""Single settings -> the config.toml that says them, in the table and the file version that the release reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes import tomlfile
from runtimes.containerd import config_document
from runtimes.containerd.known import Known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.files import Files
    from runtimes.release import Release

PLACE = "/etc/containerd/config.toml"  # where containerd looks when nobody says anything


def written(release: Release, settings: Mapping[str, Any], config: str, files: Files) -> tuple[str, dict[str, bytes]]:
    """Return the path of a configuration file and its content: what `config` says ("" for nothing), and the settings.

    A setting is the dotted path of a key in the table of the CRI plugin. Raises `BadInput` where the file is not there,
    or no TOML.
    """
    known = Known(release)
    table = config_document.parsed(config, files) if config else config_document.empty(known)
    plugin = config_document.section_of(table, known)
    where = tomlfile.at(table, "plugins", plugin)
    for name, value in settings.items():
        *parents, key = name.split(".")
        tomlfile.at(where, *parents)[key] = value
    path = config or PLACE
    return path, {path: tomlfile.dumps(table).encode()}
