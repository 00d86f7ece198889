"""What a client sees of a daemon besides specs: as the recorded ones showed it, and from release to release."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from runtimes.crio import model
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.persona import SITUATIONS, Persona
from runtimes.release import parse
from runtimes.request import ContainerRequest, ImageSpec, SandboxRequest
from tests.crio.player import (
    BUSYBOX,
    MISSING,
    container_request,
    daemon,
    neutral,
    recorded,
    sandbox_request,
    situation,
    start,
)

RECORDED: dict[str, Any] = recorded()["releases"]
RELEASES = tuple(RECORDED)
EVERY = [known.release for known in model.releases()]
NO_UID = "setting pod sandbox name and id: cannot generate pod name without uid in metadata"
DETAILS = {"id": "x", "name": "n", "owner": "o", "handler": "h", "image": "i", "state": "s", "rpc": "StopContainer"}


def persona(release: str) -> Persona:
    """Return what a daemon shows that nobody configured."""
    return model.runtime(parse(release), Host(), Setup(), MemoryFiles()).persona


# --- the recorded daemons


@pytest.mark.parametrize("release", RELEASES)
def test_version(release: str) -> None:
    ours = daemon(release).persona
    assert msgspec.structs.asdict(ours.version("v1")) == RECORDED[release]["shapes"]["Version"]
    assert list(ours.apis) == RECORDED[release]["shapes"]["apis"]


@pytest.mark.parametrize("release", RELEASES)
def test_missing_objects_are_answered_as_recorded(release: str) -> None:
    ours = daemon(release).persona
    for name, answer in RECORDED[release]["shapes"].items():
        rpc, _, what = name.partition(".")
        if what != "missing" or name == "ImageStatus.missing":
            continue
        refused = ours.unimplemented(rpc) or ours.refusal(name, id=MISSING)
        got: dict[str, Any] = {"ok": {}}
        if refused:
            got = {"code": refused.code, "message": neutral(refused.message)}
        assert got == answer, name


@pytest.mark.parametrize("release", RELEASES)
def test_calls_that_are_not_there(release: str) -> None:
    ours, theirs = daemon(release).persona, RECORDED[release]["shapes"]
    for rpc in ("RuntimeConfig", "ListMetricDescriptors", "ListPodSandboxMetrics"):
        refused = ours.unimplemented(rpc)
        got = {"code": refused.code, "message": refused.message} if refused else {}
        assert got == (theirs[rpc] if "code" in theirs[rpc] else {}), rpc
    if "ok" in theirs["RuntimeConfig"]:
        assert ours.cgroup_driver() == theirs["RuntimeConfig"]["ok"]["linux"]["cgroup_driver"]


@pytest.mark.parametrize(
    ("release", "config"), [(release, config) for release in RELEASES for config in RECORDED[release]["configs"]]
)
def test_status(release: str, config: str) -> None:
    ours, theirs = daemon(release, config).persona.status(), RECORDED[release]["configs"][config]["status"]
    assert [msgspec.structs.asdict(each) for each in ours.conditions] == sorted(
        theirs["status"]["conditions"], key=lambda each: str(each["type"]), reverse=True
    )
    assert ours.info.keys() == theirs["info"].keys()
    for key, text in theirs["info"].items():
        assert _in_order(neutral(ours.info[key])) == _in_order(text)
    flags = {key: on for key, on in theirs.get("features", {}).items() if on}
    assert (ours.features or {}) == flags
    shown = {each.name: msgspec.structs.asdict(each) for each in ours.handlers}
    for each in shown.values():
        each.pop("name")
    assert shown == {each["name"]: each["features"] for each in theirs["runtime_handlers"]}


def _in_order(text: str) -> str:
    """Sort what the daemon lists in the order of a map, and leave every key where it is."""
    shown = json.loads(text)
    for handler in shown.get("crio", {}).get("Runtimes", {}).values():
        handler["DisallowedAnnotations"].sort()
    return json.dumps(shown)


@pytest.mark.parametrize("release", RELEASES)
def test_image(release: str) -> None:
    ours, theirs = daemon(release).persona, RECORDED[release]["image"]
    expected = json.loads(theirs["info"]["info"])
    del expected["imageSpec"]["history"]  # a simulated image has none
    assert json.dumps(json.loads(ours.image_info(BUSYBOX)["info"])) == json.dumps(expected)
    assert ours.image_id(BUSYBOX) == theirs["id"]


@pytest.mark.parametrize("release", RELEASES)
def test_container_status(release: str) -> None:
    runtime, theirs = daemon(release), RECORDED[release]["ContainerStatus.verbose"]
    sandbox, sandbox_place = sandbox_request(recorded()["sandboxes"]["np"])
    request, place = container_request({"kind": "container", "sandbox": "np", "security_context": {}})
    decision = runtime.container(request, place, sandbox, sandbox_place)
    ours = runtime.persona
    info = json.loads(ours.container_info(request, place, sandbox_place, decision, state=0)["info"])
    assert sorted(info) == theirs["info_keys"]
    assert sorted(info["runtimeSpec"]) == theirs["spec_keys"]
    assert info["pid"] == place.pid
    assert neutral(ours.image_ref(BUSYBOX)) == theirs["status"]["image_ref"]
    assert ours.shown_image(request, place) == theirs["status"]["image"]["image"]
    for field in ("image_id", "user", "resources"):
        assert (field in ours.unsent) == (field not in theirs["status"]), field


@pytest.mark.parametrize("release", RELEASES)
def test_sandbox_status(release: str) -> None:
    runtime, theirs = daemon(release), RECORDED[release]["PodSandboxStatus.verbose"]
    request, place = sandbox_request(recorded()["sandboxes"]["np"])
    info = json.loads(
        runtime.persona.sandbox_info(request, place, runtime.sandbox(request, place), running=True)["info"]
    )
    assert sorted(info) == theirs["info_keys"]
    assert sorted(info["runtimeSpec"]) == theirs["spec_keys"]
    assert runtime.persona.sandbox_labels(request) == theirs["status"]["labels"]


# --- from release to release


def test_every_situation_is_answered_by_every_release() -> None:
    for release in EVERY:
        ours = persona(str(release))
        for name, details in SITUATIONS.items():
            refused = ours.refusal(name, **{each: DETAILS[each] for each in details})
            assert refused is None or (refused.code and "{" not in refused.message), (str(release), name)


@pytest.mark.parametrize(
    ("name", "details", "answers"),
    [
        (
            "CreateContainer.name-reserved",
            {"name": "n", "owner": "o"},
            {"1.18.0": ("UNKNOWN", "error reserving ctr name n for id"), "1.25.1": None},
        ),
        ("StopContainer.missing", {"id": "x"}, {"1.29.7": ("NOT_FOUND", "could not find"), "1.29.8": None}),
        ("StopContainer.missing", {"id": "x"}, {"1.30.4": ("NOT_FOUND", "could not find"), "1.30.5": None}),
        (
            "RunPodSandbox.no-uid",
            {},
            {"1.18.1": ("UNKNOWN", NO_UID), "1.18.2": None, "1.28.11": None, "1.29.0": ("UNKNOWN", NO_UID)},
        ),
        (
            "PullImage.no-image",
            {},
            {"1.28.11": ("UNKNOWN", "invalid reference format"), "1.29.0": ("UNKNOWN", 'cannot parse input: ""')},
        ),
        ("RemovePodSandbox.missing", {"id": "x"}, {"1.18.0": None, "1.36.3": None}),
    ],
)
def test_texts_by_release(name: str, details: dict[str, str], answers: dict[str, tuple[str, str] | None]) -> None:
    for release, expected in answers.items():
        refused = persona(release).refusal(name, **details)
        if expected is None:
            assert refused is None, release
        else:
            assert refused, release
            assert refused.code == expected[0], release
            assert refused.message.startswith(expected[1]), release


@pytest.mark.parametrize(
    ("release", "apis"),
    [
        ("1.18.0", ["v1alpha2"]),
        ("1.20.0", ["v1alpha2"]),
        ("1.21.0", ["v1", "v1alpha2"]),
        ("1.25.5", ["v1", "v1alpha2"]),
        ("1.26.0", ["v1"]),
    ],
)
def test_api_versions(release: str, apis: list[str]) -> None:
    assert list(persona(release).apis) == apis


@pytest.mark.parametrize(
    ("release", "rpc", "there"),
    [
        ("1.22.5", "PodSandboxStats", False),
        ("1.23.0", "PodSandboxStats", True),
        ("1.27.8", "RuntimeConfig", False),
        ("1.28.0", "RuntimeConfig", True),
        ("1.18.0", "ContainerStats", True),
        ("1.36.3", "StreamContainers", True),
        ("1.24.6", "StreamContainers", False),
    ],
)
def test_methods_by_release(release: str, rpc: str, *, there: bool) -> None:
    refused = persona(release).unimplemented(rpc)
    assert (refused is None) == there
    if refused:
        assert refused.code == "UNIMPLEMENTED"
        assert refused.message == f"unknown method {rpc} for service runtime.v1.RuntimeService"


@pytest.mark.parametrize(("release", "returns"), [("1.24.6", False), ("1.25.0", False), ("1.25.1", True)])
def test_who_asks_for_a_taken_name_gets_its_owner(release: str, *, returns: bool) -> None:
    assert persona(release).reserved_returns_owner == returns


def test_names() -> None:
    ours = persona("1.36.3")
    sandbox = msgspec.convert({"metadata": {"name": "p", "namespace": "n", "uid": "u", "attempt": 1}}, SandboxRequest)
    container = msgspec.convert({"metadata": {"name": "c", "attempt": 3}}, ContainerRequest)
    assert ours.sandbox_name(sandbox) == "k8s_p_n_u_1"
    assert ours.container_name(container, sandbox, "a" * 64) == "k8s_c_p_n_u_3"


def test_an_id_that_is_no_unique_prefix() -> None:
    ours = persona("1.36.3")
    missing = situation(daemon("1.36.3"), "ContainerStatus.missing", id="ab")
    refused = ours.refusal("container.ambiguous", rpc="ContainerStatus", id="ab")
    assert refused
    assert refused.code == missing.code
    assert refused.message != missing.message
    assert ours.refusal("sandbox.ambiguous", rpc="RemovePodSandbox", id="ab") is None


@pytest.mark.parametrize(
    ("kind", "rpc", "code"),
    [
        ("sandbox", "StopPodSandbox", "UNKNOWN"),
        ("sandbox", "PodSandboxStatus", "NOT_FOUND"),
        ("container", "StopContainer", "NOT_FOUND"),
        ("container", "ContainerStats", "UNKNOWN"),
    ],
)
def test_no_id_at_all(kind: str, rpc: str, code: str) -> None:
    for release in EVERY[::13]:
        refused = persona(str(release)).refusal(f"{kind}.empty-id", rpc=rpc)
        assert refused, release
        assert refused.code == code, release


@pytest.mark.parametrize(("release", "shown"), [("1.22.0", {"info": set()}), ("1.36.3", {"info": {"runtimeSpec"}})])
def test_a_sandbox_whose_infra_container_is_dropped(release: str, shown: dict[str, set[str]]) -> None:
    setup = Setup(flags=("--drop-infra-ctr",))
    runtime = model.runtime(parse(release), Host(), setup, MemoryFiles())
    request, place = sandbox_request({"security_context": {"namespace_options": {"pid": 1}}})
    decision = runtime.sandbox(request, place)
    info = runtime.persona.sandbox_info(request, place, decision, running=True)
    assert {key: set(json.loads(text)) for key, text in info.items()} == shown


def test_an_unknown_handler_is_answered_with_those_there_are() -> None:
    refused = situation(daemon("1.36.3"), "RunPodSandbox.handler-unknown", handler="kata")
    assert neutral(refused.message) == (
        "failed to find runtime handler kata from runtime list map[crun:<PTR> runc:<PTR>]"
    )


@pytest.mark.parametrize(
    ("release", "shown", "pulled"),
    [
        ("1.27.8", "digest", "digest"),
        ("1.28.0", "id", "digest"),
        ("1.29.1", "id", "digest"),
        ("1.36.3", "digest", "id"),
    ],
)
def test_references_to_an_image(release: str, shown: str, pulled: str) -> None:
    ours = persona(release)
    either = {"digest": BUSYBOX.repo_digests[0], "id": BUSYBOX.id.removeprefix("sha256:")}
    assert ours.image_ref(BUSYBOX) == either[shown]
    assert ours.pulled_ref(BUSYBOX) == either[pulled]


def test_a_list_shows_the_name_that_was_asked_for() -> None:
    request, place = container_request({"sandbox": "np", "security_context": {}})
    asked = ImageSpec(image="busybox", annotations={"a": "b"}, user_specified_image="busybox")
    named = msgspec.structs.replace(request, image=asked)
    assert persona("1.36.3").listed_image(named, place) == ImageSpec(image="busybox")
    assert persona("1.36.3").shown_image(named, place) == place.image_reference


def test_exited_containers_have_statistics_only_in_the_oldest() -> None:
    assert persona("1.18.6").ended_have_stats
    assert not persona("1.19.0").ended_have_stats


def test_status_shows_what_validation_makes_of_the_settings() -> None:
    setting = {"ctr_stop_timeout": 3, "enable_criu_support": True, "runtimes.runc": {"container_create_timeout": 5}}
    shown = json.loads(start("1.36.3", setting).persona.status().info["config"])["crio"]
    assert shown["CtrStopTimeout"] == 30
    assert shown["EnableCriuSupport"] is False
    assert shown["Runtimes"]["runc"]["ContainerCreateTimeout"] == 30
    assert shown["Runtimes"]["runc"]["MonitorPath"] == "/usr/bin/conmon"


def test_without_a_configuration_file_the_defaults_show() -> None:
    ours = persona("1.36.3")
    assert ours.cgroup_driver() == "SYSTEMD"
    assert json.loads(ours.status().info["config"])["sandboxImage"] == ours.pause_image
