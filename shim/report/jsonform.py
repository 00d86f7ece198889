"""A report as JSON, as shim/schemas/report.schema.json describes it: the same report is the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from shim.report.model import Report


def render(report: Report) -> str:
    """Return the report as JSON in ASCII, details sorted by key, with a newline at its end."""
    return json.dumps(msgspec.to_builtins(report, order="deterministic"), indent=2) + "\n"
