"""The plugin as a suite sees it: fixtures, marks, what is printed, and what it costs those who do not use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shim import nodefile
from shim.testing.choosing import choices, said
from tests.testing.conftest import ALONE, WITH_XDIST, Run

ROOT = Path(__file__).parents[2]


def test_five_lines_are_a_suite(run: Run) -> None:
    """containerd#13327: 2.0.9 closes the kernel's crypto sockets, and 2.1.9, a higher version, has them open."""
    outcome = run(
        """
        import pytest
        @pytest.mark.cri_node("containerd@2.0.9", "containerd@2.1.9", kubelet="1.30.2", seccompDefault=True)
        def test_crypto_sockets_are_closed(cri_node, assert_seccomp):
            assert_seccomp(cri_node.container()).denies("socket", arg0=38)
        """
    )
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(
        [
            "*test_crypto_sockets_are_closed?containerd-2.1.9?*",
            "E *: container main of pod default/plain (containerd 2.1.9, *): socket(arg0=38) is allowed, *",
            "E * it has *RuntimeDefault of containerd 2.1.9, sha256 *",
            "E * because *kubelet *seccompDefault on*",
        ]
    )
    outcome.stdout.no_fnmatch_line("*asserting.py*")


def test_every_way_to_name_a_node_is_understood(run: Run) -> None:
    outcome = run(
        """
        import pathlib, pytest

        MODULE = {"runtime": {"name": "containerd", "version": "1.6.20"}, "kubelet": {"version": "1.24.17"}}

        @pytest.mark.cri_node("cri-o@1.36.3", MODULE, "runtime: {name: cri-o, version: 1.24.6}", "old.yaml")
        @pytest.mark.cri_node(file="old.yaml", id="by-file")
        @pytest.mark.cri_node(pathlib.Path("old.yaml"), id="by-path", arch="arm64")
        def test_it(cri_node): ...
        """,
        "--collect-only",
        "-q",
        old__yaml="runtime: {name: containerd, version: 1.6.20}",
    )
    names = ["cri-o-1.36.3", "containerd-1.6.20", "cri-o-1.24.6", "old", "by-file", "by-path"]
    outcome.stdout.fnmatch_lines([f"*test_it?{name}?" for name in names], consecutive=True)


@pytest.mark.parametrize(
    ("marks", "ids"),
    [
        pytest.param(
            ['"containerd@1.7.0"', '"containerd@2.0.0"'],
            ["containerd-1.7.0", "containerd-2.0.0"],
            id="several marks add up, in the order in which they are written",
        ),
        pytest.param(
            ['"containerd@2.0.0", kubelet="1.30.2"', '"containerd@2.0.0", kubelet="1.31.0"'],
            ["containerd-2.0.0-kubelet-1.30.2", "containerd-2.0.0-kubelet-1.31.0"],
            id="nodes of one release are told apart by what they differ in",
        ),
        pytest.param(
            ['"containerd@2.0.0", seccompDefault=True', '"containerd@2.0.0"', '"cri-o@1.36.3", seccompDefault=True'],
            ["containerd-2.0.0-seccompDefault-true", "containerd-2.0.0-seccompDefault-unset", "cri-o-1.36.3"],
            id="and only those",
        ),
        pytest.param(
            ['"containerd@2.0.0", id="old"', '"containerd@2.1.0", "containerd@2.2.0", id=["b", "c"]'],
            ["old", "b", "c"],
            id="a mark may say the ids",
        ),
    ],
)
def test_ids_say_which_node_it_is(run: Run, marks: list[str], ids: list[str]) -> None:
    decorators = "\n".join(f"@pytest.mark.cri_node({mark})" for mark in marks)
    outcome = run(f"import pytest\n{decorators}\ndef test_it(cri_node): ...", "--collect-only", "-q")
    outcome.stdout.fnmatch_lines([f"*test_it?{each}?" for each in ids], consecutive=True)
    outcome.stdout.fnmatch_lines([f"*{len(ids)} tests collected*"])


