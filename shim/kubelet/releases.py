"""Which kubelet releases there are."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from runtimes.decision import Step
from runtimes.errors import BadInput
from runtimes.facts import read_data
from runtimes.model import KnownRelease
from runtimes.release import parse

if TYPE_CHECKING:
    from runtimes.release import Release

_LINE = re.compile(r"v?(\d+\.\d+)")


@functools.cache
def releases() -> tuple[KnownRelease, ...]:
    """Return every known release, oldest first."""
    return tuple(
        KnownRelease(parse(name), date, line["line_end"])
        for line in _lines()
        for name, date in line["releases"].items()
    )


def known(text: str) -> tuple[Release, tuple[Step, ...]]:
    """Return a release by the name that people or vendors give it ("1.28.4", "v1.28.4", "1.32.3+k3s1").

    A line of releases ("1.28") stands for the newest one known of it, which a step says. Anything that is not known is
    `BadInput`.
    """
    short = _LINE.fullmatch(text.strip())
    if short:
        return _newest(short[1])
    release = parse(text)
    if release.upstream in (_names(f"{release.major}.{release.minor}") or ()):
        return release, ()
    raise BadInput(f"kubelet {text} is not a known release", right=f"the nearest known: {_nearest(release)}")


def _newest(line: str) -> tuple[Release, tuple[Step, ...]]:
    names = _names(line)
    if names is None:
        lines = _lines()
        raise BadInput(
            f"kubelet {line} is not a known line of releases",
            right=f"one from {lines[0]['line']} to {lines[-1]['line']}, or a release of them",
        )
    newest = parse(list(names)[-1])
    return newest, (Step("kubelet", "release", f"kubelet {line} is read as {newest}, the newest release known of it"),)


def _nearest(release: Release) -> str:
    everything = [each.release for each in releases()]
    below = max((each for each in everything if each < release), default=None)
    above = min((each for each in everything if each > release), default=None)
    return " and ".join(each.upstream for each in (below, above) if each)


def _names(line: str) -> dict[str, str] | None:
    """The releases of a line and their days, None where there is no such line."""
    return next((each["releases"] for each in _lines() if each["line"] == line), None)


@functools.cache
def _lines() -> list[dict[str, Any]]:
    """The records of the data file, oldest line first, and the releases of a line oldest first."""
    return read_data("shim.kubelet", "releases")  # type: ignore[no-any-return]
