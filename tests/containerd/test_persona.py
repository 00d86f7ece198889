"""What a client sees of a daemon, beside what the recorded ones showed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from runtimes.containerd import model
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.persona import SITUATIONS, HandlerAnswer
from runtimes.release import parse
from tests.containerd.player import BUSYBOX, container_request, daemon, neutral, recorded, sandbox_request

RELEASES = tuple(recorded()["releases"])
MISSING = "f" * 64


@pytest.mark.parametrize("release", RELEASES)
def test_version(release: str) -> None:
    shapes = recorded()["releases"][release]["shapes"]
    answer = daemon(release, "default").persona.version("v1")
    assert shapes["Version"] == {
        "version": answer.version,
        "runtime_name": answer.runtime_name,
        "runtime_version": answer.runtime_version,
        "runtime_api_version": answer.runtime_api_version,
    }
    assert shapes["apis"] == list(daemon(release, "default").persona.apis)


@pytest.mark.parametrize("release", RELEASES)
def test_missing_objects_are_answered_as_recorded(release: str) -> None:
    persona = daemon(release, "default").persona
    for name, answer in recorded()["releases"][release]["shapes"].items():
        rpc, _, what = name.partition(".")
        if what != "missing" or name == "ImageStatus.missing":
            continue
        refused = persona.unimplemented(rpc) or persona.refusal(name, id=MISSING)
        got: dict[str, Any] = {"code": refused.code, "message": refused.message} if refused else {"ok": {}}
        assert got == answer, name


@pytest.mark.parametrize("release", RELEASES)
def test_calls_that_are_not_there(release: str) -> None:
    persona = daemon(release, "default").persona
    for rpc in ("RuntimeConfig", "ListMetricDescriptors", "ListPodSandboxMetrics"):
        answer = recorded()["releases"][release]["shapes"].get(rpc, {})
        refused = persona.unimplemented(rpc)
        got = {"code": refused.code, "message": refused.message} if refused else {}
        assert got == (answer if "code" in answer else {}), rpc
    if not persona.unimplemented("RuntimeConfig"):
        answer = recorded()["releases"][release]["shapes"]["RuntimeConfig"]["ok"]
        assert persona.cgroup_driver() == answer["linux"]["cgroup_driver"]


@pytest.mark.parametrize("release", RELEASES)
def test_status_shows_the_configuration_key_by_key_in_order(release: str) -> None:
    ours, theirs = daemon(release, "default").persona.status(), recorded()["releases"][release]["status"]
    assert ours.info["config"] == theirs["info"]["config"]
    assert ours.info["golang"] == theirs["info"]["golang"]
    assert ours.info.keys() == theirs["info"].keys()
    assert {ours.info[key] for key in ours.info if key.startswith("lastCNI")} == {"OK"}


@pytest.mark.parametrize("release", RELEASES)
def test_status_conditions_handlers_and_features(release: str) -> None:
    ours, theirs = daemon(release, "default").persona.status(), recorded()["releases"][release]["status"]
    # The recorded 1.7.24 warned about CRI v1alpha2 because the recorder had just used it.
    expected = [each for each in theirs["conditions"] if "v1alpha2" not in each["message"]]
    shown = [{"type": c.type, "status": c.status, "reason": c.reason, "message": c.message} for c in ours.conditions]
    assert [each for each in shown if each["type"] in {c["type"] for c in expected}] == expected
    assert [c.type for c in ours.conditions] == [each["type"] for each in theirs["conditions"]]
    assert [_shown(handler) for handler in ours.handlers] == theirs["handlers"]
    assert ours.features == {key: on for key, on in (theirs["features"] or {}).items() if on} or ours.features is None


def _shown(handler: HandlerAnswer) -> dict[str, Any]:
    features = msgspec.structs.asdict(handler)
    return {"name": features.pop("name"), "features": features}


@pytest.mark.parametrize("release", RELEASES)
def test_the_network_configuration_has_the_recorded_form(release: str) -> None:
    ours = json.loads(daemon(release, "default").persona.status().info["cniconfig"])
    theirs = json.loads(recorded()["releases"][release]["status"]["info"]["cniconfig"])
    assert list(ours) == list(theirs)
    assert ours["Networks"][0] == theirs["Networks"][0]
    assert list(ours["Networks"][0]["Config"]["Plugins"][0]["Network"]) == list(
        theirs["Networks"][0]["Config"]["Plugins"][0]["Network"]
    )


@pytest.mark.parametrize("release", RELEASES)
def test_the_unset_setting_is_shown(release: str) -> None:
    for config, settings in recorded()["releases"][release]["configs"].items():
        shown = json.loads(daemon(release, config).persona.status().info["config"])
        assert shown["unsetSeccompProfile"] == settings["unset"].replace("${PROFILE_DIR}", "/profiles")


CONTAINER_KEYS = "sandboxID pid removing snapshotKey snapshotter runtimeType runtimeOptions config runtimeSpec".split()


@pytest.mark.parametrize("release", RELEASES)
def test_container_info(release: str) -> None:
    case = {"kind": "container", "sandbox": "np", "security_context": {}}
    runtime = daemon(release, "default")
    sandbox, sandbox_place = sandbox_request(recorded()["sandboxes"]["np"])
    request, place = container_request(case)
    decision = runtime.container(request, place, sandbox, sandbox_place)
    info = json.loads(runtime.persona.container_info(request, place, sandbox_place, decision, state=0)["info"])
    assert list(info) == CONTAINER_KEYS
    assert list(info["runtimeSpec"]) == "ociVersion process root mounts annotations linux".split()
    theirs = recorded()["releases"][release]["ContainerStatus.verbose"]["info"]
    ours = neutral({**info, "runtimeSpec": None})
    ours["config"]["metadata"]["name"] = "<CONTAINER>"
    ours["config"]["log_path"] = theirs["config"]["log_path"]
    assert ours == theirs
    running = json.loads(runtime.persona.container_info(request, place, sandbox_place, decision, state=1)["info"])
    assert (info["pid"], running["pid"]) == (0, place.pid)


@pytest.mark.parametrize("release", RELEASES)
def test_sandbox_info(release: str) -> None:
    runtime = daemon(release, "default")
    request, place = sandbox_request({"kind": "sandbox", "security_context": {}})
    decision = runtime.sandbox(request, place)
    info = json.loads(runtime.persona.sandbox_info(request, place, decision, running=True)["info"])
    theirs = recorded()["releases"][release]["PodSandboxStatus.verbose"]["info"]
    ours = neutral({**info, "runtimeSpec": None})
    assert set(ours) == set(theirs)
    for each in (ours, theirs):
        _without_the_recorders_network(each)
        each["pid"] = 0
    assert ours == theirs
    stopped = json.loads(runtime.persona.sandbox_info(request, place, decision, running=False)["info"])
    assert (stopped["pid"], stopped["processStatus"], stopped["netNamespaceClosed"]) == (0, "deleted", True)


def _without_the_recorders_network(info: dict[str, Any]) -> None:
    """Keep of a network what is not the recorder's own: bridges, addresses of hardware and pods."""
    results = [info["cniResult"]]
    if "sandboxMetadata" in info:
        info["sandboxMetadata"]["Metadata"]["IP"] = ""
        results.append(info["sandboxMetadata"]["Metadata"]["CNIResult"])
    for result in results:
        result["Interfaces"] = {name: result["Interfaces"][name] for name in ("eth0", "lo")}
        result["Interfaces"]["eth0"]["Mac"] = ""
        result["Interfaces"]["eth0"]["IPConfigs"][0]["IP"] = ""


