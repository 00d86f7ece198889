"""The experiments that ship: they hold in this process, and against a live server with the real crictl looking on.

What they expect is not from here: each names its sources, and every digest in them is one of those that upstream's own
code gave (tests/containerd/profile_digests.json, tests/crio/profile_digests.json).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from shim.nodefile import to_dict
from shim.skew.experiments.file import load, schema
from shim.skew.experiments.judge import at
from shim.skew.experiments.moment import RUNNING
from tests.cri.harness import V1, Admin, Server, short_directory
from tests.cri.test_crictl import Crictl, newest
from tests.skew.playing import EXAMPLES, ROOT, Played, played

PARTS = sorted((ROOT / "examples" / "skew" / "parts").glob("*.yaml"))
# What a host has that decides something: an example has to say it, or it would come from the machine it is played on.
PINNED = {"arch", "kernel", "seccomp", "cgroup", "hostname"}

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def digest(section: Any) -> str:
    """Return the sha256 of canonical JSON, as the recorded digests were made: keys sorted, lists in their order."""
    return hashlib.sha256(json.dumps(section, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def recorded() -> set[str]:
    """Return the beginning of the digest of every profile that upstream's own code made."""
    found: set[str] = set()
    for family in ("containerd", "crio"):
        groups = json.loads((ROOT / "tests" / family / "profile_digests.json").read_text())["groups"]
        found |= {each for group in groups for each in group["digests"] if each}
    return found


def test_there_is_one_for_each_case() -> None:
    assert len(EXAMPLES) == 11


@each_example
def test_everything_holds(path: Path) -> None:
    found = played(load(str(path)))
    assert found.verdicts
    assert not found.failed


@each_example
def test_it_says_what_it_shows_and_where_that_is_written_down(path: Path) -> None:
    found = load(str(path))
    assert found.title
    assert found.says
    assert found.sources
    for node in found.nodes.values():
        assert to_dict(node)["host"].keys() >= PINNED
    lines = path.read_text().splitlines()
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 120


@each_example
def test_every_digest_is_one_that_upstream_gave(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    expected = [*(each for step in document["steps"] for each in step.get("expect", ())), *document.get("expect", ())]
    digests = {each["digest"] for each in expected if "digest" in each}
    assert {each for each in digests if not any(one.startswith(each) for one in recorded())} == set()


@pytest.mark.parametrize("path", [*EXAMPLES, *PARTS], ids=lambda path: path.stem)
def test_it_meets_the_schema_that_editors_use(path: Path) -> None:
    jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(path.read_text()))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


# Over the socket


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run one server for all examples: each gives it back as it was."""
    with short_directory() as directory, Server(directory / "a.sock", "--state", ":memory:") as running:
        yield running


@each_example
def test_a_live_server_gives_the_same(path: Path, server: Server) -> None:
    admin = Admin(server.socket)
    before = admin("Show").node_yaml
    asked = load(str(path))
    assert played(asked, {"": str(server.socket)}).json == played(asked).json
    assert admin("Show").node_yaml == before
    client = V1(server.socket)
    assert not client("ListPodSandbox").items
    assert not client("ListContainers").containers
    assert {each.pinned for each in client("ListImages").images} <= {True}  # the runtime's own, for sandboxes


@each_example
def test_crictl_reads_what_was_told(path: Path, server: Server) -> None:
    crictl = Crictl(newest(), server.socket)
    read: dict[tuple[str, int], dict[str, Any]] = {}

    def look(node: str, step: int) -> None:
        running = crictl.json("ps")["containers"]
        read[node, step] = {each["id"]: crictl.json("inspect", each["id"]) for each in running}

    found = played(load(str(path)), {"": str(server.socket)}, look)
    assert read
    for (node, step), containers in read.items():
        told = {each.id: each for each in at(found.stories[node], step).seen if each.state == RUNNING}
        assert told.keys() == containers.keys()
        for each in told.values():
            shown = containers[each.id]
            assert shown["status"]["metadata"]["name"] == each.container
            assert shown["info"]["runtimeSpec"]["linux"].get("seccomp") == each.posture.section
    assert _by_digest(found, read)


def _by_digest(found: Played, read: dict[tuple[str, int], dict[str, Any]]) -> bool:
    """Look whether every digest that was expected is that of the section which crictl read then."""
    for verdict in found.verdicts:
        expected = verdict.expectation.digest
        if expected is None:
            continue
        node = verdict.subject.rpartition(" ")[2]
        step = max(number for name, number in read if name == node and number <= verdict.step)
        digests = {
            digest(each["info"]["runtimeSpec"]["linux"]["seccomp"])
            for each in read[node, step].values()
            if each["info"]["runtimeSpec"]["linux"].get("seccomp")
        }
        assert any(each.startswith(expected) for each in digests), verdict
    return True
