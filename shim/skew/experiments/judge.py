"""Whether what was expected of an experiment came: each expectation against the moment it is about.

A failed one says what was found instead, and shows the decision's steps before and after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runtimes.verdict import filter_of
from shim.skew.experiments.experiment import matching
from shim.skew.experiments.moment import ABSENT, COMPONENTS, UP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runtimes.decision import Step as Reason
    from shim.skew.calls import Call
    from shim.skew.experiments.experiment import Expectation, Experiment
    from shim.skew.experiments.moment import Moment, Seen
    from shim.skew.experiments.play import Story

_AT_END = "at the end"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one expectation on one container, or on one node.

    `found` says what was there instead, "" where it held. `before` and `after` are the steps that led to what the
    container had before the step and has after it.
    """

    step: int
    step_name: str
    subject: str
    expected: str
    found: str = ""
    expectation: Expectation
    before: tuple[Reason, ...] = ()
    after: tuple[Reason, ...] = ()


def judge(experiment: Experiment, stories: Mapping[str, Story]) -> tuple[Verdict, ...]:
    """Return what came of every expectation on the nodes that were played, in the order of the file."""
    asked = [(number, step.name, each) for number, step in enumerate(experiment.steps, 1) for each in step.expect]
    asked += [(len(experiment.steps), _AT_END, each) for each in experiment.expect]
    return tuple(
        verdict for number, name, each in asked for verdict in _judged(experiment, each, number, name, stories)
    )


def at(story: Story, number: int) -> Moment:
    """Return the last moment of a story up to a step."""
    return next(moment for moment in reversed(story[: number + 1]) if moment is not None)


def _judged(
    experiment: Experiment, expected: Expectation, number: int, name: str, stories: Mapping[str, Story]
) -> Iterator[Verdict]:
    matched = False
    for node in matching(expected.which.node, tuple(stories)):
        story = stories[node]
        now, then = at(story, number), at(story, max(number - 1, 0))
        for what, found in _of_node(expected, now):
            matched = True
            yield Verdict(
                step=number, step_name=name, subject=f"node {node}", expected=what, found=found, expectation=expected
            )
        if not _about_containers(expected):
            continue
        before = then.by_key()
        for seen in now.seen:
            if expected.which.matches(*seen.key):
                matched = True
                yield _on(expected, number, name, seen, before.get(seen.key))
    if not matched and len(stories) == len(experiment.nodes):  # of a node that was not played nothing is known
        gone = expected.state == ABSENT
        yield Verdict(
            step=number,
            step_name=name,
            subject=str(expected.which),
            expected=_said(expected),
            found="" if gone else "there is no such container then",
            expectation=expected,
        )


def _on(expected: Expectation, number: int, name: str, seen: Seen, before: Seen | None) -> Verdict:
    faults = [fault for check in _CHECKS if (fault := check(expected, seen, before))]
    return Verdict(
        step=number,
        step_name=name,
        subject=f"{seen.title} on {seen.node}",
        expected=_said(expected),
        found="; ".join(faults),
        expectation=expected,
        before=before.posture.steps if before else (),
        after=seen.posture.steps,
    )


def _of_node(expected: Expectation, moment: Moment) -> Iterator[tuple[str, str]]:
    for part in COMPONENTS:
        wanted, there = getattr(expected, part), moment.component(part)
        if wanted is not None:
            holds = there == UP if wanted == UP else wanted in there
            yield f"the {part}: {wanted}", "" if holds else f"the {part}: {there}"


def _about_containers(expected: Expectation) -> bool:
    of_nodes = ("which", "place", "kubelet", "runtime")
    fields = [name for name in expected.__struct_fields__ if name not in of_nodes]
    return any(getattr(expected, name) not in (None, ()) for name in fields)


