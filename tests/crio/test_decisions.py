"""What changes from one release to the next, and what is told where something the author meant is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.crio import model
from runtimes.crio.daemon import Daemon
from runtimes.decision import Decision
from runtimes.errors import CapacityExceeded, Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.release import parse
from tests.crio.player import container_request, sandbox_request

CONF = "/etc/crio/crio.conf"
DEFAULT, UNCONFINED, LOCALHOST = ({"profile_type": number} for number in range(3))
ERRNO: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
}


def start(release: str, conf: str = "", host: Host | None = None, **files: Any) -> Daemon:
    """Start a daemon. `files` are profiles in /p, by name."""
    there = {f"/p/{name}.json": json.dumps(profile).encode() for name, profile in files.items()}
    text = '[crio.runtime]\ncgroup_manager = "cgroupfs"\n' + conf
    return model.runtime(
        parse(release), host or Host(), Setup(config=CONF), MemoryFiles({**there, CONF: text.encode()})
    )


def create(daemon: Daemon, context: dict[str, Any] | None = None, **of_pod: Any) -> Decision:
    """Create a container. `of_pod` are parts of its sandbox's request: annotations, security_context."""
    sandbox, sandbox_place = sandbox_request(of_pod)
    case: dict[str, Any] = {"sandbox": "np", "security_context": context or {}}
    if context is None:
        case["no_security_context"] = True
    request, place = container_request(case)
    return daemon.container(request, place, sandbox, sandbox_place)


def kind(decision: Decision) -> str:
    """Tell a section in a word."""
    if decision.section is None:
        return "none"
    size = len(decision.section.get("syscalls", ()))
    return "file" if size == 1 else "default"


def told(decision: Decision) -> dict[str, bool]:
    """Return the rules that had a say, with whether they warn."""
    return {step.rule: step.warns for step in decision.steps}


# --- upgrades that change what a container gets


@pytest.mark.parametrize(
    ("what", "old", "new", "context", "before", "after"),
    [
        ("nothing means the default", "1.23.5", "1.24.0", {}, "none", "default"),
        ("nothing means nothing again", "1.29.13", "1.30.0", {}, "default", "none"),
        ("the path dies", "1.27.8", "1.28.0", {"seccomp_profile_path": "localhost//p/file.json"}, "file", "default"),
        (
            "the field is born",
            "1.20.9",
            "1.21.0",
            {"seccomp": {**LOCALHOST, "localhost_ref": "/p/file.json"}},
            "none",
            "file",
        ),
    ],
)
def test_an_upgrade(what: str, old: str, new: str, context: dict[str, Any], before: str, after: str) -> None:
    found = [kind(create(start(release, file=ERRNO), context)) for release in (old, new)]
    assert found == [before, after], what


def test_the_default_answers_eperm_and_then_enosys() -> None:
    for release, errno in (("1.21.7", None), ("1.22.0", 38)):
        section = create(start(release), {"seccomp": DEFAULT}).section
        assert section
        assert section.get("defaultErrnoRet") == errno


@pytest.mark.parametrize(("release", "starts"), [("1.24.6", False), ("1.25.0", True)])
def test_a_profile_that_is_not_there(release: str, *, starts: bool) -> None:
    conf = 'seccomp_profile = "/p/no.json"'
    if starts:
        decision = create(start(release, conf), {"seccomp": DEFAULT})
        assert (kind(decision), told(decision)["missing-profile-falls-back"]) == ("default", True)
    else:
        with pytest.raises(Refused):
            start(release, conf)


@pytest.mark.parametrize(
    ("release", "conf", "sections"),
    [
        ("1.29.13", "seccomp_use_default_when_empty = false", "none"),
        ("1.30.0", "seccomp_use_default_when_empty = true", "none"),
        ("1.29.13", "seccomp_use_default_when_empty = true", "default"),
    ],
)
def test_what_nothing_means_is_configured_until_it_is_not(release: str, conf: str, sections: str) -> None:
    decision = create(start(release, conf), {})
    assert kind(decision) == sections
    assert told(decision).get("ignored-key", False) == (release == "1.30.0")


def test_a_request_without_any_context_gets_the_default() -> None:
    decision = create(start("1.36.3"), no_security_context=True)
    assert kind(decision) == "default"
    assert "inserts-security-context" in told(decision)
    assert kind(create(start("1.20.9"), no_security_context=True)) == "none"


# --- what is lost is told


