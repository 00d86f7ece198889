"""Searching for surprises: what has to be found is in surprises.yaml, with its sources; the rest are laws."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runtimes.errors import BadInput
from shim.skew.calls import call
from shim.skew.experiments.experiment import Configure, Experiment, Place, Step
from shim.skew.experiments.file import load, loads
from shim.skew.experiments.judge import judge
from shim.skew.experiments.moment import Moment
from shim.skew.experiments.play import Story, play
from shim.skew.experiments.text import text
from shim.skew.search.counterexample import counterexample
from shim.skew.search.exploring import Exploration
from shim.skew.search.exploring import Path as Moves
from shim.skew.search.properties import PROPERTIES, Property, named, surprise
from shim.skew.search.search import Found, Search
from shim.skew.search.standing import Standing, Trail

HERE = Path(__file__).parent
SKEW = HERE.parent.parent / "examples" / "skew"
EXAMPLES = sorted((*SKEW.glob("*.yaml"), *SKEW.glob("search/*.yaml")))
SURPRISES: list[dict[str, Any]] = yaml.safe_load((HERE / "surprises.yaml").read_text())
HOST = {"arch": "amd64", "kernel": "6.1", "seccomp": True, "cgroup": 2, "hostname": "node-1"}
CONTAINERS = {
    "web": "{name: web, image: nginx:1}",
    "cache": "{name: cache, image: redis:1, securityContext: {seccompProfile: {type: RuntimeDefault}}}",
    "debug": "{name: debug, image: busybox:1, securityContext: {seccompProfile: {type: Unconfined}}}",
}
STRICT = '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", "exit"], "action": "SCMP_ACT_ALLOW"}]}'


def shop(*containers: str) -> str:
    listed = ", ".join(CONTAINERS[name] for name in containers or CONTAINERS)
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: shop}}\nspec: {{containers: [{listed}]}}\n"


def searched(
    kubelet: dict[str, Any], runtime: dict[str, Any], moves: list[Any], *, root: Path | None = None, **more: Any
) -> Experiment:
    """Return an experiment with one node and one pod, its steps in any order."""
    host = HOST | ({"root": str(root)} if root else {})
    whole = {
        "nodes": {"node-1": {"host": host, "kubelet": kubelet, "runtime": runtime}},
        "workloads": {"shop": shop(*more.pop("containers", ()))} | more.pop("workloads", {}),
        "steps": moves,
    }
    return loads(yaml.safe_dump(whole | more), "search.yaml", base=str(HERE), in_any_order=True)


# What is found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a node that has a profile of its own for CRI-O."""
    directory = tmp_path_factory.mktemp("root")
    (directory / "etc" / "crio").mkdir(parents=True)
    (directory / "etc" / "crio" / "strict.json").write_text(STRICT)
    return directory


@pytest.mark.parametrize("row", SURPRISES, ids=[row["says"] for row in SURPRISES])
def test_a_search_finds_a_shortest_way_to_what_is_known_to_surprise(row: dict[str, Any], root: Path) -> None:
    experiment = searched(row["kubelet"], row["runtime"], row["moves"], root=root, containers=row.get("containers", ()))
    (broken,) = named([row["property"]], tuple(call(each) for each in filter(None, [row.get("call")])))
    found = Search(experiment, "node-1", (broken,)).run()
    assert found is not None
    assert [step.name for step in found.steps] == row["steps"]
    assert any(row["surprise"] in each.says for each in found.surprises), found.surprises
    shows_it_and_no_beginning_of_it_does(experiment, found, broken, root)


def shows_it_and_no_beginning_of_it_does(experiment: Experiment, found: Found, broken: Property, base: Path) -> None:
    """Play what was found as `crishim skew run` plays any file."""
    written = text(counterexample(experiment, found), str(base))
    example = loads(written, "found.yaml", base=str(base))
    ((_, story),) = play(example)
    shown = surprise(broken, story)
    assert shown is not None
    assert shown[0] == len(found.steps), "the surprise comes with the last step, and not before"
    verdicts = judge(example, {"node-1": story})
    assert verdicts, "something is expected"
    assert [verdict.found for verdict in verdicts if verdict.found] == []


