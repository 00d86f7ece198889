"""Differences between releases and between nodes: what is told of them, and where it holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.errors import BadInput
from runtimes.facts import load
from runtimes.host import Host
from runtimes.model import find, known
from shim.builtin import builtin_profile
from shim.cli.components import facts_of, profile_of, release_of, releases_of
from shim.kubelet import manifest
from shim.nodefile import loads
from shim.skew.compare import compare
from shim.skew.diff.nodes import diff_nodes, report_of
from shim.skew.diff.releases import ARCHITECTURES, Difference, Side, diff, summary, told
from shim.skew.diff.report import report


def side(word: str) -> Side:
    name, _, version = word.partition("@")
    return Side(name, release_of(name, version), None if name == "kubelet" else find(name))


def differing(before: str, after: str) -> Difference:
    return diff(side(before), side(after), facts_of(side(after).name), profile_of(side(after).name))


def said(found: Difference) -> dict[str, set[str]]:
    return {block.where: {line.text for line in block.lines} for block in found.blocks}


EVERYWHERE = "every architecture, every capability set"
WITHOUT = "every architecture, without CAP_SYS_ADMIN"
RELEASES = [
    ("AF_ALG, from 2.0.9 to the 2.1 branch that never closed it: containerd#13327",
     "containerd@2.0.9", "containerd@2.1.9", {EVERYWHERE: {"+ socket(AF_ALG)"}}),
    ("AF_ALG, from 2.2.4 to 2.3.0, the higher version that was cut earlier",
     "containerd@2.2.4", "containerd@2.3.0", {EVERYWHERE: {"+ socket(AF_ALG)"}}),
    ("AF_ALG, closed in 1.7.32", "containerd@1.7.31", "containerd@1.7.32",
     {EVERYWHERE: {"- socket(AF_ALG) (EPERM)"}}),
    ("AF_ALG, closed in 2.3.1", "containerd@2.3.0", "containerd@2.3.1", {EVERYWHERE: {"- socket(AF_ALG) (EPERM)"}}),
    ("AF_ALG stays open on the 1.6 branch", "containerd@1.6.38", "containerd@1.6.39", {}),
    ("AF_ALG was never closed in CRI-O", "cri-o@1.36.2", "cri-o@1.36.3", {}),
    ("io_uring left with 2.0.0: containerd#9320", "containerd@1.7.24", "containerd@2.0.0",
     {EVERYWHERE: {"- io_uring_enter, io_uring_register, io_uring_setup (EPERM)"}}),
    ("clone3 says ENOSYS from 1.5.6 on, but for whoever may make namespaces: containerd#6013",
     "containerd@1.5.5", "containerd@1.5.6",
     {WITHOUT: {"~ clone3 (EPERM -> ENOSYS)"},
      "every architecture, with CAP_SYS_ADMIN or all capabilities": {"+ clone3"}}),
    ("the memory policy is CAP_SYS_NICE's from 1.6.16 on, and pkey_* everybody's",
     "containerd@1.6.15", "containerd@1.6.16",
     {EVERYWHERE: {"+ pkey_alloc, pkey_free, pkey_mprotect"},
      "every architecture, with CAP_SYS_NICE or all capabilities": {"+ get_mempolicy, mbind, set_mempolicy"}}),
    ("CRI-O's clone with namespaces, closed in a patch release",
     "cri-o@1.29.8", "cri-o@1.29.9",
     {WITHOUT: {"- clone3 (ENOSYS)"},
      "every architecture but s390x, without CAP_SYS_ADMIN": {"- clone where arg0 & CLONE_NEW* != 0 (EPERM)"},
      "s390x, without CAP_SYS_ADMIN": {"- clone where arg1 & CLONE_NEW* != 0 (EPERM)"}}),
    ("and on the 1.30 branch", "cri-o@1.30.5", "cri-o@1.30.6",
     {WITHOUT: {"- clone3 (ENOSYS)"},
      "every architecture but s390x, without CAP_SYS_ADMIN": {"- clone where arg0 & CLONE_NEW* != 0 (EPERM)"},
      "s390x, without CAP_SYS_ADMIN": {"- clone where arg1 & CLONE_NEW* != 0 (EPERM)"}}),
    ("AF_VSOCK, closed by CRI-O 1.35.1, which gives perf_event_open back",
     "cri-o@1.35.0", "cri-o@1.35.1",
     {EVERYWHERE: {"- socket(AF_VSOCK) (EPERM)"},
      "every architecture, with CAP_SYS_ADMIN or CAP_PERFMON": {"+ perf_event_open"}}),
    ("fanotify_init is everybody's from CRI-O 1.33.0 on", "cri-o@1.32.0", "cri-o@1.33.0",
     {WITHOUT: {"+ fanotify_init"}}),
    ("nothing at all", "containerd@2.0.9", "containerd@2.0.9", {}),
]  # fmt: skip


@pytest.mark.parametrize(("description", "before", "after", "expected"), RELEASES)
def test_what_was_published_is_told_with_the_places_where_it_holds(
    description: str, before: str, after: str, expected: dict[str, set[str]]
) -> None:
    """Sources: what is named, and both families' own profiles at these tags."""
    assert said(differing(before, after)) == expected, description


