"""What a search found, as an experiment of its own: the same node, the steps of the way, and the surprise as expected.

It is played like any other one, and holds: what surprises is what its expectations say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from shim.skew.experiments.experiment import Delete, Deploy, Expectation, Experiment, Step, Which, matching
from shim.skew.experiments.judge import at as moment_at
from shim.skew.experiments.play import play
from shim.skew.search.standing import ID_OR_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.skew.experiments.experiment import Workload
    from shim.skew.experiments.moment import Seen
    from shim.skew.experiments.play import Story
    from shim.skew.posture import Posture
    from shim.skew.search.properties import Surprise
    from shim.skew.search.search import Found

_MOST_TOLD = 2  # surprises: the expectations have them all


def counterexample(searched: Experiment, found: Found) -> Experiment:
    """Return the experiment that shows what was found. It is played once, to know what to expect of its steps."""
    workloads = {each.name: replace(each, nodes=("*",)) for each in _deployed(searched, found)}
    bare = Experiment(
        where=searched.where,
        title=f"{found.broken.name} does not hold" + (f" ({searched.title})" if searched.title else ""),
        says=_says(found),
        sources=searched.sources,
        nodes={found.node: searched.nodes[found.node]},
        workloads=workloads,
        steps=tuple(_step(each, tuple(workloads)) for each in found.steps),
    )
    ((_, story),) = play(bare)
    expected: list[list[Expectation]] = [[] for _ in story]
    for each in found.surprises:
        for number, one in _expected(each, story):
            if one not in expected[number]:
                expected[number].append(one)
    steps = tuple(replace(step, expect=tuple(more)) for step, more in zip(bare.steps, expected[1:], strict=True))
    return replace(bare, steps=steps, expect=() if steps else tuple(expected[0]))


def _deployed(searched: Experiment, found: Found) -> Iterator[Workload]:
    """Yield the workloads that are on the node from the start, or come with one of the steps."""
    later = [step.action.workloads for step in found.steps if isinstance(step.action, Deploy)]
    for each in searched.on(found.node):
        if each.name in searched.first or any(matching(names, (each.name,)) for names in later):
            yield each


def _step(step: Step, workloads: tuple[str, ...]) -> Step:
    """Return a step for the one node that there is, about workloads that there are."""
    action = step.action
    if isinstance(action, (Deploy, Delete)):
        names = tuple(name for name in action.workloads if matching((name,), workloads))
        action = replace(action, workloads=names)
    name = step.name if step.name != str(step.action) else str(action)
    return Step(name=name, action=action, place=step.place)


def _says(found: Found) -> str:
    told = [" ".join(each.says.split()) for each in found.surprises[:_MOST_TOLD]]
    more = len(found.surprises) - len(told)
    if more:
        told.append(f"and {more} more like that")
    when = "after these steps" if found.steps else "at the beginning"
    return f"{found.broken.says} Not so {when}: {'; '.join(told)}."


def _expected(surprise: Surprise, story: Story) -> Iterator[tuple[int, Expectation]]:
    """Yield what says a surprise, each with the number of its step: the surprise itself, and what was before."""
    last = len(story) - 1
    if surprise.seen is None:
        words = _words(moment_at(story, last).component(surprise.component))
        of_kubelet = surprise.component == "kubelet"
        yield (
            last,
            Expectation(which=Which(), kubelet=words) if of_kubelet else Expectation(which=Which(), runtime=words),
        )
        return
    seen, before = surprise.seen, surprise.before
    which = _which(seen, story)
    if before is not None and not surprise.pending:
        at = max((number for number in range(1, last) if _has(story, number, seen, before)), default=0)
        if at:
            yield at, replace(_posture(which, before, seen.posture), denies=surprise.calls)
    if seen.posture.error is not None:
        yield last, Expectation(which=which, state=seen.state, message=_words(seen.posture.error.message))
        return
    now = replace(_posture(which, seen.posture, before), allows=surprise.calls)
    stays = surprise.pending and last > 0 and _has(story, last - 1, seen, seen.posture)
    yield last, replace(now, unchanged="until-restart") if stays else now


def _words(message: str) -> str:
    """Return the longest part of a message that has no ids or times in it: those are others each time."""
    return max(ID_OR_TIME.split(message), key=len).strip()


def _has(story: Story, number: int, seen: Seen, posture: Posture) -> bool:
    """Whether a container had something after a step."""
    moment = story[number]
    there = moment.by_key().get(seen.key) if moment else None
    return there is not None and (there.posture.kind, there.posture.digest) == (posture.kind, posture.digest)


def _posture(which: Which, posture: Posture, other: Posture | None) -> Expectation:
    """Expect a posture by its name; by its digest, too, where that alone tells it from another one."""
    custom = posture.kind == "custom"
    alike = other is not None and other is not posture and other.title == posture.title
    digest = posture.digest[:12] if posture.digest and (custom or alike) else None
    return Expectation(which=which, profile=posture.kind if custom else posture.title, digest=digest)


def _which(seen: Seen, story: Story) -> Which:
    """Name a container in as few words as tell it from all others of the story."""
    everyone = {each.key for moment in story if moment for each in moment.seen}
    full = f"{seen.pod}/{seen.container}"
    for name in (seen.container, seen.title, full):
        which = Which(container=(name,))
        if [key for key in everyone if which.matches(*key)] == [seen.key]:
            return which
    return Which(workload=(seen.workload,), container=(full,))
