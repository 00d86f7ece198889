"""An inventory: which nodes go from what to what, and everything that can be wrong with one, told at once."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from runtimes.errors import BadInput
from shim.skew.plan.inventory import OTHERS, Routes, read, schema
from tests.skew.nodes import node

GOOD = """\
pools:
  workers:
    nodes: ["worker-*", spare]
    from: nodes/old.yaml
    to: nodes/new.yaml
  control plane:
    nodes: [worker-0, "cp-[0-9]"]
    from: nodes/old.yaml
    to: {new}
runtimeClasses: {{gvisor: runsc}}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes/old.yaml").write_text(node(tmp_path, "1.30.14", "containerd 1.7.27"))
    (tmp_path / "nodes/new.yaml").write_text(node(tmp_path, "1.31.13", "containerd 2.0.9"))
    (tmp_path / "nodes/bad.yaml").write_text("kubelet: {version: 1.99.0}\nruntime: {nam: x}\n")
    return tmp_path


def test_what_an_inventory_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "pools.yaml").write_text(GOOD.format(new=here / "nodes/new.yaml"))
    monkeypatch.chdir("/")  # relative paths start beside the file
    inventory = read(str(here / "pools.yaml"), "", "")
    assert [each.name for each in inventory.pools] == ["workers", "control plane"]
    assert {each.before.kubelet.version for each in inventory.pools} == {"1.30.14"}
    assert {each.after.runtime.version for each in inventory.pools} == {"2.0.9"}
    assert inventory.runtime_classes == {"gvisor": "runsc"}
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(yaml.safe_load((here / "pools.yaml").read_text()), schema())


@pytest.mark.parametrize(
    ("name", "pool"),
    [
        ("worker-1", "workers"),
        ("worker-0", "control plane"),  # a whole name comes before a pattern
        ("spare", "workers"),
        ("cp-7", "control plane"),
        ("cp-x", None),
        ("Worker-1", None),
        ("", None),
    ],
)
def test_a_node_has_a_pool(here: Path, name: str, pool: str | None) -> None:
    (here / "pools.yaml").write_text(GOOD.format(new="nodes/new.yaml"))
    alone = read(str(here / "pools.yaml"), "", "").routes
    assert alone.pool(name) == pool
    pair = (str(here / "nodes/old.yaml"), str(here / "nodes/new.yaml"))
    assert read(str(here / "pools.yaml"), *pair).routes.pool(name) == (pool or OTHERS)
    assert read("", *pair).routes == Routes()


POOL = "{{nodes: [{}], from: nodes/old.yaml, to: nodes/new.yaml}}"


@pytest.mark.parametrize(
    ("why", "text", "says"),
    [
        ("nothing", "", ["pools.yaml: is empty (an inventory holds pools, each with nodes, from and to)"]),
        ("no pools", "runtimeClasses: {}", ["pools.yaml:1:1: pools: there are none (an inventory holds"]),
        ("none in it", "pools: {}", ["pools.yaml:1:8: pools: there are none"]),
        ("a list", "pools: []", ["pools.yaml:1:8: pools: is a list, not a mapping"]),
        (
            "a pool of nothing",
            "pools:\n  a: {}\n",
            [
                "pools.yaml:2:6: pools.a.from: is missing (a node file",
                "pools.yaml:2:6: pools.a.to: is missing",
                'pools.yaml:2:6: pools.a.nodes: a pool has nodes (their names, or patterns: ["worker-*"])',
            ],
        ),
        (
            "several things",
            "pools:\n  a: {node: [x], from: gone.yaml, to: 7}\n  b: {nodes: x}\nclasses: {}\n",
            [
                "pools.yaml:2:6: pools.a.nodes: a pool has nodes",
                "pools.yaml:2:7: pools.a.node: there is no such setting (did you mean nodes?)",
                "pools.yaml:2:24: pools.a.from: there is no file",
                'pools.yaml:2:39: pools.a.to: is a whole number "7", not text (in quotes: "7")',
                "pools.yaml:3:6: pools.b.from: is missing",
                "pools.yaml:3:6: pools.b.to: is missing",
                'pools.yaml:3:14: pools.b.nodes: is text "x", not a list',
                "pools.yaml:4:1: classes: there is no such setting",
            ],
        ),
        (
            "a node in two pools",
            f"pools:\n  a: {POOL.format('x, y*')}\n  b: {POOL.format('x, y*, x1')}\n",
            [
                "pools.yaml:3:15: pools.b.nodes[0]: x belongs to the pool a already (leave one)",
                "pools.yaml:3:18: pools.b.nodes[1]: y* belongs to the pool a already",
            ],
        ),
        (
            "a node file that is wrong, told once",
            "pools: {a: {nodes: [a], from: nodes/bad.yaml, to: nodes/bad.yaml}}",
            ["nodes/bad.yaml:1:20: kubelet.version: ", "nodes/bad.yaml:2:11: runtime.nam: there is no such setting"],
        ),
        ("no YAML", "pools: {", ["pools.yaml:2:1: is not YAML"]),
    ],
)
def test_everything_that_is_wrong_is_told_at_once(
    here: Path, monkeypatch: pytest.MonkeyPatch, why: str, text: str, says: list[str]
) -> None:
    (here / "pools.yaml").write_text(text)
    monkeypatch.chdir(here)
    with pytest.raises(BadInput) as caught:
        read("pools.yaml", "", "")
    lines = str(caught.value).replace(f"{here}/", "").splitlines()
    for sentence in says:
        assert sum(line.startswith(sentence) for line in lines) == 1, (why, sentence, lines)
    assert len(lines) == len(says), why


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("", "", ""), "--from: is missing"),
        (("", "a.yaml", ""), "--to: is missing"),
        (("pools.yaml", "", "b.yaml"), "--from: is missing"),
        (("", "gone.yaml", "gone.yaml"), "gone.yaml: cannot be read"),
        (("gone.yaml", "", ""), "gone.yaml: cannot be read"),
    ],
)
def test_what_has_to_be_named(words: tuple[str, str, str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read(*words)


def test_the_schema_says_what_is_required(here: Path) -> None:
    (here / "x.json").write_text(json.dumps({"pools": {"a": {"nodes": ["a"], "from": "nodes/old.yaml"}}}))
    with pytest.raises(jsonschema.ValidationError, match="'to' is a required property"):
        jsonschema.validate(json.loads((here / "x.json").read_text()), schema())
    with pytest.raises(BadInput, match=r"pools\.a\.to: is missing"):
        read(str(here / "x.json"), "", "")