@pytest.mark.parametrize(
    ("description", "before", "after", "where", "line"),
    [
        ("CRI-O 1.22.0 answers ENOSYS to what it does not name", "cri-o@1.21.7", "cri-o@1.22.0", EVERYWHERE,
         "~ everything else (EPERM -> ENOSYS)"),
        ("CRI-O 1.31.0 forgets CAP_SYS_ADMIN where it lists perf_event_open", "cri-o@1.30.6", "cri-o@1.31.0",
         "every architecture, with CAP_SYS_ADMIN", "- perf_event_open (ENOSYS)"),
        ("AF_VSOCK, closed by 1.7.0 and not by 1.6: containerd#7442", "containerd@1.6.39", "containerd@1.7.0",
         EVERYWHERE, "- socket(AF_VSOCK) (EPERM)"),
        ("unshare is CAP_SYS_ADMIN's from CRI-O 1.24.0 on: cri-o#5788", "cri-o@1.23.5", "cri-o@1.24.0",
         WITHOUT, "- unshare (ENOSYS)"),
        ("between families, only what differs", "containerd@1.7.24", "cri-o@1.30.0",
         EVERYWHERE, "~ everything else (EPERM -> ENOSYS)"),
    ],
)  # fmt: skip
def test_what_was_published_is_among_what_is_told(
    description: str, before: str, after: str, where: str, line: str
) -> None:
    assert line in said(differing(before, after))[where], description


def test_a_line_has_the_source_of_its_rule_and_a_rule_of_deciding_its_fact() -> None:
    reopened = differing("containerd@2.0.9", "containerd@2.1.9")
    assert "containerd#13327" in reopened.blocks[0].lines[0].source
    assert "removed by #9320" in differing("containerd@1.7.24", "containerd@2.0.0").blocks[0].lines[0].source
    kubelet = differing("kubelet@1.24.17", "kubelet@1.25.0")
    assert kubelet.blocks == ()
    names = {fact.name: (fact.what, fact.source) for fact in kubelet.facts}
    assert names["annotations-read"] == ("removed", "kubernetes#109819")
    assert names["localhost-profile-required"][0] == "removed", "1.24.17 has the fix of CVE-2023-2431, 1.25.0 not yet"
    assert {fact.name for fact in differing("cri-o@1.23.5", "cri-o@1.24.0").facts} >= {"use-default-when-empty-default"}


