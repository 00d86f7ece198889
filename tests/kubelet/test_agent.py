"""A kubelet as an agent, without a runtime: what it does next, when it tries again, and how it connects.

Evidence: pkg/kubelet/kuberuntime (podSandboxChanged, computePodActions, doBackOff, kuberuntime_gc.go),
pkg/kubelet/remote and pkg/kubelet/cri/remote at v1.18.6, v1.23.0, v1.26.15, v1.27.14 and v1.36.3, restated as a small
world that keeps time.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runtimes.errors import BadInput, Refused
from shim.engine.clock import VirtualClock
from shim.kubelet import manifest, sync
from shim.kubelet.backoff import SECOND, BackOff
from shim.kubelet.handshake import Call, Dialect, Fault, handshake
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.observed import Container, Sandbox, Seen, Wanted, wanted

C = {"name": "c", "image": "busybox:1"}


def pod(version: str = "1.36.3", *, uid: str = "", on: bool = False, **spec: Any) -> Wanted:
    thing = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", **({"uid": uid} if uid else {})},
        "spec": {"containers": [C], **spec},
    }
    (found,) = manifest.pods(msgspec.json.encode(thing), "p.json")
    return wanted(Kubelet.start(version, seccomp_default=on), found)


class World:
    """A node that does what it is told, and keeps time. Containers end when a test ends them."""

    def __init__(self) -> None:
        self.clock, self.backoff = VirtualClock(), BackOff()
        self.sandboxes: list[Sandbox] = []
        self.containers: list[Container] = []
        self.log: list[str] = []
        self._number = 0

    def settle(self, *pods: Wanted) -> list[str]:
        """Do everything that can be done now, and return it, except for what is only forgotten."""
        begin = len(self.log)
        self.wanted = {each.uid: each for each in pods}
        for _ in range(50):
            now = self.clock.now_ns()
            actions = sync.next_actions(pods, Seen(tuple(self.sandboxes), tuple(self.containers)), self.backoff, now)
            self.waits = [each for each in actions if isinstance(each, sync.Wait)]
            if len(self.waits) == len(actions):
                return [each for each in self.log[begin:] if not each.startswith("remove")]
            for action in actions:
                self._do(action)
        raise AssertionError(self.log[begin:])

    def end(self, name: str, code: int) -> None:
        """The running container of a name ends."""
        for number, each in enumerate(self.containers):
            if each.name == name and each.state == "running":
                ended = replace(each, state="exited", exit_code=code, finished_at=self.clock.now_ns())
                self.containers[number] = ended

    def running(self) -> list[str]:
        return sorted(each.name for each in self.containers if each.state == "running")

    def _do(self, action: sync.Action) -> None:
        self.clock.advance(0.001)
        self._number += 1
        now, made = self.clock.now_ns(), str(self._number)
        match action:
            case sync.RunSandbox():
                self.log.append(f"sandbox {action.attempt}")
                network = self.wanted[action.uid].host_network
                self.sandboxes.append(
                    Sandbox(id=made, pod_uid=action.uid, created_at=now, attempt=action.attempt, host_network=network)
                )
            case sync.StartContainer():
                self.log.append(f"start {action.name} {action.restarts}")
                if action.finished_at:
                    self.backoff.restarted(sync.key(action.uid, action.name, action.hash), action.finished_at, now)
                sandbox = action.sandbox_id or self.sandboxes[-1].id
                assert next(each for each in self.sandboxes if each.id == sandbox).ready
                self.containers.append(
                    Container(
                        id=made,
                        sandbox_id=sandbox,
                        pod_uid=action.uid,
                        name=action.name,
                        state="running",
                        created_at=now,
                        hash=action.hash,
                        restarts=action.restarts,
                    )
                )
            case sync.StopContainer():
                self.log.append(f"stop {action.name}")
                self.containers = [
                    replace(each, state="exited", exit_code=137, finished_at=now) if each.id == action.id else each
                    for each in self.containers
                ]
            case sync.StopSandbox():
                self.log.append("stop sandbox")
                self.sandboxes = [
                    replace(each, ready=False) if each.id == action.id else each for each in self.sandboxes
                ]
            case sync.RemoveContainer():
                self.log.append("remove container")
                self.containers = [each for each in self.containers if each.id != action.id]
            case sync.RemoveSandbox():
                self.log.append("remove sandbox")
                assert not [each for each in self.containers if each.sandbox_id == action.id]
                self.sandboxes = [each for each in self.sandboxes if each.id != action.id]


INIT = [
    {"name": "one", "image": "i:1"},
    {"name": "side", "image": "i:1", "restartPolicy": "Always"},
    {"name": "two", "image": "i:1"},
]


def test_a_pod_starts_in_its_order() -> None:
    world, target = World(), pod(initContainers=INIT, containers=[C, {**C, "name": "d"}])
    assert world.settle(target) == ["sandbox 0", "start one 0"]
    assert [wait.name for wait in world.waits] == ["one"]
    world.end("one", 0)
    assert world.settle(target) == ["start side 0", "start two 0"]
    world.end("two", 0)
    assert world.settle(target) == ["start c 0", "start d 0"]
    assert world.running() == ["c", "d", "side"]
    assert world.settle(target) == []
    world.end("side", 0)
    assert world.settle(target) == ["start side 1"]  # a sidecar always comes back, and nothing else starts again


def test_before_sidecars_an_init_container_that_restarts_always_runs_to_its_end() -> None:
    world, target = World(), pod("1.28.0", initContainers=INIT[1:2])
    world.settle(target)
    assert world.running() == ["side"]
    world.end("side", 0)
    assert world.settle(target) == ["start c 0"]


def test_a_crashing_container_waits_twice_as_long_each_time() -> None:
    world, target = World(), pod()
    world.settle(target)
    pauses = []
    for _ in range(8):
        world.end("c", 1)
        ended = world.clock.now_ns()
        if world.settle(target):
            pauses.append(0)
            continue
        (wait,) = world.waits
        assert (wait.name, wait.why) == ("c", "CrashLoopBackOff")
        pauses.append((wait.until - ended) // SECOND)
        world.clock.advance(pauses[-1] - 0.5)
        assert world.settle(target) == []
        world.clock.advance(0.5)
        assert world.settle(target)[0].startswith("start c")
    assert pauses == [0, 10, 20, 40, 80, 160, 300, 300]


def test_a_container_that_ran_long_begins_again_with_its_back_off() -> None:
    world, target = World(), pod()
    world.settle(target)
    for pause in (0, 10, 20):
        world.end("c", 1)
        world.clock.advance(pause)
        assert world.settle(target)
    world.clock.advance(601)
    world.end("c", 1)
    assert world.settle(target)[0] == "start c 4"
    world.end("c", 1)
    ended = world.clock.now_ns()
    assert world.settle(target) == []
    assert (world.waits[0].until - ended) // SECOND == 10


def test_a_restarted_kubelet_has_forgotten_its_back_off_and_leaves_alone_what_runs() -> None:
    world, target = World(), pod(containers=[C, {**C, "name": "d"}])
    world.settle(target)
    for _ in range(2):
        world.end("c", 1)
        world.settle(target)
    assert world.waits
    world.backoff = BackOff()
    assert world.settle(target) == ["start c 2"]
    assert world.running() == ["c", "d"]


@pytest.mark.parametrize(
    ("policy", "code", "starts"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_restart_policies(policy: str, code: int, starts: bool) -> None:
    world, target = World(), pod(restartPolicy=policy)
    world.settle(target)
    world.end("c", code)
    assert world.settle(target) == (["start c 1"] if starts else ["stop sandbox"])
    assert world.settle(target) == []


def test_a_failed_init_container_that_never_restarts_ends_the_pod() -> None:
    world, target = World(), pod(restartPolicy="Never", initContainers=INIT[:1])
    world.settle(target)
    world.end("one", 1)
    assert world.settle(target) == ["stop sandbox"]
    assert world.settle(target) == []


def test_there_is_no_other_restart_policy() -> None:
    with pytest.raises(BadInput, match=r"p.json: spec.restartPolicy: 'Sometimes' is no restart policy"):
        pod(restartPolicy="Sometimes")


SANDBOXES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("it is not ready", {"ready": False}, {}),
    ("it has no address", {"has_ip": False}, {}),
    ("the pod is on the host's network now", {}, {"hostNetwork": True}),
]


@pytest.mark.parametrize(("why", "now", "spec"), SANDBOXES, ids=[row[0] for row in SANDBOXES])
def test_a_sandbox_that_has_changed_is_made_again_with_all_its_containers(
    why: str, now: dict[str, Any], spec: dict[str, Any]
) -> None:
    world, target = World(), pod(uid="u", initContainers=INIT[:1])
    world.settle(target)
    world.end("one", 0)
    world.settle(target)
    world.sandboxes[0] = replace(world.sandboxes[0], **now)
    done = world.settle(pod(uid="u", initContainers=INIT[:1], **spec))
    assert "sandbox 1" in done, why
    assert done.index("stop c") < done.index("sandbox 1") < done.index("start one 1")
    world.end("one", 0)
    # Counted over both sandboxes: a name with the number of one that is still there would be refused.
    assert world.settle(pod(uid="u", initContainers=INIT[:1], **spec)) == ["start c 1"]
    assert world.running() == ["c"]


def test_a_manifest_that_is_gone_takes_everything_with_it() -> None:
    world, target = World(), pod()
    world.settle(target)
    assert world.settle() == ["stop c", "stop sandbox"]
    assert world.log[-2:] == ["remove container", "remove sandbox"]
    assert not world.sandboxes
    assert not world.containers


def test_an_edited_manifest_is_another_pod() -> None:
    world, before = World(), pod()
    world.settle(before)
    after = pod(containers=[{**C, "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}])
    assert after.uid != before.uid
    done = world.settle(after)
    assert done[:2] == ["stop c", "stop sandbox"]
    assert {"sandbox 0", "start c 0"} <= set(done)
    assert len(world.sandboxes) == 1


LOCAL = {**C, "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}}}


@pytest.mark.parametrize(
    ("version", "changed", "restarts"),
    [
        ("1.30.14", {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}, True),
        ("1.31.0", {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}, False),
        ("1.30.14", {"image": "busybox:2"}, True),
        ("1.31.0", {"image": "busybox:2"}, True),
        ("1.18.0", {"args": ["x"]}, True),
        ("1.36.3", {"args": ["x"]}, False),
    ],
)
def test_what_restarts_a_container_is_what_its_hash_is_made_from(
    version: str, changed: dict[str, Any], restarts: bool
) -> None:
    world = World()
    world.settle(pod(version, uid="u"))
    done = world.settle(pod(version, uid="u", containers=[{**C, **changed}]))
    assert done == (["stop c", "start c 1"] if restarts else [])


def test_the_upgrade_to_another_hash_restarts_every_container_and_keeps_the_sandbox() -> None:
    """kubernetes#129385: from 1.30 to 1.31 in place."""
    world = World()
    world.settle(pod("1.30.14", uid="u"))
    assert world.settle(pod("1.30.0", uid="u")) == []
    assert world.settle(pod("1.31.0", uid="u")) == ["stop c", "start c 1"]


