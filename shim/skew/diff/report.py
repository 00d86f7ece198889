"""A difference between releases as a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.decision import Step
from shim.report.model import Cell, Detail, Finding, Report, Row
from shim.skew.compare import SIGNS, status_of
from shim.skew.diff.releases import summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shim.changes import Change as FactChange
    from shim.skew.diff.releases import Block, Difference

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_LONG = 60  # characters of a value that is worth showing


def report(found: Difference) -> Report:
    """Return the report of a difference: a row for each block of changes, and one for each fact."""
    rows, details = [], {}
    for at, block in enumerate(found.blocks):
        key = f"section-{at}"
        rows.append(Row(head=block.where, group="RuntimeDefault", cells=(_cell(block, key),)))
        details[key] = Detail(
            title=f"RuntimeDefault: {block.where}",
            before=str(found.before),
            after=str(found.after),
            changes=tuple(line.text for line in block.lines),
            steps=tuple(Step("profile", "profile-changed", line.text, line.source) for line in block.lines),
        )
    for fact in found.facts:
        rows.append(
            Row(head=fact.name, group=fact.group, cells=(Cell(label=fact.what, status="changed", detail=fact.name),))
        )
        step = Step(fact.group, fact.name, says(fact), fact.source)
        details[fact.name] = Detail(
            title=fact.name, before=str(found.before), after=str(found.after), changes=(sentence(fact),), steps=(step,)
        )
    return Report(
        verb="diff",
        title=f"{found.before} -> {found.after}",
        summary=summary(found),
        corner="what differs",
        columns=(str(found.after),),
        rows=tuple(rows),
        details=details,
        findings=tuple(_findings(found)),
    )


def _cell(block: Block, key: str) -> Cell:
    counts = [
        f"{sign}{number}"
        for direction, sign in SIGNS.items()
        if (number := sum(change.direction == direction for change in block.changes))
    ]
    return Cell(label=" ".join(counts), status=status_of(block.changes), detail=key)


def _findings(found: Difference) -> Iterable[Finding]:
    for block in found.blocks:
        for line in block.lines:
            subject = f"RuntimeDefault of {found.after}"
            message = f"{line.text} ({block.where})"
            if line.text.startswith("+"):
                yield Finding(level="warning", rule="less-confined", message=message, subject=subject)
            else:
                rule = "more-confined" if line.text.startswith("-") else "fails-otherwise"
                yield Finding(level="note", rule=rule, message=message, subject=subject)


def sentence(fact: FactChange) -> str:
    """Say a change of a fact in a line with its sign."""
    return f"{_SIGNS[fact.what]} {says(fact)}"


def says(fact: FactChange) -> str:
    """Say what holds now: what a fact says, "no longer" where it does not, and a value that is short."""
    if fact.what == "removed":
        return f"no longer: {fact.says}"
    if fact.what == "added":
        return fact.says
    before, after = _value(fact.before), _value(fact.after)
    if len(before) <= _LONG and len(after) <= _LONG:
        return f"{fact.says}: {before} -> {after}"
    return fact.says


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value)) or "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(each)}" for key, each in value.items()) or "nothing"
    return str(value) or '""'
