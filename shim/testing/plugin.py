"""The pytest plugin, found by its entry point in every environment that has crishim installed.

So nothing is imported here but what pytest has imported anyway: who asks for no node pays for these lines only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from shim.testing.asserting import SeccompCheck
    from shim.testing.choosing import Choice
    from shim.testing.nodes import CriNode
    from shim.testing.opened import CriServer

T = TypeVar("T")

_MARKER = (
    "cri_node(*nodes, file=..., id=..., **settings): choose the nodes of a test, one after the other; a node is "
    '"containerd@2.0.9", a node file, or a node document as YAML or as a mapping; settings are those of such a '
    'document, kubelet="1.30.2", seccompDefault=True, arch="arm64" (docs/pytest.md)'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Have the nodes of tests without a mark chosen on the command line, or in the configuration."""
    group = parser.getgroup("crishim", "nodes of crishim")
    group.addoption(
        "--cri-node",
        action="append",
        default=[],
        metavar="NODE",
        help="a node for tests that choose none: containerd@2.0.9, or a node file; may be given more than once",
    )
    parser.addini("cri_nodes", "nodes for tests that choose none, one a line, where --cri-node names none", "linelist")


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the mark."""
    config.addinivalue_line("markers", _MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each of its nodes."""
    if "cri_choice" in metafunc.fixturenames:
        from shim.testing import marks

        found = marks.chosen(metafunc.definition)
        if found:
            metafunc.parametrize("cri_choice", found, ids=[each.id for each in found], indirect=True)


@pytest.fixture
def cri_choice(request: pytest.FixtureRequest) -> Choice:
    """The node that the marks chose, as a document: what `cri_node` and `cri_server` are made from."""
    from shim.testing import marks

    return getattr(request, "param", None) or marks.only(request)


@pytest.fixture
def cri_node(cri_choice: Choice) -> Iterator[CriNode]:
    """A simulated node in this process: create pods on it, change it, restart things, look at what they got."""
    from shim.testing.opened import opened

    yield from _started(cri_choice, opened)


@pytest.fixture
def cri_server(cri_choice: Choice) -> Iterator[CriServer]:
    """The same node behind a unix socket: `cri_server.endpoint` is for crictl and other clients of the CRI."""
    from shim.testing.opened import served

    yield from _started(cri_choice, served)


@pytest.fixture
def assert_seccomp() -> Callable[[Any], SeccompCheck]:
    """Checks of what a container got: `assert_seccomp(container).denies("socket", arg0=38)`."""
    from shim.testing.asserting import assert_seccomp as check

    return check


def _started(choice: Choice, start: Callable[[Choice], AbstractContextManager[T]]) -> Iterator[T]:
    """Yield a node; one that does not start is told in its own words, without the way there."""
    from runtimes.errors import CrishimError

    with contextlib.ExitStack() as stack:
        try:
            node = stack.enter_context(start(choice))
        except CrishimError as fault:
            pytest.fail(f"the node {choice.id} does not start: {fault}", pytrace=False)
        yield node
