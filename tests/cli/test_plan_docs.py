"""docs/plan.md shows what crishim prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shim.cli.main import main

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs/plan.md").read_text()
SHOWN = re.compile(r"^    \$ crishim (.*)\n((?:    .*\n|\n(?=    ))*)", re.MULTILINE)


def test_the_output_that_is_shown_is_real(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = SHOWN.findall(DOCS)
    assert found
    for words, output in found:
        main(words.split())
        said = re.sub(r"^    ", "", output, flags=re.MULTILINE)
        assert capsys.readouterr().out.rstrip() == said.rstrip()


def test_the_inventory_that_is_shown_is_the_example() -> None:
    lines = (ROOT / "examples/plan/pools.yaml").read_text().splitlines()[1:]
    assert "\n".join(f"    {line}" for line in lines) in DOCS
