"""A report's findings and failed checks as SARIF 2.1.0, for code scanning and editors: each with its file and line.

The standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from shim.report.model import Finding
from shim.report.places import printable, told, uri
from shim.report.rules import rule_of, title_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shim.report.model import Report

_BASE = "%SRCROOT%"  # the name that consumers know for the directory in which the tool was started
_FINGERPRINT = "crishim/v1"
_LINK = re.compile(r"\[(?=[^\]]*\]\()")


def render(report: Report) -> str:
    """Return the log: one run, a rule for each kind of finding, a result for each finding and failed check."""
    return json.dumps(log(report), indent=2) + "\n"


def log(report: Report) -> dict[str, Any]:
    """Return the log as JSON-shaped values."""
    findings = [*report.findings, *_failed(report)]
    names = list(dict.fromkeys(finding.rule for finding in findings))
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "crishim",
                        "version": _version(),
                        "rules": [_rule(name, findings) for name in names],
                    }
                },
                "automationDetails": {"id": f"crishim/{report.verb}/"},
                "invocations": [_invocation(report)],
                "originalUriBaseIds": {_BASE: {"description": {"text": "The directory in which crishim was started."}}},
                "columnKind": "unicodeCodePoints",
                "results": list(_results(findings, names)),
            }
        ],
    }


def _failed(report: Report) -> Iterable[Finding]:
    for check in report.checks:
        if not check.passed:
            message = f"{check.name}: {check.message}" if check.message else check.name
            yield Finding(
                level="error",
                rule="expectation-failed",
                message=message,
                subject=check.suite,
                file=check.file,
                line=check.line,
            )


def _rule(name: str, findings: list[Finding]) -> dict[str, Any]:
    rule = rule_of(name)
    level = next(finding.level for finding in findings if finding.rule == name)
    return {
        "id": name,
        "name": title_of(name),
        "shortDescription": {"text": _text(rule.says)},
        "fullDescription": {"text": _text(f"{rule.says} {rule.help}")},
        "help": {"text": _text(rule.help)},
        "defaultConfiguration": {"level": level},
    }


def _results(findings: list[Finding], names: list[str]) -> Iterable[dict[str, Any]]:
    seen: dict[str, int] = {}
    for finding in findings:
        print_ = _fingerprint(finding)
        seen[print_] = seen.get(print_, 0) + 1
        yield {
            "ruleId": finding.rule,
            "ruleIndex": names.index(finding.rule),
            "level": finding.level,
            "message": {"text": _text(told(finding))},
            **({"locations": [location]} if (location := _location(finding)) else {}),
            "partialFingerprints": {_FINGERPRINT: f"{print_}:{seen[print_]}"},
        }


def _location(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {}
    path = uri(finding.file)
    if path:
        artifact = {"uri": path} if path.startswith("file:") else {"uri": path, "uriBaseId": _BASE}
        region = {"region": {"startLine": finding.line}} if finding.line else {}
        found["physicalLocation"] = {"artifactLocation": artifact, **region}
    if finding.subject:
        found["logicalLocations"] = [{"fullyQualifiedName": printable(finding.subject)}]
    return found


def _fingerprint(finding: Finding) -> str:
    """Tell a finding apart from others, and know it again: neither its line nor its words count."""
    identity = "\0".join((finding.rule, uri(finding.file), finding.subject))
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:32]


def _invocation(report: Report) -> dict[str, Any]:
    if not report.interrupted:
        return {"executionSuccessful": True}
    notice = {"level": "error", "message": {"text": _text(f"interrupted: {report.interrupted}")}}
    return {"executionSuccessful": False, "toolExecutionNotifications": [notice]}


def _text(text: str) -> str:
    """Return a text as a plain text message (3.11.5, 3.11.6): braces doubled, and nothing that looks like a link."""
    return _LINK.sub(r"\\[", printable(text).replace("{", "{{").replace("}", "}}")) or "-"


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415  slow to import

    return version("crishim")
