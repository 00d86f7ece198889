"""What changed in which release, and where that is written down: the reader of every `facts.yaml`.

A record of the file is one of two shapes:

    - fact: security-profile-field            # holds or does not hold for a release
      group: decision                         # decision, profile, configuration or persona
      says: the CRI field `seccomp` is honoured; before, only the string `seccomp_profile_path`
      since: [1.5.0]                          # the first release on each branch (see runtimes.release.Span)
      until: [...]                            # the first release on each branch that no longer has it
      source: containerd#4808

    - fact: oci-version                       # has a value for each release
      group: persona
      says: the `ociVersion` of every spec
      source: vendored runtime-spec, specs-go/version.go at each tag
      values:                                 # of the entries that hold for a release, the one listed last counts
        - {value: 1.0.1-dev}
        - {value: 1.0.2-dev, since: [1.4.0-beta.2]}

The code asks `release in facts["security-profile-field"]` or `facts.value("oci-version", release)`, and holds no
version number of its own. An entry of `values` may name its own `source`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from typing import TYPE_CHECKING, Any, cast

import msgspec

from runtimes.release import Span

if TYPE_CHECKING:
    import importlib.abc
    from collections.abc import Iterator

    from runtimes.release import Release


class Value(msgspec.Struct, frozen=True):
    """One value of a fact and the releases that have it."""

    span: Span
    value: Any
    source: str = ""


class Fact(msgspec.Struct, frozen=True):
    """One record. Its sentence `says` is written for a person."""

    name: str
    group: str
    says: str
    source: str
    span: Span
    values: tuple[Value, ...] = ()

    def __contains__(self, release: Release) -> bool:
        """Whether it holds for a release."""
        return release in self.span

    def at(self, release: Release) -> Value | None:
        """Return the value of a release: of those that hold, the one listed last."""
        return next((value for value in reversed(self.values) if release in value.span), None)


class Facts:
    """Every fact of one component. Looked up by name; a name that is not there is a bug and raises KeyError."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self._records = {record["fact"]: record for record in records}
        self._facts: dict[str, Fact] = {}

    def __getitem__(self, name: str) -> Fact:
        """Return one fact, read when it is first asked for."""
        if name not in self._facts:
            self._facts[name] = _fact(self._records[name])
        return self._facts[name]

    def __contains__(self, name: str) -> bool:
        """Whether there is a fact of that name."""
        return name in self._records

    def __iter__(self) -> Iterator[Fact]:
        """Every fact, in the order of the file."""
        return (self[name] for name in self._records)

    def value(self, name: str, release: Release) -> Any:
        """Return the value a fact has for a release, None where it has none."""
        found = self[name].at(release)
        return found.value if found else None


def _fact(record: dict[str, Any]) -> Fact:
    values = tuple(
        Value(Span.read(entry), entry["value"], entry.get("source", "")) for entry in record.get("values", ())
    )
    return Fact(
        record["fact"], record["group"], " ".join(record["says"].split()), record["source"], Span.read(record), values
    )


@functools.cache
def load(package: str, name: str = "facts") -> Facts:
    """Read `name.yaml` of a package, "runtimes.containerd" for instance."""
    return Facts(read_data(package, name))


def read_data(package: str, name: str) -> Any:
    """Return the content of a packaged data file.

    Reading YAML takes most of the time that a start may take, so the build puts a JSON form beside each file, with the
    digest of what it was made from. It is used when it is there and not stale; the YAML is the source.
    """
    text = read_file(package, f"{name}.yaml")
    try:
        form = msgspec.json.decode(read_file(package, f"{name}.json"))
    except FileNotFoundError:
        form = {}
    if form.get("source_sha256") == hashlib.sha256(text).hexdigest():
        return form["data"]
    import yaml  # noqa: PLC0415  only where the fast form is missing

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  it is a safe loader


def read_file(package: str, name: str) -> bytes:
    """Return a file that is packaged. Raises FileNotFoundError.

    importlib.resources does the same, and its import takes an eighth of the time that `crishim explain` may take.
    """
    module = importlib.import_module(package)
    loader = cast("importlib.abc.FileLoader", module.__loader__)
    return loader.get_data(f"{module.__path__[0]}/{name}")
