"""How fast the models decide, without a server: the rows of `scripts/bench` that no gRPC is part of.

cold      decisions that were never made before: a container each, with another bounding set
cached    the same decision again
spec      everything of a CreateContainer that a runtime decides, the whole spec
facts     reading what is known of a family, once a program has imported it, in milliseconds
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.containerd import model, seccomp
from runtimes.containerd.capabilities import DEFAULT
from runtimes.containerd.known import Known
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.request import (
    ContainerMetadata,
    ContainerRequest,
    ImageSpec,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    PodSandboxMetadata,
    SandboxRequest,
    SecurityProfile,
)
from shim.node import Entry, rehearsed_container, rehearsed_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOADING = """
import time
from runtimes import profile
from runtimes.containerd.known import PACKAGE, every
from runtimes.containerd import model
before = time.perf_counter()
every(), model.releases(), profile.load(PACKAGE)
print(1000 * (time.perf_counter() - before))
"""


def rates(seconds: float) -> dict[str, float]:
    """Return how often a second each kind of decision is made."""
    known, host = Known(model.releases()[-1].release), Host()
    asked = seccomp.Asked(SecurityProfile())

    def decide(bounding: tuple[str, ...]) -> None:
        seccomp.section(seccomp.choose(asked, "", known, host), known, host, bounding, MemoryFiles())

    def again(_: Any) -> None:
        decide(DEFAULT)

    decide(DEFAULT)
    return {
        "decisions, cold": _rate(decide, itertools.combinations(KERNEL_CAPABILITIES, 7), seconds),
        "decisions, cached": _rate(again, itertools.count(), seconds),
        "specs of CreateContainer": _rate(_creation(), itertools.count(), seconds),
    }


def loading(rounds: int = 9) -> float:
    """Return how long the facts take to load in a fresh interpreter, in milliseconds; the median."""
    command = [sys.executable, "-c", _LOADING]
    done = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(rounds + 1)]
    return statistics.median(float(each.stdout) for each in done[1:])


def _rate(work: Callable[[Any], object], arguments: Iterable[Any], seconds: float) -> float:
    count, start = 0, time.perf_counter()
    end = start + seconds
    for argument in arguments:
        work(argument)
        count += 1
        if not count & 127 and time.perf_counter() > end:
            break
    return count / (time.perf_counter() - start)


def _creation() -> Callable[[Any], object]:
    runtime = model.runtime(model.releases()[-1].release, Host(), Setup(), MemoryFiles())
    pod = SandboxRequest(metadata=PodSandboxMetadata(name="bench", uid="bench", namespace="bench"))
    sandbox_place = rehearsed_sandbox(Entry("", runtime), pod)
    context = LinuxContainerSecurityContext(seccomp=SecurityProfile())
    request = ContainerRequest(
        metadata=ContainerMetadata(name="bench"),
        image=ImageSpec(image="busybox"),
        linux=LinuxContainerConfig(security_context=context),
    )
    place = rehearsed_container(request, sandbox_place)
    return lambda _: runtime.container(request, place, pod, sandbox_place)