def test_a_mark_with_settings_changes_the_nodes_of_the_module(run: Run) -> None:
    run(
        """
        import pytest

        pytestmark = [
            pytest.mark.cri_node("containerd@1.6.20", "cri-o@1.24.6"),
            pytest.mark.cri_node(kubelet="1.24.17"),
        ]

        def test_the_module_decides(cri_node):
            assert cri_node.name in ("containerd 1.6.20, kubelet 1.24.17", "cri-o 1.24.6, kubelet 1.24.17")

        @pytest.mark.cri_node(kubelet="1.28.4")
        def test_settings_are_put_on_top(cri_node):
            assert cri_node.name in ("containerd 1.6.20, kubelet 1.28.4", "cri-o 1.24.6, kubelet 1.28.4")

        @pytest.mark.cri_node("containerd@2.0.9")
        def test_nodes_take_the_place_of_others(cri_node):
            assert cri_node.name == "containerd 2.0.9, kubelet 1.24.17"

        @pytest.mark.cri_node("containerd@2.0.9", kubelet="1.30.2")
        def test_a_node_says_more_than_the_module(cri_node):
            assert cri_node.name == "containerd 2.0.9, kubelet 1.30.2"
        """
    ).assert_outcomes(passed=6)


def test_the_command_line_and_the_configuration_choose_for_tests_without_a_mark(run: Run) -> None:
    suite = """
        import pytest
        def test_any(cri_node): ...
        @pytest.mark.cri_node("cri-o@1.36.3")
        def test_own(cri_node): ...
        """
    ini = "[pytest]\ncri_nodes =\n    containerd@1.6.20\n    containerd@1.7.0\n"
    outcome = run(suite, "--collect-only", "-q", pytest__ini=ini)
    outcome.stdout.fnmatch_lines(
        ["*test_any?containerd-1.6.20?", "*test_any?containerd-1.7.0?", "*test_own?cri-o-1.36.3?"]
    )
    outcome = run(suite, "--collect-only", "-q", "--cri-node", "containerd@2.3.4", pytest__ini=ini)
    outcome.stdout.fnmatch_lines(["*test_any?containerd-2.3.4?", "*test_own?cri-o-1.36.3?"], consecutive=True)


def test_what_is_wrong_there_is_told_too(run: Run) -> None:
    outcome = run("def test_any(cri_node): ...", "--cri-node", "containerd@2.0.99", "--cri-node", "./gone.yaml")
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(
        [
            "test_suite.py::test_any: the nodes of --cri-node or cri_nodes are not right:",
            "*gone.yaml: cannot be read: No such file or directory",
            "*containerd 2.0.99 is not a known release*",
        ]
    )


def test_a_node_takes_nothing_from_the_machine_it_is_tested_on(run: Run) -> None:
    run(
        """
        from pathlib import Path
        from shim.testing import simulated_node

        def test_its_host_is_the_same_everywhere(cri_node):
            host = cri_node.document.host
            assert (host.arch, host.seccomp, host.hostname) == ("amd64", True, "node-1")
            assert list(Path(host.root).iterdir()) == []

        def test_it_is_gone_afterwards():
            with simulated_node("containerd@2.0.9") as node:
                node.write("/etc/x", "y")
                assert (node.root / "etc/x").read_text() == "y"
            assert not node.root.exists()
        """
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ('"containerd@2.1.99"', "*runtime.version: containerd 2.1.99 is not a known release (*2.1.9 and *"),
        ('"docker@20.10"', "*runtime.name: there is no runtime 'docker' (one of containerd, cri-o*"),
        ('"containerd@2.0.9", kubelt="1.30"', "kubelt: there is no such argument (did you mean kubelet?)"),
        ('"containerd@2.0.9", kubelet=1.30', '*kubelet.version: is a number "1.3", not text*'),
        ('"containerd@2.0.9", seccompDefault="yes"', '*kubelet.seccompDefault: is text "yes", not true or false*'),
        ('file="gone.yaml"', "*gone.yaml: cannot be read: No such file or directory"),
        ('file="bad.yaml"', "*bad.yaml:1:11: kubelet.versoin: there is no such setting (did you mean version?)"),
        ("38", '*38 is no node (a node is "containerd@2.0.9", a node file, YAML or a mapping)'),
        ('"containerd@2.0.9", "containerd@2.0.9"', "*the node containerd-2.0.9 is there twice*"),
        ('"containerd@2.0.9", id=["a", "b"]', "id: 2 ids for 1 node (one for each node)"),
        ('{"host": {"kernel": object()}}', "*holds what no node document can hold*"),
    ],
)
def test_what_is_wrong_with_a_mark_is_told_with_what_would_be_right(run: Run, mark: str, told: str) -> None:
    outcome = run(
        f"import pytest\n@pytest.mark.cri_node({mark})\ndef test_it(cri_node): ...\n",
        bad__yaml="kubelet: {versoin: 1.30.2}\n",
    )
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["test_suite.py::test_it: the nodes of its marks are not right:", told])
    outcome.stdout.no_fnmatch_line("*Traceback*")


