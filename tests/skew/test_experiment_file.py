"""Reading an experiment: what is right means what it should, and what is wrong is told at once, with its place."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from runtimes.errors import BadInput
from shim.cli.main import main
from shim.skew.calls import Call
from shim.skew.experiments.actions import VERBS
from shim.skew.experiments.experiment import (
    Configure,
    Deploy,
    Drain,
    Kill,
    Place,
    Reboot,
    Reload,
    Restart,
    Uncordon,
    Upgrade,
    Wait,
    Which,
)
from shim.skew.experiments.file import load, loads, schema
from tests.skew.playing import experiment

TABLE = yaml.safe_load((Path(__file__).parent / "wrong_experiments.yaml").read_text())
HEAD: str = TABLE["head"]
CHECKS = "profile, digest, state, message, unchanged, because, kubelet, runtime, capabilities, allows, denies"


def written(directory: Path, row: dict[str, Any]) -> Path:
    """Write down the files of a row and return the experiment's path."""
    for name, text in row.get("files", {}).items():
        (directory / name).write_text(text)
    path = directory / "e.yaml"
    path.write_text(row["text"].replace("HEAD\n", HEAD).replace("HEAD", HEAD.rstrip("\n")))
    return path


@pytest.mark.parametrize("row", TABLE["wrong"], ids=lambda row: row["what"].replace(" ", "-"))
def test_what_is_wrong_is_told_with_its_place(
    row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, row)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as raised:
        load("e.yaml")
    known = {"VERBS": ", ".join(VERBS), "CHECKS": CHECKS, "EXPECTATION": ", ".join(_expectation_fields())}
    answer = re.sub("|".join(known), lambda found: known[found[0]], row["answer"].rstrip("\n"))
    told = [line.replace(f"{tmp_path}/", "BASE/").replace("BASE/e.yaml", "e.yaml") for line in _lines(raised.value)]
    assert told == answer.split("\n")


def _expectation_fields() -> list[str]:
    return list(schema()["$defs"]["expectation"]["properties"])


def _lines(fault: BadInput) -> list[str]:
    return str(fault).split("\n")


@pytest.mark.parametrize(
    "row", [row for row in TABLE["wrong"] if row["schema"] is not None], ids=lambda row: row["what"].replace(" ", "-")
)
def test_an_editor_that_has_the_schema_sees_the_same(row: dict[str, Any], tmp_path: Path) -> None:
    value = yaml.safe_load(written(tmp_path, row).read_text())
    assert jsonschema.Draft202012Validator(schema()).is_valid(value) is not row["schema"]