@pytest.mark.parametrize(
    ("release", "rule", "context"),
    [
        ("1.28.0", "path-ignored", {"seccomp_profile_path": "localhost//p/file.json"}),
        ("1.36.3", "path-ignored", {"seccomp_profile_path": "unconfined", "seccomp": DEFAULT}),
        ("1.24.6", "path-ignored", {"seccomp_profile_path": "unconfined", "seccomp": DEFAULT}),
        ("1.20.9", "field-ignored", {"seccomp": {**LOCALHOST, "localhost_ref": "/p/file.json"}}),
        ("1.36.3", "localhost-ref-ignored", {"seccomp": {**DEFAULT, "localhost_ref": "/p/file.json"}}),
        ("1.36.3", "unknown-type", {"seccomp": {"profile_type": 7, "localhost_ref": "/p/file.json"}}),
        ("1.36.3", "empty-profile", {"seccomp": {**LOCALHOST, "localhost_ref": "/p/empty.json"}}),
        ("1.36.3", "dropped-key", {"seccomp": {**LOCALHOST, "localhost_ref": "/p/kernel.json"}}),
        ("1.36.3", "privileged", {"privileged": True, "seccomp": DEFAULT}),
    ],
)
def test_something_lost_is_a_warning(release: str, rule: str, context: dict[str, Any]) -> None:
    kernel = {**ERRNO, "syscalls": [{**ERRNO["syscalls"][0], "includes": {"minKernel": "4.8"}}]}
    privileged = {"security_context": {"privileged": bool(context.get("privileged"))}}
    decision = create(start(release, file=ERRNO, empty={}, kernel=kernel), context, **privileged)
    assert told(decision)[rule], told(decision)


@pytest.mark.parametrize(
    ("release", "context"),
    [
        ("1.36.3", {"seccomp": DEFAULT}),
        ("1.36.3", {"seccomp": UNCONFINED}),
        # As a kubelet that knows both sends it.
        ("1.24.6", {"seccomp": DEFAULT, "seccomp_profile_path": "runtime/default"}),
        ("1.24.6", {"seccomp": UNCONFINED, "seccomp_profile_path": "unconfined"}),
        ("1.20.9", {"seccomp": DEFAULT, "seccomp_profile_path": "runtime/default"}),
        (
            "1.24.6",
            {"seccomp": {**LOCALHOST, "localhost_ref": "/p/f.json"}, "seccomp_profile_path": "localhost//p/f.json"},
        ),
    ],
)
def test_nothing_lost_is_no_warning(release: str, context: dict[str, Any]) -> None:
    assert not [step.because for step in create(start(release, f=ERRNO), context).steps if step.warns]


@pytest.mark.parametrize(("release", "warns"), [("1.20.9", False), ("1.36.3", True)])
def test_an_annotation_that_is_not_granted(release: str, *, warns: bool) -> None:
    name = "io.kubernetes.cri-o.seccompNotifierAction"
    decision = create(start(release), {"seccomp": DEFAULT}, annotations={name: "stop"})
    assert told(decision).get("annotation-not-allowed", False) == warns


def test_a_granted_annotation_takes_everything_that_begins_so() -> None:
    conf = '[crio.runtime.runtimes.crun]\nallowed_annotations = ["seccomp-notifier-action.crio.io"]'
    annotations = {"seccomp-notifier-action.crio.io": "stop", "seccomp-profile.crio.io/POD": "x"}
    decision = create(start("1.36.3", conf), {"seccomp": DEFAULT}, annotations=annotations)
    assert told(decision)["annotation-not-allowed"]
    assert decision.section
    assert "listenerPath" in decision.section


def test_a_profile_from_a_registry_is_beyond_this_program() -> None:
    conf = '[crio.runtime.runtimes.crun]\nallowed_annotations = ["seccomp-profile.crio.io"]'
    with pytest.raises(CapacityExceeded, match="OCI artifact registry/profile:1"):
        create(start("1.36.3", conf), {}, annotations={"seccomp-profile.crio.io/POD": "registry/profile:1"})


def test_every_decision_is_told_with_a_source() -> None:
    for release in ("1.18.0", "1.24.6", "1.30.14", "1.36.3"):
        steps = create(start(release), {"seccomp": DEFAULT, "seccomp_profile_path": "runtime/default"}).steps
        assert steps
        assert all(step.because and step.source for step in steps), release


