"""How fast and how big experiments are that compare many nodes: the rows of `scripts/bench --only skew`.

    matrix   the cells of `crishim matrix`, a line each: how long it takes, beside json.dumps of the very same lines

A cell cannot be told faster than its line is written, so that is what each figure is a ratio to. Two matrices of one
size: ten pods under every kubelet on the newest runtimes, where many cells share what is decided, and under the newest
kubelets on every containerd, where few do.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CRISHIM = str(Path(sys.executable).with_name("crishim"))
PODS = 10
# Six security contexts, in turn; each pod has a name and an image of its own.
CONTEXTS = [
    "{}",
    "{seccompProfile: {type: RuntimeDefault}}",
    "{seccompProfile: {type: Unconfined}, capabilities: {add: [SYS_ADMIN]}}",
    "{seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL], add: [NET_ADMIN]}}",
    "{privileged: true}",
    "{runAsUser: 1000, readOnlyRootFilesystem: true}",
]
SETTINGS = ["--set", "seccompDefault=true,false", "--set", "arch=amd64"]
# 530 kubelets with their settings on 18 runtimes, and 36 on 263.
SHAPES = {
    "many kubelets": ["--kubelet", "1.19.0..1.36", "--runtime", "containerd@1.4..2.3", "--runtime", "cri-o@1.27..1.36"],
    "many runtimes": ["--kubelet", "1.19..1.36", "--runtime", "containerd@all", "--runtime", "cri-o@1.22.0..1.31"],
}
_PERIOD = 0.02  # seconds between two looks at the memory
_SAMPLE = 20_000  # lines that json.dumps is measured with: it takes as long for each of the others


def write(folder: Path, pods: int) -> Path:
    """Write manifests of that many pods."""
    path = folder / f"{pods}.yaml"
    path.write_text(
        "\n---\n".join(
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: pod-{number}}}\nspec:\n  containers:\n"
            f"  - {{name: app, image: 'example.org/app:{number}', securityContext: {CONTEXTS[number % len(CONTEXTS)]}}}"
            for number in range(pods)
        )
    )
    return path


def run(words: list[str], out: Path) -> tuple[float, float, int]:
    """Run a matrix; return seconds, those of them that a processor worked, and the peak of memory in bytes."""
    peak, begun, before = 0, time.perf_counter(), _worked()
    with out.open("wb") as file, subprocess.Popen([CRISHIM, "matrix", *words], stdout=file) as process:
        while process.poll() is None:
            peak = max(peak, sum(_memory(process.pid)))
            time.sleep(_PERIOD)
        seconds = time.perf_counter() - begun
    assert process.returncode == 0, process.returncode
    return seconds, _worked() - before, peak


def _worked() -> float:
    """Return the seconds that processors worked for processes that are over: on a busy machine, what they need."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _memory(pid: int) -> Iterator[int]:
    """Yield what a process, and each that it started, holds of its own, and shared pages once for each."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                yield int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _memory(int(child))
    except OSError:
        return


def matrix() -> dict[str, Any]:
    """Return the figures of both shapes."""
    with tempfile.TemporaryDirectory(prefix="crishim-bench-") as name:
        return {shape: _matrix(Path(name), words) for shape, words in SHAPES.items()}


def _matrix(folder: Path, words: list[str]) -> dict[str, float]:
    all_pods, one_pod = write(folder, PODS), write(folder, 1)
    common = [*words, *SETTINGS, "-o", "jsonl"]
    out, other = folder / "out", folder / "other"
    _, tenth, tenth_memory = run(["-f", str(one_pod), *common], out)
    seconds, worked, memory = run(["-f", str(all_pods), *common], out)
    two, _, memory_two = run(["-f", str(all_pods), *common, "--jobs", "2"], other)
    assert out.read_bytes() == other.read_bytes(), "two processes say something else than one"
    lines = out.read_bytes().splitlines()
    values = [json.loads(line) for line in lines[:: max(1, len(lines) // _SAMPLE)]]
    begun = time.process_time()
    for value in values:
        json.dumps(value)
    plain = (time.process_time() - begun) / len(values)
    return {
        "cells": len(lines),
        "cells_per_second": len(lines) / worked,
        "ratio": worked / len(lines) / plain,
        "growth": worked / (PODS * tenth),
        "two_jobs": two / seconds,
        "memory": memory,
        "memory_tenth": tenth_memory,
        "memory_two_jobs": memory_two,
    }


def _says_matrix(figures: dict[str, Any]) -> str:
    return "\n".join(
        f"matrix, {shape}: {each['cells']:,} cells at {each['cells_per_second']:,.0f} cells/s of a processor, "
        f"{each['ratio']:.1f} times as long as json.dumps of their lines; {each['growth']:.2f} times ten times a tenth "
        f"of it; with two processes {each['two_jobs']:.2f} times as long; memory {each['memory'] / 2**20:.0f} MiB "
        f"({each['memory_tenth'] / 2**20:.0f} for a tenth, {each['memory_two_jobs'] / 2**20:.0f} with two processes)"
        for shape, each in figures.items()
    )


# Every bench of this kind: what measures it, and what says its figures as a person reads them.
BENCHES: dict[str, tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]] = {
    "matrix": (matrix, _says_matrix),
}


def measure() -> dict[str, Any]:
    """Return the figures of every bench, and `says`, all of them in words."""
    figures = {name: work() for name, (work, _) in BENCHES.items()}
    return {**figures, "says": "\n".join(says(figures[name]) for name, (_, says) in BENCHES.items())}


if __name__ == "__main__":
    print(measure()["says"])