def test_nothing_is_played_where_anything_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shim.skew.experiments.play.play", lambda *_: pytest.fail("it was played"))
    path = written(tmp_path, {"text": "HEAD\nsteps:\n- restart: {pod: x}\n"})
    assert main(["skew", "run", str(path)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err == f"{path}:14:12: steps[0].restart: nothing is pod x\n"


# What is right

STEPS = """
steps:
  - deploy: shop
  - delete: [sh*p]
  - configure: {kubelet.seccompDefault: true, kubelet.flags: [--seccomp-default], runtime.config: null}
  - flip: {SeccompDefault: true, Other: null}
  - upgrade: {kubelet: 1.25.16, runtime: 1.7.24}
  - upgrade: {runtime: cri-o@1.30.14, drained: true}
  - downgrade: {kubelet: 1.24.17}
  - restart: kubelet
  - restart: runtime
  - restart: {pod: shop}
  - restart: {container: [web, "shop/w*"]}
  - reload: runtime
  - reboot
  - reboot: node
  - drain
  - uncordon: null
  - wait: 90
  - wait: 5m
  - wait: 1.5h
  - {name: nothing happens, wait: 0, nodes: n1}
"""


def test_every_step_is_understood() -> None:
    found = experiment(HEAD + STEPS)
    versions = {"kubelet.version": "1.25.16", "runtime.version": "1.7.24"}
    settings = {"kubelet.seccompDefault": "true", "kubelet.flags": '["--seccomp-default"]', "runtime.config": "null"}
    gates = {"kubelet.featureGates.SeccompDefault": "true", "kubelet.featureGates.Other": "null"}
    assert [step.action for step in found.steps] == [
        Deploy(workloads=("shop",)),
        found.steps[1].action,
        Configure(settings=settings),
        Configure(settings=gates),
        Upgrade(versions=versions),
        Upgrade(versions={"runtime.version": "cri-o@1.30.14"}, drained=True),
        Upgrade(versions={"kubelet.version": "1.24.17"}, down=True),
        Restart(component="kubelet"),
        Restart(component="runtime"),
        Kill(which=Which(pod=("shop",)), whole=True),
        Kill(which=Which(container=("web", "shop/w*")), whole=False),
        Reload(),
        Reboot(),
        Reboot(),
        Drain(),
        Uncordon(),
        Wait(seconds=90),
        Wait(seconds=300),
        Wait(seconds=5400),
        Wait(seconds=0),
    ]
    assert str(found.steps[1].action) == "delete sh*p"
    assert found.steps[-1].name == "nothing happens"
    assert found.steps[-1].nodes == ("n1",)
    assert found.first == ()  # a step deploys it


def test_every_expectation_is_understood() -> None:
    found = experiment(
        HEAD
        + """
expect:
  - node: n*
    workload: [shop]
    pod: default/shop
    container: web
    profile: RuntimeDefault of containerd 1.6.20
    digest: 4fa7b290481c
    capabilities: [CHOWN, "!CAP_SYS_ADMIN"]
    allows: [read, "clone(CLONE_NEWUSER)"]
    denies: "socket(_, AF_ALG, 0x10):ENOSYS"
    state: Running
    message: words
    unchanged: until-restart
    because: more words
    kubelet: running
    runtime: words
"""
    )
    (expected,) = found.expect
    which = Which(node=("n*",), workload=("shop",), pod=("default/shop",), container=("web",))
    assert expected.which == which
    assert expected.place == Place("experiment.yaml", 15, 5, "expect[0]")
    assert expected.capabilities == ("CHOWN", "!CAP_SYS_ADMIN")
    assert expected.allows == (Call("read", "read"), Call("clone(CLONE_NEWUSER)", "clone", {0: 0x10000000}))
    assert expected.denies == (Call("socket(_, AF_ALG, 0x10):ENOSYS", "socket", {1: 38, 2: 16}, 38),)
    assert (expected.unchanged, expected.kubelet, expected.runtime) == ("until-restart", "running", "words")


@pytest.mark.parametrize(
    ("which", "matches"),
    [
        (Which(), True),
        (Which(pod=("shop",)), True),
        (Which(pod=("default/shop",)), True),
        (Which(pod=("other/shop", "sh?p")), True),
        (Which(pod=("other/shop",)), False),
        (Which(container=("shop/web",)), True),
        (Which(container=("default/shop/web",)), True),
        (Which(container=("Web",)), False),
        (Which(node=("n2",), container=("web",)), False),
        (Which(workload=("w[12]",)), True),
    ],
)
def test_whom_a_selector_means(which: Which, matches: bool) -> None:
    assert which.matches("n1", "w1", "default/shop", "web") is matches


def test_included_nodes_and_workloads_are_there_and_included_steps_come_first(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n")
    (below / "part.yaml").write_text(
        "title: not this one\nworkloads: {a: pod.yaml}\nsteps: [{wait: 1}]\nexpect: [{container: c, state: Running}]\n"
    )
    (tmp_path / "node.yaml").write_text("host: {root: below}\nkubelet: {version: 1.30.14}\n")
    text = "title: whole\ninclude: [below/part.yaml]\nnodes: {n1: node.yaml}\nsteps: [{wait: 2}]\n"
    found = loads(text, "whole.yaml", base=str(tmp_path))
    assert found.title == "whole"
    assert found.nodes["n1"].host.root == str(below)
    assert [str(pod) for pod in found.workloads["a"].pods] == ["default/a"]
    assert [step.action for step in found.steps] == [Wait(seconds=1), Wait(seconds=2)]
    assert found.expect[0].place.file == str(below / "part.yaml")


def test_a_file_may_be_included_twice_where_it_adds_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "steps.yaml").write_text("steps: [{wait: 1}]\n")
    (tmp_path / "more.yaml").write_text("include: [steps.yaml]\n")
    found = loads(f"include: [steps.yaml, more.yaml]\n{HEAD}", "e.yaml", base=str(tmp_path))
    assert len(found.steps) == 2


def test_paths_of_a_step_start_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("version = 2\n")
    found = loads(f"{HEAD}steps: [configure: {{runtime.config: c.toml}}]\n", "e.yaml", base=str(tmp_path))
    assert found.steps[0].action == Configure(settings={"runtime.config": f"file://{tmp_path}/c.toml"})


def test_standard_input_is_read_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{HEAD}steps: [x]\n".encode())))
    assert main(["skew", "run", "-"]) == 2
    assert capsys.readouterr().err.startswith("standard input:13:9: steps[0]: ")
