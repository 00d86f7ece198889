"""The bar is for a person at a terminal: it is there on one, and nowhere else."""

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
from shim.cli.progress import progress

with progress("deciding", 400) as advance:
    for _ in range(400):
        advance(1)
print("the answer")
"""


def run(stderr: int, **environment: str) -> str:
    command = [sys.executable, "-c", PROGRAM]
    told = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=stderr, check=True, text=True, env={**os.environ, **environment}
    )
    return told.stdout


def on_terminal(**environment: str) -> tuple[str, str]:
    """Return what stands on standard output, a pipe, and on standard error, a terminal."""
    ours, theirs = pty.openpty()
    try:
        out = run(theirs, **environment)
        os.set_blocking(ours, False)
        try:
            return out, os.read(ours, 1 << 16).decode()
        except BlockingIOError:
            return out, ""
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_shows_a_bar_that_goes_away_again() -> None:
    out, shown = on_terminal(TERM="xterm", COLUMNS="80")
    assert out == "the answer\n"
    assert "deciding" in shown
    assert "/400" in shown
    assert shown.endswith("\x1b[2K")  # the line of the bar is erased


@pytest.mark.parametrize("terminal", [False, True], ids=["a pipe", "a dumb terminal"])
def test_nothing_is_shown_elsewhere(terminal: bool) -> None:
    if terminal:
        assert on_terminal(TERM="dumb") == ("the answer\n", "")
    else:
        told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
        assert (told.stdout, told.stderr) == ("the answer\n", "")


def test_rich_is_not_imported_where_nothing_is_shown() -> None:
    program = PROGRAM + "import sys; print([name for name in sys.modules if name.startswith('rich')])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert told.stdout == "the answer\n[]\n"