def test_an_upgrade_that_changes_uids_makes_static_pods_anew() -> None:
    """Nearly every minor release has a new field in every pod, and the uid is made from a dump of all of them; patch
    releases have none (kubernetes/api core/v1/types.go, kubernetes/apimachinery pkg/apis/meta/v1/types.go at each tag).
    """
    lines = [("1.18.20", "1.19.0"), ("1.20.15", "1.21.0"), ("1.24.17", "1.25.0"), ("1.27.16", "1.28.0")]
    for before, after in [*lines, ("1.30.14", "1.31.0"), ("1.34.0", "1.35.0"), ("1.35.0", "1.36.0")]:
        assert pod(before).uid != pod(after).uid
    for before, after in [("1.19.16", "1.20.0"), ("1.21.14", "1.22.0"), ("1.28.15", "1.29.0"), ("1.36.0", "1.36.3")]:
        assert pod(before).uid == pod(after).uid


@pytest.mark.parametrize("version", ["1.25.0", "1.28.0", "1.36.3"])
def test_a_changed_seccomp_default_is_no_reason_for_anything(version: str) -> None:
    world = World()
    world.settle(pod(version))
    assert world.settle(pod(version, on=True)) == []
    world.end("c", 1)
    assert world.settle(pod(version, on=True)) == ["start c 1"]


