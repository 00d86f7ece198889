"""What of encoding/json a daemon was built with, as far as its answers show it."""

from __future__ import annotations

import enum


class Toolchain(enum.Enum):
    """A generation of encoding/json. The facts of a family say which release was built with which, by value.

    They decode the same values from the same bytes; what differs are error texts and a few escapes.
    """

    PATH = "path"
    """Names a field by the struct that holds it and its path without indices: `LinuxSeccompArg.syscalls.args.value`.
    Writes `\\b` and `\\f` as \\u0008 and \\u000c. Go 1.15 to 1.21."""

    SHORT_ESCAPES = "short-escapes"
    """As PATH, and writes `\\b` and `\\f` so. Go 1.22 to 1.26."""

    JSONV2 = "jsonv2"
    """encoding/json on top of encoding/json/v2: names a field by the root struct and its whole path:
    `LinuxSeccomp.syscalls.0.args.0.value`; other words for bad escapes and truncated input. Go 1.27 on, and
    GOEXPERIMENT=jsonv2 before."""
