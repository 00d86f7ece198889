"""The two ways a log line is written."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from shim.cri import logs


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("crishim")
    handlers, level = root.handlers[:], ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(message: str = "call", **extra: object) -> logging.LogRecord:
    values = {"name": "crishim.cri", "levelno": logging.DEBUG, "levelname": "DEBUG", "msg": message, "created": 0.25}
    return logging.makeLogRecord({**values, **extra})


def failed() -> logging.LogRecord:
    return record("internal error", exc_info=(KeyError, KeyError("x"), None))


def test_json() -> None:
    line = logs.JsonFormatter().format(record(method="Version", ms=0.5))
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250000Z",
        "level": "debug",
        "logger": "crishim.cri",
        "message": "call",
        "method": "Version",
        "ms": 0.5,
    }


def test_json_keeps_a_traceback_on_the_line() -> None:
    line = logs.JsonFormatter().format(failed())
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("KeyError: 'x'")


def test_human() -> None:
    line = logs.HumanFormatter().format(record(method="Version", ms=0.5))
    assert re.fullmatch(r"\d\d:\d\d:00\.250 DEBUG   call method=Version ms=0\.5", line)
    assert logs.HumanFormatter().format(failed()).endswith("\nKeyError: 'x'")


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2Jgone", "a\rb"])
def test_what_a_client_sends_stays_on_its_line_and_off_the_terminal(text: str) -> None:
    for line in (logs.HumanFormatter().format(record(name_of_pod=text)), logs.HumanFormatter().format(record(text))):
        assert line.isprintable()
        assert repr(text) in line


@pytest.mark.parametrize(
    ("stream", "wanted", "is_json"),
    [
        (io.StringIO, "auto", True),
        (Terminal, "auto", False),
        (io.StringIO, "human", False),
        (Terminal, "json", True),
    ],
)
def test_the_format_follows_the_stream_unless_it_is_named(
    stream: type[io.StringIO], wanted: str, is_json: bool
) -> None:
    out = stream()
    logs.set_up("info", wanted, out)
    logging.getLogger("crishim.cri").debug("not said")
    logging.getLogger("crishim.cri").info("said")
    logging.getLogger("asyncio").info("of no interest")
    (line,) = out.getvalue().splitlines()
    assert line.startswith("{") == is_json
    assert "said" in line
