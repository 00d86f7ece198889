"""The engine on real models: what it meets, the families have words for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from runtimes.errors import Refused
from runtimes.persona import SITUATIONS
from runtimes.request import (
    ContainerRequest,
    ImageSpec,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    SecurityProfile,
)
from shim import nodefile
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.store import Store
from shim.engine.values import CONTAINER_RUNNING
from tests.engine.fakes import box, pod, pod_with

if TYPE_CHECKING:
    from pathlib import Path

NODE = """
host: {arch: amd64, kernel: "6.18", seccomp: true, hostname: node-1}
kubelet: {version: 1.36.3, step: none}
runtime: {name: containerd, version: 2.3.4}
handlers:
  old-containerd: {name: containerd, version: 1.6.20}
  crio: {name: cri-o, version: 1.36.3}
  old-crio: {name: cri-o, version: 1.24.6}
"""
HANDLERS = ["", "runc", "old-containerd", "crio", "old-crio"]
MISSING = "f" * 64


def opened(store: Store) -> Engine:
    engine = Engine(nodefile.open_node(nodefile.loads(NODE)), store, VirtualClock())
    engine.pull_image(ImageSpec(image="busybox"))
    return engine


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_life_under_every_runtime_and_over_a_restart(handler: str, tmp_path: Path) -> None:
    engine = opened(Store.open(tmp_path))
    sandbox = engine.run_sandbox(pod_with(seccomp=SecurityProfile(), log_directory=str(tmp_path / "logs")), handler)
    made = engine.create_container(sandbox, with_default_profile(box(log_path="box/0.log")))
    engine.start_container(made)
    before = [engine.container_status(made, verbose=True), engine.sandbox_status(sandbox, verbose=True)]
    engine.close()
    engine = opened(Store.open(tmp_path))
    container, pod_view = engine.container_status(made, verbose=True), engine.sandbox_status(sandbox, verbose=True)
    assert [container, pod_view] == before
    spec = json.loads(container.info["info"])["runtimeSpec"]
    assert spec["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert container.status.state == CONTAINER_RUNNING
    assert container.status.image_ref
    steps = json.loads(container.info["crishim"])["steps"]
    assert all(step["layer"] and step["because"] for step in steps)
    engine.stop_container(made, 10)
    engine.remove_sandbox(sandbox[:12])
    engine.close()


# Which fields a running container has: ListContainers and ContainerStatus as recorded with daemons of these releases.
# `image` is what the list shows of the request's image spec.
ASKED = "localhost/oracle/busybox:1"
SHOWN = [
    ("", "2.3.4", {"image": ASKED, "user_specified_image": ASKED}, {"image_id", "resources", "stop_signal", "user"}),
    ("old-containerd", "1.6.20", {"image": ASKED}, {"resources"}),
    ("crio", "1.36.3", {"image": ASKED}, {"image_id", "resources", "user"}),
    ("old-crio", "1.24.6", {"image": ASKED}, set()),
]


@pytest.mark.parametrize(("handler", "release", "image", "fields"), SHOWN, ids=[row[1] for row in SHOWN])
def test_a_running_container_shows_what_its_release_shows(
    handler: str, release: str, image: dict[str, str], fields: set[str]
) -> None:
    engine = opened(Store.open(":memory:"))
    sandbox = engine.run_sandbox(pod(), handler)
    asked = ImageSpec(image=ASKED, user_specified_image=ASKED)
    engine.pull_image(asked)
    made = engine.create_container(sandbox, msgspec.structs.replace(with_default_profile(box()), image=asked))
    engine.start_container(made)
    (listed,), status = engine.containers(), engine.container_status(made).status
    assert msgspec.to_builtins(listed.image) == image
    assert bool(listed.image_id) is ("image_id" in fields)
    sent = {name for name in ("image_id", "resources", "stop_signal", "user") if getattr(status, name)}
    assert sent == fields
    assert listed.image_ref.startswith("sha256:" if "crio" not in handler else "localhost/oracle/busybox@"), release


def with_default_profile(config: ContainerRequest) -> ContainerRequest:
    context = LinuxContainerSecurityContext(seccomp=SecurityProfile())
    return msgspec.structs.replace(config, linux=LinuxContainerConfig(security_context=context))


@pytest.mark.parametrize("name", ["containerd", "cri-o"])
def test_a_family_has_words_for_every_situation_that_the_engine_meets(name: str) -> None:
    text = NODE.replace("runtime: {name: containerd, version: 2.3.4}", f"runtime: {{name: {name}}}")
    node = nodefile.open_node(nodefile.loads(text))
    persona = node.default.runtime.persona
    for situation, details in SITUATIONS.items():
        persona.refusal(situation, **dict.fromkeys(details, "x"))
    for rpc in ("ListPodSandbox", "ListContainers", "ListContainerStats", "ListPodSandboxStats", "StopContainer"):
        for situation in ("sandbox.ambiguous", "container.ambiguous"):
            refusal = persona.refusal(situation, rpc=rpc, id="ab")
            assert refusal is None or "ab" in refusal.message or "Multiple" in refusal.message.title()


@pytest.mark.parametrize("name", ["containerd", "cri-o"])
def test_what_kubelets_need_to_be_not_found_is_and_what_they_repeat_is_no_error(name: str) -> None:
    text = NODE.replace("runtime: {name: containerd, version: 2.3.4}", f"runtime: {{name: {name}}}")
    engine = Engine(nodefile.open_node(nodefile.loads(text)), Store.open(":memory:"), VirtualClock())
    for call in (engine.container_status, engine.sandbox_status, engine.start_container):
        with pytest.raises(Refused) as refusal:
            call(MISSING)
        assert refusal.value.code == "NOT_FOUND"
    for again in (engine.stop_container, engine.remove_container, engine.stop_sandbox, engine.remove_sandbox):
        again(MISSING)
    assert engine.images(ImageSpec(image="absent")) == []
    with pytest.raises(Refused):
        engine.create_container(MISSING, box(), pod())


def test_status_lists_every_handler_of_the_node() -> None:
    engine = opened(Store.open(":memory:"))
    names = [each.name for each in engine.status().runtime_handlers]
    assert names[:2] == ["", "runc"]
    assert {"crio", ""} <= set(names)
    assert len(names) == len(set(names))
    assert len(engine.status().status.conditions) >= 2
