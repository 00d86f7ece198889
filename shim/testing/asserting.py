"""Checks of what a container got, each a sentence; several are chained and the first that does not hold tells why.

    assert_seccomp(container).is_default().denies("socket", arg0=socket.AF_ALG).explains("seccompDefault is on")

A call is looked at with the arguments that are given, whatever the others are: `allows("socket")` holds where every
socket is allowed, `denies("socket")` where none is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from shim.skew.compare import compare, less_confined, lines
from shim.testing import telling
from shim.testing.calls import arguments, error_number, shown, verdicts, warn_of_typo
from shim.testing.references import Reference, Subject, reference, subject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.decision import Step


def assert_seccomp(container: Any) -> SeccompCheck:
    """Check a container or a sandbox of a node; or what there is of a real one: its section, its OCI runtime spec, or
    what `crictl inspect` prints, as JSON that was read.
    """
    return SeccompCheck(subject(container))


class SeccompCheck:
    """The checks. Each raises `AssertionError` where it does not hold, and `BadInput` where it makes no sense."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def __repr__(self) -> str:
        return f"<check of {self._subject.name}>"

    # What it has

    def equals(self, expected: Any) -> Self:
        """It has this section, to the byte: a section, a container, a digest (or the beginning of one), the path of a
        JSON file, "RuntimeDefault" (of the release that made it), "containerd@2.0.9" (RuntimeDefault there), None.
        """
        __tracebackhide__ = True
        self._require_made()
        wanted = reference(expected, self._subject)
        if not self._has(wanted):
            self._fail(f"is not {wanted.title}", telling.differences(self._subject, wanted))
        return self

    def does_not_equal(self, expected: Any) -> Self:
        """It has another section than this."""
        __tracebackhide__ = True
        self._require_made()
        other = reference(expected, self._subject)
        if self._has(other):
            self._fail(f"is {other.title}, and should not be")
        return self

    def filters_as(self, expected: Any) -> Self:
        """It makes the same of every call as this section, in whatever way the two are written."""
        __tracebackhide__ = True
        self._require_made()
        wanted = reference(expected, self._subject)
        if compare(wanted.section, self._subject.posture.section):
            self._fail(f"does not filter as {wanted.title}", telling.differences(self._subject, wanted))
        return self

    def is_default(self, of: str = "") -> Self:
        """It has RuntimeDefault: of the release that made it, or of another one, "containerd@2.0.9"."""
        __tracebackhide__ = True
        return self.equals(of or "RuntimeDefault")

    def is_not_default(self, of: str = "") -> Self:
        """It has something else than RuntimeDefault of a release."""
        __tracebackhide__ = True
        return self.does_not_equal(of or "RuntimeDefault")

    def is_localhost(self, path: str = "") -> Self:
        """It has a file of the node, this one or any."""
        __tracebackhide__ = True
        self._require_made()
        posture = self._subject.posture
        if posture.kind != "Localhost" or (path and posture.of != path):
            self._fail(f"has no profile from {path or 'a file of the node'}")
        return self

    def is_unconfined(self) -> Self:
        """It has no filter."""
        __tracebackhide__ = True
        self._require_made()
        if self._subject.posture.section is not None:
            self._fail("is confined, and should not be")
        return self

    def is_confined(self) -> Self:
        """It has a filter."""
        __tracebackhide__ = True
        self._require_made()
        if self._subject.posture.section is None:
            self._fail("is unconfined, and should not be")
        return self

    def is_refused(self, reason: str = "", message: str = "") -> Self:
        """It was never made: for a reason, as `kubectl get pods` shows it, and with a text in the message."""
        __tracebackhide__ = True
        error = self._subject.posture.error
        if error is None:
            self._fail("is there, and should have been refused" + (f" with {reason}" if reason else ""))
        if reason and error.reason != reason:
            self._fail(f"was refused with {error.reason}, not with {reason}")
        if message not in error.message:
            self._fail(f"was refused, and not with the words {message!r}")
        return self

    # What it may do

    def allows(self, *syscalls: str, **args: int) -> Self:
        """Each of these calls reaches the kernel, with these arguments: `allows("socket", arg0=socket.AF_INET)`."""
        __tracebackhide__ = True
        for syscall in syscalls:
            found = self._verdicts(syscall, args)
            if not all(verdict.allowed for verdict in found):
                self._fail(self._not_so(syscall, args, found, "allowed"), telling.rules(self._subject, syscall))
        return self

    def denies(self, *syscalls: str, errno: str | int | None = None, **args: int) -> Self:
        """None of these calls reaches the kernel; with `errno` each fails with that error, "EPERM" or its number."""
        __tracebackhide__ = True
        number = None if errno is None else error_number(errno)
        for syscall in syscalls:
            found = self._verdicts(syscall, args)
            if any(verdict.allowed for verdict in found):
                self._fail(self._not_so(syscall, args, found, "denied"), telling.rules(self._subject, syscall))
            if number is not None and any(verdict.errno != number for verdict in found):
                what = self._not_so(syscall, args, found, f"denied with {errno}")
                self._fail(what, telling.rules(self._subject, syscall))
        return self

    def allows_no_more_than(self, expected: Any) -> Self:
        """It is confined at least as much as this: there is no call that it allows and this does not."""
        __tracebackhide__ = True
        self._require_made()
        other = reference(expected, self._subject)
        changes = compare(other.section, self._subject.posture.section)
        if less_confined(changes):
            gained = lines(change for change in changes if change.direction == "gained")
            self._fail(f"allows more than {other.title}", [("more", gained)])
        return self

    # Why

    def explains(self, *words: str) -> Self:
        """A rule that had a say is called so, or says so: `explains("seccompDefault is on")`; each of several."""
        __tracebackhide__ = True
        for text in words:
            if not any(_says(step, text) for step in self._subject.posture.steps):
                self._fail(f"is not explained by {text!r}")
        return self

    def does_not_explain(self, *words: str) -> Self:
        """No rule that had a say is called so, or says so."""
        __tracebackhide__ = True
        for text in words:
            found = next((step for step in self._subject.posture.steps if _says(step, text)), None)
            if found is not None:
                self._fail(f"is explained by {text!r}, and should not be: {found.because}")
        return self

    def warns(self, *words: str) -> Self:
        """Something that the author of a file or request meant was lost, and a step says so; with these words."""
        __tracebackhide__ = True
        warnings = [step for step in self._subject.posture.steps if step.warns]
        for text in words or ("",):
            if not any(_says(step, text) for step in warnings):
                self._fail(f"has no warning that says {text!r}" if text else "has no warning")
        return self

    # Helpers

    def _has(self, wanted: Reference) -> bool:
        return (
            self._subject.posture.digest.startswith(wanted.digest)
            if wanted.digest
            else not self._subject.posture.digest
        )

    def _verdicts(self, syscall: str, args: dict[str, int]) -> Any:
        __tracebackhide__ = True
        self._require_made()
        section = self._subject.posture.section
        warn_of_typo(syscall, section)
        return verdicts(section, syscall, arguments(args))

    def _not_so(self, syscall: str, args: dict[str, int], found: Any, wanted: str) -> str:
        call = f"{syscall}({', '.join(f'{name}={value}' for name, value in args.items())})"
        if len(found) == 1:
            return f"{call} is {shown(found[0])}, and should be {wanted}"
        either = " or ".join(shown(each) for each in found)
        return f"{call} should be {wanted}, and is {either}: it depends on arguments that are not given"

    def _require_made(self) -> None:
        __tracebackhide__ = True
        posture = self._subject.posture
        if not posture.exists:
            self._fail("was refused" if posture.kind == "refused" else "has not been made yet")

    def _fail(self, what: str, more: Iterable[tuple[str, Iterable[str]]] = ()) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(telling.failure(self._subject, what, more))


def _says(step: Step, text: str) -> bool:
    return step.rule == text or text.casefold() in step.because.casefold()