def test_the_expectations_of_a_counterexample_fail_where_there_is_no_surprise(root: Path) -> None:
    row = SURPRISES[0]
    experiment = searched(row["kubelet"], row["runtime"], row["moves"])
    found = Search(experiment, "node-1", named([row["property"]], (call(row["call"]),))).run()
    assert found is not None
    mended = text(counterexample(experiment, found), str(root)).replace("{runtime: 2.1.9}", "{runtime: 2.2.4}")
    example = loads(mended, "mended.yaml", base=str(root))
    assert any(verdict.found for verdict in judge(example, dict(play(example))))


def test_what_a_search_that_ends_did_not_find_is_not_there() -> None:
    """From 2.0.9 on, these releases all block AF_ALG (containerd#13406 to #13409)."""
    moves = [
        {"upgrade": {"runtime": "2.2.4"}},
        {"upgrade": {"runtime": "2.3.1"}},
        {"restart": {"pod": "shop"}},
    ]
    experiment = searched({"version": "1.33.5"}, {"name": "containerd", "version": "2.0.9"}, moves)
    search = Search(experiment, "node-1", named(["never-less-confined"], (call("socket(AF_ALG)"),)))
    assert search.run() is None
    assert search.exhaustive
    assert search.exploration.states == 5, "three releases, with the profile of 2.0.9 or that of the two others"


@pytest.mark.parametrize(
    ("depth", "states", "bound"), [(1, 5000, "depth"), (8, 3, "states"), (0, 5000, "depth"), (8, 1, "states")]
)
def test_a_search_that_is_cut_short_does_not_call_itself_exhaustive(depth: int, states: int, bound: str) -> None:
    moves = [{"upgrade": {"runtime": name}} for name in ("2.0.9", "2.1.9", "2.2.4")]
    experiment = searched({"version": "1.33.5"}, {"name": "containerd", "version": "1.7.31"}, moves)
    search = Search(experiment, "node-1", named(["always-starts"]), depth=depth, states=states)
    assert search.run() is None
    assert search.exploration.bound == bound
    assert not search.exhaustive
    assert search.exploration.states <= states
    assert search.exploration.longest <= depth


def test_a_move_that_is_never_possible_is_told_of() -> None:
    moves: list[Any] = [{"downgrade": {"runtime": "1.6.20"}}, {"downgrade": {"runtime": "2.0.9"}}]
    experiment = searched({"version": "1.33.5"}, {"name": "containerd", "version": "1.7.31"}, moves)
    search = Search(experiment, "node-1", named(["always-starts"]))
    search.run()
    ((step, why),) = search.impossible
    assert step.name == "downgrade runtime to 2.0.9"
    assert why.startswith("containerd 2.0.9 is newer than 1.7.31")


def test_a_workload_that_no_step_of_the_way_deploys_is_not_in_the_file() -> None:
    late = {"late": shop("debug").replace("name: shop", "name: late")}
    moves: list[Any] = [{"deploy": "late"}, {"delete": ["shop", "late"]}, {"upgrade": {"runtime": "2.0.9"}}]
    experiment = searched({"version": "1.33.5"}, {"name": "containerd", "version": "2.0.8"}, moves, workloads=late)
    (broken,) = named(["restart-changes-nothing"])
    found = Search(experiment, "node-1", (broken,)).run()
    assert found is not None
    assert list(counterexample(experiment, found).workloads) == ["shop"]
    (broken,) = named(["never-unconfined"])
    found = Search(replace(experiment, workloads={"late": experiment.workloads["late"]}), "node-1", (broken,)).run()
    assert found is not None
    assert [step.name for step in found.steps] == ["deploy late"]


# The file


