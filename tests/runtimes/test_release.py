"""Releases and spans: what people and vendors write, and what "since" means with back-ports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput
from runtimes.release import Release, Span, parse

SPELLINGS = [
    ("a plain release", "1.7.24", (1, 7, 24), "1.7.24"),
    ("a git tag", "v2.3.4", (2, 3, 4), "2.3.4"),
    ("Debian's first suffix", "1.6.20~ds1", (1, 6, 20), "1.6.20"),
    ("Debian's whole package version", "1.7.24~ds1-6+deb13u1", (1, 7, 24), "1.7.24"),
    ("a build that lost its version", "2.1.9+unknown", (2, 1, 9), "2.1.9"),
    ("a beta", "2.4.0-beta.0", (2, 4, 0), "2.4.0-beta.0"),
    ("a release candidate with a v", "v1.4.0-rc.1", (1, 4, 0), "1.4.0-rc.1"),
]


@pytest.mark.parametrize(("what", "text", "numbers", "upstream"), SPELLINGS, ids=[row[0] for row in SPELLINGS])
def test_spellings(what: str, text: str, numbers: tuple[int, int, int], upstream: str) -> None:
    """A release is known by its numbers, whoever built it."""
    release = parse(text)
    assert (release.major, release.minor, release.patch) == numbers, what
    assert release.upstream == upstream
    assert str(release) == text, "it is shown as it was given"
    assert release == parse(upstream)
    assert hash(release) == hash(parse(upstream))


@pytest.mark.parametrize("text", ["", "latest", "1", "1.7", "1.7.x", "1.7.24.1", "v", "1.7.-1", "1..2"])
def test_what_is_no_release(text: str) -> None:
    """Anything else is refused with the form that is right."""
    with pytest.raises(BadInput, match=r"is not a release \(three numbers"):
        parse(text)


def test_order() -> None:
    """Pre-releases come before their release, in the order alpha, beta, rc."""
    texts = ["1.7.34", "2.0.0-alpha.9", "2.0.0-beta.0", "2.0.0-beta.2", "2.0.0-rc.0", "2.0.0-rc.10", "2.0.0", "2.0.10"]
    assert [str(release) for release in sorted(parse(text) for text in reversed(texts))] == texts


# The real case that made "since" a list: containerd blocks socket(AF_ALG) from 1.7.32, 2.0.9, 2.2.4 and 2.3.1 on,
# and never on the 2.1 line (containerd#13327, #13406 to #13409).
AF_ALG = Span(tuple(parse(text) for text in ("1.7.32", "2.0.9", "2.2.4", "2.3.1")))
BLOCKED = ["1.7.32", "1.7.34", "2.0.9", "2.0.11", "2.2.4", "2.3.1", "2.3.4", "2.4.0-beta.0", "3.0.0"]
OPEN = ["1.6.39", "1.7.31", "2.0.8", "2.1.0", "2.1.9", "2.2.3", "2.3.0", "2.2.4-rc.0", "2.3.1-rc.0"]


@pytest.mark.parametrize(("release", "has"), [*((text, True) for text in BLOCKED), *((text, False) for text in OPEN)])
def test_since_per_branch(release: str, has: bool) -> None:
    """A branch that is not named has a change only when it lies above all that are."""
    assert (parse(release) in AF_ALG) is has


def test_until_takes_away_per_branch() -> None:
    """io_uring came with 1.3.8, 1.4.1 and 1.5.0 and went with 2.0.0."""
    span = Span.read({"since": ["1.3.8", "1.4.1", "1.5.0"], "until": ["2.0.0"]})
    has = {
        text
        for text in ("1.3.7", "1.3.8", "1.4.0", "1.4.13", "1.6.39", "1.7.34", "2.0.0-rc.5", "2.0.0", "2.2.0")
        if parse(text) in span
    }
    assert has == {"1.3.8", "1.4.13", "1.6.39", "1.7.34", "2.0.0-rc.5"}


numbers = st.integers(0, 40)
releases = st.builds(Release, st.integers(0, 3), st.integers(0, 5), numbers)


@given(releases, st.lists(releases, min_size=1, max_size=4, unique_by=lambda release: release.branch))
def test_a_branch_never_loses_what_since_gave_it(release: Release, since: list[Release]) -> None:
    """Within a branch, a later patch release has all that an earlier one has."""
    span = Span(tuple(since))
    later = Release(release.major, release.minor, release.patch + 1)
    assert (release not in span) or (later in span)


@given(releases)
def test_an_empty_span_is_always(release: Release) -> None:
    """A fact without since and until holds for every release."""
    assert release in Span()


@given(releases, st.sampled_from(["", "~ds1", "+unknown", "-6+deb13u1"]))
def test_vendor_suffixes_order_nowhere(release: Release, suffix: str) -> None:
    """Whatever a vendor adds, it is the same upstream release."""
    assert parse(release.upstream + suffix) == release
