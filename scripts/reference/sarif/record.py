"""Record what the SARIF standard's JSON schema says of the objects that crishim writes: writes tests/report/sarif.json.

    python scripts/reference/sarif/record.py PATH/TO/sarif-schema-2.1.0.json

The file is the one of https://github.com/oasis-tcs/sarif-spec. What is written is none of its prose, but a line for
each property of those objects, with its type and bounds, "@name" standing for another of the objects:

    "result.level": {"enum": ["none", "note", "warning", "error"]}
    "result.message": "@message", "result!": {"required": ["message"]}

A property whose value is an object that crishim does not write is left out: the test refuses it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent.parent
OBJECTS = (
    "artifactLocation invocation location logicalLocation message multiformatMessageString notification"
    " physicalLocation region reportingConfiguration reportingDescriptor result run runAutomationDetails tool"
    " toolComponent"
).split()
BOUNDS = ("type", "enum", "pattern", "format", "minimum", "maximum", "minItems", "uniqueItems")
DEMANDS = ("required", "anyOf", "oneOf", "allOf")


def main() -> None:
    """Read the schema that the command line names, write the facts."""
    schema = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    facts: dict[str, Any] = {}
    for name, definition in [("sarifLog", schema), *((name, schema["definitions"][name]) for name in OBJECTS)]:
        demands = {key: definition[key] for key in DEMANDS if key in definition}
        if demands:
            facts[f"{name}!"] = demands
        for key, value in definition["properties"].items():
            fact = property_fact(value)
            if fact is not None:
                facts[f"{name}.{key}"] = fact
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(fact)}" for name, fact in sorted(facts.items()))
    (ROOT / "tests/report/sarif.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def property_fact(value: dict[str, Any]) -> Any:
    """Return the type and bounds of a value, None where it is an object of another kind."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"@{name}" if name in OBJECTS else None
    fact: dict[str, Any] = {key: value[key] for key in BOUNDS if key in value}
    for key in ("items", "additionalProperties"):
        if isinstance(value.get(key), dict):
            inner = property_fact(value[key])
            if inner is None:
                return None
            fact[key] = inner
    return fact


if __name__ == "__main__":
    main()
