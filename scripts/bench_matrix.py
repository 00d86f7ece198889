"""The cells of `crishim matrix`, a line each: how long that takes, beside json.dumps of the very same lines.

A cell cannot be told faster than its line is written, so that is what each figure is a ratio to. Two matrices of one
size: twenty pods under every kubelet on the newest runtimes, where many cells share what is decided, and under the
newest kubelets on every containerd, where few do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.bench_process import watched

CRISHIM = str(Path(sys.executable).with_name("crishim"))
PODS = 20
# Five security contexts, in turn; each pod has a name and an image of its own.
CONTEXTS = [
    "{}",
    "{seccompProfile: {type: RuntimeDefault}}",
    "{seccompProfile: {type: Unconfined}, capabilities: {add: [SYS_ADMIN]}}",
    "{seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL], add: [NET_ADMIN]}}",
    "{privileged: true}",
]
SETTINGS = ["--set", "seccompDefault=true,false", "--set", "arch=amd64"]
# 530 kubelets with their settings on 9 runtimes, and 36 on 130 or so.
SHAPES = {
    "many kubelets": ["--kubelet", "1.19.0..1.36", "--runtime", "containerd@1.6..2.3", "--runtime", "cri-o@1.34..1.36"],
    "many runtimes": [
        "--kubelet",
        "1.19..1.36",
        "--runtime",
        "containerd@1.6.0..2.3",
        "--runtime",
        "cri-o@1.29.*,1.36",
    ],
}
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
    with out.open("wb") as file:
        used = watched(subprocess.Popen([CRISHIM, "matrix", *words], stdout=file))
    assert used.code == 0, used.code
    return used.seconds, used.cpu, used.memory


def measure() -> dict[str, Any]:
    """Return the figures of both shapes."""
    with tempfile.TemporaryDirectory(prefix="crishim-bench-") as name:
        return {shape: _matrix(Path(name), words) for shape, words in SHAPES.items()}


def _matrix(folder: Path, words: list[str]) -> dict[str, float]:
    all_pods, half_pods, few_pods = (write(folder, number) for number in (PODS, PODS // 2, PODS // 10))
    common = [*words, *SETTINGS, "-o", "jsonl"]
    out, other = folder / "out", folder / "other"
    _, tenth, tenth_memory = run(["-f", str(few_pods), *common], out)
    _, half, _ = run(["-f", str(half_pods), *common], out)
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
        "growth": worked / (10 * tenth),
        # What a pod more costs in the second half, beside what it costs in the first: starting up does not count.
        "bend": (worked - half) / PODS * 2 / ((half - tenth) / (PODS // 2 - PODS // 10)),
        "two_jobs": two / seconds,
        "memory": memory,
        "memory_tenth": tenth_memory,
        "memory_two_jobs": memory_two,
    }


def shown(figures: dict[str, Any]) -> str:
    """Return the figures as a person reads them."""
    return "\n".join(
        f"matrix, {shape}: {each['cells']:,} cells at {each['cells_per_second']:,.0f} cells/s of a processor, "
        f"{each['ratio']:.1f} times as long as json.dumps of their lines; {each['growth']:.2f} times ten times a tenth "
        f"of it, and a pod more costs {each['bend']:.2f} times as much in the second half as in the first; with two "
        f"processes {each['two_jobs']:.2f} times as long; memory {each['memory'] / 2**20:.0f} MiB "
        f"({each['memory_tenth'] / 2**20:.0f} for a tenth, {each['memory_two_jobs'] / 2**20:.0f} with two processes)"
        for shape, each in figures.items()
    )


if __name__ == "__main__":
    print(shown(measure()))
