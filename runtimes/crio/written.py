"""Single settings -> the crio.conf that says them, each in the table that has it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from runtimes import tomlfile
from runtimes.crio import config as crio_conf
from runtimes.errors import BadInput
from runtimes.files import IS_A_DIRECTORY, FileFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.files import Files
    from runtimes.release import Release

PLACE = "/etc/crio/crio.conf"  # where CRI-O looks when nobody says anything
_HANDLERS = "runtimes."


def names() -> tuple[str, ...]:
    """Return every key that a release has, or had, outside of the tables of handlers and workloads."""
    return tuple(dict.fromkeys(key.key for keys_of in crio_conf.TABLES.values() for key in crio_conf.keys(keys_of)))


def has(name: str) -> bool:
    """Whether there is, or was, such a key: its name alone, its path from `crio` on, or "runtimes.NAME.key"."""
    table, _, key = name.rpartition(".")
    if table.startswith(_HANDLERS):
        return any(each.key == key for each in crio_conf.keys("handler"))
    if table:
        return table in crio_conf.TABLES and any(each.key == key for each in crio_conf.keys(crio_conf.TABLES[table]))
    return name in names()


def written(release: Release, settings: Mapping[str, Any], config: str, files: Files) -> tuple[str, dict[str, bytes]]:
    """Return the path of a configuration and the file that is to be there: what `config` says, and the settings.

    A directory gets one more file, which is read last. Raises `BadInput` where the file is not there, or no TOML.
    """
    try:
        table = tomllib.loads(files.read(config).decode()) if config else {}
    except FileFault as fault:
        if fault.errno != IS_A_DIRECTORY:
            raise BadInput(str(fault), field="config", right="a crio.conf or a drop-in directory") from None
        last = (f"{config.rstrip('/')}/crio.conf", *files.walk(config))[-1]
        return config, {f"{last}.settings": _with(settings, {}, release)}
    except (ValueError, RecursionError) as fault:
        raise BadInput(f"no TOML, so CRI-O does not start: {fault}", where=config) from None
    path = config or PLACE
    return path, {path: _with(settings, table, release)}


def _with(settings: Mapping[str, Any], table: dict[str, Any], release: Release) -> bytes:
    for name, value in settings.items():
        *parents, key = _path(name, release)
        tomlfile.at(table, *parents)[key] = value
    return tomlfile.dumps(table).encode()


def _path(name: str, release: Release) -> list[str]:
    """Return where a key stands: a name alone in the table that has it in the release, or else in another one."""
    if name.startswith(_HANDLERS):
        return ["crio", "runtime", *name.split(".")]
    if "." in name:
        return name.split(".")
    holding = [
        table for table, keys_of in crio_conf.TABLES.items() if any(key.key == name for key in crio_conf.keys(keys_of))
    ]
    now = [table for table in holding if name in crio_conf.known(crio_conf.TABLES[table], release)]
    return [*(now or holding)[0].split("."), name]
