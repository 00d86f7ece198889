"""`crishim matrix`: what pods would get under many kubelets, runtimes and settings, told in one table."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from shim.cli.outputs import Output, interrupted, outputs
from shim.cli.spreading import spreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.kubelet.api import Source
    from shim.kubelet.pod import Pod
    from shim.report.model import Report
    from shim.skew.matrix.folding import By
    from shim.skew.matrix.lab import Piece
    from shim.skew.matrix.manifests import Manifests
    from shim.skew.matrix.matrix import Matrix

Format = Literal["text", "jsonl", "csv"]
Thing = TypeVar("Thing")


@click.command("matrix")
@click.option(
    "-f", "--filename", "names", multiple=True, required=True, metavar="FILE",
    help="Manifests: files, directories, patterns in quotes; - is stdin.",
)  # fmt: skip
@click.option(
    "--kubelet", "kubelets", multiple=True, metavar="RELEASES", help="As 1.19..1.36 or 1.28.*.  [default: the node's]"
)
@click.option(
    "--runtime", "runtimes", multiple=True, metavar="NAME@RELEASES",
    help="As containerd@1.4..2.3 or cri-o@latest-per-minor.  [default: the node's]",
)  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE,...", help="A setting, and the values to try.")
@click.option("--node", "node_file", metavar="FILE", help="The node file below all cells.  [default: this host]")
@click.option(
    "--source", type=click.Choice(["api", "static"]), default="api", show_default=True,
    help="Where kubelets have the pods from: the API server, or files on the node.",
)  # fmt: skip
@click.option(
    "--fold", "by", type=click.Choice(["outcome", "section"]), default="outcome", show_default=True,
    help="What is told together: the same kind of profile, or only the very same section.",
)  # fmt: skip
@click.option(
    "-o", "--output", "format_", type=click.Choice(["text", "jsonl", "csv"]), default="text", show_default=True,
    help="The folded table, or a line for each container in each cell.",
)  # fmt: skip
@spreads
@outputs
def command(names: tuple[str, ...], by: By, format_: Format, jobs: int, dask: str, output: Output, **asked: Any) -> int:
    """Say what the containers of pods would get in each cell of a matrix of kubelets, runtimes and settings.

    A range of lines (1.19..1.36) means the newest release of each line, 1.6.* all releases of one, 1.6.5..1.6.20 what
    is between; latest-per-minor and all speak for themselves. Pre-releases have to be named.

    A KEY of --set is a setting of the node document (kubelet.seccompDefault, or seccompDefault for short) or one of a
    runtime's own configuration file (unset_seccomp_profile, seccomp_profile); nothing after the = or a comma means its
    default. A setting that a family does not have is not varied for it.

    Exit code: 0; 1 where the output cannot be written; 2 where a file or an option is wrong; 130 where Ctrl-C cut the
    work short: what was finished is told.
    """
    from runtimes.errors import BadInput

    if format_ != "text" and output.prints != "text":
        raise BadInput("both would be printed", where=f"-o {format_} and --{output.prints}", right="choose one of them")
    matrix, found = _asked(names, **asked)
    for name in found.passed_over:
        click.echo(f"{name} is passed over: there is no pod in it", err=True)
    return _Run(matrix, found, by, output).run(format_, jobs, dask)


def _asked(
    names: tuple[str, ...],
    *,
    kubelets: tuple[str, ...],
    runtimes: tuple[str, ...],
    settings: tuple[str, ...],
    node_file: str | None,
    source: Source,
) -> tuple[Matrix, Manifests]:
    """Read everything that is named. Raises `BadInput` with all that is wrong with any of it."""
    from runtimes.errors import BadInput
    from shim.nodefile import BadDocument, default_document, load
    from shim.skew.matrix.manifests import read
    from shim.skew.matrix.matrix import matrix

    faults: list[BadInput] = []

    def tried(what: Callable[[], Thing]) -> Thing | None:
        try:
            return what()
        except BadInput as fault:
            faults.extend(fault.faults if isinstance(fault, BadDocument) else (fault,))
            return None

    base = tried(lambda: load(node_file) if node_file else default_document())
    made = tried(lambda: matrix(base or default_document(), kubelets, runtimes, settings, source))
    found = tried(lambda: read(names))
    if made is None or found is None or faults:
        raise BadDocument(faults)
    return made, found


class _Run:
    """One matrix being decided and told."""

    def __init__(self, matrix: Matrix, found: Manifests, by: By, output: Output) -> None:
        from shim.skew.matrix.report import Gathering

        self.matrix, self.found, self.output = matrix, found, output
        self.gathering = Gathering(matrix, found.pods, by)
        self.interrupted = False

    def run(self, format_: Format, jobs: int, dask: str) -> int:
        """Decide, tell, and return the exit code."""
        from shim.skew.work import uninterrupted

        wants_files = any((self.output.report, self.output.junit, self.output.sarif))
        streams = format_ != "text" and not wants_files
        lines: list[str] = []
        try:
            for text, decided in self._told(format_, jobs, dask, streams=streams):
                with uninterrupted():  # or half a line might be left, or one that is not counted
                    if streams:
                        sys.stdout.write(text)
                        sys.stdout.flush()
                    else:
                        lines.append(text)
                    if decided:
                        self.gathering.add(*decided)
        except KeyboardInterrupt:
            self.interrupted = True
        if not streams:
            self._deliver("".join(lines).removesuffix("\n"), details=wants_files or self.output.prints != "text")
        if not self.interrupted:
            return 0
        return interrupted("matrix", self.gathering.missing())

    def _told(
        self, format_: Format, jobs: int, dask: str, *, streams: bool
    ) -> Iterator[tuple[str, tuple[Pod, Piece] | None]]:
        """Decide everything, and yield what was decided with its lines, "" for the text, which is made at the end."""
        from shim.cli.progress import progress
        from shim.skew.matrix.lab import pieces
        from shim.skew.matrix.lines import FORMATS
        from shim.skew.matrix.matrix import containers

        pods = self.found.pods
        lines = FORMATS[format_](self.matrix) if format_ in FORMATS else None
        yield lines.head if lines else "", None
        total = len(self.matrix.kubelets) * len(self.matrix.runtimes) * sum(len(containers(pod)) for pod in pods)
        # A bar between the lines on one terminal would spoil both.
        with contextlib.nullcontext(None) if streams and sys.stdout.isatty() else progress("deciding", total) as done:
            for pod, runtime, piece in pieces(self.matrix, pods, jobs=jobs, dask=dask, done=done):
                yield lines.of(pod, runtime, piece) if lines else "", (pod, piece)

    def _deliver(self, lines: str, *, details: bool) -> None:
        report = self.gathering.report(self.found.line, details=details, interrupted=self.interrupted)
        self.output.deliver(report, lambda: lines or _text(report))


def _text(report: Report) -> str:
    from shim.cli.matrix_text import text
    from shim.cli.terminal import Terminal

    return text(report, Terminal())
