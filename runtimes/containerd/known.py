"""What is known of one build of containerd: the facts as its release, and who built it, have them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from runtimes import facts
from runtimes.facts import Facts
from runtimes.release import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.release import Release

PACKAGE = "runtimes.containerd"
API_SOURCE = "vendor/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto at each tag"

# What Debian adds to a release, and what its build of 2.1 calls itself.
_DEBIAN = ("~ds", "+ds", "+deb", "~deb", "+unknown")


class Known:
    """The facts of one build. Looked up by name; each is worked out once."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self._values: dict[str, Any] = {}
        self._has: dict[str, bool] = {}
        self._once: dict[str, Any] = {}
        self.of_distribution = any(mark in release.text for mark in _DEBIAN)
        if self.of_distribution:
            built = every().value("distribution-builds", release)
            self._values.update(built)
            self._has.update((name, bool(value)) for name, value in built.items())

    def value(self, name: str) -> Any:
        """Return the value of a fact, None where it has none for this build."""
        if name not in self._values:
            self._values[name] = every().value(name, self.release)
        return self._values[name]

    def has(self, name: str) -> bool:
        """Whether a fact holds for this build."""
        if name not in self._has:
            self._has[name] = self.release in every()[name]
        return self._has[name]

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """Return what `work` makes of these facts, made once."""
        if name not in self._once:
            self._once[name] = work()
        return self._once[name]

    def source(self, name: str) -> str:
        """Return where a fact is written down."""
        return every()[name].source


def at(release: Release) -> Known:
    """Return the facts of a build. Those that were worked out for another daemon of it are there."""
    return _at(str(release))


@functools.lru_cache(maxsize=256)
def _at(text: str) -> Known:
    return Known(parse(text))


@functools.cache
def every() -> Facts:
    """Return all facts: those of `facts.yaml`, and one for each field and call of `api.yaml`."""
    return Facts([*facts.read_data(PACKAGE, "facts"), *_api()])


@functools.cache
def api() -> dict[str, Any]:
    """Return `api.yaml`."""
    return facts.read_data(PACKAGE, "api")  # type: ignore[no-any-return]


def _api() -> list[dict[str, Any]]:
    found = []
    for name, record in api()["fields"].items():
        says = f"the field {name.partition('.')[2]} of {name.partition('.')[0]} is known; before, it is dropped unread"
        found.append(_record(f"field {name}", says, record))
    for name, record in api()["rpcs"].items():
        found.append(_record(f"rpc {name}", f"the CRI API has the call {name}", record))
        if "implemented" in record:
            answered = {"since": record["implemented"]}
            found.append(_record(f"answers {name}", f"the call {name} is answered, not refused", answered))
    return found


def _record(name: str, says: str, record: dict[str, Any]) -> dict[str, Any]:
    spans: dict[str, Any] = {key: record[key] for key in ("since", "until") if key in record}
    return {"fact": name, "group": "persona", "says": says, "source": API_SOURCE, **spans}
