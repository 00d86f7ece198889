"""What each RPC does to what exists, and what it says when it does nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.errors import BadInput, CapacityExceeded, Refused
from runtimes.persona import SITUATIONS
from runtimes.request import (
    NODE,
    ContainerMetadata,
    ContainerRequest,
    ImageSpec,
    LinuxContainerConfig,
    LinuxContainerResources,
    Mount,
    PodSandboxMetadata,
    SandboxRequest,
    SecurityProfile,
)
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.store import Store
from shim.engine.values import (
    CONTAINER_CREATED,
    CONTAINER_EXITED,
    CONTAINER_RUNNING,
    SANDBOX_NOTREADY,
    SANDBOX_READY,
    SandboxFilter,
)
from tests.engine.fakes import (
    SILENT,
    ToyPersona,
    box,
    counting_tokens,
    pod,
    pod_with,
    toy_engine,
    toy_node,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOWHERE = "f" * 64


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine(clock: VirtualClock) -> Engine:
    made = toy_engine(clock=clock)
    made.pull_image(ImageSpec(image="busybox"))
    return made


def started(engine: Engine, name: str = "box", **fields: Any) -> str:
    made = engine.create_container(engine.sandboxes()[0].id, box(name, **fields))
    engine.start_container(made)
    return made


# What does nothing and says so, or does not.


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (lambda e, i: e.stop_sandbox(i), "", ""),
        (lambda e, i: e.remove_sandbox(i), "", ""),
        (lambda e, i: e.stop_container(i, 10), "", ""),
        (lambda e, i: e.remove_container(i), "", ""),
        (lambda e, i: e.sandbox_status(i), "NOT_FOUND", "PodSandboxStatus.missing"),
        (lambda e, i: e.container_status(i), "NOT_FOUND", "ContainerStatus.missing"),
        (lambda e, i: e.start_container(i), "NOT_FOUND", "StartContainer.missing"),
        (lambda e, i: e.container_stats(i), "NOT_FOUND", "ContainerStats.missing"),
        (lambda e, i: e.sandbox_stats(i), "NOT_FOUND", "PodSandboxStats.missing"),
        (lambda e, i: e.update_container_resources(i, None), "NOT_FOUND", "UpdateContainerResources.missing"),
        (lambda e, i: e.update_sandbox_resources(i, None, None), "NOT_FOUND", "UpdatePodSandboxResources.missing"),
        (lambda e, i: e.reopen_log(i), "NOT_FOUND", "ReopenContainerLog.missing"),
        (lambda e, i: e.create_container(i, box()), "NOT_FOUND", "CreateContainer.sandbox-missing"),
    ],
)
@pytest.mark.parametrize("id", [NOWHERE, "f", "not hex"])
def test_ids_that_nothing_has(
    engine: Engine, call: Callable[[Engine, str], object], code: str, message: str, id: str
) -> None:
    if not code:
        assert call(engine, id) is None
        return
    with pytest.raises(Refused) as refusal:
        call(engine, id)
    assert (refusal.value.code, refusal.value.message) == (code, f"alpha: {message} id={id}")


_CALLS: list[tuple[str, str, Callable[[Engine, str], object]]] = [
    ("sandbox", "StopPodSandbox", lambda e, i: e.stop_sandbox(i)),
    ("sandbox", "RemovePodSandbox", lambda e, i: e.remove_sandbox(i)),
    ("sandbox", "PodSandboxStatus", lambda e, i: e.sandbox_status(i)),
    ("sandbox", "PodSandboxStats", lambda e, i: e.sandbox_stats(i)),
    ("sandbox", "UpdatePodSandboxResources", lambda e, i: e.update_sandbox_resources(i, None, None)),
    ("sandbox", "CreateContainer", lambda e, i: e.create_container(i, box("new"))),
    ("container", "StartContainer", lambda e, i: e.start_container(i)),
    ("container", "StopContainer", lambda e, i: e.stop_container(i)),
    ("container", "RemoveContainer", lambda e, i: e.remove_container(i)),
    ("container", "ContainerStatus", lambda e, i: e.container_status(i)),
    ("container", "ContainerStats", lambda e, i: e.container_stats(i)),
    ("container", "UpdateContainerResources", lambda e, i: e.update_container_resources(i, None)),
    ("container", "ReopenContainerLog", lambda e, i: e.reopen_log(i)),
]


@pytest.mark.parametrize(("kind", "rpc", "call"), _CALLS, ids=[rpc for _, rpc, _ in _CALLS])
def test_every_call_takes_a_unique_prefix_and_refuses_an_ambiguous_or_empty_one(
    kind: str, rpc: str, call: Callable[[Engine, str], object]
) -> None:
    # Counted ids begin alike up to their last digits, so that nearly every prefix is ambiguous.
    engine = Engine(toy_node(), Store.open(":memory:"), VirtualClock(), token=counting_tokens())
    engine.pull_image(ImageSpec(image="busybox"))
    sandboxes = [engine.run_sandbox(pod(uid=f"u{number}")) for number in range(2)]
    containers = [engine.create_container(sandboxes[0], box(f"b{number}")) for number in range(2)]
    ids = sandboxes if kind == "sandbox" else containers
    for prefix, situation in (("", "empty-id"), ("00", "ambiguous")):
        with pytest.raises(Refused) as refusal:
            call(engine, prefix)
        assert refusal.value.message.startswith(f"alpha: {kind}.{situation} rpc={rpc}")
        assert len(engine.sandboxes()) == len(engine.containers()) == 2
    if rpc == "ReopenContainerLog":
        engine.start_container(ids[0])
    call(engine, ids[0])  # a full id is never ambiguous


def test_where_a_runtime_would_say_nothing_there_is_still_nothing_to_show() -> None:
    engine = Engine(
        toy_node(default=ToyPersona("alpha", silent=frozenset(SITUATIONS))), Store.open(":memory:"), VirtualClock()
    )
    for unknown in ("", NOWHERE):
        engine.stop_sandbox(unknown)
        engine.remove_container(unknown)
        with pytest.raises(Refused, match="not found"):
            engine.container_status(unknown)
        with pytest.raises(Refused, match="there is no sandbox"):
            engine.create_container(unknown, box())
    with pytest.raises(Refused, match="there is no image absent"):
        engine.create_container(engine.run_sandbox(pod()), box(image="absent"))
    with pytest.raises(BadInput, match="no image is named"):
        engine.pull_image(None)


@pytest.mark.parametrize("length", [1, 8, 12, 63, 64])
def test_a_prefix_of_any_length_will_do(engine: Engine, length: int) -> None:
    sandbox = engine.run_sandbox(pod())
    made = engine.create_container(sandbox[:length], box())
    engine.start_container(made[:length])
    assert engine.container_status(made[:length]).status.state == CONTAINER_RUNNING
    assert engine.sandbox_status(sandbox[:length]).status.id == sandbox
    engine.remove_sandbox(sandbox[:length])
    assert engine.sandboxes() == []
    assert engine.containers() == []


def test_stopping_and_removing_twice_is_no_error(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod())
    made = started(engine)
    for _ in range(2):
        engine.stop_container(made, 10)
    first = engine.container_status(made).status
    engine.stop_sandbox(sandbox)
    engine.stop_sandbox(sandbox)
    assert engine.container_status(made).status == first
    for _ in range(2):
        engine.remove_container(made)
    for _ in range(2):
        engine.remove_sandbox(sandbox)


# Sandboxes


@pytest.mark.parametrize(
    ("config", "handler", "message"),
    [
        (None, "", "RunPodSandbox.no-config"),
        (SandboxRequest(), "", "RunPodSandbox.no-metadata"),
        (SandboxRequest(metadata=PodSandboxMetadata(namespace="n", uid="u")), "", "RunPodSandbox.no-name"),
        (SandboxRequest(metadata=PodSandboxMetadata(name="n", uid="u")), "", "RunPodSandbox.no-namespace"),
        (SandboxRequest(metadata=PodSandboxMetadata(name="n", namespace="n")), "", "RunPodSandbox.no-uid"),
        (pod(), "gvisor", "RunPodSandbox.handler-unknown handler=gvisor"),
    ],
)
def test_sandboxes_that_cannot_be(engine: Engine, config: SandboxRequest | None, handler: str, message: str) -> None:
    with pytest.raises(Refused) as refusal:
        engine.run_sandbox(config, handler)
    assert refusal.value.message == f"alpha: {message}"
    assert engine.sandboxes() == []


def test_a_runtime_that_lets_everything_pass_gets_an_empty_sandbox() -> None:
    silent = frozenset(
        SILENT | {f"RunPodSandbox.no-{what}" for what in ("config", "metadata", "name", "namespace", "uid")}
    )
    engine = toy_engine(default=ToyPersona("alpha", silent=silent))
    made = engine.run_sandbox(None)
    assert engine.sandboxes()[0].metadata == PodSandboxMetadata()
    assert engine.run_sandbox(pod()) != made


def test_a_sandbox_in_full(engine: Engine, clock: VirtualClock) -> None:
    config = pod_with(labels={"a": "b"}, annotations={"c": "d"}, seccomp=SecurityProfile())
    made = engine.run_sandbox(config, "beta")
    clock.advance(5)
    (shown,) = engine.sandboxes()
    status = engine.sandbox_status(made).status
    assert (shown.id, shown.state, shown.runtime_handler) == (made, SANDBOX_READY, "beta")
    assert shown.created_at == status.created_at == clock.now_ns() - 5_000_000_000
    assert (status.labels, status.annotations) == ({"a": "b", "made-by": "beta"}, {"c": "d"})
    assert status.linux
    assert status.linux.namespaces
    assert config.linux
    assert config.linux.security_context
    assert status.linux.namespaces.options == config.linux.security_context.namespace_options


def test_each_pod_has_an_address_of_its_own_until_it_stops(engine: Engine) -> None:
    def address(id: str) -> str:
        network = engine.sandbox_status(id).status.network
        return network.ip if network else "no network"

    first, second = engine.run_sandbox(pod(uid="1")), engine.run_sandbox(pod(uid="2"))
    on_host = engine.run_sandbox(pod_with(network=NODE, uid="3"))
    assert (address(first), address(second), address(on_host)) == ("10.88.0.2", "10.88.0.3", "")
    engine.stop_sandbox(first)
    assert address(first) == ""


def test_addresses_come_from_the_range_that_was_set_and_end(engine: Engine) -> None:
    engine.update_runtime_config("10.9.0.0/30")
    engine.update_runtime_config("")
    engine.run_sandbox(pod(uid="1"))
    with pytest.raises(CapacityExceeded, match="no free pod address"):
        engine.run_sandbox(pod(uid="2"))
    engine.stop_sandbox(engine.sandboxes()[0].id)
    engine.run_sandbox(pod(uid="2"))
    with pytest.raises(BadInput, match="pod_cidr"):
        engine.update_runtime_config("10.9.0.0/99")


def test_a_name_is_reserved_until_its_sandbox_is_removed(engine: Engine) -> None:
    made = engine.run_sandbox(pod())
    for state in ("ready", "stopped"):
        with pytest.raises(Refused) as refusal:
            engine.run_sandbox(pod())
        assert refusal.value.message == f"alpha: RunPodSandbox.name-reserved name=pod_ns_u1_0 owner={made}", state
        engine.stop_sandbox(made)
    assert engine.run_sandbox(pod(attempt=1)) != made
    engine.remove_sandbox(made)
    assert engine.run_sandbox(pod()) != made


def test_a_runtime_may_answer_with_who_has_the_name(engine: Engine) -> None:
    made = engine.run_sandbox(pod(), "beta")
    assert engine.run_sandbox(pod(), "beta") == made
    box_id = engine.create_container(made, box())
    assert engine.create_container(made, box()) == box_id
    assert len(engine.sandboxes()) == len(engine.containers()) == 1


def test_each_runtime_of_a_node_has_its_own_names_but_not_each_of_its_handlers(engine: Engine) -> None:
    engine.run_sandbox(pod())
    engine.run_sandbox(pod(), "beta")
    with pytest.raises(Refused, match="name-reserved"):
        engine.run_sandbox(pod(), "kata")  # a handler of the default runtime itself


def test_a_handler_of_the_runtime_itself_is_the_default_runtime_under_another_name(engine: Engine) -> None:
    made = engine.run_sandbox(pod(), "kata")
    assert engine.sandboxes()[0].runtime_handler == "kata"
    crishim = json.loads(engine.sandbox_status(made, verbose=True).info["crishim"])
    assert crishim["node"]["runtime"]["name"] == "alpha"


def test_a_sandbox_that_the_runtime_refuses_leaves_nothing_behind(engine: Engine) -> None:
    refused = pod_with(seccomp=SecurityProfile(profile_type=2, localhost_ref="refused"))
    with pytest.raises(Refused) as refusal:
        engine.run_sandbox(refused)
    assert [step.layer for step in refusal.value.steps] == ["kubelet", "runtime"]
    assert engine.sandboxes() == []
    made = engine.run_sandbox(pod())
    network = engine.sandbox_status(made).status.network
    assert network
    assert network.ip == "10.88.0.3"


def test_removing_a_sandbox_takes_everything_in_it_by_force(engine: Engine) -> None:
    kept = engine.run_sandbox(pod(uid="kept"))
    other = engine.create_container(kept, box())
    made = engine.run_sandbox(pod())
    for name, starts in (("a", True), ("b", False)):
        inside = engine.create_container(made, box(name))
        if starts:
            engine.start_container(inside)
    engine.remove_sandbox(made)
    assert [each.id for each in engine.sandboxes()] == [kept]
    assert [each.id for each in engine.containers()] == [other]


def test_stopping_a_sandbox_kills_what_runs_in_it(engine: Engine) -> None:
    made = engine.run_sandbox(pod())
    running = started(engine)
    created = engine.create_container(made, box("created"))
    engine.stop_sandbox(made)
    assert engine.sandboxes()[0].state == SANDBOX_NOTREADY
    ended = engine.container_status(running).status
    assert (ended.state, ended.exit_code, ended.reason) == (CONTAINER_EXITED, 137, "Error")
    assert engine.container_status(created).status.state == CONTAINER_CREATED


def test_resources_of_a_sandbox_are_kept(engine: Engine) -> None:
    made = engine.run_sandbox(pod())
    engine.update_sandbox_resources(made, LinuxContainerResources(cpu_shares=2), None)
    engine.update_sandbox_resources(made, None, LinuxContainerResources(cpu_shares=3))
    config = json.loads(engine.sandbox_status(made, verbose=True).info["info"])["config"]
    assert config["linux"] == {"overhead": {"cpu_shares": 2}, "resources": {"cpu_shares": 3}}


# Containers

_NO_IMAGE = ContainerRequest(metadata=ContainerMetadata(name="box"))


@pytest.mark.parametrize(
    ("config", "situation", "why"),
    [
        (None, "no-config", "nothing is said"),
        (ContainerRequest(image=ImageSpec(image="busybox")), "no-metadata", "it has no name"),
        (_NO_IMAGE, "no-image", "it has no image"),
        (box(image="absent"), "image-missing image=absent", "an image is not pulled by itself"),
        (box("taken"), "name-reserved name=taken_pod_ns_u1_0_0", "another container has the name"),
        (box("taken", image="absent"), "name-reserved name=taken_pod_ns_u1_0_0", "of two faults the first in order"),
    ],
)
def test_containers_that_cannot_be(engine: Engine, config: ContainerRequest | None, situation: str, why: str) -> None:
    sandbox = engine.run_sandbox(pod())
    engine.create_container(sandbox, box("taken"))
    with pytest.raises(Refused) as refusal:
        engine.create_container(sandbox, config)
    assert refusal.value.message.startswith(f"alpha: CreateContainer.{situation}"), why
    assert len(engine.containers()) == 1


@pytest.mark.parametrize(
    ("order", "situation"),
    [
        (("sandbox-missing", "sandbox-not-ready", "no-config", "no-image", "image-missing"), "sandbox-not-ready"),
        (("no-config", "no-image", "image-missing", "sandbox-missing", "sandbox-not-ready"), "image-missing"),
        (("no-name", "image-missing"), "image-missing"),
    ],
)
def test_of_two_faults_the_runtime_says_which_comes_first(order: tuple[str, ...], situation: str) -> None:
    persona = ToyPersona("alpha")
    persona.create_order = order
    engine = toy_engine(default=persona)
    sandbox = engine.run_sandbox(pod())
    engine.stop_sandbox(sandbox)
    with pytest.raises(Refused, match=f"CreateContainer.{situation}"):
        engine.create_container(sandbox, box(image="absent"))


def test_a_stopped_sandbox_takes_no_container_and_starts_none(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod())
    made = engine.create_container(sandbox, box())
    engine.stop_sandbox(sandbox)
    with pytest.raises(Refused, match=f"CreateContainer.sandbox-not-ready id={sandbox}"):
        engine.create_container(sandbox, box("other"))
    with pytest.raises(Refused, match=f"StartContainer.sandbox-not-ready id={sandbox}"):
        engine.start_container(made)


def test_a_container_in_full(engine: Engine, clock: VirtualClock, tmp_path: Any) -> None:
    sandbox = engine.run_sandbox(pod(log_directory=str(tmp_path)))
    mounts = (Mount(container_path="/in", host_path="/out", readonly=True, propagation=2),)
    config = box(labels={"a": "b"}, annotations={"c": "d"}, mounts=mounts, log_path="box/0.log", attempt=3)
    made = engine.create_container(sandbox, config)
    (shown,) = engine.containers()
    status = engine.container_status(made).status
    assert (shown.state, shown.pod_sandbox_id, shown.created_at) == (CONTAINER_CREATED, sandbox, clock.now_ns())
    assert shown.metadata == status.metadata == ContainerMetadata(name="box", attempt=3)
    assert shown.image == status.image == ImageSpec(image="docker.io/library/busybox:latest")
    image = engine.images(ImageSpec(image="busybox"))[0]
    assert (shown.image_id, shown.image_ref) == (image.id, image.repo_digests[0])
    assert (status.image_id, status.image_ref) == (image.id, image.repo_digests[0])
    assert (status.labels, status.annotations, status.mounts) == ({"a": "b"}, {"c": "d"}, mounts)
    assert status.log_path == f"{tmp_path}/box/0.log"
    assert status.user
    assert status.user.linux
    assert (status.user.linux.uid, status.user.linux.supplemental_groups) == (1000, (0, 10))
    assert (status.stop_signal, status.started_at, status.finished_at, status.reason) == (23, 0, 0, "")


def test_a_release_shows_no_more_than_it_has(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod(labels={"a": "b"}), "beta")
    made = engine.create_container(sandbox, box())
    status = engine.container_status(made).status
    assert (status.image_id, status.user, status.stop_signal, status.resources) == ("", None, 0, None)
    assert engine.containers()[0].image_id == ""
    assert engine.sandboxes()[0].labels == {"a": "b", "made-by": "beta"}
    assert engine.sandboxes(SandboxFilter(label_selector={"made-by": "beta"})) == engine.sandboxes()
    assert engine.pull_image(ImageSpec(image="busybox", runtime_handler="beta")).startswith(
        "docker.io/library/busybox@"
    )
    engine.start_container(made)
    assert [each.attributes.id for each in engine.list_container_stats()] == [made]
    engine.stop_container(made)
    assert engine.list_container_stats() == []


def test_the_times_of_a_life(engine: Engine, clock: VirtualClock) -> None:
    sandbox = engine.run_sandbox(pod())
    made = engine.create_container(sandbox, box())
    begin = clock.now_ns()
    clock.advance(1)
    engine.start_container(made)
    assert engine.containers()[0].state == CONTAINER_RUNNING
    clock.advance(2)
    running = engine.container_status(made).status
    assert (running.started_at - begin, running.finished_at, running.exit_code) == (1_000_000_000, 0, 0)
    engine.stop_container(made, 10)
    ended = engine.container_status(made).status
    assert (ended.state, ended.created_at, ended.started_at) == (CONTAINER_EXITED, begin, running.started_at)
    assert ended.finished_at - begin == 3_000_000_000
    assert (ended.exit_code, ended.reason) == (143, "Error")


@pytest.mark.parametrize(
    ("stop_signal", "timeout", "code", "why"),
    [(0, 10, 143, "SIGTERM"), (0, 0, 137, "no time"), (10, 10, 130, "SIGINT"), (32, 10, 137, "SIGWINCH is survived")],
)
def test_exit_codes(engine: Engine, stop_signal: int, timeout: int, code: int, why: str) -> None:
    engine.run_sandbox(pod())
    made = started(engine, stop_signal=stop_signal)
    engine.stop_container(made, timeout)
    status = engine.container_status(made).status
    assert status.exit_code == code, why
    assert status.stop_signal == (stop_signal or 23)


def test_removing_a_running_container_kills_it(engine: Engine) -> None:
    engine.run_sandbox(pod())
    engine.remove_container(started(engine))
    assert engine.containers() == []


def test_a_container_that_was_never_started_is_not_stopped(engine: Engine) -> None:
    made = engine.create_container(engine.run_sandbox(pod()), box())
    engine.stop_container(made, 10)
    assert engine.container_status(made).status.state == CONTAINER_CREATED


@pytest.mark.parametrize("ends", [False, True])
def test_only_what_was_created_and_not_started_can_be_started(engine: Engine, ends: bool) -> None:
    engine.run_sandbox(pod())
    made = started(engine)
    if ends:
        engine.stop_container(made, 0)
    before = engine.container_status(made)
    state = "CONTAINER_EXITED" if ends else "CONTAINER_RUNNING"
    with pytest.raises(Refused, match=f"StartContainer.state id={made} state={state}"):
        engine.start_container(made[:12])
    assert engine.container_status(made) == before


def test_a_start_that_the_oci_runtime_refuses_ends_the_container(engine: Engine, clock: VirtualClock) -> None:
    made = engine.create_container(engine.run_sandbox(pod()), box(profile="unstartable"))
    with pytest.raises(Refused, match="no such action"):
        engine.start_container(made)
    status = engine.container_status(made).status
    assert (status.state, status.exit_code, status.reason) == (CONTAINER_EXITED, 128, "StartError")
    assert status.message == "runc create failed: no such action"
    assert (status.started_at, status.finished_at) == (0, clock.now_ns())
    with pytest.raises(Refused, match=r"StartContainer\.state"):
        engine.start_container(made)


def test_a_container_that_the_runtime_refuses_leaves_nothing_behind(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod())
    with pytest.raises(Refused, match="no such profile") as refusal:
        engine.create_container(sandbox, box(profile="refused"))
    assert [step.layer for step in refusal.value.steps] == ["kubelet", "runtime"]
    assert engine.containers() == []
    engine.create_container(sandbox, box())  # its name is free


def test_a_container_name_is_free_once_its_container_is_removed(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod())
    made = engine.create_container(sandbox, box())
    engine.remove_container(made)
    assert engine.create_container(sandbox, box()) != made


def test_the_request_for_the_sandbox_that_comes_with_a_container_counts(engine: Engine, tmp_path: Any) -> None:
    sandbox = engine.run_sandbox(pod(log_directory="/nowhere"))
    made = engine.create_container(sandbox, box(log_path="a.log"), pod(uid="other", log_directory=str(tmp_path)))
    assert engine.container_status(made).status.log_path == f"{tmp_path}/a.log"
    engine.create_container(sandbox, box(), pod())  # under the pod's own name "box" is free
    with pytest.raises(Refused, match="name=box_pod_ns_other_0_0"):
        engine.create_container(sandbox, box(), pod(uid="other"))


def test_limits_are_shown_as_asked_and_changed_one_by_one(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod())
    asked = LinuxContainerResources(cpu_shares=100, memory_limit_in_bytes=1000, unified={"a": "1", "b": "1"})
    config = ContainerRequest(
        metadata=ContainerMetadata(name="limited"),
        image=ImageSpec(image="busybox"),
        linux=LinuxContainerConfig(resources=asked),
    )
    made = engine.create_container(sandbox, config)

    def limits() -> LinuxContainerResources | None:
        resources = engine.container_status(made).status.resources
        return resources.linux if resources else None

    assert limits() == asked
    engine.update_container_resources(made, LinuxContainerResources(cpu_shares=200, unified={"b": "2"}))
    engine.start_container(made)
    engine.update_container_resources(made, LinuxContainerResources(cpu_quota=5))
    engine.update_container_resources(made, None)
    assert limits() == LinuxContainerResources(
        cpu_shares=200, cpu_quota=5, memory_limit_in_bytes=1000, unified={"a": "1", "b": "2"}
    )
    assert engine.container_status(made).status.state == CONTAINER_RUNNING


@pytest.mark.parametrize("strict", [False, True])
def test_a_runtime_may_refuse_new_limits_for_what_has_ended(strict: bool) -> None:
    silent = SILENT - {"UpdateContainerResources.state"} if strict else SILENT
    engine = toy_engine(default=ToyPersona("alpha", silent=frozenset(silent)))
    engine.pull_image(ImageSpec(image="busybox"))
    engine.run_sandbox(pod())
    made = started(engine)
    engine.stop_container(made)
    if strict:
        with pytest.raises(Refused, match=r"UpdateContainerResources.state .* state=CONTAINER_EXITED"):
            engine.update_container_resources(made, LinuxContainerResources(cpu_shares=2))
    else:
        engine.update_container_resources(made, LinuxContainerResources(cpu_shares=2))


# Verbose info


def test_verbose_info_has_the_runtimes_key_and_ours(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod_with(seccomp=SecurityProfile()))
    made = engine.create_container(sandbox, box(profile="mine", tty=True))
    assert engine.container_status(made).info == engine.sandbox_status(sandbox).info == {}
    info = engine.container_status(made, verbose=True).info
    assert set(info) == {"info", "crishim"}
    shown = json.loads(info["info"])
    assert (shown["sandboxID"], shown["state"]) == (sandbox, CONTAINER_CREATED)
    assert shown["runtimeSpec"]["linux"]["seccomp"]["defaultAction"] == "mine"
    crishim = json.loads(info["crishim"])
    assert [step["layer"] for step in crishim["steps"]] == ["kubelet", "runtime"]
    assert crishim["warnings"] == ["passed on"]
    assert crishim["node"]["kubelet"]["version"] == "1.30.0"
    assert crishim["node"]["runtime"]["version"] == "1.2.3"
    assert json.loads(engine.sandbox_status(sandbox, verbose=True).info["info"])["running"] is True
    engine.stop_sandbox(sandbox)
    assert json.loads(engine.sandbox_status(sandbox, verbose=True).info["info"])["running"] is False


def test_a_spec_comes_back_in_the_order_in_which_it_was_made(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod())
    with_profile = engine.create_container(sandbox, box("a", profile="mine"))
    without = engine.create_container(sandbox, box("b"))

    def linux(id: str) -> dict[str, Any]:
        info = json.loads(engine.container_status(id, verbose=True).info["info"])
        shown: dict[str, Any] = info["runtimeSpec"]["linux"]
        return shown

    assert list(linux(with_profile)) == ["cgroupsPath", "namespaces", "seccomp", "maskedPaths"]
    assert list(linux(without)) == ["cgroupsPath", "namespaces", "maskedPaths"]


# The runtime itself, and a node that changes


def test_the_runtimes_own_answers(engine: Engine) -> None:
    assert engine.version("v1alpha2").runtime_api_version == "v1alpha2"
    assert engine.version().runtime_name == "alpha"
    status = engine.status()
    assert [each.type for each in status.status.conditions] == ["RuntimeReady", "NetworkReady"]
    assert all(each.status for each in status.status.conditions)
    assert [each.name for each in status.runtime_handlers] == ["", "runc", "beta"]
    assert status.runtime_handlers[1].features
    assert status.runtime_handlers[1].features.user_namespaces
    assert status.features
    assert status.features.supplemental_groups_policy
    assert status.info == {}
    assert json.loads(engine.status(verbose=True).info["crishim"])["node"]["kubelet"]["seccompDefault"] is True
    config = engine.runtime_config()
    assert config.linux
    assert config.linux.cgroup_driver == 1


def test_what_exists_keeps_what_it_was_created_with_when_the_node_changes(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod(), "beta")
    made = engine.create_container(sandbox, box(profile="mine"))
    before = json.loads(engine.container_status(made, verbose=True).info["crishim"])
    engine.node = toy_node(default=ToyPersona("gamma"), delta=ToyPersona("delta"))
    assert engine.version().runtime_name == "gamma"
    assert json.loads(engine.container_status(made, verbose=True).info["crishim"]) == before
    with pytest.raises(Refused, match=r"gamma: RunPodSandbox\.handler-unknown"):
        engine.run_sandbox(pod(uid="new"), "beta")
    # The runtime that made them is gone from the node; what is left looks after its things.
    with pytest.raises(Refused, match=r"gamma: CreateContainer\.image-missing"):
        engine.create_container(sandbox, box("new", image="absent"))
    engine.start_container(made)
    engine.remove_sandbox(sandbox)


def test_what_is_new_says_that_it_was_made_by_the_node_in_force(engine: Engine) -> None:
    def maker(id: str) -> str:
        name: str = json.loads(engine.sandbox_status(id, verbose=True).info["crishim"])["node"]["runtime"]["name"]
        return name

    old = engine.run_sandbox(pod(uid="old"))
    engine.node = toy_node(default=ToyPersona("gamma"))
    new = engine.run_sandbox(pod(uid="new"))
    assert (maker(old), maker(new)) == ("alpha", "gamma")


def test_a_node_that_cannot_be_put_in_force_changes_nothing(engine: Engine) -> None:
    class BadPause(ToyPersona):
        @property
        def pause_image(self) -> str:
            return "No Such Image"

    before, images = engine.node, engine.images()
    with pytest.raises(BadInput, match="invalid reference format"):
        engine.node = toy_node(default=BadPause("bad"))
    assert engine.node is before
    assert engine.images() == images
    assert engine.version().runtime_name == "alpha"


def test_a_node_whose_document_cannot_be_written_down_is_not_put_in_force(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise CapacityExceeded("disk is full")

    monkeypatch.setattr(Store, "set", full)
    with pytest.raises(CapacityExceeded):
        engine.node = toy_node(default=ToyPersona("gamma"), other=ToyPersona("other"))
    assert engine.version().runtime_name == "alpha"
    pinned = {tag for image in engine.images() if image.pinned for tag in image.repo_tags}
    assert pinned == {"registry.k8s.io/pause:alpha", "registry.k8s.io/pause:beta"}


def test_pids_are_told_apart_and_stay_within_the_kernels(engine: Engine) -> None:
    sandbox = engine.run_sandbox(pod())
    made = [engine.create_container(sandbox, box(f"b{number}")) for number in range(3)]
    pids = [json.loads(engine.container_status(each, verbose=True).info["info"])["pid"] for each in made]
    assert len(set(pids)) == 3
    assert all(1 < pid <= 4_194_304 for pid in pids)