def test_everything_that_is_wrong_is_told_at_once(run: Run) -> None:
    outcome = run(
        """
        import pytest
        @pytest.mark.cri_node("containerd@9.9.9", "cri-o@0.1.0", seccompDefault=3)
        def test_it(cri_node): ...
        """
    )
    outcome.stdout.fnmatch_lines_random(["*containerd 9.9.9 is not a*", "*cri-o 0.1.0 is not a*", "*seccompDefault*"])


def test_a_component_that_does_not_start_says_so_itself(run: Run) -> None:
    """KEP-2413: the gate was off by default before 1.25, and seccompDefault needs it."""
    outcome = run(
        """
        import pytest
        @pytest.mark.cri_node("containerd@1.6.20", kubelet="1.24.17", seccompDefault=True)
        def test_it(cri_node): ...
        """
    )
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["the node containerd-1.6.20 does not start: *SeccompDefault*"])
    outcome.stdout.no_fnmatch_line("*Traceback*")


def test_a_fixture_may_choose_between_both_kinds_of_node(run: Run) -> None:
    run(
        """
        import pytest

        @pytest.fixture(params=["cri_node", "cri_server"])
        def node(request, cri_choice):
            return request.getfixturevalue(request.param)

        @pytest.mark.cri_node("containerd@2.0.9", "cri-o@1.36.3")
        def test_it(node, assert_seccomp):
            assert_seccomp(node.container(seccompProfile={"type": "RuntimeDefault"})).is_default()
        """
    ).assert_outcomes(passed=4)


def test_a_node_that_is_asked_for_at_run_time_has_to_be_the_only_one(run: Run) -> None:
    outcome = run(
        """
        import pytest

        @pytest.mark.cri_node("containerd@2.0.9")
        def test_one(request):
            assert request.getfixturevalue("cri_node").name.startswith("containerd 2.0.9")

        @pytest.mark.cri_node("containerd@2.0.9", "containerd@2.1.9")
        def test_two(request):
            request.getfixturevalue("cri_node")
        """
    )
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(["*2 nodes are chosen (containerd-2.0.9, containerd-2.1.9)*an argument cri_choice"])


def test_who_asks_for_no_node_imports_nothing_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_it():
            heavy = {"runtimes", "msgspec", "grpc", "google", "yaml", "click"}
            ours = {name for name in sys.modules if name.partition(".")[0] == "shim"}
            assert ours == {"shim", "shim.testing", "shim.testing.plugin"}
            assert not heavy & {name.partition(".")[0] for name in sys.modules}
        """
    )
    pytester.runpytest_subprocess(*ALONE).assert_outcomes(passed=1)


def test_workers_of_xdist_run_the_same_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.cri_node("containerd@1.6.20", "containerd@2.3.4", "cri-o@1.24.6", "cri-o@1.36.3")
        def test_it(cri_server, assert_seccomp):
            assert_seccomp(cri_server.container(seccompProfile={"type": "RuntimeDefault"})).is_default()
        """
    )
    pytester.runpytest_subprocess(*WITH_XDIST, "-n2").assert_outcomes(passed=4)


def test_the_mark_and_the_fixtures_are_documented(run: Run) -> None:
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.cri_node(*): choose the nodes of a test*"])
    outcome = run("", "--fixtures")
    outcome.stdout.fnmatch_lines(["cri_node -- *", "    A simulated node in this process*", "cri_server -- *"])


def test_the_example_suite_holds() -> None:
    """As its reader runs it: in its directory, with its own configuration."""
    suite = ROOT / "examples" / "conformance"
    words = [sys.executable, "-m", "pytest", "-q", "-W", "error", *ALONE]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    done = subprocess.run(words, cwd=suite, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout
    assert "41 passed" in done.stdout


def test_what_a_mark_chooses_is_a_node_file_like_any_other() -> None:
    (choice,) = choices([[said("containerd@2.0.9", kubelet="1.30.2")]])
    text = json.dumps(nodefile.to_dict(choice.document))
    assert nodefile.to_dict(nodefile.loads(text)) == nodefile.to_dict(choice.document)
