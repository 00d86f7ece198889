"""Several releases of a component, as a person asks for them.

    1.6.20                one release, with or without what a vendor added (1.6.20~ds1)
    1.6                   the newest release of a line
    1.6.*                 every release of a line
    1.19..1.36            lines: the newest release of each line, both ends included
    1.6.5..1.6.20         releases: every release between, both ends included
    1.6.5..1.7            an end that is a line stands for its first or its newest release
    1.24.. and ..1.30     from or up to there
    latest                the newest release
    latest-per-minor      the newest release of every line
    all                   every release
    1.7, 2.0.*            any of these, with commas between them

Pre-releases are left out, unless one is named, alone or as an end of a range: 2.4.0-beta.0..2.4 has them. What comes
out is in the order of releases, each once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from runtimes.model import find
from runtimes.release import parse
from shim.kubelet import releases as of_kubelets
from shim.nodefile import BadDocument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.model import KnownRelease
    from runtimes.release import Release

KUBELET = "kubelet"

_LINE = re.compile(r"v?(\d+)\.(\d+)")
_EVERY_OF_LINE = re.compile(r"v?(\d+\.\d+)\.[*x]")
_FORMS = "as 1.7.24, 1.6.*, 1.4..2.3, latest-per-minor or all"

Line = tuple[int, int]


class Ranges(msgspec.Struct, frozen=True):
    """The releases of one component, oldest first, and what people call it."""

    component: str
    releases: tuple[Release, ...]

    def expand(self, text: str) -> tuple[Release, ...]:
        """Return the releases that a text names. Raises `BadInput` with all that is wrong in it."""
        found: dict[str, Release] = {}
        faults: list[BadInput] = []
        for part in text.split(","):
            try:
                found |= {str(release): release for release in self._part(part.strip())}
            except BadInput as fault:
                faults.append(fault)
        if faults:
            raise BadDocument(faults)
        return tuple(sorted(found.values()))

    def _part(self, text: str) -> tuple[Release, ...]:
        match text:
            case "all":
                return self._final
            case "latest":
                return self._final[-1:] or self.releases[-1:]
            case "latest-per-minor":
                return tuple(self._newest(line) for line in self._lines)
        every = _EVERY_OF_LINE.fullmatch(text)
        if every:
            line = self._line(every[1])
            return tuple(release for release in self._final if release.branch == line) or (self._newest(line),)
        if ".." in text:
            return self._between(text)
        return (self._newest(self._line(text)) if _LINE.fullmatch(text) else self._release(text),)

    def _between(self, text: str) -> tuple[Release, ...]:
        first, _, last = (part.strip() for part in text.partition(".."))
        lines = [_LINE.fullmatch(end) is not None for end in (first, last) if end]
        if not lines:
            raise self._wrong(f"{text!r} names no release", _FORMS)
        if all(lines):
            low = self._line(first) if first else self._lines[0]
            high = self._line(last) if last else self._lines[-1]
            found = tuple(self._newest(line) for line in self._lines if low <= line <= high)
        else:
            lowest = self._end(first, newest=False) if first else self.releases[0]
            highest = self._end(last, newest=True) if last else self._final[-1]
            named = any(end and not _LINE.fullmatch(end) and _is_pre(parse(end)) for end in (first, last))
            pool = self.releases if named else self._final
            found = tuple(release for release in pool if lowest <= release <= highest)
        if not found:
            raise self._wrong(f"{text!r} runs backwards", f"{last}..{first}")
        return found

    def _end(self, text: str, *, newest: bool) -> Release:
        """Return the release at an end of a range, which may be that of a line."""
        if not _LINE.fullmatch(text):
            return self._release(text)
        line = self._line(text)
        if newest:
            return self._newest(line)
        return next(release for release in self.releases if release.branch == line)

    def _line(self, text: str) -> Line:
        found = _LINE.fullmatch(text)
        line = (int(found[1]), int(found[2])) if found else (0, 0)
        if line not in (release.branch for release in self.releases):
            lines = [release.branch for release in self.releases]
            oldest, newest = (".".join(map(str, each)) for each in (lines[0], lines[-1]))
            right = f"the known lines go from {oldest} to {newest}"
            raise self._wrong(f"{self.component} {text} is not a known line of releases", right)
        return line

    def _release(self, text: str) -> Release:
        try:
            release = parse(text)
        except BadInput:
            raise self._wrong(f"{text!r} is no release of {self.component}, and no range of them", _FORMS) from None
        if release in self.releases:  # as it is known, unless a vendor's name says who built it
            plain = text.removeprefix("v") == release.upstream
            return next(each for each in self.releases if each == release) if plain else release
        below = max((each for each in self.releases if each < release), default=None)
        above = min((each for each in self.releases if each > release), default=None)
        nearest = " and ".join(each.upstream for each in (below, above) if each)
        raise self._wrong(f"{self.component} {text} is not a known release", f"the nearest known: {nearest}")

    def _newest(self, line: Line) -> Release:
        """Return the newest release of a line, a pre-release where there are only those."""
        every = [release for release in self.releases if release.branch == line]
        return max([release for release in every if not _is_pre(release)] or every)

    @property
    def _lines(self) -> tuple[Line, ...]:
        """The lines that have a release."""
        return tuple(dict.fromkeys(release.branch for release in self._final))

    @property
    def _final(self) -> tuple[Release, ...]:
        return tuple(release for release in self.releases if not _is_pre(release))

    def _wrong(self, what: str, right: str) -> BadInput:
        return BadInput(what, where=f"--{KUBELET}" if self.component == KUBELET else "--runtime", right=right)


def kubelets(texts: Iterable[str]) -> tuple[Release, ...]:
    """Return the kubelets that options name ("1.19..1.36"), oldest first. Raises `BadInput`."""
    return _ranges(KUBELET, of_kubelets.releases()).expand(",".join(texts))


def runtimes(texts: Iterable[str]) -> dict[str, tuple[Release, ...]]:
    """Return the releases that options name ("containerd@1.4..2.3") by family, in the order of the families.

    A family alone stands for its newest release. Raises `BadInput`.
    """
    wanted: dict[str, list[str]] = {}
    for text in texts:
        name, at, ranges = text.partition("@")
        if at and not ranges:
            raise BadInput(f"{text!r} names no release after the @", where="--runtime", right=_FORMS)
        wanted.setdefault(name.strip(), []).append(ranges or "latest")
    found = {}
    faults: list[BadInput] = []
    for name, parts in wanted.items():
        try:
            found[name] = _ranges(name, find(name).releases()).expand(",".join(parts))
        except BadDocument as fault:
            faults += fault.faults
        except BadInput as fault:
            faults.append(BadInput(fault.what, where="--runtime", right=fault.right))
    if faults:
        raise BadDocument(faults)
    return found


def _ranges(component: str, known: tuple[KnownRelease, ...]) -> Ranges:
    return Ranges(component, tuple(each.release for each in known))


def _is_pre(release: Release) -> bool:
    return "-" in release.upstream


def are_newest_of_lines(component: str, releases: tuple[str, ...]) -> bool:
    """Whether each of some releases is the newest of its line, so that it may go by the line's name."""
    known = of_kubelets.releases() if component == KUBELET else find(component).releases()
    newest = _ranges(component, known).expand("latest-per-minor")
    return {str(each) for each in newest} >= set(releases)