def test_of_what_has_ended_one_is_kept_beside_what_runs() -> None:
    world, target = World(), pod()
    world.settle(target)
    for _ in range(4):
        world.end("c", 1)
        world.clock.advance(300)
        world.settle(target)
    assert [each.state for each in world.containers] == ["exited", "running"]


def test_a_pod_that_failed_is_left_alone_for_a_while() -> None:
    world, target = World(), pod()
    world.backoff.failed(target.uid, world.clock.now_ns())
    assert world.settle(target) == []
    assert world.waits[0].why == "the last attempt failed"
    world.clock.advance(10)
    assert world.settle(target) == ["sandbox 0", "start c 0"]


def test_a_copied_back_off_remembers_the_same_and_forgets_for_itself() -> None:
    backoff = BackOff()
    backoff.restarted("c", 1, 2)
    backoff.failed("u", 3)
    copy = backoff.copy()
    assert (copy.until("c", 5, 5), copy.resumes("u")) == (backoff.until("c", 5, 5), backoff.resumes("u"))
    copy.restarted("c", 6, 7)
    copy.synced("u")
    assert (backoff.until("c", 5, 5), backoff.resumes("u")) == (5 + 10 * SECOND, 3 + 10 * SECOND)
    assert (copy.until("c", 5, 5), copy.resumes("u")) == (5 + 20 * SECOND, 0)


