"""Cells that come out alike, told together: consecutive releases become one row or one column.

A table has a row for each runtime with its settings and its kubelet's, and a column for each release of the kubelet.
Columns that are alike in every row become one, and so do rows that are alike in every column, release by release.
Where a setting makes no difference to the rows, they are told once for all its values. Containers whose tables are
alike become a group.

    Tables      pieces -> the table
    unfold      the table -> every cell again, as `summary` says it
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import msgspec

from shim.skew.matrix.lab import Piece
from shim.skew.matrix.matrix import Matrix, Outcome, Point, Settings, containers

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from shim.kubelet.pod import Pod

Summary = tuple[str, str, str]
By = Literal["outcome", "section"]


def summary(outcome: Outcome, by: By) -> Summary:
    """Return what makes two cells alike: what kind of profile, or the very section, too; never a refusal's words."""
    whole = by == "section" or outcome.kind == "custom"
    return outcome.kind, outcome.of, outcome.digest if whole else ""


class Span(msgspec.Struct, frozen=True):
    """Consecutive releases of a family. `points` are all that they stand for, the settings they are alike for included;
    `settings` names those of them for which they are not alike, with the values that they are told for.
    """

    points: tuple[Point, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Block(msgspec.Struct, frozen=True):
    """One field of the table: what comes out, a refusal in the words of one of its cells, and its first cell."""

    outcome: Outcome
    kubelet: Point
    runtime: Point


class Row(msgspec.Struct, frozen=True):
    """One row: runtimes and settings that are alike, and a block for each column."""

    span: Span
    blocks: tuple[Block, ...]


class Group(msgspec.Struct, frozen=True):
    """Containers whose tables are alike."""

    subjects: tuple[tuple[Pod, str], ...]
    rows: tuple[Row, ...]


class Table(msgspec.Struct, frozen=True):
    """Everything that was decided."""

    columns: tuple[Span, ...]
    groups: tuple[Group, ...]


class Tables:
    """Takes pieces in the order of `shim.skew.matrix.lab.pieces`, all of them or not, and folds them.

    A different row is kept once, and each container has the numbers of its rows: for each runtime, the ones under the
    kubelets with the same settings.
    """

    def __init__(self, matrix: Matrix, by: By) -> None:
        self.matrix, self.by = matrix, by
        self.width = sum(1 for each in matrix.kubelets if each.settings == matrix.kubelets[0].settings)
        self.outcomes: dict[Summary, int] = {}
        self.firsts: list[Outcome] = []  # of those with one summary
        self.rows: dict[tuple[int, ...], int] = {}
        self.tables: dict[tuple[int, str], list[int]] = {}
        self.pods: dict[int, Pod] = {}

    def add(self, pod: Pod, piece: Piece) -> None:
        """Add what comes of a pod on the next runtime."""
        self.pods[id(pod)] = pod
        for at, name in enumerate(containers(pod)):
            numbers = [self._number(row[at]) for row in piece.rows]
            every = [numbers[each] for each in piece.which]
            table = self.tables.setdefault((id(pod), name), [])
            for begin in range(0, len(every), self.width):
                row = tuple(every[begin : begin + self.width])
                table.append(self.rows.setdefault(row, len(self.rows)))

    def _number(self, outcome: Outcome) -> int:
        number = self.outcomes.setdefault(summary(outcome, self.by), len(self.outcomes))
        if number == len(self.firsts):
            self.firsts.append(outcome)
        return number

    def folded(self) -> Table:
        """Return what has come so far."""
        releases = [Point(each.family, each.release) for each in self.matrix.kubelets[: self.width]]
        columns = spans(releases, list(zip(*self.rows, strict=True)) or releases)
        sizes = [len(column.points) for column in columns]
        starts = list(itertools.accumulate(sizes, initial=0))[:-1]
        alike: dict[tuple[int, ...], list[tuple[Pod, str]]] = {}
        for (pod, name), numbers in self.tables.items():
            alike.setdefault(tuple(numbers), []).append((self.pods[pod], name))
        return Table(
            columns, tuple(Group(tuple(subjects), self._rows(numbers, starts)) for numbers, subjects in alike.items())
        )

    def _rows(self, numbers: tuple[int, ...], starts: list[int]) -> tuple[Row, ...]:
        rows = list(self.rows)
        lines: dict[Point, tuple[Point, int, int]] = {}  # the runtime, the first of the kubelets, the row
        every = itertools.product(self.matrix.runtimes, range(0, len(self.matrix.kubelets), self.width))
        for (runtime, begin), number in zip(every, numbers, strict=False):
            both = runtime.settings + self.matrix.kubelets[begin].settings
            lines[Point(runtime.family, runtime.release, both)] = runtime, begin, number
        found = []
        for span in spans(list(lines), [number for _, _, number in lines.values()]):
            runtime, begin, number = lines[span.points[0]]
            blocks = (Block(self.firsts[rows[number][at]], self.matrix.kubelets[begin + at], runtime) for at in starts)
            found.append(Row(span, tuple(blocks)))
        return tuple(found)


def unfold(table: Table, by: By) -> Iterator[tuple[Pod, str, Point, str, Summary]]:
    """Yield each cell: pod, container, the runtime with its settings and its kubelet's, the kubelet's release."""
    for group in table.groups:
        for (pod, container), row in itertools.product(group.subjects, group.rows):
            for point, (column, block) in itertools.product(
                row.span.points, zip(table.columns, row.blocks, strict=True)
            ):
                for kubelet in column.points:
                    yield pod, container, point, kubelet.release, summary(block.outcome, by)


def spans(points: Sequence[Point], keys: Sequence[Hashable]) -> tuple[Span, ...]:
    """Return consecutive points with the same key as one, those with different settings apart unless all are alike.

    Releases with the same family and settings come in their order.
    """
    runs: dict[tuple[str, Settings], list[tuple[Point, Hashable]]] = {}
    for point, key in zip(points, keys, strict=True):
        runs.setdefault((point.family, point.settings), []).append((point, key))
    alike: dict[tuple[str, tuple[object, ...]], list[Settings]] = {}
    for (family, settings), run in runs.items():
        alike.setdefault((family, tuple((point.release, key) for point, key in run)), []).append(settings)
    every = {family: [settings for name, settings in runs if name == family] for family, _ in runs}
    found: list[Span] = []
    for (family, _), several in alike.items():
        values = _values(several)
        all_values = _values(every[family])
        if values is None or all_values is None:  # not every combination of some values: each is told alone
            for settings in several:
                found += _one_run([runs[family, settings]], tuple((key, (value,)) for key, value in settings))
        else:
            named = tuple((key, told) for key, told in values.items() if told != all_values[key])
            found += _one_run([runs[family, settings] for settings in several], named)
    return tuple(found)


def _values(several: list[Settings]) -> dict[str, tuple[str, ...]] | None:
    """Return the values of each setting, None where not every combination of them is there."""
    found: dict[str, tuple[str, ...]] = {}
    for settings in several:
        for key, value in settings:
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), value)))
    combinations = 1
    for values in found.values():
        combinations *= len(values)
    return found if combinations == len(several) else None


def _one_run(
    alike: list[list[tuple[Point, Hashable]]], settings: tuple[tuple[str, tuple[str, ...]], ...]
) -> Iterator[Span]:
    """Cut runs that are alike where their key changes."""
    at = 0
    for _, group in itertools.groupby(alike[0], lambda pair: pair[1]):
        size = len(list(group))
        yield Span(tuple(point for run in alike for point, _ in run[at : at + size]), settings)
        at += size
