"""Compares with what Go's encoding/json itself answered (scripts/reference/gojson): every error text, every value."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.gojson import (
    Bool,
    GoJsonFault,
    Map,
    Pointer,
    Record,
    Signed,
    Slice,
    Text,
    Toolchain,
    Unsigned,
    decode,
    decode_seccomp,
    dumps,
    loads,
)

RECORDED = json.loads(gzip.decompress((Path(__file__).parent / "answers.json.gz").read_bytes()))
GENERATIONS = {"go": Toolchain.SHORT_ESCAPES, "jsonv2": Toolchain.JSONV2}

INNER = Record("main.Inner", {"name": Text(), "count": Pointer(Unsigned()), "words": Slice(Text())})
EVERYTHING = Record(
    "main.Everything",
    {
        "text": Text(),
        "word": Text("main.Word"),
        "flag": Bool(),
        "uint": Unsigned(),
        "uint8": Unsigned("uint8", 8),
        "uint32": Unsigned("uint32", 32),
        "uint64": Unsigned("uint64"),
        "int": Signed(),
        "int32": Signed("int32", 32),
        "int64": Signed("int64"),
        "pointer": Pointer(Unsigned()),
        "task": Slice(Text("main.Word")),
        "matrix": Slice(Slice(Unsigned("uint32", 32))),
        "inner": INNER,
        "list": Slice(INNER),
        "pointers": Slice(Pointer(INNER)),
        "sizes": Map(Unsigned("uint32", 32)),
        "named": Map(INNER),
    },
)


def answers(kind: str, generation: str) -> list[tuple[str, dict[str, str]]]:
    """Every recorded text of a kind with Go's answers in a generation."""
    return [
        (answer[kind], answer["go"] | (answer.get("jsonv2", {}) if generation == "jsonv2" else {}))
        for answer in RECORDED["answers"]
        if kind in answer
    ]


def without_nil_counts(value: Any) -> Any:
    """Leave out what Marshal leaves out of Everything: `count` where it is nil."""
    if isinstance(value, list):
        return [without_nil_counts(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without_nil_counts(item) for key, item in value.items() if item is not None or key != "count"}


def as_floats(value: Any) -> Any:
    """Turn numbers into what an `any` holds in Go."""
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    if isinstance(value, dict):
        return {key: as_floats(item) for key, item in value.items()}
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def ours(target: str, data: bytes, toolchain: Toolchain) -> Any:
    try:
        match target:
            case "seccomp":
                return json.loads(dumps(decode_seccomp(data, toolchain=toolchain).section))
            case "everything":
                return without_nil_counts(decode(data, EVERYTHING, toolchain).value)
            case _:
                return as_floats(loads(data, toolchain))
    except GoJsonFault as fault:
        return f"error: {fault}"


def theirs(target: str, answer: str) -> Any:
    if answer.startswith("error: "):
        return answer
    return as_floats(json.loads(answer)) if target == "any" else json.loads(answer)


@pytest.mark.parametrize("target", ["seccomp", "everything", "any"])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_unmarshal_as_recorded(generation: str, target: str) -> None:
    asked = [(text, answer[target]) for text, answer in answers("decode", generation) if not is_deep(answer[target])]
    wrong = [
        (text, got, answer)
        for text, answer in asked
        if (got := ours(target, text.encode("latin-1"), GENERATIONS[generation])) != theirs(target, answer)
    ]
    refused = sum(answer.startswith("error: ") for _, answer in asked)
    assert refused > 1000
    assert len(asked) - refused > 200
    assert not wrong


def is_deep(answer: str) -> bool:
    """Whether a value is nested more deeply than Python compares."""
    return answer.startswith(("[" * 1000, '{"a":' * 1000))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_marshal_as_recorded(generation: str) -> None:
    asked = [
        (text.encode("latin-1").decode("utf-8", "surrogateescape"), answer["text"])
        for text, answer in answers("encode", generation)
    ]
    wrong = [(text, got, answer) for text, answer in asked if (got := dumps(text, GENERATIONS[generation])) != answer]
    assert len(asked) > 300
    assert not wrong


def test_the_deepest_that_go_takes() -> None:
    """Ten thousand levels are taken, without recursion on our side either; one more is too many."""
    value = loads(b"[" * 10000 + b"]" * 10000)
    for _ in range(9999):
        (value,) = value
    assert value == []
    with pytest.raises(GoJsonFault, match="exceeded max depth"):
        loads(b"[" * 10001 + b"]" * 10001)
