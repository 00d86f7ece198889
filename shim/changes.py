"""What changed between two releases of a component: its facts and the rules of its default profile, compared."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes import profile
from runtimes.oci import ALLOW
from runtimes.verdict import comparison

if TYPE_CHECKING:
    from runtimes.facts import Fact
    from runtimes.model import RuntimeModel
    from runtimes.oci import Arg, Syscall
    from runtimes.profile import Rule
    from runtimes.release import Release

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
GROUPS = ("api", "decision", "profile", "configuration", "persona")  # in the order in which they matter


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference. `what` is `added` (it holds now), `removed` or `changed`; `before` and `after` are values of a
    fact that has some.
    """

    group: str
    name: str
    what: str
    says: str
    source: str = ""
    before: Any = None
    after: Any = None


def fact_changes(facts: Iterable[Fact], old: Release, new: Release) -> Iterator[Change]:
    """Yield what differs between two releases, in the order of the facts."""
    for fact in facts:
        if fact.values:
            before, after = fact.at(old), fact.at(new)
            was, now = (value.value if value else None for value in (before, after))
            if was != now:
                source = (after or before or fact).source or fact.source
                yield Change(fact.group, fact.name, CHANGED, fact.says, source, was, now)
        elif (old in fact) != (new in fact):
            yield Change(fact.group, fact.name, ADDED if new in fact else REMOVED, fact.says, fact.source)


def profile_changes(rules: Iterable[Rule], old: Release, new: Release) -> Iterator[Change]:
    """Yield what differs in the default profile, rule by rule in the order of the profile."""
    for rule in rules:
        before, after = rule.at(old), rule.at(new)
        if before is None and after is None:
            continue
        if before is None or after is None:
            there: Syscall = before or after  # type: ignore[assignment]  # one of them is
            names = ", ".join(dict.fromkeys(there.names or ()))
            what = ADDED if before is None else REMOVED
            yield Change("profile", rule.rule, what, f"{_rule(rule)}: {names}{condition(there.args)}", rule.source)
            continue
        yield from _name_changes(rule, before, after)


def rules_of(model: RuntimeModel) -> tuple[Rule, ...]:
    """Return the rules of a family's default profile, () where it keeps none in the form that we share."""
    package = type(model).__module__
    while package and not hasattr(sys.modules[package], "__path__"):
        package = package.rpartition(".")[0]
    try:
        return profile.load(package) if package else ()
    except FileNotFoundError:
        return ()


def _name_changes(rule: Rule, before: Syscall, after: Syscall) -> Iterator[Change]:
    was, now = set(before.names or ()), set(after.names or ())
    sources = {name.name: name.source for name in rule.names if name.source}
    for what, names in ((ADDED, now - was), (REMOVED, was - now)):
        by_source: dict[str, list[str]] = {}
        for name in sorted(names):
            by_source.setdefault(sources.get(name, rule.source), []).append(name)
        for source, some in by_source.items():
            yield Change("profile", rule.rule, what, f"{_rule(rule)}: {', '.join(some)}{condition(rule.args)}", source)


def _rule(rule: Rule) -> str:
    """Say what a rule does and when: "allowed with CAP_SYS_ADMIN"."""
    if rule.action == ALLOW:
        verb = "allowed"
    else:
        verb = rule.action + (f" (errno {rule.errno_ret})" if rule.errno_ret is not None else "")
    when = ", ".join(f"{key} {_shown(value)}" for key, value in rule.when.items())
    return f"{verb} ({when})" if when else verb


def _shown(value: Any) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)


def condition(args: tuple[Arg, ...]) -> str:
    """Say when a rule with arguments holds: " where arg0 == 38", "" where it has none."""
    return " where " + " and ".join(comparison(arg) for arg in args) if args else ""
