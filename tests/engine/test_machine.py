"""Any sequence of calls, with the store closed and opened in between: the engine does what a small model of it does."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from runtimes.errors import Refused
from runtimes.request import ImageSpec, LinuxContainerResources, SecurityProfile
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.store import Store
from shim.engine.values import ContainerFilter, ContainerResources, SandboxFilter
from tests.engine.fakes import box, pod_with, toy_node

NAMES = st.sampled_from(["a", "b", "c"])
HANDLERS = st.sampled_from(["", "beta"])  # "beta" answers with who has a name already, the default refuses
IMAGES = st.sampled_from(["busybox", "quay.io/a/b:1"])


class Life(RuleBasedStateMachine):
    sandboxes = Bundle("sandboxes")
    containers = Bundle("containers")

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="crishim-")
        self.clock = VirtualClock()
        self.open()
        self.pods: dict[str, dict[str, Any]] = {}
        self.boxes: dict[str, dict[str, Any]] = {}
        self.images: set[str] = set()

    def open(self) -> None:
        self.engine = Engine(toy_node(), Store.open(self.directory), self.clock)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            shutil.rmtree(self.directory)

    @rule()
    def restart(self) -> None:
        before = self.seen()
        self.engine.close()
        self.open()
        assert self.seen() == before

    @rule(seconds=st.integers(0, 100))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(name=IMAGES)
    def pull(self, name: str) -> None:
        self.engine.pull_image(ImageSpec(image=name))
        self.images.add(name)

    @rule(name=IMAGES)
    def remove_image(self, name: str) -> None:
        self.engine.remove_image(ImageSpec(image=name))
        self.images.discard(name)

    @rule(target=sandboxes, uid=NAMES, handler=HANDLERS, refused=st.booleans())
    def run_sandbox(self, uid: str, handler: str, refused: bool) -> Any:
        owner = next(
            (known for known, each in self.pods.items() if (each["uid"], each["handler"]) == (uid, handler)), None
        )
        profile = SecurityProfile(profile_type=2, localhost_ref="refused" if refused else "mine")
        config = pod_with(uid=uid, seccomp=profile, labels={"uid": uid})
        fault = "name-reserved" if owner and handler != "beta" else "no such profile" if refused and not owner else ""
        if fault:
            with pytest.raises(Refused, match=fault):
                self.engine.run_sandbox(config, handler)
            return multiple()
        made = self.engine.run_sandbox(config, handler)
        if owner:
            assert made == owner
            return multiple()
        self.pods[made] = {"uid": uid, "handler": handler, "state": 0}
        return made

    @rule(id=sandboxes)
    def stop_sandbox(self, id: str) -> None:
        self.engine.stop_sandbox(id)
        if id in self.pods:
            self.pods[id]["state"] = 1
            for each in self.boxes_of(id):
                if each["state"] == 1:
                    each.update(state=2, code=137)

    @rule(id=consumes(sandboxes))
    def remove_sandbox(self, id: str) -> None:
        self.engine.remove_sandbox(id)
        self.pods.pop(id, None)
        self.boxes = {key: each for key, each in self.boxes.items() if each["pod"] != id}

    @rule(
        target=containers, pod=sandboxes, name=NAMES, image=IMAGES, profile=st.sampled_from(["x", "y", "unstartable"])
    )
    def create(self, pod: str, name: str, image: str, profile: str) -> Any:
        try:
            made = self.engine.create_container(pod, box(name, image=image, profile=profile, labels={"name": name}))
        except Refused as refusal:
            said = refusal.message.partition("CreateContainer.")[2].split()[0]
            assert said == self.fault(pod, name, image)
            return multiple()
        fault = self.fault(pod, name, image)
        if fault == "name-reserved" and self.pods[pod]["handler"] == "beta":
            return multiple()
        assert fault is None
        self.boxes[made] = {"pod": pod, "name": name, "state": 0, "profile": profile, "code": 0, "shares": 0}
        return made

    def fault(self, pod: str, name: str, image: str) -> str | None:
        if pod not in self.pods:
            return "sandbox-missing"
        if self.pods[pod]["state"]:
            return "sandbox-not-ready"
        if any(each["name"] == name for each in self.boxes_of(pod)):
            return "name-reserved"
        return None if image in self.images else "image-missing"

    @rule(id=containers)
    def start(self, id: str) -> None:
        before = self.boxes.get(id)
        ready = before and not self.pods[before["pod"]]["state"]
        starts = bool(before and before["state"] == 0 and ready and before["profile"] != "unstartable")
        try:
            self.engine.start_container(id)
        except Refused:
            assert not starts
            if before and before["state"] == 0:
                before.update(state=2, code=128)
        else:
            assert starts
            assert before
            before["state"] = 1

    @rule(id=containers, timeout=st.sampled_from([0, 10]))
    def stop(self, id: str, timeout: int) -> None:
        self.engine.stop_container(id[:40], timeout)
        if self.boxes.get(id, {}).get("state") == 1:
            self.boxes[id].update(state=2, code=143 if timeout else 137)

    @rule(id=containers, shares=st.integers(0, 2))
    def update(self, id: str, shares: int) -> None:
        if id in self.boxes:
            self.engine.update_container_resources(id, LinuxContainerResources(cpu_shares=shares))
            self.boxes[id]["shares"] = shares or self.boxes[id]["shares"]

    @rule(id=consumes(containers))
    def remove(self, id: str) -> None:
        self.engine.remove_container(id)
        self.boxes.pop(id, None)

    def boxes_of(self, pod: str) -> list[dict[str, Any]]:
        return [each for each in self.boxes.values() if each["pod"] == pod]

    def seen(self) -> list[Any]:
        engine = self.engine
        return [
            *([*engine.sandboxes()], [*engine.containers()], engine.images()),
            [engine.sandbox_status(each.id, verbose=True) for each in engine.sandboxes()],
            [engine.container_status(each.id, verbose=True) for each in engine.containers()],
            [*engine.list_sandbox_stats(), *engine.sandbox_metrics()],
        ]

    @invariant()
    def lists_agree(self) -> None:
        if not hasattr(self, "engine"):
            return
        assert {each.id: each.state for each in self.engine.sandboxes()} == {
            known: each["state"] for known, each in self.pods.items()
        }
        assert {each.id: each.state for each in self.engine.containers()} == {
            known: each["state"] for known, each in self.boxes.items()
        }
        for known in self.pods:
            inside = self.engine.containers(ContainerFilter(pod_sandbox_id=known))
            assert [self.boxes[each.id]["pod"] for each in inside] == [known] * len(self.boxes_of(known))
        ready = self.engine.sandboxes(SandboxFilter(state=0))
        assert len(ready) == sum(1 for each in self.pods.values() if not each["state"])

    @invariant()
    def addresses_are_unique(self) -> None:
        if hasattr(self, "engine"):
            statuses = [self.engine.sandbox_status(known).status for known in self.pods]
            addresses = [status.network.ip for status in statuses if status.network and status.state == 0]
            assert all(addresses)
            assert len(addresses) == len(set(addresses))

    @invariant()
    def statuses_agree(self) -> None:
        for known, each in getattr(self, "boxes", {}).items():
            status = self.engine.container_status(known).status
            assert (status.state, status.exit_code) == (each["state"], each["code"])
            if not self.pods[each["pod"]]["handler"]:  # "beta" does not show them
                limits = LinuxContainerResources(cpu_shares=each["shares"])
                assert status.resources == ContainerResources(linux=limits)
            assert bool(status.finished_at) == (status.state == 2)
            assert bool(status.started_at) == (status.state == 1 or (status.state == 2 and status.exit_code != 128))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=40)
