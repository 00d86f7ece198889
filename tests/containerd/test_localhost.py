"""Profile files as each release decodes them: twenty files, and what contrib/seccomp at every tag made of them.

`by_release` of `localhost.json` gives the number of the result for each release, in the order of releases.yaml.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.containerd import model, seccomp
from runtimes.containerd.known import Known
from runtimes.containerd.objection import Objection
from runtimes.files import MemoryFiles
from runtimes.host import Host

FILE = "/var/lib/kubelet/seccomp/p.json"
CHOICE = seccomp.Choice("file", (), FILE)


@functools.cache
def recorded() -> Any:
    return json.loads(Path(__file__).with_name("localhost.json").read_text())


@pytest.mark.parametrize("name", recorded())
def test_every_release_decodes_it_as_upstream(name: str) -> None:
    record = recorded()[name]
    files = MemoryFiles({FILE: record["input"].encode()})
    for known, number in zip(model.releases(), record["by_release"], strict=True):
        expected = record["results"][int(number)]
        try:
            found, _ = seccomp.section(CHOICE, Known(known.release), Host(), (), files)
            answer = json.dumps(found)
        except Objection as objection:
            answer = str(objection)
        if "error" not in expected:
            assert answer == json.dumps(expected["output"]), known.release
            continue
        assert answer.lower().startswith("decoding seccomp profile failed"), known.release
        if known.release.upstream != "2.3.4":  # a later Go has other words for some
            assert answer.endswith(expected["error"]), known.release


def test_what_is_lost_is_told() -> None:
    docker = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [],
        "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}}, {"name": "x"}],
    }
    files = MemoryFiles({FILE: json.dumps(docker).encode()})
    _, steps = seccomp.section(CHOICE, Known(model.releases()[-1].release), Host(), (), files)
    warnings = [step.because for step in steps if step.warns]
    assert "archMap, syscalls[0].includes, syscalls[1].name" in warnings[0]
    assert "1 of the rules name no system call" in warnings[1]