def test_what_concerns_most_containers_comes_first_and_what_is_open_again_before_what_is_closed() -> None:
    blocks = differing("containerd@1.6.39", "containerd@2.3.4").blocks
    assert [block.usual for block in blocks] == sorted((block.usual for block in blocks), reverse=True)
    for block in blocks:
        signs = [line.text[0] for line in block.lines]
        assert signs == sorted(signs, key="+-~".index)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("containerd@2.0.9", "containerd@2.1.9",
         ("RuntimeDefault ALLOWS what containerd 2.0.9 denied: socket(AF_ALG).", "It decides by the same rules.")),
        ("containerd@2.2.3", "containerd@2.2.4",
         ("RuntimeDefault denies what containerd 2.2.3 allowed: socket(AF_ALG).", "It decides by the same rules.")),
        ("containerd@1.6.39", "containerd@1.6.39",
         ("RuntimeDefault is the same, on every architecture and with every set of capabilities.",
          "It decides by the same rules.")),
        ("cri-o@1.34.0", "containerd@1.7.24",
         "cri-o and containerd decide by rules of their own: only their profiles are compared."),
    ],
)  # fmt: skip
def test_the_summary_says_it_in_a_sentence(before: str, after: str, expected: tuple[str, ...] | str) -> None:
    sentences = summary(differing(before, after))
    assert sentences == expected if isinstance(expected, tuple) else expected in sentences


def test_a_kubelet_and_a_runtime_are_not_compared() -> None:
    with pytest.raises(BadInput, match="no releases to compare"):
        differing("kubelet@1.30.2", "containerd@2.0.9")


FAMILIES = st.sampled_from(["containerd", "cri-o"])


@settings(max_examples=10)  # each compares two releases in 264 places
@given(st.data())
def test_what_is_told_of_a_place_is_what_two_containers_there_would_notice(data: st.DataObject) -> None:
    """The law behind the folding: putting the blocks of one place together gives the comparison of that place."""
    family = data.draw(FAMILIES)
    known_releases = [str(each.release) for each in releases_of(family)]
    before, after = data.draw(st.sampled_from(known_releases)), data.draw(st.sampled_from(known_releases))
    found = differing(f"{family}@{before}", f"{family}@{after}")
    model, host = find(family), Host(arch=data.draw(st.sampled_from(["amd64", "s390x"])))
    for add, drop, name in (((), (), "the default capabilities"), ((), ("ALL",), "no capability")):
        old, new = (
            builtin_profile(model, known(model, release), host, add=add, drop=drop).section
            for release in (before, after)
        )
        here = {change for block in found.blocks if holds(block.where, host.arch, name) for change in block.changes}
        assert here == set(map(told, compare(old, new))), (family, before, after, host.arch, name)


def holds(where: str, arch: str, capabilities: str) -> bool:
    """Read the words of a block's place: whether it is about an architecture, and a set without a capability's name."""
    for part in where.split("; "):
        words = part.split(", ")
        archs = [word for word in words if word in ARCHITECTURES] or list(ARCHITECTURES)
        if words[0].startswith("every architecture but"):
            archs = [each for each in ARCHITECTURES if each != words[0].rpartition(" ")[2]]
        sets = part[part.index(next(word for word in ("every capability", "without", "with") if word in part)) :]
        there = capabilities in sets if sets.startswith("with ") else capabilities not in sets
        if arch in archs and there:
            return True
    return False


NODE = """
host: {{arch: amd64, kernel: 6.1.0}}
kubelet: {{version: {}, seccompDefault: {}}}
runtime: {{name: {}, version: {}}}
"""


def node(kubelet: str, seccomp_default: str, runtime: str) -> Any:
    name, _, version = runtime.partition("@")
    return loads(NODE.format(kubelet, seccomp_default, name, version), "node.yaml")


def fates(before: Any, after: Any, pods: list[Any] | None = None) -> dict[str, tuple[str, str, str]]:
    found = diff_nodes(before, after, pods)
    return {
        pair.pod.partition("/")[2]: (pair.status, pair.before.title, pair.after.title)
        for pair in found.pairs
        if pair.container
    }


