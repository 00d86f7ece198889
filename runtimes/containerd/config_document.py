"""The daemon's configuration files, joined: which file and which of its tables count in a release.

Theory of operation. The settings of the CRI plugin had three tables: `plugins.cri` in files of version 1 or none,
`plugins."io.containerd.grpc.v1.cri"` in those of version 2, and `plugins."io.containerd.cri.v1.runtime"` since. A
release looks in one of them, and may migrate older files to it, each before they are joined or all after. What is left
in another table is ignored, which is worth a warning.
Source: services/server/config/config.go, cmd/containerd/server/config/config.go, plugins/cri at each tag.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.containerd.paths import clean, join, matches
from runtimes.containerd.refusals import not_started
from runtimes.decision import Step
from runtimes.errors import BadInput
from runtimes.files import FileFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtimes.containerd.known import Known
    from runtimes.files import Files

Table = dict[str, Any]

SHORT, OLD, NEW = "cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"
_IMPORTS_AT_MOST = 1000  # files, against a glob that finds a whole disk


class Document(msgspec.Struct, frozen=True):
    """The files as one: `table` as joined, `cri` the settings of the CRI plugin, `notes` what does not count.

    `tables` is each file as it was written.
    """

    table: Table
    cri: Table
    notes: tuple[Step, ...] = ()
    tables: tuple[Table, ...] = ()


def read(path: str, known: Known, files: Files) -> Document:
    """Read a configuration file and what it imports; "" stands for none.

    Raises `BadInput` where a file is not there or no TOML, `Refused` where the release does not start with it.
    """
    how = known.value("config-imports")
    tables = list(_with_imports(path, files, imports=bool(how))) if path else []
    if not known.has("config-section-moved"):
        document = _unmigrated(_joined(tables, how), known, path)
    elif how == "migrated":
        document = _each_migrated(tables, known, path)
    else:
        document = _then_migrated(list(tables), how, known, path)
    return msgspec.structs.replace(document, tables=tuple(tables))


def section_of(table: Table, known: Known) -> str:
    """Return the name under which a file of its version has the settings of the CRI plugin."""
    return _sections(known)[_version(table, known, "")]


def empty(known: Known) -> Table:
    """Return the table of a file that says nothing, in the newest version that the release reads."""
    newest = max(_sections(known))
    return {"version": newest} if newest else {}


# One table after the other.


def _unmigrated(table: Table, known: Known, path: str) -> Document:
    """Look where the version of the file says."""
    version = _version(table, known, path)
    name = _sections(known)[version]
    words = known.value("config-plugin-names")
    for plugin in _plugins(table) if words and name != SHORT else ():
        if not plugin.startswith("io.containerd.") or plugin.count(".") < len("io.containerd.x.vx".split(".")) - 1:
            raise not_started(words.format(name=plugin))
    return Document(table, plugin_table(table, name))


def _then_migrated(tables: list[Table], how: str, known: Known, path: str) -> Document:
    """Join the files, then move the settings of an older one to the new table, unless its version was raised before."""
    sections, notes = _sections(known), []
    for at, table in enumerate(tables):
        if sections[_version(table, known, path)] == SHORT:
            if plugin_table(table, SHORT) and known.has("config-without-version-loses-cri"):
                because = "a file of version 1, or of none, loses every setting of the CRI plugin in this release"
                notes.append(_note("config-without-version-loses-cri", because, known))
            tables[at] = _renamed({**table, "version": max(sections)})
    joined = _joined(tables, how)
    version = _version(joined, known, path)
    old, new = plugin_table(joined, OLD), plugin_table(joined, NEW)
    if sections[version] == OLD:
        return Document(joined, old if old and known.has("config-section-replaced") else {**old, **new}, tuple(notes))
    if old and not notes:
        because = f"{', '.join(sorted(old))} in the old table {OLD}: not looked at in a file of this version"
        notes.append(_note("config-old-section-migrates", because, known))
    return Document(joined, new, tuple(notes))


def _each_migrated(tables: list[Table], known: Known, path: str) -> Document:
    """Move the settings of each older file to the new table, then join."""
    highest, cri, root = max(_sections(known)), [], 0
    for table in tables:
        version = _version(table, known, path)
        root = root or version
        if version > root:
            text = known.value("config-drop-in-too-new")
            raise not_started(text.format(version=version, root=root))
        renamed = _renamed(table) if _sections(known)[version] == SHORT else table
        old, new = plugin_table(renamed, OLD), plugin_table(renamed, NEW)
        cri.append(new if version == highest else {**old, **new})
    return Document(_joined(tables, "merged"), _joined(cri, "merged"))


# Files.


def _with_imports(path: str, files: Files, *, imports: bool) -> Iterator[Table]:
    """Give each file's table: the file itself, then what it imports, each file once."""
    pending, seen = [path], set[str]()
    while pending:
        current = pending.pop(0)
        if current in seen:
            continue
        if len(seen) == _IMPORTS_AT_MOST:
            raise BadInput(f"imports more than {_IMPORTS_AT_MOST} files", where=path, field="imports")
        seen.add(current)
        table = parsed(current, files)
        yield table
        if imports:
            pending += [found for each in _imports(table, current) for found in _resolved(each, current, files)]


