"""What of a configuration file has no effect in a release, told as warnings.

containerd says nothing, or a line in its log, when it does not look at a setting. A setting counts if its key is one
that the release has and its value is the one that came out when the files were joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.containerd.config_document import NEW, OLD, SHORT, plugin_table, section_of
from runtimes.decision import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtimes.containerd.config_document import Document
    from runtimes.containerd.known import Known

Table = dict[str, Any]
Path = tuple[str, ...]

_RUNTIMES = "runtimes"  # the type of the one table whose keys are not settings but names


class Setting(msgspec.Struct, frozen=True):
    """A key of a struct of settings: its type, and whether this release has it."""

    type: str
    there: bool


def without_effect(document: Document, known: Known, settings: Callable[[str], dict[str, Setting]]) -> tuple[Step, ...]:
    """Return a warning for each reason for which settings of the files do not count.

    `settings` gives those of a struct by the key in the file, other releases' too; {} for what is no struct.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for at, table in enumerate(document.tables):
        for name in (SHORT, OLD, NEW):
            if document.notes and name != NEW:
                continue  # told already, for the whole table
            for path, value in _leaves(plugin_table(table, name)):
                reason = _reason(path, value, name, at, document, known, settings)
                if reason:
                    keys = found.setdefault(reason, [])
                    keys += [key for key in (".".join(path),) if key not in keys]
    return tuple(
        Step("runtime", rule, f"{', '.join(keys)}: {because}", known.source(rule), warns=True)
        for (rule, because), keys in found.items()
    )


def _reason(
    path: Path,
    value: Any,
    name: str,
    at: int,
    document: Document,
    known: Known,
    settings: Callable[[str], dict[str, Setting]],
) -> tuple[str, str] | None:
    """Return why a setting does not count, with the fact that says so; None if it does."""
    exact = not known.has("config-key-case")
    setting = _find(path, settings, exact=exact)
    if setting and setting.there:
        now = _below(document.cri, path, exact=exact)
        return None if now == value else _passed_over(now, name, at, document, known)
    if setting:
        moved_on = known.has("config-section-moved") and name != NEW  # to the table of images or of streaming
        return None if moved_on else ("config-sections", f"no setting of containerd {known.release.upstream}")
    if exact and _find(path, settings, exact=False):
        return "config-key-case", "no effect, since keys count only as this release spells them, capitals and all"
    return "config-sections", "no effect, since there is no such setting"


def _passed_over(now: Any, name: str, at: int, document: Document, known: Known) -> tuple[str, str]:
    """Return why a setting that the release has came out otherwise."""
    if now is not None:
        return "config-imports", "no effect, since another table or file says otherwise"
    if any(plugin_table(later, name) for later in document.tables[at + 1 :]):
        return "config-imports", "no effect, since a file that is imported replaces the whole table"
    wanted = section_of(document.table, known)
    return "config-sections", f'no effect in [plugins."{name}"]: the version of the file means [plugins."{wanted}"]'


def _leaves(table: Table, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _find(path: Path, settings: Callable[[str], dict[str, Setting]], *, exact: bool) -> Setting | None:
    """Return the setting that a path leads to; everything below a free table is one, that table."""
    struct, found = "Config", None
    parts = list(path)
    while parts:
        fields = settings(struct)
        found = fields.get(_spelled(fields, parts.pop(0), exact=exact))
        if found is None or not found.there:
            return found
        if found.type == _RUNTIMES:
            parts, struct = parts[1:], "Runtime"
        elif settings(found.type):
            struct = found.type
        else:
            return found
    return found


def _below(table: Any, path: Path, *, exact: bool) -> Any:
    for key in path:
        table = table.get(_spelled(table, key, exact=exact)) if isinstance(table, dict) else None
    return table


def _spelled(table: dict[str, Any], key: str, *, exact: bool) -> str:
    """Return a key as the table has it."""
    if exact or key in table:
        return key
    return next((name for name in table if name.lower() == key.lower()), key)
