"""Every cell: release x gate, flag and setting x where a profile stands x which one x where the pod comes from.

24 releases, one on each side of every change, x 8 x 6 x 5 x 2. What is expected stands in cells.yaml, which was written
by hand; beyond it there are laws, which hold for every release.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import Refused
from runtimes.request import LOCALHOST, RUNTIME_DEFAULT, UNCONFINED, container_security, sandbox_security
from shim.kubelet import manifest
from shim.kubelet.config import Flags
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.pod import Pod
from shim.kubelet.releases import releases

# BaseLoader leaves "on", "off" and versions the text that they are.
TABLE: dict[str, Any] = yaml.load(Path(__file__).with_name("cells.yaml").read_text(), Loader=yaml.BaseLoader)  # noqa: S506
PROFILES: list[dict[str, str]] = [
    {"type": "RuntimeDefault"},
    {"type": "Unconfined"},
    {"type": "Localhost", "localhostProfile": "p.json"},
    {"type": "Localhost", "localhostProfile": ""},
    {"type": "Bogus"},
]
ANNOTATIONS = ["runtime/default", "unconfined", "localhost/p.json", "localhost/", "bogus"]
PLACES = ["nothing", "container", "pod", "both", "annotation", "both kinds"]
SOURCES = ["api", "static"]
KEY = "seccomp.security.alpha.kubernetes.io/pod"
ROOT = "/var/lib/kubelet/seccomp"
PATHS = {
    "": ".",
    "runtime/default": "rd",
    "unconfined": "un",
    f"localhost/{ROOT}/p.json": "lh",
    f"localhost/{ROOT}": "lr",
}
MESSAGES = {(RUNTIME_DEFAULT, ""): "R", (UNCONFINED, ""): "U", (LOCALHOST, f"{ROOT}/p.json"): "L"}
SETTINGS = ["-", "gate", "flag", "config", "gate flag", "gate config", "flag config", "gate flag config"]


def pod_of(place: str, number: int) -> Pod:
    profile, other = PROFILES[number], PROFILES[0 if number == 1 else 1]
    own = {"securityContext": {"seccompProfile": profile}} if place in ("container", "both") else {}
    pods = {"pod": profile, "both": other, "both kinds": profile}.get(place)
    spec = {
        "containers": [{"name": "c", "image": "busybox", **own}],
        **({"securityContext": {"seccompProfile": pods}} if pods else {}),
    }
    annotations = {KEY: ANNOTATIONS[number]} if place in ("annotation", "both kinds") else {}
    thing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": annotations}, "spec": spec}
    (pod,) = manifest.pods(msgspec.json.encode(thing), "p.json")
    return pod


PODS = {(place, number): pod_of(place, number) for place in PLACES for number in range(len(PROFILES))}


def started(version: str, setting: str) -> Kubelet:
    said = setting.split()
    gates = {"SeccompDefault": True} if "gate" in said else {}
    flags = Flags(seccomp_default=True if "flag" in said else None, feature_gates=gates)
    return Kubelet.start(version, seccomp_default=True if "config" in said else None, flags=flags)


def word(path: str, message: Any) -> str:
    return PATHS[path] + (MESSAGES[message.profile_type, message.localhost_ref] if message is not None else ".")


def sent(kubelet: Kubelet, place: str, number: int, source: Any) -> str:
    """Return what is sent for the container of a cell, as a word of the table."""
    planned = kubelet.requests(PODS[place, number], source=source)
    if planned.refused is not None:
        assert planned.refused.where in ("api", "kubelet")
        return "!api"
    request = planned.containers[0].request
    if isinstance(request, Refused):
        assert request.reason == "CreateContainerConfigError"
        return "!c"
    context = container_security(request)
    assert context is not None
    return word(context.seccomp_profile_path, context.seccomp)


def expected(era: str, switch: str, place: str, number: int, source: str) -> str:
    rules = TABLE["eras"][era]
    if number == len(ANNOTATIONS) - 1 and place != "nothing":
        return "!api" if place in rules["unknown"] else rules[switch][place].split()[0]
    cells = rules[switch][place]
    words: str = cells if isinstance(cells, str) else cells[source]
    return words.split()[min(number, 3)]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("version", TABLE["releases"])
def test_every_cell(version: str, setting: str) -> None:
    settings, era = TABLE["releases"][version]
    switch = TABLE["settings"][settings][setting]
    if switch == "refused":
        with pytest.raises(Refused):
            started(version, setting)
        return
    kubelet = started(version, setting)
    assert kubelet.settings.seccomp_default.on is (switch == "on")
    cells = list(itertools.product(PLACES, range(len(PROFILES)), SOURCES))
    found = {cell: sent(kubelet, *cell) for cell in cells}
    assert found == {cell: expected(era, switch, *cell) for cell in cells}


@pytest.mark.parametrize("version", TABLE["releases"])
def test_the_sandbox_of_every_cell(version: str) -> None:
    kubelet = started(version, "-")
    line = max(
        (line for line in TABLE["sandboxes"] if tuple(map(int, line.split("."))) <= kubelet.release.branch),
        key=lambda line: tuple(map(int, line.split("."))),
    )
    for (place, number), pod in PODS.items():
        planned = kubelet.requests(pod)
        if planned.sandbox is None:
            continue
        context = sandbox_security(planned.sandbox)
        assert context is not None
        found = word(context.seccomp_profile_path, context.seccomp)
        wanted = TABLE["sandboxes"][line]
        if wanted == "a.":
            annotated = place in ("annotation", "both kinds")
            wanted = ["rd.", "un.", "lh.", "lr."][number] if annotated else ".."
        assert found == wanted, (place, number)


def test_the_table_stands_on_both_sides_of_every_change() -> None:
    eras = {known.release.upstream: None for known in releases()}
    assert set(TABLE["releases"]) <= set(eras)
    cells = len(TABLE["releases"]) * len(SETTINGS) * len(PODS) * len(SOURCES)
    assert cells == 24 * 8 * 30 * 2


# ------------------------------------------------------------------------------------------------------------- laws

versions = st.sampled_from([known.release.upstream for known in releases()])
fields = st.none() | st.sampled_from(PROFILES[:4])
words = st.none() | st.sampled_from(ANNOTATIONS[:4])


def pod_with(own: dict[str, str] | None, pods: dict[str, str] | None, annotation: str | None) -> Pod:
    thing: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": {KEY: annotation} if annotation else {}},
        "spec": {
            "securityContext": {"seccompProfile": pods} if pods else {},
            "containers": [
                {"name": "c", "image": "i", "securityContext": {"seccompProfile": own} if own else {}},
            ],
        },
    }
    (pod,) = manifest.pods(msgspec.json.encode(thing), "p.json")
    return pod


def outcome(kubelet: Kubelet, pod: Pod, source: Any) -> Any:
    planned = kubelet.requests(pod, source=source)
    if planned.refused is not None:
        return str(planned.refused)
    request = planned.containers[0].request
    return str(request) if isinstance(request, Refused) else container_security(request)


def both_ways(version: str) -> tuple[Kubelet, Kubelet] | None:
    """The same kubelet with seccompDefault off and on, where the release has it."""
    gates = {"SeccompDefault": True} if version.startswith(("1.22.", "1.23.", "1.24.")) else {}
    off = Kubelet.start(version, feature_gates=gates)
    on = Kubelet.start(version, feature_gates=gates, seccomp_default=True)
    return (off, on) if on.settings.seccomp_default.on else None


@given(versions, fields, fields, words, st.sampled_from(SOURCES), st.booleans())
def test_the_step_is_idempotent(version: str, own: Any, pods: Any, annotation: Any, source: Any, on: bool) -> None:
    kubelets = both_ways(version)
    kubelet = kubelets[on] if kubelets else Kubelet.start(version)
    planned = kubelet.requests(pod_with(own, pods, annotation), source=source)
    if planned.refused is not None or planned.sandbox is None or isinstance(planned.containers[0].request, Refused):
        return
    sandbox, _ = kubelet.sandbox(planned.sandbox)
    container, _ = kubelet.container(planned.containers[0].request, sandbox)
    assert kubelet.sandbox(sandbox)[0] == sandbox
    assert kubelet.container(container, sandbox)[0] == container
    if kubelet.release.branch >= (1, 20):  # before, an explicit "" cannot be told from nothing
        assert (sandbox, container) == (planned.sandbox, planned.containers[0].request)


@given(versions, st.sampled_from(PROFILES[:4]), fields, fields, st.sampled_from(SOURCES))
def test_a_containers_field_beats_the_pods(version: str, own: Any, one: Any, other: Any, source: Any) -> None:
    kubelet = Kubelet.start(version)
    assert outcome(kubelet, pod_with(own, one, None), source) == outcome(kubelet, pod_with(own, other, None), source)


@given(versions, st.sampled_from(PROFILES[:3]), st.booleans(), st.sampled_from(SOURCES))
def test_seccomp_default_never_changes_an_explicit_profile(version: str, field: Any, own: bool, source: Any) -> None:
    kubelets = both_ways(version)
    if kubelets:
        pod = pod_with(field if own else None, None if own else field, None)
        assert outcome(kubelets[0], pod, source) == outcome(kubelets[1], pod, source)


@given(versions, fields, fields, words, st.sampled_from(SOURCES))
def test_seccomp_default_changes_unconfined_to_runtime_default_and_nothing_else(
    version: str, own: Any, pods: Any, annotation: Any, source: Any
) -> None:
    kubelets = both_ways(version)
    if not kubelets:
        return
    off, on = (outcome(kubelet, pod_with(own, pods, annotation), source) for kubelet in kubelets)
    if off == on:
        return
    assert off.seccomp.profile_type == UNCONFINED
    path = on.seccomp_profile_path if off.seccomp_profile_path == on.seccomp_profile_path else "runtime/default"
    wanted = msgspec.structs.replace(off, seccomp=on.seccomp, seccomp_profile_path=path)
    assert on == wanted
    assert on.seccomp.profile_type in (RUNTIME_DEFAULT, UNCONFINED)


@given(versions, fields, fields, words, st.sampled_from(SOURCES), st.booleans())
def test_from_1_20_on_a_message_is_always_sent(
    version: str, own: Any, pods: Any, annotation: Any, source: Any, on: bool
) -> None:
    kubelets = both_ways(version)
    kubelet = kubelets[on] if kubelets else Kubelet.start(version)
    sent_for = outcome(kubelet, pod_with(own, pods, annotation), source)
    if not isinstance(sent_for, str):
        assert (sent_for.seccomp is not None) is (kubelet.release.branch >= (1, 20))
