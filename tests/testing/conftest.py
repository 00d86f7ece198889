"""Small suites with our plugin, run in this process: as their authors run them, without our settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shim.testing import served_node

Run = Callable[..., pytest.RunResult]

# Of the plugins that happen to be here a suite needs none. pytest-asyncio warns of settings that it does without.
WITH_XDIST = ("-p", "no:asyncio", "-p", "no:hypothesispytest", "-p", "no:cov", "-p", "no:cacheprovider")
ALONE = (*WITH_XDIST, "-p", "no:xdist")


@pytest.fixture(autouse=True, scope="session")
def _imported() -> None:
    """Import what a suite may come to import: pytester forgets it, and extension modules are imported once only."""
    with served_node("runtime: {name: cri-o}") as node:
        node.container()


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a suite: its text, and what pytest is told besides."""

    def run(suite: str, *arguments: str, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            Path(pytester.path, name.replace("__", ".")).write_text(text)
        pytester.makepyfile(test_suite=suite)
        return pytester.runpytest_inprocess("--strict-markers", *ALONE, *arguments)

    return run
