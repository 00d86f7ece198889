"""The command line of a kubelet, word by word, as its flag parser takes it.

Source: github.com/spf13/pflag (Parse, parseLongArg) and k8s.io/component-base cli/flag (WordSepNormalizeFunc,
MapStringBool), as v1.18.6 and v1.31.13 carry them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from runtimes.facts import read_data
from runtimes.release import Span
from shim.kubelet.config import Flags
from shim.kubelet.startup import refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtimes.release import Release

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_SHORT = {"v": "v", "h": "help"}


class CommandLine(msgspec.Struct, frozen=True):
    """What a command line says: the settings that count here, and where the configuration is."""

    flags: Flags = Flags()
    config: str = ""
    config_dir: str = ""


class _Wrong(Exception):
    """What the flag parser says to a word."""


def parse(words: Sequence[str], release: Release) -> CommandLine:
    """Read the words after `kubelet`. Raises `Refused` in that release's words where it would not take them."""
    last: dict[str, str] = {}
    gates: dict[str, bool] = {}
    stray: list[str] = []
    try:
        for name, value in _pairs(words, release, stray):
            last[name] = value
            if name == "feature-gates":
                gates.update(_gates(value))
            _check(name, value)
    except _Wrong as fault:
        raise refused(release, "parse", str(fault)) from None
    if stray:
        raise refused(release, "command", stray[0])
    for name in ("help", "version"):
        if last.get(name, "false") not in _FALSE:
            raise BadInput(f"with --{name} a kubelet prints something and ends", field="flags", right="leave it out")
    switch = last.get("seccomp-default")
    flags = Flags(
        seccomp_default=None if switch is None else switch in _TRUE,
        feature_gates=gates,
        seccomp_profile_root=last.get("seccomp-profile-root"),
        root_dir=last.get("root-dir"),
    )
    return CommandLine(flags, last.get("config", ""), last.get("config-dir", ""))


def _pairs(words: Sequence[str], release: Release, stray: list[str]) -> Iterator[tuple[str, str]]:
    """Yield flags and their values; words that are neither go into `stray`."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            stray += rest
            return
        if len(word) < 2 or word[0] != "-":  # noqa: PLR2004  a lone dash is no flag
            stray.append(word)
        elif word.startswith("--"):
            yield _long(word, rest, release)
        else:
            yield _short(word, rest)


def _long(word: str, rest: list[str], release: Release) -> tuple[str, str]:
    name, separator, value = word[2:].partition("=")
    if not name or name[0] == "-":
        raise _Wrong(f"bad flag syntax: {word}")
    known = name.replace("_", "-")
    if known not in _table() or release not in _span(known):
        raise _Wrong(f"unknown flag: --{name}")
    if separator:
        return known, value
    if _table()[known]["takes"] == "bool":
        return known, "true"
    if not rest:
        raise _Wrong(f"flag needs an argument: {word}")
    return known, rest.pop(0)


def _short(word: str, rest: list[str]) -> tuple[str, str]:
    """A flag of one letter: of a kubelet's own there are -v, with a level, and -h."""
    letter, value = word[1], word[2:]
    if letter not in _SHORT:
        raise _Wrong(f"unknown shorthand flag: '{letter}' in {word}")
    if letter == "h":
        return "help", "true"
    if not value and not rest:
        raise _Wrong(f"flag needs an argument: '{letter}' in {word}")
    return "v", value.removeprefix("=") or rest.pop(0)


def _check(name: str, value: str) -> None:
    """Raise where a value is not of its flag's kind."""
    takes = _table()[name]["takes"]
    if takes == "bool" and value not in _TRUE | _FALSE:
        raise _Wrong(f'invalid argument "{value}" for "--{name}" flag: {_no_bool(value)}')
    if takes == "whole" and not value.removeprefix("-").removeprefix("+").isdecimal():
        fault = f'strconv.ParseInt: parsing "{value}": invalid syntax'
        raise _Wrong(f'invalid argument "{value}" for "--{name}" flag: {fault}')


def _gates(text: str) -> dict[str, bool]:
    """Read "A=true,B=false"."""
    found = {}
    for pair in text.split(","):
        name, separator, value = (part.strip() for part in pair.partition("="))
        if not pair:
            continue
        fault = "" if value in _TRUE | _FALSE else f"invalid value of {name}: {value}, err: {_no_bool(value)}"
        if not separator:
            fault = "malformed pair, expect string=bool"
        if fault:
            raise _Wrong(f'invalid argument "{text}" for "--feature-gates" flag: {fault}')
        found[name] = value in _TRUE
    return found


def _no_bool(value: str) -> str:
    return f'strconv.ParseBool: parsing "{value}": invalid syntax'


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    return read_data("shim.kubelet", "flags")  # type: ignore[no-any-return]


@functools.cache
def _span(name: str) -> Span:
    return Span.read(_table()[name])
