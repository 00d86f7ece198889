"""How the report of a matrix says things: releases, settings, containers and outcomes in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.report.words import counted
from shim.skew.matrix import ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shim.kubelet.pod import Pod
    from shim.skew.matrix.folding import By, Span
    from shim.skew.matrix.matrix import Matrix, Outcome

_NAMED = 3  # of several things, how many are named
_SHORT = 7  # digits of a digest


class Words:
    """The words for one matrix: a release is called by its line where only the newest of each line are there."""

    def __init__(self, matrix: Matrix) -> None:
        of_family: dict[str, dict[str, None]] = {}
        for point in (*matrix.kubelets, *matrix.runtimes):
            of_family.setdefault(point.family, {})[point.release] = None
        self.by_line = {
            family: ranges.are_newest_of_lines(family, tuple(releases)) for family, releases in of_family.items()
        }

    def releases(self, span: Span) -> str:
        """Return "1.19..1.36" or "1.6.0..1.6.39"."""
        names = [self.release(point.family, point.release) for point in (span.points[0], span.points[-1])]
        return names[0] if names[0] == names[1] else "..".join(names)

    def release(self, family: str, release: str) -> str:
        """Return how one release is called."""
        return ".".join(release.split(".")[:2]) if self.by_line[family] else release


def settings(told: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    """Return 'seccompDefault=true, unset_seccomp_profile=""'."""
    return ", ".join(f"{key}={' or '.join(map(_value, values))}" for key, values in told)


def of_cell(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the settings of one cell in the same way."""
    return settings((key, (value,)) for key, value in pairs)


def _value(text: str) -> str:
    return text or '""'


def subjects(found: Sequence[tuple[Pod, str]]) -> str:
    """Return "default/web: app, sidecar", or the first of them and how many more there are."""
    of_pod: dict[str, list[str]] = {}
    for pod, name in found[:_NAMED]:
        of_pod.setdefault(str(pod), []).append(name)
    said = "; ".join(f"{pod}: {', '.join(names)}" for pod, names in of_pod.items())
    more = len(found) - _NAMED
    return f"{said} and {counted(more, 'more container')}" if more > 0 else said


def label(outcome: Outcome, by: By) -> str:
    """Return what stands in a field."""
    whole = outcome.digest and (by == "section" or outcome.kind == "custom")
    digest = f" {outcome.digest[:_SHORT]}" if whole else ""
    match outcome.kind:
        case "Localhost":
            return f"Localhost {outcome.of}{digest}"
        case "refused":
            return outcome.of or "refused"
        case _:
            return f"{outcome.kind}{digest}"
