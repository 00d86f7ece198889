"""Ranges of releases, over a component that is made up: what each form means, and what is said of a wrong one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput
from runtimes.release import Release, parse
from shim.skew.matrix.ranges import Ranges, are_newest_of_lines, kubelets, runtimes

NAMES = (
    "0.9.0 1.0.0-rc.1 1.0.0 1.0.1 1.1.0 1.1.1-rc.0 1.1.1 1.10.0 1.10.1 2.0.0-beta.0 2.0.0 2.0.1 2.1.0-beta.0".split()
)
MADE_UP = Ranges("thing", tuple(parse(name) for name in NAMES))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        pytest.param("1.0.1", "1.0.1", id="a release"),
        pytest.param("v1.0.1", "1.0.1", id="a release as its tag is called"),
        pytest.param("1.0.1~ds2", "1.0.1~ds2", id="a vendor's build keeps its name, on which its profile may depend"),
        pytest.param("1.0.0-rc.1", "1.0.0-rc.1", id="a pre-release that is named"),
        pytest.param("1.0", "1.0.1", id="a line is its newest release"),
        pytest.param("2.1", "2.1.0-beta.0", id="or the newest pre-release where there is nothing else"),
        pytest.param("1.0.*", "1.0.0 1.0.1", id="all of a line, without pre-releases"),
        pytest.param("1.0..1.10", "1.0.1 1.1.1 1.10.1", id="lines are numbers: 1.10 comes after 1.1"),
        pytest.param("1.1..2.1", "1.1.1 1.10.1 2.0.1", id="a line without a release is none, even at an end"),
        pytest.param("1.0.1..1.10.0", "1.0.1 1.1.0 1.1.1 1.10.0", id="all releases between two"),
        pytest.param("1.0.1..1.1", "1.0.1 1.1.0 1.1.1", id="up to the newest of a line"),
        pytest.param("1.0..1.1.0", "1.0.0 1.0.1 1.1.0", id="from the first of a line"),
        pytest.param("1.10.1..2.0.0-beta.0", "1.10.1 2.0.0-beta.0", id="pre-releases where an end is one"),
        pytest.param("2.0..", "2.0.1", id="from a line on"),
        pytest.param("1.10.1..", "1.10.1 2.0.0 2.0.1", id="from a release on"),
        pytest.param("..1.0", "0.9.0 1.0.1", id="up to a line"),
        pytest.param("..1.0.0", "0.9.0 1.0.0", id="up to a release"),
        pytest.param("latest", "2.0.1", id="the newest release"),
        pytest.param("latest-per-minor", "0.9.0 1.0.1 1.1.1 1.10.1 2.0.1", id="the newest of each line"),
        pytest.param("all", "0.9.0 1.0.0 1.0.1 1.1.0 1.1.1 1.10.0 1.10.1 2.0.0 2.0.1", id="all but pre-releases"),
        pytest.param("2.0, 1.0.*, 1.0.1", "1.0.0 1.0.1 2.0.1", id="several come in their order, each once"),
    ],
)
def test_a_range_means(text: str, meaning: str) -> None:
    assert " ".join(map(str, MADE_UP.expand(text))) == meaning


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1.2", "thing 1.2 is not a known line of releases (the known lines go from 0.9 to 2.1)"),
        ("1.0..1.2", "thing 1.2 is not a known line of releases (the known lines go from 0.9 to 2.1)"),
        ("1.2.*", "thing 1.2 is not a known line of releases (the known lines go from 0.9 to 2.1)"),
        ("1.0.7", "thing 1.0.7 is not a known release (the nearest known: 1.0.1 and 1.1.0)"),
        ("9.0.0", "thing 9.0.0 is not a known release (the nearest known: 2.1.0-beta.0)"),
        ("1.0.0..1.0.7", "thing 1.0.7 is not a known release (the nearest known: 1.0.1 and 1.1.0)"),
        ("1.1..1.0", "'1.1..1.0' runs backwards (1.0..1.1)"),
        ("1.1.0..1.0.0", "'1.1.0..1.0.0' runs backwards (1.0.0..1.1.0)"),
        ("..", "'..' names no release (as 1.7.24, 1.6.*, 1.4..2.3, latest-per-minor or all)"),
        (
            "new",
            "'new' is no release of thing, and no range of them (as 1.7.24, 1.6.*, 1.4..2.3, latest-per-minor or all)",
        ),
    ],
)
def test_what_is_no_range_is_told_with_what_is_known_nearest(text: str, answer: str) -> None:
    with pytest.raises(BadInput) as raised:
        MADE_UP.expand(text)
    assert str(raised.value) == f"--runtime: {answer}"


def test_all_faults_of_a_list_are_told_at_once() -> None:
    with pytest.raises(BadInput) as raised:
        MADE_UP.expand("1.0, 1.2, x, 1.1..1.0")
    assert str(raised.value).count("--runtime: ") == 3


_ends = st.sampled_from([*NAMES, "0.9", "1.0", "1.1", "1.10", "2.0", "2.1"])


@given(_ends, _ends)
def test_whatever_comes_out_is_known_and_in_order_and_between_the_ends(first: str, last: str) -> None:
    found = expanded(f"{first}..{last}")
    if found is None:
        return
    assert list(found) == sorted(set(found))
    assert set(found) <= set(MADE_UP.releases)
    assert all(_line(first) <= release.branch <= _line(last) for release in found)
    if first.count(".") == last.count(".") == 1:
        assert found == MADE_UP.expand(",".join(sorted({f"{each.major}.{each.minor}" for each in found})))


def expanded(text: str) -> tuple[Release, ...] | None:
    """Return the releases of a range, None for one that runs backwards."""
    try:
        return MADE_UP.expand(text)
    except BadInput as fault:
        if "runs backwards" in str(fault):
            return None
        raise


def _line(name: str) -> tuple[int, int]:
    major, minor, *_ = name.split("-", maxsplit=1)[0].split(".")
    return int(major), int(minor)


def test_components_are_found_by_name() -> None:
    assert [str(release) for release in kubelets(["1.25.0", "1.24.1"])] == ["1.24.1", "1.25.0"]
    found = runtimes(["cri-o@1.36.0", "containerd@1.6.20~ds1", "cri-o@1.35.0"])
    assert {name: [str(release) for release in several] for name, several in found.items()} == {
        "cri-o": ["1.35.0", "1.36.0"],
        "containerd": ["1.6.20~ds1"],
    }


def test_a_family_alone_is_its_newest_release() -> None:
    newest = runtimes(["containerd"])["containerd"]
    assert newest == runtimes(["containerd@latest"])["containerd"]
    assert len(newest) == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("podman@1", "--runtime: there is no runtime 'podman' (one of containerd, cri-o"),
        ("cri-o@", "--runtime: 'cri-o@' names no release after the @ (as"),
    ],
)
def test_what_is_no_runtime(text: str, answer: str) -> None:
    with pytest.raises(BadInput) as raised:
        runtimes([text])
    assert str(raised.value).startswith(answer)


@pytest.mark.parametrize(
    ("releases", "answer"), [("latest-per-minor", True), ("1.30..1.36", True), ("1.30.0", False), ("1.30.*", False)]
)
def test_only_the_newest_of_a_line_goes_by_its_name(releases: str, answer: bool) -> None:
    found: tuple[Release, ...] = kubelets([releases])
    assert are_newest_of_lines("kubelet", tuple(map(str, found))) is answer
