"""What a check says where it fails: what the container has, in which way that is not what was expected, and why."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.oci import ALLOW
from runtimes.verdict import filter_of
from shim.skew.compare import compare, lines
from shim.testing.calls import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shim.testing.references import Reference, Subject

_WIDTH = 100
_MARGIN = 14  # columns before a row
_LAYER = 9  # columns of a step's layer
_MOST_LINES = 30
_WHY = "because"


def failure(subject: Subject, what: str, more: Iterable[tuple[str, Iterable[str]]] = ()) -> str:
    """Return the whole message: one sentence, then a block of lines for each thing there is to know."""
    blocks = [("it has", (_has(subject),)), *more, (_WHY, _steps(subject))]
    return "\n".join((f"{subject.name}: {what}", *(line for head, rows in blocks for line in _block(head, rows))))


def differences(subject: Subject, reference: Reference) -> list[tuple[str, Iterable[str]]]:
    """Return what a container may do more or less than a reference, as blocks of a message."""
    compared = f"{reference.title}, sha256 {reference.digest[:12]}" if reference.digest else reference.title
    if not reference.known:
        return [("wanted", (compared,))]
    changes = lines(compare(reference.section, subject.posture.section))
    if changes:
        return [("wanted", (compared,)), ("differs in", _cut(changes))]
    where = _first(reference.section, subject.posture.section)
    return [("wanted", (compared,)), ("differs in", ("how it is written; no call is treated otherwise", where))]


def rules(subject: Subject, syscall: str) -> list[tuple[str, Iterable[str]]]:
    """Return what the section says about one call, as a block of a message: what is denied, "-", and how."""
    section = subject.posture.section
    if section is None:
        return []
    read = filter_of(section)
    if syscall not in read.names:
        return [("its rules", (f"none names {syscall}, and what is not named is {shown(read.default)}",))]
    # Compared with one that allows the call, and nothing else: so nothing about it is left to a default of both.
    allowing = {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": [syscall], "action": ALLOW}]}
    denied = [each for each in compare(allowing, section) if each.syscall == syscall]
    return [("its rules", lines(denied) or (f"{syscall} is allowed, whatever its arguments",))]


def _has(subject: Subject) -> str:
    posture = subject.posture
    if posture.error is not None:
        return f"nothing: refused by the {posture.error.where}: {posture.error.message}"
    return f"{posture.title}, sha256 {posture.digest[:12]}" if posture.digest else "no filter: unconfined"


def _steps(subject: Subject) -> list[str]:
    steps = subject.posture.steps
    told = [f"{step.layer:<{_LAYER}} {'! ' if step.warns else ''}{step.because}" for step in steps]
    return told or ["nobody told: there are no steps beside this section"]


def _block(head: str, rows: Iterable[str]) -> list[str]:
    """Write rows under one another behind their heading; what does not fit a line goes on below its own beginning."""
    inner = _LAYER + 1 if head == _WHY else 0
    found = []
    for row in rows:
        first, *rest = textwrap.wrap(
            row, _WIDTH - _MARGIN, subsequent_indent=" " * inner, break_long_words=False, break_on_hyphens=False
        )
        found += [f"  {head:<{_MARGIN - 2}}{first}", *(" " * _MARGIN + line for line in rest)]
        head = ""
    return found


def _cut(rows: tuple[str, ...]) -> tuple[str, ...]:
    if len(rows) <= _MOST_LINES:
        return rows
    return (*rows[:_MOST_LINES], f"... and {len(rows) - _MOST_LINES} lines more")


def _first(before: Any, after: Any, path: str = "") -> str:
    """Return where two sections differ first, and how."""
    before, after = msgspec.to_builtins(before), msgspec.to_builtins(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            if _json(before.get(key)) != _json(after.get(key)):
                return _first(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    if isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        for at, (old, new) in enumerate(zip(before, after, strict=False)):
            if _json(old) != _json(new):
                return _first(old, new, f"{path}[{at}]")
        return f"{path}: {len(before)} of them, and here {len(after)}"
    return f"{path}: {_json(before)}, and here {_json(after)}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
