"""What an experiment tells: after each step who changed, who will at the next restart, who lost what, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from runtimes.decision import Step as Reason
from shim.skew.compare import Change, compare, status_of
from shim.skew.experiments.moment import RUNNING, Seen
from shim.skew.posture import Posture
from shim.skew.sources import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shim.report.model import Status
    from shim.skew.experiments.play import Story

What = Literal["appears", "changes", "restarts", "fails", "ends", "will change"]


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a step did to a container.

    `before` is None where there was nothing. `then` is what it compares with: what it has now, or what a restart would
    give it ("will change").
    """

    step: int
    what: What
    seen: Seen
    before: Posture | None
    then: Posture

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the container gains and loses; nothing where one of the two has no section to compare."""
        return differing(self.before, self.then)

    @property
    def status(self) -> Status:
        """Which way it goes."""
        if self.what == "fails" or self.then.kind == "refused":
            return "refused"
        return status_of(self.changes)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What lies between the releases whose profiles it had and has, and the steps of the decision that are new."""
        known = {step.because for step in self.before.steps} if self.before else set()
        new = tuple(step for step in self.then.steps if step.because not in known)
        return (*reasons(self.changes, self.before.build if self.before else None, self.then.build), *new)


def happenings(stories: Mapping[str, Story]) -> Iterator[Happening]:
    """Yield everything that happened, node by node, in the order of the steps."""
    for story in stories.values():
        last: dict[tuple[str, str, str, str], Seen] = {}
        for number, moment in enumerate(story):
            if moment is None:
                continue
            for seen in moment.seen:
                yield from _happened(number, last.get(seen.key), seen)
            there = moment.by_key()
            for key, gone in last.items():
                if key not in there and gone.state == RUNNING:
                    yield Happening(step=number, what="ends", seen=gone, before=gone.posture, then=gone.posture)
            last = there


def differing(before: Posture | None, after: Posture) -> tuple[Change, ...]:
    """Return what differs between two postures that have a section, or none for good."""
    if before is None or not (before.exists and after.exists):
        return ()
    return compare(before.section, after.section)


def titled(posture: Posture) -> str:
    """Name a posture in a line, with the words of a refusal."""
    return f"{posture.title}: {posture.error.message}" if posture.error else posture.title


def _happened(number: int, before: Seen | None, seen: Seen) -> Iterator[Happening]:
    old = before.posture if before else None
    there = old is not None and old.exists
    if seen.posture.kind == "refused":
        if old is None or old.kind != "refused" or titled(old) != titled(seen.posture):
            yield Happening(step=number, what="fails", seen=seen, before=old, then=seen.posture)
        return
    if seen.posture.kind != "none":
        if not there:
            yield Happening(step=number, what="appears", seen=seen, before=None, then=seen.posture)
        elif old is not None and (old.digest, old.kind) != (seen.posture.digest, seen.posture.kind):
            yield Happening(step=number, what="changes", seen=seen, before=old, then=seen.posture)
        elif before is not None and before.id != seen.id:
            yield Happening(step=number, what="restarts", seen=seen, before=old, then=seen.posture)
        if before is not None and before.state == RUNNING and seen.state != RUNNING and seen.id == before.id:
            yield Happening(step=number, what="ends", seen=seen, before=old, then=seen.posture)
    if seen.pending and not (
        before is not None and before.pending and (before.next.digest, before.id) == (seen.next.digest, seen.id)
    ):
        yield Happening(step=number, what="will change", seen=seen, before=seen.posture, then=seen.next)
