"""`crishim facts`: what is known about a component, and what changed between two of its releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.facts import Fact
    from runtimes.release import Release, Span
    from shim.changes import Change
    from shim.cli.terminal import Terminal

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


@click.command("facts")
@click.argument("component", metavar="COMPONENT")
@click.option("--from", "old", metavar="RELEASE", help="The release to compare from.  [default: the oldest]")
@click.option("--to", "new", metavar="RELEASE", help="The release to compare to.  [default: the newest]")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(component: str, old: str | None, new: str | None, output: str) -> None:
    """Say what changed between two releases of a component: kubelet, containerd, cri-o, or another installed runtime.

    Without --from and --to: every fact that is known about it, and the releases that it holds for.
    """
    from shim.changes import fact_changes, profile_changes
    from shim.cli.components import facts_of, profile_of, release_of, releases_of
    from shim.cli.terminal import Terminal

    known = releases_of(component)
    if old is None and new is None:
        facts = list(facts_of(component))
        click.echo(_json([_record(fact) for fact in facts]) if output == "json" else _every(facts, Terminal()))
        return
    first = release_of(component, old) if old else known[0].release
    last = release_of(component, new) if new else known[-1].release
    changes = [
        *fact_changes(facts_of(component), first, last),
        *profile_changes(profile_of(component), first, last),
    ]
    if output == "json":
        click.echo(_json([_without_nothing(change) for change in changes]))
    else:
        click.echo(_changes(component, first, last, changes, Terminal()))


def _changes(component: str, old: Release, new: Release, changes: list[Change], terminal: Terminal) -> str:
    lines = [terminal.style(f"{component} {old} -> {new}", "bold")]
    for group in _groups(change.group for change in changes):
        lines += ["", terminal.style(group, "cyan")]
        for change in changes:
            if change.group == group:
                lines += _change(change, terminal)
    return "\n".join(lines if changes else [*lines, "", "nothing that is known"])


def _change(change: Change, terminal: Terminal) -> list[str]:
    sign, colour = _SIGNS[change.what]
    text = change.says
    if change.what == "changed":
        text += f": {_shown(change.before)} -> {_shown(change.after)}"
    elif change.what == "removed" and change.group != "profile":
        text = f"no longer: {text}"
    first, *rest = terminal.wrapped(text, 4)
    lines = [f"  {terminal.style(sign, colour)} {first}", *(f"    {line}" for line in rest)]
    return [*lines, terminal.style(f"    [{change.source}]", "dim")] if change.source else lines


def _every(facts: list[Fact], terminal: Terminal) -> str:
    lines: list[str] = []
    for group in _groups(fact.group for fact in facts):
        lines += [*([""] if lines else []), terminal.style(group, "cyan")]
        for fact in facts:
            if fact.group != group:
                continue
            first, *rest = terminal.wrapped(fact.says, 2)
            lines += [f"  {first}", *(f"  {line}" for line in rest)]
            spans = [(value.span, _shown(value.value)) for value in fact.values] or [(fact.span, "")]
            lines += [f"    {_span(span)}{': ' if shown else ''}{shown}" for span, shown in spans]
            lines.append(terminal.style(f"    [{fact.source}]", "dim"))
    return "\n".join(lines)


def _groups(found: Iterable[str]) -> list[str]:
    """Return the groups that occur, those that matter most first."""
    from shim.changes import GROUPS

    there = list(dict.fromkeys(found))
    return [group for group in GROUPS if group in there] + [group for group in there if group not in GROUPS]


def _span(span: Span) -> str:
    since, until = (", ".join(str(release) for release in releases) for releases in (span.since, span.until))
    said = " ".join(
        part for part in (f"since {since}" if since else "", f"until before {until}" if until else "") if part
    )
    return said or "always"


def _record(fact: Fact) -> dict[str, Any]:
    values = [
        {"value": value.value, **_span_record(value.span), **({"source": value.source} if value.source else {})}
        for value in fact.values
    ]
    return {
        "fact": fact.name,
        "group": fact.group,
        "says": fact.says,
        "source": fact.source,
        **({"values": values} if values else _span_record(fact.span)),
    }


def _span_record(span: Span) -> dict[str, list[str]]:
    return {
        name: [str(release) for release in releases]
        for name, releases in (("since", span.since), ("until", span.until))
        if releases
    }


def _without_nothing(change: Change) -> dict[str, Any]:
    import msgspec

    record: dict[str, Any] = msgspec.to_builtins(change)
    return record


def _json(rows: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(rows, indent=2)


def _shown(value: Any) -> str:
    """Show a value of a fact: an error text as text, other structures as JSON."""
    if isinstance(value, dict) and "message" in value:
        code = f"{value['code']}: " if value.get("code") else ""
        return f"{code}{value['message']}"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items()) or "nothing"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value) or "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)