@pytest.mark.parametrize("release", RELEASES)
def test_image_info(release: str) -> None:
    theirs = recorded()["releases"][release]["image"]
    persona = daemon(release, "default").persona
    ours = json.loads(persona.image_info(BUSYBOX)["info"])
    expected = json.loads(theirs["info"]["info"])
    del expected["imageSpec"]["history"]  # a simulated image has none
    assert json.dumps(ours) == json.dumps(expected)
    assert persona.image_id(BUSYBOX) == theirs["image"]["id"]


def test_every_situation_is_answered_by_every_release() -> None:
    details = {"id": "x", "name": "n", "owner": "o", "handler": "h", "image": "i", "state": "s", "rpc": "StopContainer"}
    for known in model.releases()[::17]:
        persona = model.runtime(known.release, Host(), Setup(), MemoryFiles()).persona
        for situation, names in SITUATIONS.items():
            refused = persona.refusal(situation, **{name: details[name] for name in names})
            assert refused is None or ("{" not in refused.message and refused.code.isupper()), situation


WORDS = [
    (
        "1.6.20",
        "RunPodSandbox.handler-unknown",
        {"handler": 'a"b'},
        'failed to get sandbox runtime: no runtime for "a\\"b" is configured',
    ),
    (
        "1.6.20",
        "container.ambiguous",
        {"rpc": "ContainerStatus", "id": "ab"},
        'an error occurred when try to find container "ab": Multiple IDs found with provided prefix: ab',
    ),
    (
        "1.6.20",
        "sandbox.empty-id",
        {"rpc": "PodSandboxStatus"},
        "an error occurred when try to find sandbox: Prefix can't be empty",
    ),
    (
        "2.3.4",
        "sandbox.empty-id",
        {"rpc": "PodSandboxStatus"},
        "an error occurred when try to find sandbox: prefix can't be empty",
    ),
    (
        "2.3.4",
        "CreateContainer.name-reserved",
        {"name": "c_p", "owner": "abc"},
        (
            'failed to reserve container name "c_p"; check if another CreateContainer request is in progress: '
            'name "c_p" is reserved for "abc"'
        ),
    ),
    ("2.2.1", "CreateContainer.sandbox-not-ready", {"id": "ab"}, None),
    ("2.3.4", "CreateContainer.sandbox-not-ready", {"id": "ab"}, 'sandbox container "ab" is not running'),
]


@pytest.mark.parametrize(("release", "situation", "details", "message"), WORDS)
def test_words(release: str, situation: str, details: dict[str, str], message: str | None) -> None:
    persona = model.runtime(parse(release), Host(), Setup(), MemoryFiles()).persona
    refused = persona.refusal(situation, **details)
    assert (refused and refused.message) == message


@pytest.mark.parametrize(
    ("spelled", "shown"),
    [
        ("2.3.4", "v2.3.4"),
        ("v2.3.4", "v2.3.4"),
        ("1.6.20~ds1", "1.6.20~ds1"),
        ("1.7.24~ds1-6+deb13u1", "1.7.24~ds1"),
        ("2.1.9+ds1-5", "2.1.9+unknown"),
        ("2.1.9+unknown", "2.1.9+unknown"),
        ("1.7.24-k3s1", "1.7.24-k3s1"),
        ("2.4.0-beta.0", "v2.4.0-beta.0"),
    ],
)
def test_a_build_calls_itself_as_its_builder_did(spelled: str, shown: str) -> None:
    persona = model.runtime(parse(spelled), Host(), Setup(), MemoryFiles()).persona
    assert persona.version("v1").runtime_version == shown