def test_a_gate_makes_the_back_off_shorter() -> None:
    kubelet = Kubelet.start("1.33.0", feature_gates={"ReduceDefaultCrashLoopBackOffDecay": True})
    made = BackOff.of(kubelet.release, kubelet.settings.gates)
    assert (made.initial, made.most) == (1 * SECOND, 60 * SECOND)
    plain = BackOff.of(Kubelet.start("1.33.0").release, {})
    assert (plain.initial, plain.most) == (10 * SECOND, 300 * SECOND)


@given(st.lists(st.sampled_from(["one", "side", "two", "c", "d", "not-ready", "restart", "wait"]), max_size=25))
def test_whatever_ends_the_world_settles_and_comes_back(events: list[str]) -> None:
    world, target = World(), pod(initContainers=INIT, containers=[C, {**C, "name": "d"}])
    world.settle(target)
    for event in events:
        if event == "not-ready":
            world.sandboxes[-1] = replace(world.sandboxes[-1], ready=False)
        elif event == "restart":
            world.backoff = BackOff()
        elif event == "wait":
            world.clock.advance(400)
        else:
            world.end(event, 0)
        world.settle(target)
        assert sum(each.ready for each in world.sandboxes) == 1
        assert len(world.running()) == len(set(world.running()))
    for name in ("one", "two"):
        world.clock.advance(400)
        world.settle(target)
        world.end(name, 0)
    world.clock.advance(400)
    world.settle(target)
    assert {"c", "d", "side"} <= set(world.running())


# ------------------------------------------------------------------------------------------------------- connecting

ANSWER = SimpleNamespace(version="0.1.0", runtime_name="r", runtime_version="1.0.0", runtime_api_version="v1")
GONE = Fault("UNAVAILABLE", "gone")
MISSING = Fault("UNIMPLEMENTED", "unknown service")


def connect(version: str, answers: dict[str, Any], gates: dict[str, bool] | None = None) -> tuple[Any, list[str]]:
    """Connect to what answers to "v1 runtime Version" and so on, and return what comes of it and the calls."""
    talk = handshake(Kubelet.start(version).release, gates or {}, "unix:///s")
    calls: list[str] = []
    answer: Any = None
    try:
        while True:
            call: Call = talk.send(answer)
            name = f"{call.api} {call.service} {call.method}"
            calls.append(name)
            answer = answers.get(name, answers.get(f"{call.api} {call.service}", ANSWER))
    except StopIteration as end:
        return end.value, calls
    except Refused as refusal:
        return refusal.message, calls


