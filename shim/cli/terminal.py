"""Text for a terminal: a little colour where there is one, and lines that fit it.

A few escape sequences, because a library for them takes longer to import than an answer takes to work out.
"""

from __future__ import annotations

import os
import sys

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_NARROWEST = 40


class Terminal:
    """Standard output. `width` is None where it is no terminal: lines are then as long as they are."""

    def __init__(self) -> None:
        on_terminal = sys.stdout.isatty()
        self.colour = on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.width = _columns() if on_terminal else None

    def style(self, text: str, *names: str) -> str:
        """Return a text in a style: "bold", "dim", or a colour."""
        if not (self.colour and text and names):
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def wrapped(self, text: str, indent: int, dim_from: int | None = None) -> list[str]:
        """Break a text into lines that fit behind `indent` columns; what follows `dim_from` characters is dim."""
        lines = _broken(text, max(self.width - indent, _NARROWEST)) if self.width else [text]
        if dim_from is None:
            return lines
        left, styled = dim_from, []
        for line in lines:
            styled.append(line[: max(left, 0)] + self.style(line[max(left, 0) :], "dim"))
            left -= len(line) + 1
        return styled


def _broken(text: str, room: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80
