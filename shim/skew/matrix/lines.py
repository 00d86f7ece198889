"""A matrix as lines for other programs: one for each container in each cell, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from shim.answer import Error
from shim.skew.matrix.lab import cells

if TYPE_CHECKING:
    from shim.kubelet.pod import Pod
    from shim.skew.matrix.lab import Piece
    from shim.skew.matrix.matrix import Matrix, Outcome, Point, Settings


class Line(msgspec.Struct, frozen=True):
    """One container in one cell. `runtime` is as in `--runtime` ("containerd@2.0.9"), `settings` as in `--set`.

    `outcome` is "Unconfined", "RuntimeDefault", "Localhost", "custom" (a section that is no release's default),
    "refused", or "absent" where the kubelet drops the container. `digest` is the section's sha256, "" for none.
    """

    kubelet: str
    runtime: str
    settings: dict[str, str]
    file: str
    pod: str
    container: str
    outcome: str
    profile: str
    digest: str
    error: Error | None


class Lines:
    """The lines of a matrix, in one of the two formats."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self._settings: dict[tuple[Settings, Settings], dict[str, str]] = {}

    @property
    def head(self) -> str:
        """What stands before all lines."""
        return ""

    def of(self, pod: Pod, runtime: Point, piece: Piece) -> str:
        """Return the lines of a piece."""
        raise NotImplementedError

    def lines(self, pod: Pod, runtime: Point, piece: Piece) -> list[Line]:
        """Return the lines of a piece as values."""
        name, head = f"{runtime.family}@{runtime.release}", str(pod)
        titles: dict[int, str] = {}

        def title(outcome: Outcome) -> str:
            if id(outcome) not in titles:
                titles[id(outcome)] = outcome.title(runtime)
            return titles[id(outcome)]

        return [
            Line(
                cell.kubelet.release,
                name,
                self._set(cell.kubelet, runtime),
                pod.origin.where,
                head,
                cell.container,
                cell.outcome.kind,
                title(cell.outcome),
                cell.outcome.digest,
                cell.outcome.error,
            )
            for cell in cells(self.matrix, pod, runtime, piece)
        ]

    def _set(self, kubelet: Point, runtime: Point) -> dict[str, str]:
        """Return the settings of a cell, in the order in which they were asked for."""
        key = (kubelet.settings, runtime.settings)
        if key not in self._settings:
            both = dict((*kubelet.settings, *runtime.settings))
            self._settings[key] = {axis.key: both[axis.key] for axis in self.matrix.axes if axis.key in both}
        return self._settings[key]


class JsonLines(Lines):
    """A JSON object a line."""

    def of(self, pod: Pod, runtime: Point, piece: Piece) -> str:
        """Return the lines of a piece."""
        return msgspec.json.Encoder().encode_lines(self.lines(pod, runtime, piece)).decode()


class CsvLines(Lines):
    """Comma-separated values, a column for each setting. A setting that a cell does not have is empty."""

    @property
    def head(self) -> str:
        """The names of the columns."""
        keys = [axis.key for axis in self.matrix.axes]
        names = ["kubelet", "runtime", *keys, "file", "pod", "container", "outcome", "profile", "digest"]
        return _csv([[*names, "refused_by", "error"]])

    def of(self, pod: Pod, runtime: Point, piece: Piece) -> str:
        """Return the lines of a piece."""
        return _csv([self._row(line) for line in self.lines(pod, runtime, piece)])

    def _row(self, line: Line) -> list[str]:
        values = [line.settings.get(axis.key, "") for axis in self.matrix.axes]
        error = [line.error.where, line.error.message] if line.error else ["", ""]
        result = [line.file, line.pod, line.container, line.outcome, line.profile, line.digest]
        return [line.kubelet, line.runtime, *values, *result, *error]


def _csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


FORMATS: dict[str, type[Lines]] = {"jsonl": JsonLines, "csv": CsvLines}