def _said(expected: Expectation) -> str:
    """Say what is expected, in a line."""
    names = ("profile", "digest", "state", "message", "because")
    parts = [f"{name} {getattr(expected, name)}" for name in names if getattr(expected, name) is not None]
    if expected.unchanged is not None:
        words: dict[bool | str, str] = {True: "unchanged", False: "changed"}
        parts.append(words.get(expected.unchanged, "unchanged until a restart"))
    for name, calls in (("allows", expected.allows), ("denies", expected.denies)):
        parts += [f"{name} {call.text}" for call in calls]
    parts += [f"{'without' if name.startswith('!') else 'with'} {name.lstrip('!')}" for name in expected.capabilities]
    return ", ".join(parts)


def _profile(expected: Expectation, seen: Seen, _before: Seen | None) -> str:
    wanted, there = expected.profile, seen.posture
    if wanted in (None, there.title, there.kind):
        return ""
    return f"profile {there.title}"


def _digest(expected: Expectation, seen: Seen, _before: Seen | None) -> str:
    if expected.digest is None or (seen.posture.digest and seen.posture.digest.startswith(expected.digest)):
        return ""
    return f"digest {seen.posture.digest or 'of nothing: there is no filter'}"


def _capabilities(expected: Expectation, seen: Seen, _before: Seen | None) -> str:
    has = {name.removeprefix("CAP_") for name in seen.posture.capabilities}
    wrong = [
        name
        for name in expected.capabilities
        if (name.lstrip("!").upper().removeprefix("CAP_") in has) is name.startswith("!")
    ]
    return f"capabilities {' '.join(sorted(has)) or 'none'}" if wrong else ""


def _calls(expected: Expectation, seen: Seen, _before: Seen | None) -> str:
    if not (expected.allows or expected.denies):
        return ""
    if not seen.posture.exists:
        return f"it is not there: {seen.posture.title}"
    section = filter_of(seen.posture.section)

    def wrong(call: Call, *, allowed: bool) -> str:
        verdict = section.of(call.syscall, call.args)
        if verdict.allowed == allowed and (call.errno is None or verdict.errno == call.errno):
            return ""
        outcome = "allowed" if verdict.allowed else f"denied ({verdict.action} {verdict.errno})"
        return f"{call.text} is {outcome}"

    faults = [wrong(call, allowed=True) for call in expected.allows]
    faults += [wrong(call, allowed=False) for call in expected.denies]
    return ", ".join(filter(None, faults))


def _state(expected: Expectation, seen: Seen, _before: Seen | None) -> str:
    if expected.state in (None, seen.state):
        return ""
    error = seen.posture.error
    return f"state {seen.state}" + (f": {error.message}" if error else "")


def _message(expected: Expectation, seen: Seen, _before: Seen | None) -> str:
    error = seen.posture.error
    if expected.message is None or (error and expected.message in error.message):
        return ""
    return f"message {error.message!r}" if error else "no message"


def _unchanged(expected: Expectation, seen: Seen, before: Seen | None) -> str:
    if expected.unchanged is None:
        return ""
    same = before is not None and _has(before) == _has(seen)
    if expected.unchanged is False:
        return "it is as before" if same else ""
    if not same:
        return f"it was {before.posture.title if before else 'not there'}, and is {seen.posture.title}"
    if expected.unchanged == "until-restart" and not seen.pending:
        return "it is as before, and a restart would not change it"
    return ""


def _because(expected: Expectation, seen: Seen, _before: Seen | None) -> str:
    if expected.because is None or any(expected.because in step.because for step in seen.posture.steps):
        return ""
    return "none of its steps says so"


def _has(seen: Seen) -> tuple[str, str, str]:
    """Return what has to be the same for a person to call it that: the state, what it is, and its section."""
    return seen.state, seen.posture.kind, seen.posture.digest


_CHECKS: tuple[Callable[[Expectation, Seen, Seen | None], str], ...] = (
    _state,
    _message,
    _profile,
    _digest,
    _capabilities,
    _calls,
    _unchanged,
    _because,
)
