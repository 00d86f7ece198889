"""What every comparison ends in: a table of what was found, the reasons behind each cell, findings and checks.

    Report      one comparison: rows (containers, workloads, profiles) by columns (nodes, releases, steps in time)
    Cell        one of its fields: a word for a person, a status for a colour, and the key of its detail
    Detail      what a click on a cell shows: the decision's steps, and what changed
    Finding     something that a person should act on, with its place in a file where it has one
    Check       an expectation that held or did not

The formats (text, JSON, Markdown, HTML, JUnit, SARIF) are made from these values alone.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from runtimes.decision import Step

Status = Literal["same", "gained", "lost", "changed", "pending", "refused", "absent", "plain"]
"""What a cell says compared with what it is compared with: `gained` the container may do more than before, `lost` less,
`changed` both or otherwise, `pending` it will change when it is restarted, `refused` it is not made, `absent` it is not
there, `plain` where nothing is compared.
"""

Level = Literal["error", "warning", "note"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A piece of a report; as JSON it is spelled in camelCase, defaults left out."""


class Detail(Record, frozen=True):
    """The reasons behind a cell.

    `changes` are lines that begin with "+ " (allowed now), "- " (denied now) or "~ " (otherwise); `before` and `after`
    the titles of what is compared, `steps` and `steps_before` the rules that led to it.
    """

    title: str
    before: str = ""
    after: str = ""
    digest: str = ""
    changes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    steps_before: tuple[Step, ...] = ()


class Cell(Record, frozen=True):
    """One field of the table. `detail` is a key of `Report.details`, "" where there is nothing more to say."""

    label: str
    status: Status = "plain"
    detail: str = ""


class Row(Record, frozen=True):
    """One line of the table; `group` heads the rows that belong together ("apps/Deployment shop/web")."""

    head: str
    cells: tuple[Cell, ...]
    group: str = ""


class Finding(Record, frozen=True):
    """Something to act on. `rule` is its kind in a word ("would-fail-to-start"), `file` and `line` where it stands."""

    level: Level
    rule: str
    message: str
    subject: str = ""
    file: str = ""
    line: int | None = None


class Check(Record, frozen=True):
    """One expectation. `message` says what was found instead, "" where it held."""

    suite: str
    name: str
    passed: bool
    message: str = ""
    file: str = ""
    line: int | None = None


class Report(Record, frozen=True):
    """One comparison. `verb` is the command that made it, `summary` sentences for a person in a hurry.

    `interrupted` says in words what is missing where the work was cut short.
    """

    verb: str
    title: str
    summary: tuple[str, ...] = ()
    corner: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    details: dict[str, Detail] = {}
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()
    interrupted: str = ""
