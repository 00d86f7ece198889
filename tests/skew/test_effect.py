"""What an upgrade does to a container, for the upgrades that people were surprised by.

The expected outcomes are those of the threads, advisories and sources that each row names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from runtimes.errors import BadInput
from shim.kubelet import manifest
from shim.kubelet.pod import Pod
from shim.nodefile import loads
from shim.skew.plan import cases
from shim.skew.plan.effect import Effect, effects
from shim.skew.plan.inventory import Inventory, Pool
from shim.skew.plan.plan import begin
from shim.skew.plan.side import Side, open_side
from tests.skew.nodes import node
from tests.skew.test_cases import pods

DEFAULT = {"seccompProfile": {"type": "RuntimeDefault"}}
AUDIT = {"seccompProfile": {"type": "Localhost", "localhostProfile": "audit.json"}}
NO_NAME = {"seccompProfile": {"type": "Localhost", "localhostProfile": ""}}
STATIC = {"annotations": {"kubernetes.io/config.source": "file"}}
IO_URING = ("- io_uring_enter", "- io_uring_register", "- io_uring_setup")


def side(root: object, kubelet: str, runtime: str, **settings: Any) -> Side:
    return open_side(loads(node(root, kubelet, runtime, **settings), base=str(root)))


def pod(context: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, **spec: Any) -> Pod:
    container = {"name": "app", "image": "x", **({"securityContext": context} if context else {})}
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "1", **(metadata or {})},
        "spec": {"containers": [container], **spec},
        "status": {"phase": spec.pop("phase", "Running")},
    }
    (found,) = manifest.pods(msgspec.json.encode(made), "p.json")
    return found


def effect(before: Side, after: Side, one: Pod, container: str = "container-0", handler: str = "") -> Effect:
    return effects(before, after, cases.read(cases.case_of(one)[0]), handler)[container]


OFF, ON = {"seccompDefault": False}, {"seccompDefault": True}


@pytest.mark.parametrize(
    ("why", "before", "after", "context", "verdict", "titles"),
    [
        (
            "kubernetes#129385: 1.31 makes the hash of a container in another way",
            ("1.30.14", "containerd 1.7.27", {}),
            ("1.31.13", "containerd 1.7.27", {}),
            DEFAULT,
            "now",
            ("RuntimeDefault of containerd 1.7.27", "RuntimeDefault of containerd 1.7.27"),
        ),
        (
            "and no release after it does",
            ("1.31.13", "containerd 1.7.27", {}),
            ("1.36.3", "containerd 1.7.27", {}),
            DEFAULT,
            "same",
            ("RuntimeDefault of containerd 1.7.27", "RuntimeDefault of containerd 1.7.27"),
        ),
        (
            "KEP-2413: the setting reaches a container when it is started again",
            ("1.27.14", "containerd 1.7.27", OFF),
            ("1.27.14", "containerd 1.7.27", ON),
            None,
            "next",
            ("Unconfined", "RuntimeDefault of containerd 1.7.27"),
        ),
        (
            "and not one that says what it wants",
            ("1.27.14", "containerd 1.7.27", OFF),
            ("1.27.14", "containerd 1.7.27", ON),
            {"seccompProfile": {"type": "Unconfined"}},
            "same",
            ("Unconfined", "Unconfined"),
        ),
        (
            "kubernetes#118690 (CVE-2023-2431): no file is no filter up to 1.24.13, and a refusal from 1.24.14 on",
            ("1.24.13", "containerd 1.6.20", {}),
            ("1.24.14", "containerd 1.6.20", {}),
            NO_NAME,
            "breaks",
            ("Unconfined", "refused: CreateContainerConfigError"),
        ),
        (
            "cri-o#5587: 1.24 takes nothing for its default, where a kubelet says nothing",
            ("1.19.16", "cri-o 1.23.5", {}),
            ("1.19.16", "cri-o 1.24.6", {}),
            None,
            "next",
            ("Unconfined", "RuntimeDefault of cri-o 1.24.6"),
        ),
        (
            "but a kubelet says Unconfined from 1.20 on",
            ("1.23.17", "cri-o 1.23.5", {}),
            ("1.23.17", "cri-o 1.24.6", {}),
            None,
            "same",
            ("Unconfined", "Unconfined"),
        ),
    ],
)
def test_when_a_container_changes(
    tmp_path: Path,
    why: str,
    before: tuple[str, str, dict[str, Any]],
    after: tuple[str, str, dict[str, Any]],
    context: dict[str, Any] | None,
    verdict: str,
    titles: tuple[str, str],
) -> None:
    old, new = (side(tmp_path, kubelet, runtime, **more) for kubelet, runtime, more in (before, after))
    found = effect(old, new, pod(context))
    assert found.verdict == verdict, why
    assert (found.before, found.after) == titles, why


@pytest.mark.parametrize(
    ("why", "before", "after", "changes", "lost", "won"),
    [
        (
            "containerd#9320: io_uring goes with 2.0, and the patch release 2.0.9 closed AF_ALG (containerd#13407)",
            "1.7.27",
            "2.0.9",
            (*IO_URING, "- socket"),
            (),
            ("socket(AF_ALG)", "io_uring"),
        ),
        ("before 2.0.9 it had not", "1.7.27", "2.0.8", IO_URING, (), ("io_uring",)),
        ("never closed on the 2.1 branch", "2.0.9", "2.1.9", ("+ socket",), ("socket(AF_ALG)",), ()),
        ("2.3.0 is older than 2.2.4", "2.2.4", "2.3.0", ("+ socket",), ("socket(AF_ALG)",), ()),
        ("closed in 2.3.1 (containerd#13409)", "2.2.4", "2.3.1", (), (), ()),
        ("closed in 1.7.32 (containerd#13406)", "1.7.31", "1.7.32", ("- socket",), (), ("socket(AF_ALG)",)),
    ],
)
def test_what_a_runtime_upgrade_gives_and_takes(
    tmp_path: Path,
    why: str,
    before: str,
    after: str,
    changes: tuple[str, ...],
    lost: tuple[str, ...],
    won: tuple[str, ...],
) -> None:
    old, new = (side(tmp_path, "1.36.3", f"containerd {each}") for each in (before, after))
    found = effect(old, new, pod(DEFAULT))
    assert found.verdict == ("next" if changes else "same"), why
    assert calls(found.changes) == set(changes), why
    assert (found.lost, found.won) == (lost, won), why
    assert found.restarted is None  # containers outlive their runtime's restart
    assert (found.less, found.more) == (bool(lost), bool(won))
    if lost:
        assert any("containerd#13327" in step.source for step in found.facts)


def calls(lines: tuple[str, ...]) -> set[str]:
    """Return the calls that changes name, each with its sign, without arguments and errno."""
    bare = (re.sub(r"\([^)]*\)", "", line) for line in lines)
    return {f"{line[0]} {call.split(' where ')[0].strip()}" for line in bare for call in line[2:].split(", ")}


def test_a_profile_that_is_missing_on_the_new_node_is_named(tmp_path: Path) -> None:
    profiles = tmp_path / "old/var/lib/kubelet/seccomp"
    profiles.mkdir(parents=True)
    (profiles / "audit.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    (tmp_path / "new").mkdir()
    old, new = (side(tmp_path / each, "1.36.3", "containerd 2.3.4") for each in ("old", "new"))
    found = effect(old, new, pod(AUDIT))
    path = "/var/lib/kubelet/seccomp/audit.json"
    assert (found.verdict, found.missing, found.before) == ("breaks", path, f"Localhost {path}")
    assert found.error is not None
    assert found.error.message.endswith(f"open {path}: no such file or directory")
    # the other way round it does not start today, and will
    back = effect(new, old, pod(AUDIT))
    assert (back.verdict, back.refused_before, back.missing) == ("now", True, "")
    # and where it never starts, nothing changes
    never = effect(new, new, pod(AUDIT))
    assert (never.verdict, never.refused_before) == ("same", True)


@pytest.mark.parametrize(
    ("old", "new", "anew"),
    [
        ("1.20.15", "1.21.14", True),  # the source comes in: v1.21.0 pkg/kubelet/config/common.go
        ("1.27.16", "1.28.14", True),  # another dump: v1.28.14 pkg/util/hash/hash.go
        ("1.28.14", "1.29.9", False),
        ("1.34.9", "1.35.6", True),  # FNV for MD5: v1.35.6 pkg/kubelet/config/common.go
    ],
)
def test_static_pods_are_made_anew_where_their_uid_is_made_otherwise(
    tmp_path: Path, old: str, new: str, anew: bool
) -> None:
    runtime = "containerd 1.6.20"
    before, after = side(tmp_path, old, runtime), side(tmp_path, new, runtime)
    static = effect(before, after, pod(DEFAULT, STATIC))
    assert static.verdict == ("now" if anew else "same")
    assert (static.restarted.rule if static.restarted else "") == ("static-pod-uid" if anew else "")
    assert effect(before, after, pod(DEFAULT)).verdict == "same"


@pytest.mark.parametrize(
    ("why", "before", "after", "settings", "says"),
    [
        (
            "containerd 1.5 serves no v1 (containerd#5619), and kubelet 1.26 speaks nothing else",
            ("1.25.16", "containerd 1.5.18"),
            ("1.26.15", "containerd 1.5.18"),
            {},
            "CRI v1 runtime API is not implemented",
        ),
        (
            "containerd 2.0 serves no v1alpha2 (containerd#9741), and kubelet 1.22 speaks nothing else",
            ("1.22.17", "containerd 1.7.27"),
            ("1.22.17", "containerd 2.0.9"),
            {},
            "unknown service runtime.v1alpha2.RuntimeService",
        ),
        (
            "CRI-O 1.26 serves no v1alpha2 either",
            ("1.22.17", "cri-o 1.25.5"),
            ("1.22.17", "cri-o 1.26.4"),
            {},
            "unknown service runtime.v1alpha2.RuntimeService",
        ),
        (
            "the gate is gone in 1.29, and a kubelet that is told to set it does not start",
            ("1.28.14", "containerd 1.7.27"),
            ("1.29.9", "containerd 1.7.27"),
            {"featureGates": {"SeccompDefault": True}},
            "unrecognized feature gate: SeccompDefault",
        ),
    ],
)
def test_on_a_node_that_does_not_run_nothing_starts(
    tmp_path: Path,
    why: str,
    before: tuple[str, str],
    after: tuple[str, str],
    settings: dict[str, Any],
    says: str,
) -> None:
    old, new = (open_side(loads(node(tmp_path, *each, **settings))) for each in (before, after))
    assert old.refusal is None, why
    assert says in str(new.refusal), why
    found = effect(old, new, pod(DEFAULT))
    assert (found.verdict, found.restarted) == ("breaks", None)
    assert found.error is not None
    assert says in found.error.message
    documents = [new.document, old.document]
    with pytest.raises(BadInput) as caught:  # and nobody upgrades from there
        begin(Inventory((Pool("", documents[0], documents[1], ("now.yaml", "then.yaml")),)))
    assert str(caught.value).startswith("now.yaml: such a node does not run: ")


def test_a_template_whose_annotation_nobody_reads_any_more_loses_its_profile(tmp_path: Path) -> None:
    # kubernetes#114947: from 1.27 on the API server makes no field of an annotation
    annotated = {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"}}
    template = {"metadata": annotated, "spec": {"containers": [{"name": "app", "image": "x"}]}}
    thing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": template}}
    (one,) = manifest.pods(msgspec.json.encode(thing), "web.json")
    before, after = side(tmp_path, "1.26.15", "containerd 1.7.27"), side(tmp_path, "1.27.14", "containerd 1.7.27")
    found = effect(before, after, one, "app")
    assert (found.verdict, found.before, found.after) == ("next", "RuntimeDefault of containerd 1.7.27", "Unconfined")
    assert found.lost == ("socket(AF_VSOCK)", "unshare(CLONE_NEWUSER)")  # all that 1.7.27 denies of those


def test_each_kind_of_container_is_restarted_as_its_kubelet_does(tmp_path: Path) -> None:
    before, after = side(tmp_path, "1.30.14", "containerd 1.7.27"), side(tmp_path, "1.31.13", "containerd 1.7.27")
    one = pod(
        initContainers=[{"name": "i", "image": "x"}, {"name": "s", "image": "x", "restartPolicy": "Always"}],
        ephemeralContainers=[{"name": "e", "image": "x"}],
    )
    found = effects(before, after, cases.read(cases.case_of(one)[0]), "")
    # computePodActions at v1.31.13 compares hashes of regular containers only
    assert {name: each.verdict for name, each in found.items()} == {
        "init-0": "same",
        "init-1": "same",
        "ephemeral-0": "same",
        "container-0": "now",
    }
    assert found["container-0"].comes_back
    assert found["init-0"].over


@pytest.mark.parametrize(
    ("runtime", "kernel"),
    [("containerd 2.0.9", "6.1.0"), ("containerd 1.7.27", "6.12.0"), ("cri-o 1.31.13", "6.1.0")],
)
def test_an_ephemeral_container_is_never_started_again(tmp_path: Path, runtime: str, kernel: str) -> None:
    # computePodActions at v1.31.13 starts those only that have no status yet, and a template has none of them
    before = side(tmp_path, "1.30.14", "containerd 1.7.27")
    text = node(tmp_path, "1.31.13", runtime).replace("kernel: 6.1.0", f"kernel: {kernel}")
    contexts = {"debug": DEFAULT, "audit": AUDIT}
    debuggers = [{"name": name, "image": "x", "securityContext": context} for name, context in contexts.items()]
    one = pod(DEFAULT, ephemeralContainers=debuggers)
    (tmp_path / "var/lib/kubelet/seccomp").mkdir(parents=True)
    profile = tmp_path / "var/lib/kubelet/seccomp/audit.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    found = effects(before, open_side(loads(text, base=str(tmp_path))), cases.read(cases.case_of(one)[0]), "")
    for name in ("ephemeral-0", "ephemeral-1"):
        assert (found[name].verdict, found[name].restarted, found[name].changes) == ("same", None, ()), name
        assert found[name].after == found[name].before, name
    profile.unlink()
    assert effects(before, before, cases.read(cases.case_of(one)[0]), "")["ephemeral-1"].refused_before


def test_a_pod_that_is_over_is_not_restarted(tmp_path: Path) -> None:
    before, after = side(tmp_path, "1.30.14", "containerd 1.7.27"), side(tmp_path, "1.31.13", "containerd 2.0.9")
    found = effect(before, after, pod(DEFAULT, phase="Succeeded", restartPolicy="Never"))
    assert (found.verdict, found.restarted, found.over) == ("next", None, True)


@pytest.mark.parametrize(
    ("runtime", "kernel", "rule"),
    [("containerd 2.3.4", "6.12.0", "reboot"), ("cri-o 1.36.3", "6.1.0", "another-runtime")],
)
def test_another_kernel_or_runtime_takes_everything_down(tmp_path: Path, runtime: str, kernel: str, rule: str) -> None:
    before = side(tmp_path, "1.36.3", "containerd 2.3.4")
    text = node(tmp_path, "1.36.3", runtime).replace("kernel: 6.1.0", f"kernel: {kernel}")
    found = effect(before, open_side(loads(text)), pod(DEFAULT))
    assert found.verdict == "now"
    assert found.restarted is not None
    assert found.restarted.rule == rule


def test_a_runtime_class_that_a_node_has_no_handler_for_is_refused(tmp_path: Path) -> None:
    before, after = side(tmp_path, "1.36.3", "containerd 2.0.9"), side(tmp_path, "1.36.3", "containerd 2.1.9")
    found = effect(before, after, pod(DEFAULT, runtimeClassName="kata"), handler="kata")
    assert (found.verdict, found.refused_before) == ("same", True)
    assert found.error is not None
    assert '"kata"' in found.error.message
    assert effect(before, after, pod(DEFAULT, runtimeClassName="plain"), handler="runc").verdict == "next"


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> list[Side]:
    root = tmp_path_factory.mktemp("root")
    return [
        side(root, "1.24.13", "containerd 1.6.20"),
        side(root, "1.30.14", "cri-o 1.30.0"),
        side(root, "1.36.3", "containerd 2.0.9", seccompDefault=True),
    ]


@given(one=pods())
@settings(max_examples=50, deadline=None)
def test_an_upgrade_to_what_there_is_changes_nothing(sides: list[Side], one: Pod) -> None:
    case = cases.read(cases.case_of(one)[0])
    for each in sides:
        for found in effects(each, each, case, "").values():
            assert (found.verdict, found.changes, found.restarted) == ("same", (), None)


@given(one=pods())
@settings(max_examples=50, deadline=None)
def test_what_one_way_takes_the_way_back_gives(sides: list[Side], one: Pod) -> None:
    case = cases.read(cases.case_of(one)[0])
    never_again = {each.name for each in case.spec.ephemeral_containers or ()}
    for before, after in ((sides[0], sides[2]), (sides[1], sides[2])):
        there, back = effects(before, after, case, ""), effects(after, before, case, "")
        for name in there.keys() & back.keys() - never_again:
            one_way, other = there[name], back[name]
            assert (one_way.before, one_way.after) == (other.after, other.before)
            assert (one_way.less, one_way.lost) == (other.more, other.won)
            if not (one_way.refused_before or other.refused_before):
                assert one_way.comes_back == (other.restarted is not None)