def _imports(table: Table, path: str) -> list[str]:
    found = table.get("imports", [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadInput("imports is a list of paths", where=path, field="imports")
    return found


def _resolved(wanted: str, parent: str, files: Files) -> list[str]:
    wanted = clean(wanted)
    path = wanted if wanted.startswith("/") else join(posixpath.dirname(parent), wanted)
    if "*" not in path:
        return [path]
    folder = posixpath.dirname(path[: path.index("*")])
    try:
        return [found for found in files.walk(folder) if matches(path, found)]
    except FileFault:
        return []


def parsed(path: str, files: Files) -> Table:
    """Return the table of one file. Raises `BadInput` where it is not there, or no TOML."""
    import tomllib  # noqa: PLC0415  only where a file is configured

    text = ""
    try:
        text = files.read(path).decode()
        return tomllib.loads(text)
    except FileFault as fault:
        raise BadInput(str(fault), where=path, right="the path of containerd's config.toml on the node") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"not UTF-8 at byte {error.start}", where=path) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        what, _, place = str(error).partition(" (at ")
        at = re.match(r"line (\d+), column (\d+)", place)
        line, column = (int(at[1]), int(at[2])) if at else (text.count("\n") + 1, None)
        raise BadInput(f"no TOML, so containerd does not start: {what}", where=path, line=line, column=column) from None


# Tables.


def _joined(tables: Iterable[Table], how: str) -> Table:
    found: Table = {}
    for table in tables:
        plugins = {**_plugins(found), **_plugins(table)} if how == "replaced" else None
        found = _over(found, table)
        if plugins:
            found["plugins"] = plugins
    return found


def _over(below: Table, above: Table) -> Table:
    """Return one table with another's values over its own, tables merged, nothing over something ignored."""
    found = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = _over(found[key], value)
        elif value not in (0, "") or key not in found:
            found[key] = value
    return found


def _renamed(table: Table) -> Table:
    """Return a table whose CRI plugin has its name of version 2."""
    plugins = _plugins(table)
    if SHORT not in plugins:
        return table
    rest = {name: value for name, value in plugins.items() if name != SHORT}
    return {**table, "plugins": {**rest, OLD: {**plugin_table(table, SHORT), **plugin_table(table, OLD)}}}


def _plugins(table: Table) -> Table:
    found = table.get("plugins")
    return found if isinstance(found, dict) else {}


def plugin_table(table: Table, name: str) -> Table:
    """Return the table of a plugin, {} where there is none."""
    found = _plugins(table).get(name)
    return found if isinstance(found, dict) else {}


def _sections(known: Known) -> dict[int, str]:
    return {int(version): name for version, name in known.value("config-sections").items()}


def _version(table: Table, known: Known, path: str) -> int:
    version, highest = table.get("version", 0), max(_sections(known))
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadInput("the version of a configuration file is a number", where=path, field="version")
    words = known.value("config-version-too-high")
    if version > highest and words:
        raise not_started(words.format(highest=highest, version=version))
    return min(max(version, 0), highest)


def _note(rule: str, because: str, known: Known) -> Step:
    return Step("runtime", rule, because, known.source(rule), warns=True)
