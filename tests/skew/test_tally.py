"""Counts of parts add up: any cut of the input, in any order, gives the same plan to the byte."""

from __future__ import annotations

import io
import json
import pickle
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.kubelet import dump
from shim.nodefile import loads
from shim.skew.plan.inventory import Inventory, Pool, Routes
from shim.skew.plan.plan import begin, decide, workloads
from shim.skew.plan.report import Plan
from shim.skew.plan.tally import EXAMPLES, Part, Tally, count
from tests.skew.nodes import node

CONTEXTS = [
    {},
    {"seccompProfile": {"type": "RuntimeDefault"}},
    {"privileged": True},
    {"seccompProfile": {"type": "Localhost", "localhostProfile": "gone.json"}},
]
KINDS = ["ReplicaSet", "StatefulSet", "Node", "Job"]


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    app, serial = draw(st.sampled_from("abc")), draw(st.integers(0, 99))
    kind = draw(st.sampled_from(KINDS))
    names = draw(st.lists(st.sampled_from(["app", "proxy", "init"]), min_size=1, max_size=2, unique=True))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{app}-{serial}",
            "namespace": draw(st.sampled_from(["shop", "kube-system"])),
            "ownerReferences": [{"kind": kind, "name": app, "controller": True}],
        },
        "spec": {
            "nodeName": draw(st.sampled_from(["one", "two-1", "two-2", "three"])),
            "containers": [
                {"name": name, "image": "x", "securityContext": draw(st.sampled_from(CONTEXTS))} for name in names
            ],
        },
    }


def parts(text: str, where: str, window: int) -> list[Part]:
    return [Part(each) for each in dump.pieces(io.BytesIO(text.encode()), where, window=window)]


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    root = tmp_path_factory.mktemp("root")
    pairs = [
        ("one", ("1.30.14", "containerd 1.7.27"), ("1.31.13", "containerd 2.0.9")),
        ("two", ("1.33.5", "containerd 2.0.9"), ("1.33.5", "containerd 2.1.9")),
    ]
    pools = tuple(
        Pool(name, *(loads(node(root, *each), base=str(root)) for each in (before, after)))  # type: ignore[arg-type]
        for name, before, after in pairs
    )
    return Inventory(pools, Routes({"one": "one"}, (("two-*", "two"),), others=False))


def planned(inventory: Inventory, counts: list[Tally]) -> bytes:
    tally = Tally()
    for each in counts:
        tally.add(pickle.loads(pickle.dumps(each)))  # noqa: S301  as it comes from another process
    upgrades = begin(inventory)
    decided: Any = {}
    assert sum(decide(upgrades, tally, {}, decided)) <= tally.cases
    plan = Plan(upgrades)
    for workload in workloads(tally, decided):
        plan.take(workload)
    return msgspec.json.encode((plan.report(tally.unnamed), tally.pods))


@given(st.lists(pods(), max_size=30), st.integers(50, 3000), st.integers(50, 3000), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_any_cut_in_any_order_gives_the_same_plan(
    inventory: Inventory, things: list[Any], window: int, other: int, chance: random.Random
) -> None:
    half = len(things) // 2
    texts = [
        json.dumps({"apiVersion": "v1", "kind": "List", "items": some}, indent=1)
        for some in (things[:half], things[half:])
    ]
    found = []
    for size in (window, other):
        cut = [part for number, text in enumerate(texts) for part in parts(text, f"{number}.json", size)]
        chance.shuffle(cut)
        found.append(planned(inventory, [count(part, inventory.routes) for part in cut]))
    assert found[0] == found[1]
    assert json.loads(found[0])[1] == len(things)


@given(st.lists(pods(), max_size=20))
def test_adding_is_associative_and_commutative(things: list[Any]) -> None:
    texts = [json.dumps({"apiVersion": "v1", "kind": "List", "items": [each]}) for each in things]

    def counts() -> list[Tally]:
        return [count(part, Routes()) for text in texts for part in parts(text, "x", 1000)]

    forward, backward, left, right = Tally(), Tally(), Tally(), Tally()
    for each in counts():
        forward.add(each)
    for each in reversed(counts()):
        backward.add(each)
    for number, each in enumerate(counts()):
        (left if number % 2 else right).add(each)
    right.add(left)
    assert forward.groups == backward.groups == right.groups
    assert forward.pods == len(things)
    assert sum(each.pods for each in forward.groups.values()) == len(things)
    for group in forward.groups.values():
        assert len(group.examples) <= min(EXAMPLES, group.pods)
        assert group.examples == sorted(group.examples)


def test_a_workload_that_is_rolled_out_is_one_with_two_cases() -> None:
    def pod(name: str, **context: Any) -> dict[str, Any]:
        owners = [{"kind": "StatefulSet", "name": "db", "controller": True}]
        containers = [{"name": "db", "image": "x", "securityContext": context}]
        metadata = {"name": name, "ownerReferences": owners}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}

    things = [pod("db-0"), pod("db-1", privileged=True), pod("db-2")]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things}, indent=4)
    tally = Tally()
    for part in parts(text, "d.json", 100):
        tally.add(count(part, Routes()))
    assert sorted((each.pods, each.examples, each.place) for each in tally.groups.values()) == [
        (1, ["db-1"], ("d.json", 28)),
        (2, ["db-0", "db-2"], ("d.json", 5)),
    ]


def test_what_is_wrong_is_kept_for_the_end() -> None:
    bad = '{"apiVersion":"v1","kind":"List","items":[\n{"kind":"Pod","apiVersion":"v1","spec":7}]}'
    tally = count(Part(next(dump.read(bad.encode(), "bad.json"))), Routes())
    assert [(each.where, each.line) for each in tally.faults] == [("bad.json", 2)]


@pytest.mark.parametrize(("searched", "faults"), [(True, 0), (False, 1)])
def test_a_file_without_pods_is_only_wrong_if_it_was_named(searched: bool, faults: int) -> None:
    (piece,) = dump.read(b"apiVersion: v1\nkind: Service\nmetadata: {name: s}\n", "s.yaml")
    assert len(count(Part(piece, searched), Routes()).faults) == faults
