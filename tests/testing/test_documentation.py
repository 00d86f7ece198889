"""docs/pytest.md: each of its suites is run, and what it prints is what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shim.testing import SeccompCheck, simulated_node
from tests.cri.test_crictl import newest
from tests.testing.conftest import Run

TEXT = (Path(__file__).parents[2] / "docs" / "pytest.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```\n", TEXT, re.DOTALL | re.MULTILINE)
SHOWN = re.search(r"^```console\n\$ pytest --no-header -q\n(.*?)^```\n", TEXT, re.DOTALL | re.MULTILINE)
# What a reader has: a real node's answer, here of a node that is no real one.
CONFTEST = """
import pytest

@pytest.fixture
def inspected():
    from shim.testing import SeccompCheck, simulated_node

    with simulated_node("containerd@2.0.9") as node:
        container = node.container(seccompProfile={"type": "RuntimeDefault"})
        return {"info": {"runtimeSpec": container.inspected.spec}}
"""


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_a_suite_of_the_documentation_holds(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    suite = BLOCKS[number]
    if ".crictl(" in suite:
        monkeypatch.setenv("CRICTL", newest())
    pytester.makeconftest(CONFTEST)
    outcome = run(suite)
    outcome.assert_outcomes(passed=sum(outcome.parseoutcomes().values()))
    assert outcome.ret == 0


def test_the_first_one_fails_as_it_is_shown(run: Run) -> None:
    assert SHOWN
    outcome = run(BLOCKS[0], "-q", "--no-header")
    outcome.assert_outcomes(passed=1, failed=1)
    shown = [line for line in SHOWN[1].splitlines() if line.startswith(("E ", ">"))]
    assert [line for line in outcome.outlines if line.startswith(("E ", ">"))] == shown


def test_every_name_in_the_tables_is_there() -> None:
    with simulated_node("containerd@2.0.9") as node:
        pod = node.create({"apiVersion": "v1", "kind": "Pod", **POD})
        things = (node, pod, pod["a"], pod["a"].posture, SeccompCheck)
        names = re.findall(r"`(?:cri_node|container|pod)?\.(\w+)", TEXT)
        assert len(names) > 40
        for name in names:
            assert any(hasattr(thing, name) for thing in things), name


POD = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