OLD = ["v1alpha2 runtime Version"]
PROBE = ["v1 runtime Version", "v1 image ImageFsInfo"]
LAST = ["v1 runtime Version"]
FELL = ["the runtime has no runtime API v1: falling back to v1alpha2 (deprecated)"]
NO_RUNTIME = "rpc error: code = Unimplemented desc = unknown service"
NOT_V1 = "failed to run Kubelet: validate service connection: validate CRI v1 image API for endpoint"
NOT_SUPPORTED = "failed to run Kubelet: failed to create kubelet: runtime api version is not supported"
HANDSHAKES: list[tuple[str, str, dict[str, Any], Any, list[str]]] = [
    ("the oldest ask once", "1.22.17", {}, Dialect("v1alpha2", "v1alpha2"), OLD),
    ("then v1 is tried", "1.23.0", {}, Dialect("v1", "v1"), PROBE + LAST),
    (
        "and fallen back from, service by service",
        "1.25.16",
        {"v1 runtime": MISSING},
        Dialect("v1alpha2", "v1", tuple(FELL)),
        PROBE + OLD,
    ),
    (
        "what is down is no reason to fall back",
        "1.24.0",
        {"v1 runtime": GONE},
        "failed to run Kubelet: unable to determine runtime API version: rpc error: code = Unavailable desc = gone",
        PROBE[:1],
    ),
    (
        "1.26 has nothing to fall back to",
        "1.26.0",
        {"v1 runtime": MISSING},
        f'failed to run Kubelet: CRI v1 runtime API is not implemented for endpoint "unix:///s": {NO_RUNTIME}',
        PROBE[:1],
    ),
    (
        "1.27 neither, and says so in other words",
        "1.27.0",
        {"v1 image": MISSING},
        f'{NOT_V1} "unix:///s": {NO_RUNTIME}',
        PROBE,
    ),
    ("1.30 does not ask for the cgroup driver", "1.30.0", {}, Dialect("v1", "v1"), PROBE + LAST),
    ("1.31 asks three times", "1.31.0", {}, Dialect("v1", "v1"), [*PROBE, *["v1 runtime RuntimeConfig"] * 3, *LAST]),
    (
        "or once, where nobody knows",
        "1.36.3",
        {"v1 runtime RuntimeConfig": MISSING},
        Dialect("v1", "v1", ("the runtime does not tell its cgroup driver: that of the configuration counts",)),
        [*PROBE, "v1 runtime RuntimeConfig", *LAST],
    ),
    (
        "another version of the CRI",
        "1.22.0",
        {"v1alpha2 runtime": SimpleNamespace(**{**vars(ANSWER), "version": "0.2.0"})},
        f'"Failed to run kubelet" err="{NOT_SUPPORTED}"',
        OLD,
    ),
]


@pytest.mark.parametrize(
    ("why", "version", "answers", "result", "calls"), HANDSHAKES, ids=[f"{row[1]} {row[0]}" for row in HANDSHAKES]
)
def test_a_kubelet_connects(why: str, version: str, answers: dict[str, Any], result: Any, calls: list[str]) -> None:
    assert connect(version, answers) == (result, calls), why


def test_1_26_does_not_mind_other_errors_while_it_connects() -> None:
    result, calls = connect("1.26.0", {"v1 image": GONE})
    assert result.runtime == result.image == "v1"
    assert "which this release does not mind" in result.notes[0]
    assert calls == PROBE + LAST


def test_a_version_without_a_name_is_no_answer() -> None:
    result, _ = connect("1.36.3", {"v1 runtime": SimpleNamespace(**{**vars(ANSWER), "runtime_name": ""})})
    assert "not all fields are set in VersionResponse" in result


def test_an_asked_for_gate_makes_1_28_ask_for_the_cgroup_driver() -> None:
    _, calls = connect("1.28.0", {}, {"KubeletCgroupDriverFromCRI": True})
    assert calls.count("v1 runtime RuntimeConfig") == 3
