"""docs/plan.md shows what crishim prints. WRITE_DOCS=1 in the environment has it written anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from shim.cli.main import main

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs/plan.md").read_text()
SHOWN = re.compile(r"^    \$ crishim (.*)\n(?:    .*\n|\n(?=    ))*\n", re.MULTILINE)


def test_the_output_that_is_shown_is_real(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    def printed(found: re.Match[str]) -> str:
        main(found[1].split())
        lines = ["$ crishim " + found[1], *capsys.readouterr().out.splitlines()]
        return "".join(f"    {line}".rstrip() + "\n" for line in lines) + "\n"

    real, number = SHOWN.subn(printed, DOCS)
    if os.environ.get("WRITE_DOCS"):
        (ROOT / "docs/plan.md").write_text(real)
    assert number
    assert real == DOCS


def test_the_inventory_that_is_shown_is_the_example() -> None:
    lines = (ROOT / "examples/plan/pools.yaml").read_text().splitlines()[1:]
    assert "\n".join(f"    {line}" for line in lines) in DOCS
