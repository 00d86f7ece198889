"""Whose fault is it? The tree of everything that this program raises on purpose.

    CrishimError
    ├── BadInput            the user's file, flag or request: says which, where and what would be right
    ├── Refused             the modelled component refuses, as the real one does: carries its gRPC code and text
    └── CapacityExceeded    a limit of this program: says which

Anything else is a bug: it may crash in a test, and answers INTERNAL with an id in a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtimes.decision import Step


class CrishimError(Exception):
    """The root. Never raised itself; `str(error)` is one sentence a person can act on."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process whole, whatever the constructor asks for."""
        return _arrived, (type(self), self.args, vars(self))


def _arrived(kind: type[CrishimError], args: tuple[Any, ...], state: dict[str, Any]) -> CrishimError:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


class BadInput(CrishimError):
    """Something the user gave is wrong.

    `where` names the file, flag or request ("node.yaml"), `line` and `column` count from 1, `field` is a dotted path
    ("kubelet.version"), `right` says what would be accepted.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        line: int | None = None,
        column: int | None = None,
        field: str = "",
        right: str = "",
    ) -> None:
        self.what, self.where, self.line, self.column = what, where, line, column
        self.field, self.right = field, right
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        place = ":".join(str(part) for part in (self.where, self.line, self.column) if part not in ("", None))
        head = ": ".join(part for part in (place, self.field) if part)
        tail = f" ({self.right})" if self.right else ""
        return f"{head}: {self.what}{tail}" if head else f"{self.what}{tail}"


class Refused(CrishimError):
    """The modelled component says no.

    `code` is a gRPC status code by name ("NOT_FOUND"), `message` the component's own text, `steps` the rules that led
    here, `reason` what a user sees as the container's state ("CreateContainerError"), and `where` who refused:
    "api", "kubelet" or "runtime".
    """

    def __init__(
        self, code: str, message: str, steps: tuple[Step, ...] = (), *, reason: str = "", where: str = "runtime"
    ) -> None:
        self.code, self.message, self.steps, self.reason, self.where = code, message, steps, reason, where
        super().__init__(message)

    def after(self, steps: tuple[Step, ...]) -> Refused:
        """Return this refusal with the steps that an earlier layer took in front of its own."""
        return type(self)(self.code, self.message, steps + self.steps, reason=self.reason, where=self.where)


class CapacityExceeded(CrishimError):
    """A limit of this program, not of the modelled component, is reached; the text says which and what to do."""
