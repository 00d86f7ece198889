"""The options of every verb that ends in a report: files for other programs, and what is printed."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import click
import msgspec

from runtimes.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from shim.report.model import Report

    P = ParamSpec("P")

INTERRUPTED = 130
Printed = Literal["text", "json", "markdown"]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a report. The files, by their option's name, are "" where none is asked for."""

    report: str = ""
    junit: str = ""
    sarif: str = ""
    prints: Printed = "text"

    def deliver(self, report: Report, text: Callable[[], str]) -> None:
        """Write the files that were asked for and print the report, in the words of `text` if nothing else is wanted.

        A file that cannot be written keeps none of the others back, nor what is printed. Raises OSError after that.
        """
        faults: list[OSError] = []
        for format_, path in (("html", self.report), ("junit", self.junit), ("sarif", self.sarif)):
            if path:
                try:
                    write(path, _made(format_, report))
                except OSError as fault:
                    faults.append(fault)
        click.echo(text() if self.prints == "text" else _made(self.prints, report), nl=self.prints == "text")
        if faults:
            raise faults[0]


def interrupted(verb: str, what: str) -> int:
    """Say on standard error what a report lacks that was cut short, and return the exit code of Ctrl-C."""
    click.echo(f"crishim {verb}: interrupted: {what}", err=True)
    return INTERRUPTED


def outputs(function: Callable[P, Any]) -> Callable[P, Any]:
    """Give a verb the options, and hand them to it as the argument `output`, an `Output`."""

    @click.option("--report", "_report", callback=checked, metavar="FILE.html", help="Write a page for a browser.")
    @click.option("--junit", "_junit", callback=checked, metavar="FILE", help="Write the checks as JUnit XML.")
    @click.option("--sarif", "_sarif", callback=checked, metavar="FILE", help="Write the findings as SARIF 2.1.0.")
    @click.option("--json", "_json", is_flag=True, help="Print the report as JSON.")
    @click.option("--markdown", "_markdown", is_flag=True, help="Print it as Markdown, for a pull request.")
    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        files = {name: options.pop(f"_{name}") or "" for name in ("report", "junit", "sarif")}
        as_json, as_markdown = options.pop("_json"), options.pop("_markdown")
        if as_json and as_markdown:
            raise BadInput("both would be printed", where="--json and --markdown", right="choose one of them")
        _refuse_one_file_twice(files)
        prints: Printed = "json" if as_json else "markdown" if as_markdown else "text"
        return function(*arguments, output=Output(**files, prints=prints), **options)  # type: ignore[arg-type]

    return wrapped


def write(path: str, text: str) -> None:
    """Write a file in one piece: whoever reads it sees the old content or the new. A pipe or device is written to.

    Raises OSError with the path.
    """
    content = text.encode("utf-8", "replace")
    there = _status(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        with open(path, "wb") as device:  # noqa: PTH123  pathlib is slow to import
            device.write(content)
        return
    target = os.path.realpath(path)  # a link stays one
    head, tail = os.path.split(target)
    beside = os.path.join(head, f".{tail[:200]}.{os.urandom(4).hex()}.new")  # noqa: PTH118
    try:
        with open(beside, "xb") as file:  # noqa: PTH123
            file.write(content)
            if there is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(there.st_mode))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)  # noqa: PTH105
    except OSError as fault:
        raise OSError(fault.errno, fault.strerror, path) from None
    finally:
        with contextlib.suppress(OSError):  # after a replacement it is no longer there
            os.unlink(beside)  # noqa: PTH108


def checked(_context: click.Context, option: click.Parameter, path: str | None) -> str:
    """Refuse a file that could not be written later, when the work is done."""
    if path is None:
        return ""
    where, there = option.opts[0], _status(path)
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise BadInput(f"{path} is a directory", where=where, right="name a file")
    if there is not None and not stat.S_ISREG(there.st_mode):
        if not os.access(path, os.W_OK):
            raise BadInput(f"{path} cannot be written", where=where)
        return path
    if not path or path.endswith("/") or "\0" in path:
        raise BadInput(f"{path!r} is no name of a file", where=where, right="name a file")
    directory = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
    if not os.path.isdir(directory):  # noqa: PTH112
        raise BadInput(f"{path}: there is no directory {directory}", where=where, right="make it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise BadInput(f"{path}: the directory {directory} cannot be written to", where=where)
    return path


def _refuse_one_file_twice(files: dict[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, path in files.items():
        there = _status(path) if path else None
        if not path or (there is not None and not stat.S_ISREG(there.st_mode)):
            continue
        first = seen.setdefault(os.path.realpath(path), name)
        if first != name:
            raise BadInput(f"both name {path}", where=f"--{first} and --{name}", right="name two files")


def _made(format_: str, report: Report) -> str:
    """Return the report in a format, whose module is only now imported."""
    from importlib import import_module

    module = import_module(f"shim.report.{'jsonform' if format_ == 'json' else format_}")
    made: str = module.render(report)
    return made


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
