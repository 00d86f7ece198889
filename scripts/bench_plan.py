"""A cluster's dump -> the plan of an upgrade, and how fast and how big that is.

    python -m scripts.bench_plan PODS

Every figure is one beside `json.loads` of the same bytes, a part at a time, so that it needs no more memory either. The
pods are like a cluster's: those of 400 Deployments, each under a name of its own, with status, volumes and probes. A
second dump makes every pod another one, with a Deployment, image and arguments of its own: the worst that there can be.

    pods a second, and two processes beside one, on the clock; the ratio to json.loads, and how the time grows from a
    tenth of the pods to all of them (1 is linear), on the processors; the peak of memory of all processes together
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from scripts import bench_manifests
from scripts.bench_process import watched

CRISHIM = str(Path(sys.executable).with_name("crishim"))
SPECS = 400
SAMPLE = 5000  # pods that json.loads is measured with: it takes as long for each of the others
NODE = (
    "host: {{arch: amd64, kernel: 6.1.0, seccomp: true, cgroup: 2, root: {root}}}\n"
    "kubelet: {{version: {kubelet}, seccompDefault: {default}}}\nruntime: {{name: containerd, version: {runtime}}}\n"
)
_BATCH = 1000
_CHANGES = (0, 3, 4)  # exit codes of a plan


def write(path: Path, number: int, specs: int) -> int:
    """Write a dump as `kubectl get pods -A -o json` prints it, and return its size."""
    before = bench_manifests.DEPLOYMENTS
    bench_manifests.DEPLOYMENTS = specs
    try:
        with path.open("wb") as file:
            file.write(b'{\n    "apiVersion": "v1",\n    "items": [')
            for begin in range(0, number, _BATCH):
                some = [bench_manifests._pod(each) for each in range(begin, min(begin + _BATCH, number))]  # noqa: SLF001
                text = msgspec.json.format(msgspec.json.encode({"items": some}), indent=4)
                file.write((b"," if begin else b"") + text[text.index(b"[") + 1 : text.rindex(b"\n    ]")])
            file.write(b'\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n')
    finally:
        bench_manifests.DEPLOYMENTS = before
    return path.stat().st_size


class Run(NamedTuple):
    """One plan: seconds on the clock and on the processors, bytes of memory at the peak, and what it said."""

    seconds: float
    cpu: float
    memory: int
    text: str


def run(folder: Path, dump: Path, jobs: int = 1) -> Run:
    """Plan a dump that comes through a pipe."""
    words = [CRISHIM, "plan", "--from", str(folder / "old.yaml"), "--to", str(folder / "new.yaml"), "--jobs", str(jobs)]
    output = folder / "plan.txt"
    with dump.open("rb") as source, output.open("w") as shown_to:
        pipe = subprocess.Popen(["cat"], stdin=source, stdout=subprocess.PIPE)
        plan = subprocess.Popen(words, stdin=pipe.stdout, stdout=shown_to)
        assert pipe.stdout is not None
        pipe.stdout.close()
        used = watched(plan)
        pipe.wait()
    assert used.code in _CHANGES, used.code
    return Run(used.seconds, used.cpu, used.memory, output.read_text())


def measure(number: int) -> dict[str, Any]:
    """Return the figures for a number of pods."""
    with tempfile.TemporaryDirectory(prefix="crishim-bench-") as name:
        folder = Path(name)
        for file, kubelet, runtime, default in (
            ("old", "1.30.14", "1.7.27", "false"),
            ("new", "1.33.5", "2.0.9", "true"),
        ):
            text = NODE.format(root=folder, kubelet=kubelet, runtime=runtime, default=default)
            (folder / f"{file}.yaml").write_text(text)
        size = write(folder / "all.json", number, SPECS)
        write(folder / "tenth.json", number // 10, SPECS)
        write(folder / "sample.json", SAMPLE, SPECS)
        data = (folder / "sample.json").read_bytes()
        begun = time.process_time()
        json.loads(data)
        plain = (time.process_time() - begun) / SAMPLE * number
        tenth = run(folder, folder / "tenth.json")
        one = run(folder, folder / "all.json")
        two = run(folder, folder / "all.json", jobs=2)
        assert one.text == two.text, "two processes say something else than one"
        (folder / "all.json").unlink()
        write(folder / "different.json", number, number)
        different = run(folder, folder / "different.json")
    return {
        "pods": number,
        "bytes": size,
        "seconds": one.seconds,
        "cpu_seconds": one.cpu,
        "pods_per_second": number / one.seconds,
        "json_seconds": plain,
        "ratio": one.cpu / plain,
        "growth": one.cpu / (10 * tenth.cpu),
        "two_jobs": two.seconds / one.seconds,
        "memory": one.memory,
        "memory_two_jobs": two.memory,
        "different_seconds": different.seconds,
        "different_cpu_seconds": different.cpu,
        "different_pods_per_second": number / different.seconds,
        "different_ratio": different.cpu / plain,
        "different_memory": different.memory,
    }


def shown(figures: dict[str, Any]) -> str:
    """Return the figures as a person reads them."""
    return (
        f"plan of {figures['pods']:.0f} pods in {figures['bytes'] / 2**20:.0f} MiB: {figures['pods_per_second']:.0f} "
        f"pods/s, {figures['ratio']:.2f} times as long as json.loads ({figures['json_seconds']:.1f} s); "
        f"{figures['growth']:.2f} times ten times a tenth of it; with two processes {figures['two_jobs']:.2f} times as "
        f"long; memory {figures['memory'] / 2**20:.0f} MiB ({figures['memory_two_jobs'] / 2**20:.0f} with two). "
        f"Every pod another one: {figures['different_pods_per_second']:.0f} pods/s, "
        f"{figures['different_ratio']:.2f} times json.loads, memory {figures['different_memory'] / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    measured = measure(int(sys.argv[1]))
    print(json.dumps({**measured, "says": shown(measured)}, indent=1))
