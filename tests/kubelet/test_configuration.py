"""A kubelet set up as people have it: a configuration file, drop-ins, a command line.

Evidence: cmd/kubelet/app/server.go and options.go at v1.18.6, v1.22.0, v1.24.16, v1.28.14, v1.29.9 and v1.31.13,
kubernetes/kubelet config/v1beta1/types.go at its tags, and how encoding/json, json-patch and mergo treat what they get.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runtimes.errors import BadInput, Refused
from runtimes.facts import read_data
from runtimes.files import MemoryFiles
from runtimes.release import Span
from shim.kubelet.configfile import Sources
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.releases import releases

FILE = "/var/lib/kubelet/config.yaml"
FOLDER = "/etc/kubernetes/kubelet.conf.d"
VARIABLE = {"KUBELET_CONFIG_DROPIN_DIR_ALPHA": "1"}
HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
ON, OFF = HEAD + "seccompDefault: true\n", HEAD + "seccompDefault: false\n"


def start(version: str, *words: str, text: str | None = None, **more: Any) -> Kubelet:
    """Start with a file, drop-ins (`drop_ins`: name -> text), an environment, and words."""
    drop_ins: dict[str, str] = more.pop("drop_ins", {})
    files = MemoryFiles({f"{FOLDER}/{name}": each.encode() for name, each in drop_ins.items()})
    if text is not None:
        files[FILE] = text.encode()
    sources = Sources(
        files=files,
        config=more.pop("config", FILE if text is not None else ""),
        config_dir=FOLDER if drop_ins else "",
        environment=more.pop("environment", {}),
    )
    return Kubelet.start(version, command_line=words, sources=sources, **more)


TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    Path(__file__)
    .with_name("configurations.yaml")
    .read_text()
    .replace("HEAD", HEAD.replace("\n", "\\n"))
    .replace("FILE", FILE)
    .replace("FOLDER", FOLDER)
)


def of(row: dict[str, Any]) -> Kubelet:
    return start(row["version"], *row.get("words", ()), text=row.get("text"), **row.get("more", {}))


@pytest.mark.parametrize("row", TABLE["effects"], ids=lambda row: f"{row['version']} {row['why']}")
def test_what_is_in_effect(row: dict[str, Any]) -> None:
    switch = of(row).settings.seccomp_default
    assert [switch.on, switch.origin] == row["gives"]


@pytest.mark.parametrize("row", TABLE["refusals"], ids=lambda row: f"{row['version']} {row['why']}")
def test_a_kubelet_refuses_in_its_own_words(row: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        of(row)
    assert refusal.value.message == row["says"]


MALFORMED = [
    ("kind: KubeletConfiguration\n", f"{FILE}:1: apiVersion: it is missing (kubelet.config.k8s.io/v1beta1)"),
    (
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: Pod\n",
        f"{FILE}:2: kind: it is 'Pod' (KubeletConfiguration)",
    ),
    (HEAD + 'seccompDefault: "true"\n', f"{FILE}:3: seccompDefault: true or false is expected"),
    (HEAD + "address: 1\n", f"{FILE}:3: address: text is expected"),
    (HEAD + "maxPods: true\n", f"{FILE}:3: maxPods: a whole number is expected"),
    (HEAD + "featureGates: {SeccompDefault: 1}\n", f"{FILE}:3: featureGates.SeccompDefault: true or false is expected"),
    (HEAD + "clusterDNS: 10.0.0.10\n", f"{FILE}:3: clusterDNS: a list is expected"),
    ("- 1\n", f"{FILE}: it is no configuration of a kubelet (one mapping of kind KubeletConfiguration)"),
    (HEAD + "a:\tb\n\tc: d\n", f"{FILE}:4:1: a tab stands where YAML wants spaces (spaces)"),
    (HEAD + "port: 1\nport: 2\n", f"{FILE}:4:1: the key 'port' stands twice in one mapping, first on line 3"),
]


@pytest.mark.parametrize(("text", "sentence"), MALFORMED)
def test_a_malformed_file_is_told_with_its_line_and_field(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as fault:
        start("1.30.0", text=text)
    assert str(fault.value) == sentence


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:
    sources = Sources(files=MemoryFiles({FILE: HEAD.encode() + b"a: \xff"}), config=FILE)
    with pytest.raises(BadInput, match=r"config.yaml:3: byte 0xff is no UTF-8"):
        Kubelet.start("1.30.0", sources=sources)


def test_what_a_release_does_not_know_is_lost_with_a_warning() -> None:
    text = HEAD + "enableServer: true\nFailSwapOn: false\nnobodys: 1\nmaxPods: 10\n"
    (step,) = start("1.18.0", text=text).notes
    assert step.warns
    assert "enableServer, FailSwapOn (did you mean failSwapOn?), nobodys;" in step.because
    (step,) = start("1.19.0", text=text).notes
    assert "enableServer" not in step.because


def test_no_on_a_command_line_beside_yes_in_a_file_is_explained() -> None:
    steps = start("1.30.0", "--seccomp-default=false", text=ON).settings.seccomp_default.steps
    assert any(
        step.warns and f"what the configuration {FILE} turns on: either one suffices" in step.because for step in steps
    )


def test_the_drop_in_that_had_the_last_word_is_named() -> None:
    steps = start("1.30.0", drop_ins={"10-a.conf": ON, "20-b.conf": ON}).settings.seccomp_default.steps
    assert steps[0].because == f"the drop-in {FOLDER}/20-b.conf turns seccompDefault on"
    merged = start("1.28.0", text=ON, drop_ins={"1.conf": OFF}, environment=VARIABLE)
    assert any("does not turn off" in step.because for step in merged.notes)


def test_the_command_line_says_where_profiles_are() -> None:
    assert start("1.30.0", "--root-dir=/data").settings.profile_root.path == "/data/seccomp"
    assert start("1.22.0", "--root-dir=/data", "--seccomp-profile-root", "/p").settings.profile_root.path == "/p"


def test_a_file_is_named_once() -> None:
    with pytest.raises(BadInput, match="config is there twice"):
        start("1.30.0", f"--config={FILE}", text=ON)


def test_every_field_of_a_release_is_taken_by_it_and_by_all_later_ones() -> None:
    fields: dict[str, dict[str, str]] = read_data("shim.kubelet", "configuration")
    samples = {
        "text": "x",
        "bool": True,
        "whole": 1,
        "number": 0.5,
        "duration": "1s",
        "list": [],
        "map": {},
        "object": {},
    }
    for line in ("1.18", "1.27", "1.36"):
        known = {
            name: samples[field["is"]]
            for name, field in fields.items()
            if tuple(map(int, field.get("since", "1.18").split("."))) <= tuple(map(int, line.split(".")))
        }
        assert start(line, text=HEAD + yaml.safe_dump(known)).notes[1:] == ()


def test_flags_come_and_go_with_known_releases() -> None:
    flags: dict[str, dict[str, Any]] = read_data("shim.kubelet", "flags")
    lines = {known.release.branch for known in releases()}
    for name, record in flags.items():
        span = Span.read(record)
        assert {bound.branch for bound in (*span.since, *span.until)} <= lines, name
        assert record["takes"] in {"bool", "whole", "text"}
    assert {"config", "feature-gates", "root-dir", "kubeconfig", "v"} <= set(flags)
