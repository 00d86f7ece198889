"""`kill -9` under load: what was acknowledged is there, and all of it in one piece."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shim.engine.store import Store
from tests.engine.fakes import toy_engine

if TYPE_CHECKING:
    from pathlib import Path

    from shim.engine.engine import Engine

# Acknowledges each change on standard output, after the call returned, as a server answers after it. An object goes
# through the words in their order: "ready" to "removed" a sandbox, "created" to "removed" a container.
_CHILD = """
import itertools, os, sys
from runtimes.request import ImageSpec
from shim.engine.store import Store
from tests.engine.fakes import box, pod, toy_engine
engine = toy_engine(Store.open(sys.argv[1]))
say = lambda *words: os.write(1, (" ".join(words) + "\\n").encode())
engine.pull_image(ImageSpec(image="busybox"))
say("pulled", "busybox")
for number in itertools.count():
    sandbox = engine.run_sandbox(pod(uid=f"u{number}"))
    say("ready", sandbox)
    for name in "abc":
        made = engine.create_container(sandbox, box(name, profile="mine"))
        say("created", made)
        engine.start_container(made)
        say("running", made)
        if name != "a":
            engine.stop_container(made, 10)
            say("exited", made)
        if name == "c":
            engine.remove_container(made)
            say("removed", made)
    if number % 2:
        for each in engine.containers():
            if each.pod_sandbox_id == sandbox:
                engine.remove_container(each.id) if each.state == 2 else engine.stop_container(each.id)
                say("removed" if each.state == 2 else "exited", each.id)
        engine.stop_sandbox(sandbox)
        say("stopped", sandbox)
"""

_CONTAINER = ("created", "running", "exited", "removed")
_SANDBOX = ("ready", "stopped")


@pytest.mark.parametrize("acknowledged", [1, 2, 7, 40, 200, 900])
def test_what_was_acknowledged_survives(tmp_path: Path, acknowledged: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    lines = [child.stdout.readline() for _ in range(acknowledged)]
    os.kill(child.pid, signal.SIGKILL)
    lines += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    said = {about: word for word, about in (line.split() for line in lines if line.endswith("\n"))}
    del said["busybox"]

    engine = toy_engine(Store.open(tmp_path))
    assert any("docker.io/library/busybox:latest" in image.repo_tags for image in engine.images())
    found = states(engine)
    for each in engine.containers():
        spec = json.loads(engine.container_status(each.id, verbose=True).info["info"])["runtimeSpec"]
        assert len(spec["linux"]["seccomp"]["syscalls"][0]["names"]) == 300
    engine.close()
    # One call was under way: of its object the store may be one step ahead of what was said, of no other.
    differing = {about for about in said | found if said.get(about, "removed") != found.get(about, "removed")}
    assert len(differing) <= 1
    for about in differing:
        steps = _SANDBOX if found.get(about) in _SANDBOX else _CONTAINER
        before = steps.index(said[about]) if about in said else -1
        assert steps.index(found.get(about, "removed")) == before + 1


def states(engine: Engine) -> dict[str, str]:
    sandboxes = {each.id: _SANDBOX[each.state] for each in engine.sandboxes()}
    return sandboxes | {each.id: _CONTAINER[each.state] for each in engine.containers()}
