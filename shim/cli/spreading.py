"""`--jobs` and `--dask`: the options of every verb whose work can be spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")


def spreads(command: Command) -> Command:
    """Give a verb the options `jobs` and `dask`, as `shim.skew.work.spread` takes them."""
    jobs = click.option(
        "--jobs", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Work in N processes."
    )
    dask = click.option(
        "--dask", default="", metavar="ADDRESS", help="Work on the Dask cluster with this scheduler (crishim[dask])."
    )
    return jobs(dask(command))
