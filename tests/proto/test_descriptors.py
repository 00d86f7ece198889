"""Our api.proto against every published release of the CRI, from the table that record_descriptors.py wrote.

The newest interface must be ours exactly. Of the older ones everything must be found in ours unchanged, with the few
exceptions listed here: that is what allows one server to serve every kubelet and crictl.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TypedDict

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from scripts.reference.record_descriptors import Shapes, digest, exact_digests, history_digest, shapes
from shim.cri.pb.runtime.v1 import api_pb2

ROOT = Path(__file__).parents[2]


class Alpha(TypedDict):
    """One release of v1alpha2: its digest, and what it has not of the v1 of the same release."""

    digest: str
    lacks: list[str]


class Table(TypedDict):
    """The recorded history."""

    releases: dict[str, str]
    v1alpha2: dict[str, Alpha]
    head: dict[str, str]
    head_order: str
    v1: dict[str, dict[str, str]]


TABLE: Table = json.loads(Path(__file__).with_name("descriptors.json").read_text())
RELEASES = list(TABLE["releases"])

CHANGED = {
    "ContainerEventResponse.pod_sandbox_metadata": "number 4 in 1.25 only, then given to pod_sandbox_status",
    "KeyValue.value": "string, then bytes: from 1.34.9, 1.35.6 and 1.36.2 on",
    r"Signal\.(RUNTIME_DEFAULT|SIG\w+)": "renamed to SIGNAL_... in 1.37, with the same numbers",
}
"""All that ever went away or changed, as patterns for whole names."""


def ours() -> FileDescriptorProto:
    """Our file, as the generated code has it."""
    file = FileDescriptorProto()
    api_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def published(release: str) -> Shapes:
    """What a release had, put together from the ranges."""
    at = RELEASES.index(release)
    return {
        name: shape
        for name, by_shape in TABLE["v1"].items()
        for shape, span in by_shape.items()
        if at in _positions(span)
    }


def _positions(span: str) -> range:
    first, last = span.split("..")
    return range(RELEASES.index(first), RELEASES.index(last or RELEASES[-1]) + 1)


def test_ours_has_everything_of_the_newest_release_and_nothing_else() -> None:
    assert shapes(ours()) == published("head")


def test_ours_is_exactly_the_newest_release_with_order_and_options() -> None:
    digests = exact_digests(ours())
    assert digests == TABLE["head"]
    assert digest(digests) == TABLE["head_order"], "same messages, in another order"


@pytest.mark.parametrize("release", RELEASES)
def test_an_older_release_is_a_part_of_ours(release: str) -> None:
    mine = shapes(ours())
    theirs = {
        name: shape
        for name, shape in published(release).items()
        if not any(re.fullmatch(pattern, name) for pattern in CHANGED)
    }
    assert {name: mine.get(name) for name in theirs} == theirs


@pytest.mark.parametrize("pattern", CHANGED)
def test_no_exception_is_listed_in_vain(pattern: str) -> None:
    mine = shapes(ours())
    assert [
        name
        for name, by_shape in TABLE["v1"].items()
        if re.fullmatch(pattern, name) and by_shape.keys() != {mine.get(name)}
    ]


def test_renamed_signals_kept_their_numbers() -> None:
    mine = shapes(ours())
    before = {name: shape for name, shape in published("1.36").items() if re.match(r"Signal\.", name)}
    assert before
    for name, shape in before.items():
        assert mine[name.replace("Signal.", "Signal.SIGNAL_")] == shape


@pytest.mark.parametrize("release", TABLE["v1alpha2"])
def test_v1alpha2_is_v1_under_another_name(release: str) -> None:
    alpha = TABLE["v1alpha2"][release]
    beta = published(release)
    assert set(alpha["lacks"]) <= beta.keys()
    assert history_digest({name: beta[name] for name in beta.keys() - set(alpha["lacks"])}) == alpha["digest"]


def test_v1alpha2_ends_where_containerd_and_the_kubelet_dropped_it() -> None:
    assert list(TABLE["v1alpha2"]) == ["1.20", "1.21", "1.22", "1.23", "1.24", "1.25"]


def test_the_generated_code_runs_with_the_oldest_protobuf_allowed() -> None:
    header = Path(api_pb2.__file__).read_text()
    generated_for = re.search(r"# Protobuf Python Version: (\S+)", header)
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    floor = next(re.search(r">=([\d.]+)", line) for line in dependencies if line.startswith("protobuf"))
    assert generated_for
    assert floor
    assert floor[1] == generated_for[1]
