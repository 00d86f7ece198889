"""Fixtures that every test of the edge may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cri.harness import V1, Client, running, short_directory


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Return a directory for sockets."""
    with short_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """Return the socket of a server that the tests of a module share."""
    with short_directory() as directory, running(directory / "a.sock"):
        yield directory / "a.sock"


@pytest.fixture
def v1(socket: Path) -> Iterator[Client]:
    """Return a client of it."""
    made = V1(socket)
    yield made
    made.channel.close()