def test_steps_in_any_order_are_checked_each_for_itself() -> None:
    moves: list[Any] = [{"upgrade": {"runtime": "2.0.9"}}, {"upgrade": {"runtime": "1.7.31"}}]
    searched({"version": "1.33.5"}, {"name": "containerd", "version": "1.6.20"}, moves)
    wrong: list[Any] = [{"upgrade": {"runtime": "2.0.99"}}, {"restart": {"pod": "gone"}}, {"configure": {"a.b": "1"}}]
    with pytest.raises(BadInput) as raised:
        searched({"version": "1.33.5"}, {"name": "containerd", "version": "1.6.20"}, wrong)
    for words in ("2.0.99 is not a known release", "nothing is pod gone", "there is no such setting"):
        assert words in str(raised.value)


def bare(experiment: Experiment) -> Experiment:
    """Leave out where everything stands."""
    steps = tuple(
        replace(step, place=Place(), expect=tuple(replace(each, place=Place()) for each in step.expect))
        for step in experiment.steps
    )
    nodes = {name: replace(each, origin=type(each.origin)()) for name, each in experiment.nodes.items()}
    workloads = {
        name: replace(
            each, pods=tuple(replace(pod, origin=replace(pod.origin, where="", line=None)) for pod in each.pods)
        )
        for name, each in experiment.workloads.items()
    }
    at_end = tuple(replace(each, place=Place()) for each in experiment.expect)
    return replace(experiment, where="", nodes=nodes, workloads=workloads, steps=steps, expect=at_end)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
@pytest.mark.parametrize("base", ["beside", "elsewhere", "nowhere"])
def test_an_experiment_that_is_written_reads_the_same(path: Path, base: str, tmp_path: Path) -> None:
    directory = {"beside": str(path.parent), "elsewhere": str(tmp_path), "nowhere": "/"}[base]
    try:
        experiment = load(str(path))
    except BadInput:
        experiment = load(str(path), in_any_order=True)
    written = text(experiment, directory)
    again = loads(written, "again.yaml", base=directory, in_any_order=True)
    assert bare(again) == bare(experiment)


WORDS = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" '\":#-|>{}[],&*!%@`\n"), min_size=1)


@given(title=WORDS | st.text("ab \n", min_size=90), name=WORDS, setting=st.text("abc: #{}[]-'\"0", min_size=1))
def test_words_of_any_kind_are_written_as_they_are(title: str, name: str, setting: str) -> None:
    plain = searched({"version": "1.33.5"}, {"name": "cri-o", "version": "1.33.0"}, ["reboot"])
    steps = (
        replace(plain.steps[0], name=name),
        replace(plain.steps[0], name="configure", action=Configure(settings={"host.hostname": setting})),
    )
    experiment = replace(plain, title=title, steps=steps)
    read = yaml.safe_load(text(experiment, "/"))
    assert read["title"] == title
    assert read["steps"][0]["name"] == name
    assert read["steps"][1]["configure"] == {"host.hostname": _meant(setting)}


def _meant(setting: str) -> Any:
    """Lists stand for themselves, as `apply_settings` reads them."""
    try:
        value = json.loads(setting)
    except ValueError:
        return setting
    return value if isinstance(value, list) else setting


# Laws of the walk, on graphs without a meaning


GRAPHS = st.integers(1, 6).flatmap(
    lambda size: st.lists(
        st.lists(st.one_of(st.none(), st.integers(0, size - 1)), min_size=3, max_size=3), min_size=size, max_size=size
    )
)
"""For each state where each of three moves leads, None where it is not possible."""


def end(graph: list[list[int | None]], path: Moves) -> int:
    state = 0
    for move in path:
        there = graph[state][move]
        assert there is not None
        state = there
    return state


def walk(graph: list[list[int | None]], depth: int = 20, states: int = 20) -> tuple[Exploration, list[Moves]]:
    def after(path: Moves) -> list[tuple[int, int]]:
        return [(move, there) for move, there in enumerate(graph[end(graph, path)]) if there is not None]

    exploration = Exploration(after, depth=depth, states=states)
    return exploration, list(exploration.paths(0))


