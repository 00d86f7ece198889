"""`crishim profile`: the built-in profile of a release, and its audit variant."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes import runc
from runtimes.containerd import model, seccomp
from runtimes.containerd.known import Known
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import find
from runtimes.oci import Seccomp, logged
from runtimes.release import parse
from shim.builtin import builtin_profile
from shim.cli.main import main
from tests.containerd.player import digest

# What upstream's own function answered at every tag (tests/containerd/test_default_profile.py says how).
# To 1.2, ALL means what is missing behind what is there: not the order that is recorded.
APPENDS_ALL = "1.2."
RECORDED = Path(__file__).parent.parent / "containerd" / "profile_digests.json"


@functools.cache
def recorded() -> Any:
    return json.loads(RECORDED.read_text())


def asked(key: str) -> tuple[str, str, list[str], list[str]] | None:
    """Return what to ask for to get what a recording is of: arch, kernel, added, dropped; None where nothing does."""
    arch, _, named = key.partition("/")
    named, old, _ = named.partition("@kernel<4.8")
    add, drop = {"all": (["ALL"], []), "none": ([], ["ALL"])}.get(named, ([], []))
    if named.startswith("only:"):
        add, drop = [named.removeprefix("only:")], ["ALL"]
    elif named.startswith("default+CAP_"):
        add = [named.removeprefix("default+")]
    elif named.startswith("default-"):
        drop = [named.removeprefix("default-")]
    elif named == "default+all-reactive":
        return None
    return arch, "4.4" if old else "6.1.0-18-amd64", add, drop


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["profile", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("group", recorded()["groups"], ids=lambda group: group["tags"][0])
def test_what_is_printed_is_upstreams(group: dict[str, Any]) -> None:
    wrong = []
    for tag in {group["tags"][0], group["tags"][-1]}:
        for key, expected in zip(recorded()["keys"], group["digests"], strict=True):
            question = asked(key)
            if not expected or question is None or (key.endswith("/all") and tag.startswith(APPENDS_ALL)):
                continue
            arch, kernel, add, drop = question
            host = Host(arch=arch, kernel=kernel)
            found = builtin_profile(model, parse(tag), host, add=add, drop=drop).section
            if not str(digest(found)).startswith(expected):
                wrong.append((tag, key))
    assert not wrong


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["containerd@2.2.4"], "amd64/default"),
        (["containerd@v2.2.4", "--add-cap", "SYS_ADMIN"], "amd64/default+CAP_SYS_ADMIN"),
        (["containerd@2.2.4", "--add-cap", "cap_sys_admin"], "amd64/default+CAP_SYS_ADMIN"),
        (["containerd@2.2.4", "--drop-cap", "ALL", "--add-cap", "BPF"], "amd64/only:CAP_BPF"),
        (["containerd@2.2.4", "--kernel", "4.4"], "amd64/default@kernel<4.8"),
        (["containerd@2.2.4", "--arch", "arm64"], "arm64/default"),
    ],
)
def test_options(words: list[str], key: str, capsys: pytest.CaptureFixture[str]) -> None:
    (group,) = (group for group in recorded()["groups"] if "2.2.4" in group["tags"])
    host = [*([] if "--arch" in words else ["--arch", "amd64"]), *([] if "--kernel" in words else ["--kernel", "6.1"])]
    printed = run(capsys, *words, *host)
    assert str(digest(json.loads(printed))).startswith(group["digests"][recorded()["keys"].index(key)])


def test_no_release_means_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    newest = model.releases()[-1].release
    assert run(capsys, "containerd") == run(capsys, f"containerd@{newest}")


@pytest.mark.parametrize("name", ["containerd", "cri-o"])
def test_the_audit_variant_denies_nothing_and_allows_what_was_allowed(name: str) -> None:
    family = find(name)
    for known in family.releases()[::7]:
        section = json.loads(json.dumps(builtin_profile(family, known.release, Host()).section))
        audit = json.loads(json.dumps(logged(Seccomp.from_json(section)).to_json()))
        assert audit["defaultAction"] == "SCMP_ACT_LOG"
        assert "SCMP_ACT_ERRNO" not in json.dumps(audit)
        assert "rrnoRet" not in json.dumps(audit)
        assert [rule["names"] for rule in audit["syscalls"]] == [rule["names"] for rule in section["syscalls"]]
        allowed = [rule for rule in section["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
        assert [rule for rule in audit["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"] == allowed
        assert runc.rejects(audit) is None


def test_the_audit_variant_is_ready_as_a_localhost_file(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "containerd@2.2.4", "--log")
    files = MemoryFiles({"/audit.json": printed.encode()})
    choice = seccomp.Choice("file", (), "/audit.json")
    section, steps = seccomp.section(choice, Known(parse("2.2.4")), Host(), (), files)
    assert json.dumps(section) == json.dumps(json.loads(printed))
    assert not [step for step in steps if step.warns]


def test_it_can_be_read_by_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "containerd@2.2.4", "-o", "text", "--arch", "amd64", "--kernel", "4.4", "--drop-cap", "chown")
    lines = shown.splitlines()
    assert lines[0] == "containerd 2.2.4 on amd64, kernel 4.4"
    assert lines[2].startswith("capabilities      DAC_OVERRIDE ")
    assert "SCMP_ACT_ALLOW    socket where arg0 < 38" in lines
    assert "SCMP_ACT_ERRNO 38 clone3" in lines
    assert any(line.startswith("- kernel 4.4 is not known to be at least 4.8") for line in lines)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["kubelet@1.30.0"], "a kubelet has no profile of its own"),
        (["containrd"], "did you mean containerd?"),
        (["containerd@2.2.99"], "the nearest known: 2.2.7"),
        (["containerd", "--add-cap", "SYS_ADMIM"], "no kernel knows a capability 'SYS_ADMIM'"),
        (["containerd", "--arch", "x86_64"], "host.arch"),
    ],
)
def test_mistakes(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", *words]) == 2
    assert says in capsys.readouterr().err