@pytest.mark.parametrize(
    ("release", "context", "section"),
    [
        ("1.34.11", {"seccomp": DEFAULT}, "none"),
        ("1.35.0", {"seccomp": DEFAULT}, "none"),
        ("1.34.11", {"seccomp": {**LOCALHOST, "localhost_ref": "/p/file.json"}}, "refused"),
        ("1.35.0", {"seccomp": {**LOCALHOST, "localhost_ref": "/p/file.json"}}, "none"),
        ("1.24.6", {"seccomp_profile_path": "localhost//p/file.json"}, "refused"),
        ("1.24.6", {"seccomp_profile_path": "unconfined"}, "none"),
    ],
)
def test_a_host_without_seccomp(release: str, context: dict[str, Any], section: str) -> None:
    daemon = start(release, host=Host(seccomp=False), file=ERRNO)
    if section == "refused":
        with pytest.raises(Refused, match="seccomp is not enabled, cannot run with"):
            create(daemon, context)
    else:
        decision = create(daemon, context)
        assert kind(decision) == section
        asked = context.get("seccomp") is not None
        assert told(decision).get("no-seccomp", False) == asked


def test_a_workload_lets_an_annotation_through() -> None:
    name = "seccomp-notifier-action.crio.io"
    conf = f'[crio.runtime.workloads.w]\nactivation_annotation = "work"\nallowed_annotations = ["{name}"]'
    for noted, heard in (({name: "stop"}, False), ({name: "stop", "work": ""}, True)):
        section = create(start("1.36.3", conf), {"seccomp": DEFAULT}, annotations=noted).section
        assert section
        assert ("listenerPath" in section) == heard


def test_what_the_oci_runtime_rejects_is_refused_at_the_creation() -> None:
    wrong = {"defaultAction": "SCMP_ACT_NONE"}
    conf = '[crio.runtime.runtimes.crun]\nallowed_annotations = ["seccomp-notifier-action.crio.io"]'
    context = {"seccomp": {**LOCALHOST, "localhost_ref": "/p/wrong.json"}}
    for noted in ({}, {"seccomp-notifier-action.crio.io": "stop"}):
        with pytest.raises(Refused) as caught:
            create(start("1.36.3", conf, wrong=wrong), context, annotations=noted)
        assert caught.value.message.startswith("container create failed: time=")
        assert caught.value.steps[-1].rule == "oci-runtime-rejects"


# --- sandboxes


@pytest.mark.parametrize(
    ("what", "context", "expected"),
    [
        ("as asked", {"seccomp": UNCONFINED}, "none"),
        ("as asked", {"seccomp": DEFAULT}, "default"),
        ("privileged", {"privileged": True, "seccomp": UNCONFINED}, "runtime-tools"),
        ("on the node's network", {"namespace_options": {"network": 2}, "seccomp": UNCONFINED}, "runtime-tools"),
        ("in the node's pids", {"namespace_options": {"pid": 2}, "seccomp": UNCONFINED}, "runtime-tools"),
    ],
)
def test_the_infra_container(what: str, context: dict[str, Any], expected: str) -> None:
    request, place = sandbox_request({"security_context": context})
    decision = start("1.36.3").sandbox(request, place)
    found = "runtime-tools" if "runtime-tools-profile" in told(decision) else kind(decision)
    assert found == expected, what


def test_a_sandbox_keeps_its_filter_where_the_host_has_no_seccomp() -> None:
    request, place = sandbox_request({"security_context": {"privileged": True}})
    cleared = {
        release: start(release, host=Host(seccomp=False)).sandbox(request, place).section is None
        for release in ("1.18.0", "1.36.3")
    }
    assert cleared["1.36.3"]


# --- capabilities

NINE = "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETPCAP NET_BIND_SERVICE KILL".split()


@pytest.mark.parametrize(
    ("release", "add", "drop", "bounding"),
    [
        ("1.36.3", [], [], NINE),
        ("1.36.3", ["SYS_ADMIN"], [], ["SYS_ADMIN", *NINE]),
        ("1.36.3", [], ["ALL"], []),
        ("1.36.3", ["KILL"], ["ALL"], ["KILL"]),
        ("1.36.3", [], ["CHOWN"], NINE[1:]),
        ("1.36.3", ["cap_sys_admin"], [], ["SYS_ADMIN", *NINE]),
        ("1.36.3", ["ALL"], [], [name.removeprefix("CAP_") for name in KERNEL_CAPABILITIES]),
        ("1.36.3", ["ALL"], ["ALL"], []),
        ("1.18.0", [], ["ALL"], NINE),
    ],
)
def test_capabilities(release: str, add: list[str], drop: list[str], bounding: list[str]) -> None:
    context = {"capabilities": {"add_capabilities": add, "drop_capabilities": drop}}
    found = create(start(release), context).spec["process"].get("capabilities") or {}
    assert sorted(found.get("bounding", ())) == sorted(f"CAP_{name}" for name in bounding)


def test_a_capability_that_is_none() -> None:
    with pytest.raises(Refused) as caught:
        create(start("1.36.3"), {"capabilities": {"add_capabilities": ["SYS_NOTHING"]}})
    assert "CAP_SYS_NOTHING" in caught.value.message
