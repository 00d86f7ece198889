"""Text as strconv.Quote shows it, which is also the verb %q."""

from __future__ import annotations

_ESCAPES = {"\a": r"\a", "\b": r"\b", "\t": r"\t", "\n": r"\n", "\v": r"\v", "\f": r"\f", "\r": r"\r", "\\": r"\\"}


def quote(text: str, mark: str = '"') -> str:
    """Return a text in quotation marks, what cannot be printed escaped.

    A lone surrogate stands for a byte that is no UTF-8, as in the names of files. `mark` is `'` for a single character.
    """
    return mark + "".join(escape(character, mark) for character in text) + mark


def escape(character: str, mark: str = '"') -> str:
    """Return one character as it stands between the marks."""
    code = ord(character)
    if character == mark:
        return "\\" + mark
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
