"""Whatever is raised, a client gets a status and a sentence."""

from __future__ import annotations

import logging
import re
from urllib.parse import quote

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput, CapacityExceeded, Refused
from shim.cri import errors

METHOD = "runtime.v1.RuntimeService/Version"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        pytest.param(Refused("NOT_FOUND", "no x"), grpc.StatusCode.NOT_FOUND, "no x", id="a runtime's refusal"),
        pytest.param(Refused("UNKNOWN", ""), grpc.StatusCode.UNKNOWN, "", id="a refusal without words"),
        pytest.param(
            BadInput("is no range", where="request", field="pod_cidr"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "request: pod_cidr: is no range",
            id="bad input",
        ),
        pytest.param(
            CapacityExceeded("no address is free"),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "no address is free",
            id="a limit of this program",
        ),
    ],
)
def test_errors_that_are_meant(error: Exception, code: grpc.StatusCode, text: str) -> None:
    assert errors.failure(error, METHOD) == (code, text)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ZeroDivisionError("division by zero"), id="a bug"),
        pytest.param(Refused("NO_SUCH_CODE", "secret"), id="a refusal with a code that gRPC does not have"),
    ],
)
def test_a_bug_has_an_id_that_the_log_explains(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    code, text = errors.failure(error, METHOD)
    assert code is grpc.StatusCode.INTERNAL
    found = re.fullmatch(r"internal error ([0-9a-f]{8}); the server's log explains it", text)
    assert found
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert found[1] in record.getMessage()
    assert METHOD in record.getMessage()
    assert record.exc_info
    assert record.exc_info[1] is error


@given(st.text(max_size=40), st.integers(0, 9000), st.text(max_size=40))
def test_a_long_text_keeps_both_ends_and_fits_into_a_header(head: str, filling: int, tail: str) -> None:
    text = head + "é" * filling + tail
    short = errors.shortened(text)
    if len(quote(text, safe="", errors="replace")) <= errors.LONGEST_TEXT:
        assert short == text
    assert len(quote(short, safe="", errors="replace")) <= errors.LONGEST_TEXT
    assert short.startswith(head)
    assert short.endswith(tail)


def test_a_shortened_text_says_how_much_is_left_out() -> None:
    short = errors.shortened("x" * 300_000)
    found = re.fullmatch(r"(x+) \[\.\.\. (\d+) characters left out \.\.\.\] (x+)", short)
    assert found
    assert len(found[1]) + int(found[2]) + len(found[3]) == 300_000
    assert len(short) <= errors.LONGEST_TEXT