def distances(graph: list[list[int | None]]) -> dict[int, int]:
    """Return how many moves lead to each state, found by trying all ways that are long enough."""
    found = {0: 0}
    for _ in graph:
        for state, there in itertools.product(list(found), range(3)):
            to = graph[state][there]
            if to is not None:
                found[to] = min(found.get(to, 99), found[state] + 1)
    return found


@given(GRAPHS)
def test_the_first_way_to_a_state_is_a_shortest_one_and_no_transition_is_looked_at_twice(
    graph: list[list[int | None]],
) -> None:
    exploration, paths = walk(graph)
    far = distances(graph)
    assert exploration.bound == ""
    assert exploration.states == len(far)
    transitions = [(end(graph, path[:-1]), path[-1]) for path in paths]
    possible = [(state, move) for state in far for move in range(3) if graph[state][move] is not None]
    assert sorted(transitions) == sorted(possible)
    assert exploration.transitions == len(paths)
    for path in paths:
        assert len(path) == far[end(graph, path[:-1])] + 1
    assert [len(path) for path in paths] == sorted(len(path) for path in paths)


@given(GRAPHS, st.integers(0, 4), st.integers(1, 6))
def test_bounds_are_kept_and_told_of_where_they_keep_anything_back(
    graph: list[list[int | None]], depth: int, states: int
) -> None:
    exploration, paths = walk(graph, depth, states)
    everything = walk(graph)[1]
    assert paths == everything[: len(paths)]
    assert exploration.states <= states
    assert all(len(path) <= depth for path in paths)
    if not exploration.bound:
        assert paths == everything


# Laws of states: the ways in which nodes are copied and told apart


MOVES = [
    {"upgrade": {"runtime": "2.0.9"}},
    {"upgrade": {"kubelet": "1.31.14"}},
    {"downgrade": {"kubelet": "1.28.14"}},
    {"configure": {"kubelet.seccompDefault": True}},
    {"flip": {"NoSuchGate": True}},
    {"flip": {"NoSuchGate": None}},
    {"restart": "kubelet"},
    {"restart": {"container": "web"}},
    {"restart": {"workload": "shop"}},
    "drain",
    "uncordon",
    "reboot",
    {"wait": "11"},
    {"deploy": "late"},
    {"delete": "late"},
]
LATE = """
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  initContainers: [{name: first, image: busybox:1}]
  containers:
    - {name: lacks, image: a:1, securityContext: {seccompProfile: {type: Localhost, localhostProfile: gone.json}}}
    - {name: other, image: b:1}
"""


@pytest.fixture(scope="module")
def many() -> Experiment:
    """An experiment with moves of every kind."""
    return searched(
        {"version": "1.30.14"}, {"name": "containerd", "version": "1.7.31"}, MOVES, workloads={"late": LATE}
    )


def seen(moment: Moment) -> list[Any]:
    """Return what is to be the same however a node came there: all but ids."""
    containers = [
        (each.key, each.kind, each.state, each.posture.title, each.posture.digest, each.next.title, each.pending)
        for each in moment.seen
    ]
    return [moment.kubelet, moment.runtime, moment.builds, moment.setup, containers]


@given(paths=st.lists(st.lists(st.integers(0, len(MOVES) - 1), max_size=5), min_size=1, max_size=3))
@settings(max_examples=15)
def test_a_copy_goes_on_as_the_node_itself_would(many: Experiment, paths: list[list[int]]) -> None:
    with contextlib.closing(Trail(Standing.first(many, "node-1"), tuple(step.action for step in many.steps))) as trail:
        for path in paths:
            taken: list[Step] = []
            for move in path:
                with contextlib.suppress(BadInput):
                    trail.at((*(many.steps.index(step) for step in taken), move))
                    taken.append(many.steps[move])
            here = trail.at(tuple(many.steps.index(step) for step in taken))
            story = alone(many, taken)
            assert seen(here.moment) == seen(story[-1])


