"""A realistic report, from decisions of the models: the workloads of a shop, after each step of a node's upgrade."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from shim.answer import answer_pod
from shim.kubelet import manifest
from shim.nodefile import loads, open_node
from shim.report.model import Cell, Check, Detail, Finding, Report, Row, Status
from shim.skew.compare import compare, less_confined, lines, more_confined
from shim.skew.posture import Posture, build_of, posture

STEPS = (
    ("containerd 1.6.20, kubelet 1.26", "1.26.15", "false", "containerd", "1.6.20"),
    ("containerd 1.7.27", "1.26.15", "false", "containerd", "1.7.27"),
    ("kubelet 1.30", "1.30.14", "false", "containerd", "1.7.27"),
    ("seccompDefault on", "1.30.14", "true", "containerd", "1.7.27"),
    ("containerd 2.0.9", "1.30.14", "true", "containerd", "2.0.9"),
    ("containerd 2.1.9", "1.30.14", "true", "containerd", "2.1.9"),
    ("CRI-O 1.36", "1.36.3", "true", "cri-o", "1.36.3"),
)

APPS = (
    ("shop/Deployment web", "shop", "web", ("nginx", "fetcher")),
    ("shop/Deployment cart", "shop", "cart", ("app",)),
    ("shop/StatefulSet ledger", "shop", "ledger", ("postgres", "wal")),
    ("infra/DaemonSet node-agent", "infra", "node-agent", ("agent", "collector", "probe")),
    ("infra/Deployment builder", "infra", "builder", ("buildkit",)),
)

_ASKS = {
    "nginx": "{}",
    "fetcher": "{seccompProfile: {type: RuntimeDefault}}",
    "app": "{capabilities: {drop: [ALL]}}",
    "postgres": "{seccompProfile: {type: RuntimeDefault}, capabilities: {add: [SYS_NICE]}}",
    "wal": "{seccompProfile: {type: Localhost, localhostProfile: wal.json}}",
    "agent": "{privileged: true}",
    "collector": "{seccompProfile: {type: RuntimeDefault}, capabilities: {add: [SYS_ADMIN, BPF]}}",
    "probe": "{seccompProfile: {type: Unconfined}}",
    "buildkit": "{seccompProfile: {type: Localhost, localhostProfile: gone.json}}",
}


@functools.cache
def report(copies: int = 1) -> Report:
    """Return the report; with more `copies`, of as many shops."""
    with tempfile.TemporaryDirectory() as root:
        profiles = Path(root) / "var/lib/kubelet/seccomp"
        profiles.mkdir(parents=True)
        (profiles / "wal.json").write_text(
            '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", "write", "futex", "fdatasync"],'
            ' "action": "SCMP_ACT_ALLOW"}]}'
        )
        columns = [_column(root, *step[1:]) for step in STEPS]
    details: dict[str, Detail] = {}
    rows = []
    for copy in range(copies):
        for group, namespace, pod, containers in APPS:
            suffix = f"-{copy + 1}" if copies > 1 else ""
            for name in containers:
                had = [column[f"{namespace}/{pod}", name] for column in columns]
                cells = tuple(_cell(had, at, f"{pod} / {name}", details) for at in range(len(had)))
                rows.append(Row(head=name, group=group.replace(" ", f"{suffix} ", 1), cells=cells))
    return Report(
        verb="skew run",
        title="Upgrade of a shop's node, from containerd 1.6 to CRI-O",
        summary=(
            "9 containers of 5 workloads, over 7 states of one node.",
            "seccompDefault confines 2 containers that were unconfined.",
            "containerd 2.0.9 refuses socket(AF_ALG); 2.1.9 allows it again.",
            "infra/builder cannot start anywhere: its Localhost profile is not on the node.",
        ),
        corner="container",
        columns=tuple(step[0] for step in STEPS),
        rows=tuple(rows),
        details=details,
        findings=(
            Finding(
                level="error",
                rule="would-fail-to-start",
                message="gone.json is not in /var/lib/kubelet/seccomp of the node",
                subject="infra/builder, container buildkit",
                file="shop.yaml",
                line=88,
            ),
            Finding(
                level="warning",
                rule="less-confined",
                message="containerd 2.1.9 allows socket(AF_ALG) again, which 2.0.9 refuses",
                subject="shop/web, container fetcher",
                file="shop.yaml",
                line=17,
            ),
            Finding(level="note", rule="changes-at-restart", message="3 containers keep their filter until then"),
        ),
        checks=(
            Check(suite="after containerd 2.0.9", name="shop/web fetcher denies socket(AF_ALG)", passed=True),
            Check(
                suite="after containerd 2.1.9",
                name="shop/web fetcher denies socket(AF_ALG)",
                passed=False,
                message="socket(AF_ALG) is allowed\nRuntimeDefault of containerd 2.1.9",
                file="experiment.yaml",
                line=41,
            ),
            Check(suite="after containerd 2.1.9", name="shop/ledger wal keeps its profile", passed=True),
        ),
    )


def _column(root: str, kubelet: str, default: str, runtime: str, release: str) -> dict[tuple[str, str], Posture]:
    node = open_node(
        loads(
            f"host: {{arch: amd64, root: {root}}}\n"
            f"kubelet: {{version: {kubelet}, seccompDefault: {default}}}\n"
            f"runtime: {{name: {runtime}, version: {release}}}\n"
        )
    )
    entry = node.entry("")
    found = {}
    for pod in manifest.pods(_manifests(), "shop.yaml"):
        answer = answer_pod(node, entry, pod)
        for container in answer.containers:
            found[answer.pod, container.name] = posture(container, build_of(node, entry))
    return found


def _manifests() -> bytes:
    documents = []
    for _group, namespace, pod, containers in APPS:
        listed = "\n".join(
            f"  - {{name: {name}, image: busybox, securityContext: {_ASKS[name]}}}" for name in containers
        )
        documents.append(
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}, namespace: {namespace}}}\n"
            f"spec:\n  containers:\n{listed}"
        )
    return "\n---\n".join(documents).encode()


def _cell(had: list[Posture], at: int, title: str, details: dict[str, Detail]) -> Cell:
    now, before = had[at], had[at - 1] if at else None
    status = _status(before, now)
    key = f"{title} {at}" if status not in ("same", "plain") else f"{title} {status} {now.title}"
    if key not in details:
        changed = before is not None and "refused" not in (now.kind, before.kind)
        details[key] = Detail(
            title=f"{title} after {STEPS[at][0]}" if at else title,
            before=before.title if before else "",
            after=now.title,
            digest=now.digest,
            changes=lines(compare(before.section, now.section)) if before and changed else (),
            steps=now.steps,
            steps_before=before.steps if before and status != "same" else (),
        )
    return Cell(label=_short(now), status=status, detail=key)


def _short(now: Posture) -> str:
    return "refused" if now.kind == "refused" else now.kind


def _status(before: Posture | None, now: Posture) -> Status:
    if now.kind == "refused":
        return "refused"
    if before is None or before.kind == "refused":
        return "plain"
    changes = compare(before.section, now.section)
    match less_confined(changes), more_confined(changes):
        case True, True:
            return "changed"
        case True, False:
            return "gained"
        case False, True:
            return "lost"
        case _:
            return "changed" if changes else "same"
