"""What nodes do when they are upgraded, restarted, reconfigured, drained: each row says where that is written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shim.skew.experiments.experiment import Experiment
from tests.cri.harness import running, short_directory
from tests.skew.playing import experiment, played

TABLE = yaml.safe_load((Path(__file__).parent / "semantics.yaml").read_text())
HOST = {"arch": "amd64", "kernel": "6.1", "seccomp": True, "cgroup": 2, "hostname": "node-1", "root": "tests/skew/root"}

each_row = pytest.mark.parametrize("row", TABLE["rows"], ids=lambda row: row["what"].replace(" ", "-"))


def of_row(row: dict[str, Any]) -> Experiment:
    """Return the experiment of a row."""
    node = {**row["node"], "host": {**HOST, **row["node"].get("host", {})}}
    document = {
        "nodes": {"node-1": node},
        "workloads": {"other": row["pods"]} if "pods" in row else yaml.safe_load(TABLE["workloads"]),
        "steps": row["steps"],
        "expect": row.get("expect", []),
    }
    return experiment(yaml.safe_dump(document, sort_keys=False))


@each_row
def test_nodes_do_so(row: dict[str, Any]) -> None:
    assert row["source"]
    found = played(of_row(row))
    assert found.verdicts
    assert not found.failed, "\n".join(found.failed)


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """Serve for all rows: each gives the server back."""
    with short_directory() as directory, running(directory / "a.sock"):
        yield directory / "a.sock"


@each_row
def test_and_do_the_same_behind_a_socket(row: dict[str, Any], server: Path) -> None:
    asked = of_row(row)
    assert played(asked, {"": str(server)}).json == played(asked).json
