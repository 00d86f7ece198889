"""Logs on stderr: a line a person reads on a terminal, a JSON object a line for everything else.

What a caller says in `extra` is kept apart from the message: `key=value` for people, keys of its own in JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "human", "json")

_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def set_up(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send what crishim logs from `level` on, and the warnings of others, to a stream (stderr)."""
    stream = stream or sys.stderr
    human = log_format == "human" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("crishim").setLevel(level.upper())


class HumanFormatter(logging.Formatter):
    """`07:42:40.123 DEBUG   call method=runtime.v1.RuntimeService/Version code=OK ms=0.31`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it if there is one."""
        time = _time(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        extras = [f"{key}={_printable(str(value))}" for key, value in _extras(record).items()]
        line = " ".join([time, f"{record.levelname:7}", _printable(record.getMessage()), *extras])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """`{"time": "2026-11-23T07:42:40.123456Z", "level": "debug", "logger": "crishim.cri", "message": "call", ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, a traceback under the key `exception`."""
        entry = {
            "time": _time(record).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _time(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, tz=dt.UTC)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _OF_EVERY_RECORD}


def _printable(text: str) -> str:
    """Return a text that stays on its line and leaves the terminal alone, whatever a client put into a name."""
    return text if text.isprintable() else repr(text)