def test_seccomp_default_confines_whoever_says_nothing_and_nobody_else() -> None:
    """KEP-2413: with the flag, what is not set means RuntimeDefault; an explicit Unconfined and privileged stay."""
    off, on = node("1.27.0", "false", "containerd@1.7.24"), node("1.27.0", "true", "containerd@1.7.24")
    default = "RuntimeDefault of containerd 1.7.24"
    assert fates(off, on) == {
        "says-nothing": ("lost", "Unconfined", default),
        "asks-for-RuntimeDefault": ("same", default, default),
        "asks-for-Unconfined": ("same", "Unconfined", "Unconfined"),
        "privileged": ("same", "Unconfined", "Unconfined"),
    }
    assert fates(on, off)["says-nothing"] == ("gained", default, "Unconfined")


def test_the_steps_that_differ_are_told() -> None:
    found = diff_nodes(node("1.27.0", "false", "containerd@1.7.24"), node("1.27.0", "true", "containerd@1.7.24"))
    (pair,) = (pair for pair in found.pairs if pair.pod == "default/says-nothing")
    assert any("seccompDefault is off" in step.because for step in pair.old_steps)
    assert any("seccompDefault is on" in step.because for step in pair.new_steps)
    assert not set(pair.old_steps) & set(pair.new_steps)


ANNOTATED = """
apiVersion: v1
kind: Pod
metadata: {name: web, annotations: {seccomp.security.alpha.kubernetes.io/pod: runtime/default}}
spec: {containers: [{name: app, image: i}]}
"""


@pytest.mark.parametrize(
    ("description", "text", "before", "after", "expected"),
    [
        ("annotations are not read from 1.25 on: kubernetes#109819", ANNOTATED, "1.24.17", "1.27.0",
         ("gained", "RuntimeDefault of containerd 1.6.20", "Unconfined")),
        ("the same node", ANNOTATED, "1.24.17", "1.24.17",
         ("same", "RuntimeDefault of containerd 1.6.20", "RuntimeDefault of containerd 1.6.20")),
    ],
)  # fmt: skip
def test_what_becomes_of_a_manifest_on_another_kubelet(
    description: str, text: str, before: str, after: str, expected: tuple[str, str, str]
) -> None:
    pods = manifest.pods(text, "web.yaml")
    old, new = (node(release, "false", "containerd@1.6.20") for release in (before, after))
    assert fates(old, new, pods) == {"web": expected}, description


def test_a_report_of_releases_names_what_is_less_confined_and_why() -> None:
    made = report(differing("containerd@2.0.9", "containerd@2.1.9"))
    assert [(finding.level, finding.rule) for finding in made.findings] == [("warning", "less-confined")]
    (row,) = made.rows
    assert (row.head, row.cells[0].status) == (EVERYWHERE, "gained")
    detail = made.details[row.cells[0].detail]
    assert detail.changes == ("+ socket(AF_ALG)",)
    assert "containerd#13327" in detail.steps[0].source


def test_a_report_of_nodes_has_a_row_for_each_container_and_its_place() -> None:
    pods = manifest.pods("\n\n" + ANNOTATED, "web.yaml")
    old, new = (node(release, "false", "containerd@1.6.20") for release in ("1.24.17", "1.27.0"))
    made = report_of(diff_nodes(old, new, pods))
    (row,) = made.rows
    assert (row.group, row.head, row.cells[1].status) == ("default/web", "app", "gained")
    (finding,) = made.findings
    assert (finding.level, finding.rule, finding.file) == ("warning", "less-confined", "web.yaml")


def test_every_fact_of_a_group_that_counts_can_be_said() -> None:
    for component, package in (
        ("containerd", "runtimes.containerd"),
        ("cri-o", "runtimes.crio"),
        ("kubelet", "shim.kubelet"),
    ):
        releases = [str(each.release) for each in releases_of(component)]
        found = differing(f"{component}@{releases[0]}", f"{component}@{releases[-1]}")
        assert {fact.name for fact in found.facts} <= {fact.name for fact in load(package)}
        assert all(row.head for row in report(found).rows)