def alone(many: Experiment, steps: list[Step]) -> list[Moment]:
    """Play steps from the start, as a run does; those that are not there from the start are deployed by a step."""
    later = [each for each in many.steps if "deploy" in each.name]
    known = replace(many, steps=(*steps, *later))
    with contextlib.ExitStack() as stack:
        standing = stack.enter_context(contextlib.closing(Standing.first(known, "node-1")))
        moments = [standing.moment]
        for step in steps:
            standing.site.do(step.action)
            moments.append(standing.site.moment())
    return moments


@pytest.fixture(scope="module")
def reloading(root: Path) -> Experiment:
    """An experiment with a runtime that reloads, and loses what its flags said."""
    runtime = {"name": "cri-o", "version": "1.28.11", "flags": ["--seccomp-profile=/etc/crio/strict.json"]}
    moves = [
        {"reload": "runtime"},
        {"restart": "runtime"},
        {"restart": {"workload": "shop"}},
        {"configure": {"runtime.flags": None}},
        {"upgrade": {"runtime": "1.29.9"}},
    ]
    return searched({"version": "1.28.14"}, runtime, moves, root=root)


@pytest.fixture(scope="module")
def speaking() -> Experiment:
    """An experiment with a kubelet that speaks v1alpha2 as long as it runs, because its runtime did when it started."""
    moves: list[Any] = [{"upgrade": {"runtime": "1.25.5"}}, {"upgrade": {"runtime": "1.26.4"}}, {"restart": "kubelet"}]
    return searched({"version": "1.23.17"}, {"name": "cri-o", "version": "1.20.7"}, moves)


WAYS = [
    ("many", (0, 3, 6, 7, 11)),
    ("many", (8, 9, 10, 11, 13, 14)),
    ("many", (1, 2, 4, 5, 6)),
    ("many", (6, 7, 12, 13)),
    ("reloading", (0, 1, 2, 3, 4)),
    ("speaking", (0, 1, 2)),
]


@pytest.mark.parametrize(("name", "moves"), WAYS, ids=str)
def test_of_two_ways_to_a_state_it_does_not_matter_which_was_taken(
    name: str, moves: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    """What tells states apart tells enough: from one state each move leads to one state, whatever was before."""
    experiment: Experiment = request.getfixturevalue(name)
    actions = tuple(experiment.steps[move].action for move in moves)
    first = Standing.first(experiment, "node-1")
    keys: dict[Moves, bytes] = {(): first.key()}
    leads: dict[tuple[bytes, int], tuple[Any, ...]] = {}
    with contextlib.closing(Trail(first, actions)) as trail:
        for length in range(3):
            for path in [path for path in keys if len(path) == length]:
                here = trail.at(path)
                for move, action in enumerate(actions):
                    try:
                        there = here.after(action)
                    except BadInput:
                        to: tuple[Any, ...] = (None,)
                    else:
                        with contextlib.closing(there):
                            keys[*path, move] = there.key()
                            to = (there.key(), seen(there.moment))
                    assert leads.setdefault((keys[path], move), to) == to, (path, move)
    assert len(set(keys.values())) < len(keys)


def test_looking_at_a_property_of_a_story_and_searching_agree() -> None:
    """The same functions judge both: a story without a surprise is one that a search passes by."""
    experiment = searched({"version": "1.33.5"}, {"name": "containerd", "version": "2.0.9"}, ["reboot"])
    story: Story = dict(play(experiment))["node-1"]
    held = [name for name, each in PROPERTIES.items() if surprise(each, story) is None]
    assert held == [name for name in PROPERTIES if Search(experiment, "node-1", named([name])).run() is None]
    assert held == ["never-less-confined", "rollback-exact", "always-starts", "restart-changes-nothing"]
