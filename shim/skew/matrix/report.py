"""The report of a matrix: a table that is folded, and behind each field the steps of its first cell.

A field says "+" or "-" where a container may do more or less than in the row above it, whose releases are older.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from shim.report.model import Cell, Detail, Finding, Report, Row
from shim.report.words import counted
from shim.skew.compare import compare, lines, status_of
from shim.skew.matrix import words
from shim.skew.matrix.folding import Tables, summary
from shim.skew.matrix.lab import Lab
from shim.skew.matrix.matrix import NO_COMMON_CRI, NO_KUBELET, NO_RUNTIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shim.kubelet.pod import Pod
    from shim.report.model import Status
    from shim.skew.matrix import folding
    from shim.skew.matrix.folding import Block, By, Group, Table
    from shim.skew.matrix.lab import Piece
    from shim.skew.matrix.matrix import Matrix
    from shim.skew.posture import Posture

    Lines = Callable[[Pod, str], int | None]

# What is wrong with a pair of releases, whatever the pod.
_START = {
    NO_KUBELET: ("kubelet-does-not-start", "the kubelet does not start"),
    NO_RUNTIME: ("runtime-does-not-start", "the runtime does not start"),
    NO_COMMON_CRI: ("no-common-cri", "kubelet and runtime have no version of the CRI in common"),
}
_CHANGES: tuple[Status, ...] = ("gained", "lost", "changed")


class Gathering:
    """Takes pieces as they come, and makes the report of those that came."""

    def __init__(self, matrix: Matrix, pods: Sequence[Pod], by: By = "outcome") -> None:
        self.matrix, self.pods, self.by = matrix, pods, by
        self.tables = Tables(matrix, by)
        self.kinds: Counter[str] = Counter()
        self.digests: set[str] = set()
        self.pieces = 0

    def add(self, pod: Pod, piece: Piece) -> None:
        """Take what comes of a pod on the next runtime."""
        self.tables.add(pod, piece)
        self.pieces += 1
        for row, times in Counter(piece.which).items():
            for outcome in piece.rows[row]:
                self.kinds[outcome.kind] += times
                if outcome.kind == "RuntimeDefault":
                    self.digests.add(outcome.digest)

    def report(self, line: Lines, *, details: bool = True, interrupted: bool = False) -> Report:
        """Return the report. `line` tells where in its file a container stands; `details` are what only a page or
        another program looks at, and take their time.
        """
        table = self.tables.folded()
        writer = _Writer(self.matrix, self.by, details=details)
        rows = tuple(row for group in table.groups for row in writer.rows(group))
        return Report(
            verb="matrix",
            title=self._title(),
            summary=tuple(self._summary(writer.words)),
            corner="under kubelet",
            columns=tuple(writer.words.releases(each) for each in table.columns),
            rows=rows,
            details=writer.details,
            findings=tuple(_findings(table, line)),
            interrupted=self.missing() if interrupted else "",
        )

    def _title(self) -> str:
        pods = str(self.pods[0]) if len(self.pods) == 1 else counted(len(self.pods), "pod")
        runtimes = counted(len(self.matrix.runtimes), "runtime")
        return f"{pods} on {runtimes} under {counted(len(self.matrix.kubelets), 'kubelet')}"

    def _summary(self, said: words.Words) -> Iterator[str]:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in self.kinds.most_common())
        yield f"{counted(self.kinds.total(), 'cell')}: {kinds or 'none'}."
        if self.by == "outcome" and len(self.digests) > 1:
            yield f"RuntimeDefault is {len(self.digests)} different sections among them: --fold section tells which."
        families = [family for family, by_line in said.by_line.items() if by_line]
        if families:
            newest = [point for point in (*self.matrix.kubelets, *self.matrix.runtimes) if point.family == families[0]][
                -1
            ]
            line = said.release(newest.family, newest.release)
            yield f"A line stands for its newest release that is known: {newest.family} {line} is {newest.release}."

    def missing(self) -> str:
        """Say how much of the work was done."""
        every = len(self.pods) * len(self.matrix.runtimes)
        return f"{self.pieces:,} of {counted(every, 'pair')} of a pod and a runtime were decided"


class _Writer:
    """Writes rows, and the details of their fields where they are wanted."""

    def __init__(self, matrix: Matrix, by: By, *, details: bool) -> None:
        self.matrix, self.by, self.wants_details = matrix, by, details
        self.words = words.Words(matrix)
        self.details: dict[str, Detail] = {}
        self._sections: dict[str, dict[str, Any] | None] = {"": None}
        self._cell: tuple[object, dict[str, Posture]] = (None, {})

    def rows(self, group: Group) -> Iterator[Row]:
        """Yield the rows of some containers, those with the same settings one after the other."""
        who = words.subjects(group.subjects)
        headed: dict[str, list[Row]] = {}
        above: folding.Row | None = None
        for row in group.rows:
            if above is not None and _run(above) != _run(row):
                above = None
            pairs = zip(above.blocks if above else (None,) * len(row.blocks), row.blocks, strict=True)
            cells = tuple(self._field(group, before, block) for before, block in pairs)
            told = words.settings(row.span.settings)
            head = f"{row.span.points[0].family} {self.words.releases(row.span)}"
            title = f"{who}, {told}" if told else who
            headed.setdefault(title, []).append(Row(head=head, cells=cells, group=title))
            above = row
        for rows in headed.values():
            yield from rows

    def _field(self, group: Group, above: Block | None, block: Block) -> Cell:
        status = self._status(group, above, block)
        key = ""
        if self.wants_details:
            key = str(len(self.details) + 1)
            self.details[key] = self._detail(group, above, block, status)
        return Cell(label=words.label(block.outcome, self.by), status=status, detail=key)

    def _status(self, group: Group, above: Block | None, block: Block) -> Status:
        if block.outcome.kind in ("refused", "absent"):
            return "refused" if block.outcome.kind == "refused" else "absent"
        if above is None or above.outcome.kind in ("refused", "absent"):
            return "plain"
        if summary(above.outcome, self.by) == summary(block.outcome, self.by):
            return "plain"
        status = status_of(compare(self._section(group, above), self._section(group, block)))
        return "plain" if status == "same" else status

    def _section(self, group: Group, block: Block) -> dict[str, Any] | None:
        digest = block.outcome.digest
        if digest not in self._sections:
            self._sections[digest] = self._posture(group, block).section
        return self._sections[digest]

    def _posture(self, group: Group, block: Block) -> Posture:
        """Return what the first container of a group has in the first cell of a block."""
        pod, name = group.subjects[0]
        key = (id(pod), block.kubelet, block.runtime)
        if self._cell[0] != key:
            self._cell = key, Lab.of(self.matrix).postures(pod, block.kubelet, block.runtime)
        return self._cell[1][name]

    def _detail(self, group: Group, above: Block | None, block: Block, status: Status) -> Detail:
        if block.outcome.kind == "absent":
            return Detail(title=self._place(group, block), after="absent: a kubelet of this release drops it")
        before = self._posture(group, above) if above is not None and status in _CHANGES else None
        found = self._posture(group, block)
        return Detail(
            title=self._place(group, block),
            before=f"{before.title}, on {above.runtime}" if before and above else "",
            after=found.title,
            digest=found.digest,
            changes=lines(compare(before.section, found.section)) if before else (),
            steps=found.steps,
            steps_before=before.steps if before else (),
        )

    def _place(self, group: Group, block: Block) -> str:
        pod, name = group.subjects[0]
        told = words.of_cell((*block.runtime.settings, *block.kubelet.settings))
        return f"{pod} {name}: {block.runtime} under {block.kubelet}" + (f", {told}" if told else "")


def _run(row: folding.Row) -> tuple[object, ...]:
    """Return what rows have in common that differ in their releases alone."""
    return row.span.points[0].family, row.span.settings


def _findings(table: Table, line: Lines) -> Iterator[Finding]:
    """Yield what is wrong with releases alone once for all, then each kind of refusal once for a container."""
    starts: dict[str, tuple[Block, int]] = {}
    refused: list[Finding] = []
    for group in table.groups:
        for of, (first, number) in _refusals(table, group).items():
            if of in _START:
                block, so_far = starts.get(of, (first, 0))
                starts[of] = block, so_far + number * len(group.subjects)
                continue
            refused += (
                Finding(
                    level="warning",
                    rule=of or "refused",
                    message=f"refused in {_cells(first, number)}: {_words(first)}",
                    subject=f"{pod} {name}",
                    file=pod.origin.where,
                    line=line(pod, name),
                )
                for pod, name in group.subjects
            )
    for of, (block, number) in starts.items():
        rule, sentence = _START[of]
        yield Finding(level="note", rule=rule, message=f"{of} in {_cells(block, number)}: {sentence}: {_words(block)}")
    yield from refused


def _cells(first: Block, number: int) -> str:
    return f"{counted(number, 'cell')}, as on {first.runtime} under {first.kubelet}"


def _words(block: Block) -> str:
    return block.outcome.error.message if block.outcome.error else ""


def _refusals(table: Table, group: Group) -> dict[str, tuple[Block, int]]:
    """Return the first refused block by what a person sees, and how many cells of a container are like it."""
    found: dict[str, tuple[Block, int]] = {}
    for row in group.rows:
        for column, block in zip(table.columns, row.blocks, strict=True):
            if block.outcome.kind == "refused":
                first, number = found.get(block.outcome.of, (block, 0))
                found[block.outcome.of] = first, number + len(row.span.points) * len(column.points)
    return found
