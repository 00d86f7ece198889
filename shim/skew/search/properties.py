"""Properties that a sequence of steps may have: what somebody who upgrades a node takes for granted.

Each is a pure function: the first moment, what every container had last, and the moment that a step led to -> what
surprises in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from runtimes.verdict import filter_of
from shim.skew.compare import less_confined
from shim.skew.experiments.moment import COMPONENTS, UP, Moment, Seen
from shim.skew.experiments.story import differing, titled
from shim.skew.posture import Posture
from shim.skew.search.witness import gained

if TYPE_CHECKING:
    from shim.skew.calls import Call
    from shim.skew.experiments.play import Story

Last = Mapping[tuple[str, str, str, str], Seen]
"""By what a container is called: how it was seen the last time that it was there, whichever step that was after."""


class Surprise(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a property says does not happen: to a container, or to a component where `seen` is None.

    `before` is what the container is compared with, `calls` some that are allowed now and were not then. Where it is
    `pending`, the surprise is not what the container has but what it would have.
    """

    says: str
    seen: Seen | None = None
    before: Posture | None = None
    calls: tuple[Call, ...] = ()
    component: str = ""
    pending: bool = False


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """A property by its name. `says` is a sentence that holds wherever the property does."""

    name: str
    says: str
    check: Callable[[Moment, Last, Moment], Iterator[Surprise]]


def named(names: Iterable[str], calls: tuple[Call, ...] = ()) -> tuple[Property, ...]:
    """Return properties by their names, without one the first of all. Raises `BadInput`.

    With `calls` the one about what a container may do looks at these alone.
    """
    names = tuple(dict.fromkeys(names)) or (_CONFINED.name,)
    for name in names:
        if name not in PROPERTIES:
            right = f"one of {', '.join(PROPERTIES)}"
            raise BadInput(f"there is no property {name}", where="--property", right=right)
    if calls and _CONFINED.name not in names:
        raise BadInput(
            "only never-less-confined looks at calls", where="--call", right="--property never-less-confined"
        )
    return tuple(_about(calls) if calls and name == _CONFINED.name else PROPERTIES[name] for name in names)


def remembered(last: Last, moment: Moment) -> Last:
    """Return what every container had last, when a moment has passed."""
    return {**last, **{seen.key: seen for seen in moment.seen if seen.posture.exists}}


def surprise(one: Property, story: Story) -> tuple[int, tuple[Surprise, ...]] | None:
    """Return the first step of a story after which a property does not hold, 0 for the beginning, and what surprises.

    None where it holds all the time.
    """
    moments = [(number, moment) for number, moment in enumerate(story) if moment is not None]
    first = moments[0][1]
    last: Last = {}
    for number, moment in moments:
        if found := tuple(one.check(first, last, moment)):
            return number, found
        last = remembered(last, moment)
    return None


def _never_less_confined(_first: Moment, last: Last, now: Moment) -> Iterator[Surprise]:
    for seen, before in _others(last, now):
        changes = differing(before, seen.posture)
        if less_confined(changes):
            more = sum(each.direction == "gained" for each in changes)
            yield _less_confined(seen, before, gained(before.section, seen.posture.section), more)


def _about(calls: tuple[Call, ...]) -> Property:
    """Return the property about less confined containers for some calls alone."""

    def check(_first: Moment, last: Last, now: Moment) -> Iterator[Surprise]:
        for seen, before in _others(last, now):
            old, new = filter_of(before.section), filter_of(seen.posture.section)
            more = tuple(
                each
                for each in calls
                if new.of(each.syscall, each.args).allowed and not old.of(each.syscall, each.args).allowed
            )
            if more:
                yield _less_confined(seen, before, more, len(more))

    named = ", ".join(each.text for each in calls)
    says = f"Once a container's filter denies {named}, no later one of it allows that."
    return msgspec.structs.replace(_CONFINED, says=says, check=check)


def _others(last: Last, now: Moment) -> Iterator[tuple[Seen, Posture]]:
    """Yield every container that has something, with what it, or the one before it, had."""
    for seen in now.seen:
        before = last.get(seen.key)
        if before is not None and seen.posture.exists and before.posture is not seen.posture:
            yield seen, before.posture


def _less_confined(seen: Seen, before: Posture, calls: tuple[Call, ...], more: int) -> Surprise:
    named = [each.text for each in calls] or ["everything"]
    others = f" and {more - len(calls)} more" if calls and more > len(calls) else ""
    says = (
        f"{seen.title} may call {', '.join(named)}{others} with {seen.posture.title}, and might not with {before.title}"
    )
    return Surprise(says=says, seen=seen, before=before, calls=calls)


def _rollback_exact(first: Moment, _last: Last, now: Moment) -> Iterator[Surprise]:
    if now.setup != first.setup:
        return
    began = first.by_key()
    for seen in now.seen:
        before = began.get(seen.key)
        if before is None or not before.posture.exists or seen.posture.kind == "none":
            continue
        if (seen.posture.kind, seen.posture.digest) != (before.posture.kind, before.posture.digest):
            says = (
                f"the node is set up as at the beginning, but {seen.title} has {titled(seen.posture)}, where it had "
                f"{before.posture.title}"
            )
            yield Surprise(says=says, seen=seen, before=before.posture)


def _always_starts(_first: Moment, last: Last, now: Moment) -> Iterator[Surprise]:
    for part in COMPONENTS:
        if now.component(part) != UP:
            yield Surprise(says=f"the {part} does not run: {now.component(part)}", component=part)
    for seen in now.seen:
        before = last.get(seen.key)
        if before is not None and seen.posture.kind == "refused":
            says = f"{seen.title}, which ran, does not start: {titled(seen.posture)}"
            yield Surprise(says=says, seen=seen, before=before.posture)


def _restart_changes_nothing(_first: Moment, _last: Last, now: Moment) -> Iterator[Surprise]:
    for seen in now.seen:
        if seen.pending:
            says = f"{seen.title} has {seen.posture.title}, and a restart would give it {titled(seen.next)}"
            yield Surprise(says=says, seen=seen, before=seen.posture, pending=True)


def _never_unconfined(_first: Moment, last: Last, now: Moment) -> Iterator[Surprise]:
    for seen in now.seen:
        if seen.posture.kind == "Unconfined":
            before = last.get(seen.key)
            says = f"{seen.title} runs without a filter"
            yield Surprise(says=says, seen=seen, before=before.posture if before else None)


_CONFINED = Property(
    name="never-less-confined",
    says="No container's filter ever allows a system call that the one before it did not.",
    check=_never_less_confined,
)
PROPERTIES: dict[str, Property] = {
    each.name: each
    for each in (
        _CONFINED,
        Property(
            name="rollback-exact",
            says="Whenever the node is set up as at the beginning, every container has the filter that it had then.",
            check=_rollback_exact,
        ),
        Property(
            name="always-starts",
            says="Kubelet and runtime always run, and no container that ran fails to start.",
            check=_always_starts,
        ),
        Property(
            name="restart-changes-nothing",
            says="No restart of a container would ever change its filter.",
            check=_restart_changes_nothing,
        ),
        Property(name="never-unconfined", says="No container ever runs without a filter.", check=_never_unconfined),
    )
}
