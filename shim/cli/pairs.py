"""KEY=VALUE on a command line."""

from __future__ import annotations

import click


def pairs(words: tuple[str, ...]) -> dict[str, str]:
    """Return the keys and values. The last one of a key counts."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise click.UsageError(f"{word!r} is no KEY=VALUE, such as kubelet.seccompDefault=true")
        found[key] = value
    return found
