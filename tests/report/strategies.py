"""Any report at all, whatever is written in it."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from runtimes.decision import Step
from shim.report.model import Cell, Check, Detail, Finding, Level, Report, Row, Status

# What comes from YAML may be half of a surrogate pair; what comes from a terminal, a control character.
texts = st.text(st.characters(categories=("L", "N", "P", "S", "Z", "Cc", "Cs")), max_size=20)
lines = st.none() | st.integers(1, 10_000)
steps = st.builds(Step, layer=texts, rule=texts, because=texts, source=texts, warns=st.booleans())
details = st.builds(
    Detail,
    title=texts,
    before=texts,
    after=texts,
    digest=texts,
    changes=st.lists(texts, max_size=3).map(tuple),
    steps=st.lists(steps, max_size=3).map(tuple),
    steps_before=st.lists(steps, max_size=3).map(tuple),
)
findings = st.builds(
    Finding,
    level=st.sampled_from(get_args(Level)),
    rule=texts,
    message=texts,
    subject=texts,
    file=texts,
    line=lines,
)
checks = st.builds(Check, suite=texts, name=texts, passed=st.booleans(), message=texts, file=texts, line=lines)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    keys = draw(st.lists(texts.filter(bool), max_size=3, unique=True))
    cells = st.builds(Cell, label=texts, status=st.sampled_from(get_args(Status)), detail=st.sampled_from(["", *keys]))
    columns = draw(st.lists(texts, max_size=4))
    rows = st.builds(
        Row,
        head=texts,
        group=texts,
        cells=st.lists(cells, min_size=len(columns), max_size=len(columns)).map(tuple),
    )
    return Report(
        verb=draw(texts),
        title=draw(texts),
        summary=tuple(draw(st.lists(texts, max_size=3))),
        corner=draw(texts),
        columns=tuple(columns),
        rows=tuple(draw(st.lists(rows, max_size=4))),
        details={key: draw(details) for key in keys},
        findings=tuple(draw(st.lists(findings, max_size=3))),
        checks=tuple(draw(st.lists(checks, max_size=3))),
        interrupted=draw(texts),
    )
