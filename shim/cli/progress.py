"""How far long work has come: a bar on standard error where that is a terminal, and nothing in a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PERIOD = 0.1  # seconds between two looks at the bar


@contextlib.contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how far `what` has come of `total` (None where nobody knows) while the context lasts.

    Gives a function that is told how much more is done; it may be called a million times. The bar is gone at the end.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _more: None
        return
    # Not before it is needed: it takes longer to import than an answer takes to work out.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield _seldom(lambda more: bar.advance(task, more))


def _seldom(tell: Callable[[int], None]) -> Callable[[int], None]:
    """Gather what is told, and pass it on a few times a second: the bar takes a lock each time."""
    from time import monotonic

    gathered, told = 0, 0.0

    def advance(more: int) -> None:
        nonlocal gathered, told
        gathered += more
        now = monotonic()
        if now - told >= _PERIOD:
            tell(gathered)
            gathered, told = 0, now

    return advance
