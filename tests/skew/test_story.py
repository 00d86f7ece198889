"""What an experiment tells: what happened to whom, which way it goes, and what is to be acted on."""

from __future__ import annotations

import msgspec

from shim.report.model import Report
from shim.skew.experiments.report import report
from shim.skew.experiments.story import happenings
from tests.skew.playing import Played, experiment, played

HOST = '{arch: amd64, kernel: "6.1", seccomp: true, cgroup: 2, hostname: n}'


def text(kubelet: str = "1.33.5", runtime: str = "2.0.9", more: str = "") -> str:
    return f"""
title: a story
says: It is told.
nodes:
  n1: {{host: {HOST}, kubelet: {{version: {kubelet}{more}}}, runtime: {{name: containerd, version: {runtime}}}}}
workloads:
  shop: |
    apiVersion: v1
    kind: Pod
    metadata: {{name: shop}}
    spec:
      containers:
        - {{name: free, image: i:1}}
        - {{name: web, image: i:1, securityContext: {{seccompProfile: {{type: RuntimeDefault}}}}}}
steps:
"""


def story(found: Played) -> list[tuple[int, str, str, str]]:
    return [(each.step, each.what, each.seen.container, each.status) for each in happenings(found.stories)]


def of(found: Played) -> Report:
    return report(found.experiment, found.stories, found.verdicts)


def test_what_happens_and_which_way_it_goes() -> None:
    """AF_ALG: containerd 2.0.9 blocks it, 2.1.9 does not (containerd#13407)."""
    steps = """
  - upgrade: {runtime: 2.1.9}
  - restart: runtime
  - restart: {container: web}
  - wait: 1h
  - downgrade: {runtime: 2.0.9}
  - restart: {container: "*"}
  - delete: shop
"""
    found = played(experiment(text() + steps))
    assert story(found) == [
        (0, "appears", "free", "same"),
        (0, "appears", "web", "same"),
        (1, "will change", "web", "gained"),
        (3, "changes", "web", "gained"),
        (5, "will change", "web", "lost"),
        (6, "restarts", "free", "same"),
        (6, "changes", "web", "lost"),
        (7, "ends", "free", "same"),
        (7, "ends", "web", "same"),
    ]
    findings = [(each.level, each.rule, each.subject, each.line) for each in of(found).findings]
    assert findings == [("warning", "less-confined", "shop/web on n1", 19)]
    message = of(found).findings[0].message
    assert message == "shop/web on n1 may do more than before: + socket(AF_ALG)"


def test_a_refusal_a_kubelet_that_is_down_and_what_still_waits_for_a_restart() -> None:
    steps = """
  - upgrade: {kubelet: 1.29.15}
  - flip: {SeccompDefault: null}
  - upgrade: {runtime: 2.0.0}
"""
    asked = experiment(text("1.28.15", "1.7.34", ", featureGates: {SeccompDefault: true}") + steps)
    found = of(played(asked))
    assert [(each.level, each.rule, each.subject) for each in found.findings] == [
        ("error", "kubelet-down", "node n1"),
        ("note", "changes-at-restart", "shop/web on n1"),
    ]
    assert "unrecognized feature gate: SeccompDefault" in found.findings[0].message


def test_the_report_is_a_table_of_containers_over_steps() -> None:
    steps = "  - {name: break it, restart: {container: web}, expect: [{container: web, profile: Unconfined}]}\n"
    found = of(played(experiment(text() + steps)))
    assert found.title == "a story"
    assert found.summary == ("It is told.", "1 node, 1 step; 1 expectation: 1 failed")
    assert found.columns == ("begin", "1 break it")
    assert [row.head for row in found.rows]
    assert [len(row.cells) for row in found.rows] == [2, 2]
    (check,) = found.checks
    assert not check.passed
    assert check.suite == "a story: 1 break it"
    assert check.message.splitlines()[0] == (
        "expected profile Unconfined, found profile RuntimeDefault of containerd 2.0.9"
    )
    assert {cell.detail for row in found.rows for cell in row.cells} <= found.details.keys()


def test_the_report_can_be_kept_and_read_again() -> None:
    found = of(played(experiment(text() + "  - reboot\n")))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Report) == found
