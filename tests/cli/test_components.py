"""`crishim facts` and `crishim releases`."""

from __future__ import annotations

import json

import pytest

from shim.cli.main import main


def out(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(list(words)) == code
    return capsys.readouterr().out if code == 0 else capsys.readouterr().err


def test_releases_are_listed_oldest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "releases", "toy").splitlines() == [
        "1.0.0         2020-01-01",
        "1.1.0         2021-01-01",
        "2.0.0         2022-01-01",
        "2.1.0-beta.1  2022-06-01",
    ]
    rows = json.loads(out(capsys, "releases", "kubelet", "-o", "json"))
    assert rows[0]["release"].startswith("1.18.")
    assert set(rows[0]) == {"release", "date", "lineEnd"}


@pytest.mark.parametrize("verb", ["releases", "facts"])
def test_an_unknown_component(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, verb, "cubelet", code=2) == "there is no component 'cubelet' (did you mean kubelet?)\n"


def test_changes_are_grouped_and_told_in_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "facts", "toy", "--from", "1.0.0", "--to", "2.0.0") == (
        "toy 1.0.0 -> 2.0.0\n"
        "\n"
        "decision\n"
        "  + a container that says nothing gets the default profile\n"
        "    [toy NEWS]\n"
        "\n"
        "profile\n"
        "  + the default profile answers ENOSYS\n"
        "    [toy#12]\n"
        "\n"
        "persona\n"
        "  ~ the `ociVersion` of every spec: 1.0.0 -> 1.1.0\n"
        "    [toy NEWS]\n"
    )
    back = out(capsys, "facts", "toy", "--from", "2.0.0", "--to", "1.0.0")
    assert "  - no longer: a container that says nothing gets the default profile\n" in back


def test_from_and_to_default_to_the_oldest_and_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "facts", "toy", "--from", "1.1.0").startswith("toy 1.1.0 -> 2.1.0-beta.1\n")
    assert out(capsys, "facts", "toy", "--to", "1.1.0").startswith("toy 1.0.0 -> 1.1.0\n")


def test_nothing_changes_between_equal_releases(capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "facts", "toy", "--from", "2.0.0", "--to", "v2.0.0").endswith("nothing that is known\n")


def test_without_releases_every_fact_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    every = out(capsys, "facts", "toy")
    assert "since 1.1.0 until before 2.1.0-beta.1\n" in every
    assert 'always: UNKNOWN: toy has no handler "{handler}"\n' in every


def test_changes_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(out(capsys, "facts", "toy", "--from", "1.0.0", "--to", "1.1.0", "-o", "json"))
    assert [row["name"] for row in rows] == ["oci-version", "default-errno"]
    assert rows[0] == {
        "group": "persona",
        "name": "oci-version",
        "what": "changed",
        "says": "the `ociVersion` of every spec",
        "source": "toy NEWS",
        "before": "1.0.0",
        "after": "1.1.0",
    }
    facts = json.loads(out(capsys, "facts", "toy", "-o", "json"))
    assert facts[0] == {
        "fact": "unset-is-default",
        "group": "decision",
        "says": "a container that says nothing gets the default profile",
        "source": "toy NEWS",
        "since": ["2.0.0"],
    }


def test_an_unknown_release_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    answer = out(capsys, "facts", "kubelet", "--from", "1.24.99", code=2)
    assert answer == "kubelet 1.24.99 is not a known release (the nearest known: 1.24.17 and 1.25.0)\n"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("1.24", "1.25", "- no longer: the kubelet itself reads the seccomp annotations of a pod"),
        ("1.19", "1.20", "+ a container's profile is sent as the message seccomp"),
        ("1.27.1", "1.27.2", "+ Localhost without a profile keeps the container from being created"),
    ],
)
def test_what_changed_in_kubelets(old: str, new: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert line in out(capsys, "facts", "kubelet", "--from", old, "--to", new)
