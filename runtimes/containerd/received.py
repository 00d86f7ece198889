"""A request as a release receives it: without the fields that its CRI API does not have.

protobuf drops what it does not know, so a field that came later is not refused but never seen: containerd 1.4 looks at
no `seccomp` message, because there is none for it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from runtimes import request as messages
from runtimes.containerd.known import api
from runtimes.request import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.containerd.known import Known

M = TypeVar("M", bound=Message)


class _Plan(msgspec.Struct, frozen=True):
    """What to do with one message: fields to forget, and fields in which to look further."""

    unknown: tuple[str, ...]
    inside: tuple[str, ...]


def received(request: M, known: Known) -> M:
    """Return the request as the release sees it: the same value where nothing is lost."""
    return _without(request, _plans(known))  # type: ignore[no-any-return]


def lost(request: Message, known: Known) -> tuple[str, ...]:
    """Return the dotted paths of the fields that were set and that the release does not see."""
    return tuple(dict.fromkeys(_lost(request, _plans(known), "")))


def _without(value: Any, plans: dict[type, _Plan]) -> Any:
    plan = plans.get(type(value))
    if plan is None:
        return value
    changes: dict[str, Any] = {}
    for name in plan.inside:
        before = getattr(value, name)
        if isinstance(before, tuple):
            after: Any = tuple([_without(item, plans) for item in before])
            if any(new is not old for new, old in zip(after, before, strict=True)):
                changes[name] = after
        elif before is not None:
            after = _without(before, plans)
            if after is not before:
                changes[name] = after
    for name in plan.unknown:
        default = _defaults(value.__class__)[name]
        if getattr(value, name) != default:
            changes[name] = default
    return msgspec.structs.replace(value, **changes) if changes else value


def _lost(value: Any, plans: dict[type, _Plan], at: str) -> Iterator[str]:
    plan = plans.get(type(value))
    if plan is None:
        return
    for name in plan.unknown:
        if getattr(value, name) != _defaults(value.__class__)[name]:
            yield at + name
    for name in plan.inside:
        below = getattr(value, name)
        for item in below if isinstance(below, tuple) else (below,):
            yield from _lost(item, plans, f"{at}{name}.")


def _plans(known: Known) -> dict[type, _Plan]:
    """Return the messages in which something may get lost."""
    return known.once("plans", lambda: _made(known))  # type: ignore[no-any-return]


def _made(known: Known) -> dict[type, _Plan]:
    unknown: dict[type, list[str]] = {}
    for path in api()["fields"]:
        message, _, field = path.partition(".")
        if not known.has(f"field {path}"):
            unknown.setdefault(getattr(messages, message), []).append(field)
    plans: dict[type, _Plan] = {}
    for request in (messages.SandboxRequest, messages.ContainerRequest):
        _plan(request, unknown, plans)
    return plans


def _plan(message: type, unknown: dict[type, list[str]], plans: dict[type, _Plan]) -> bool:
    """Add the plan of a message and of those below it; return whether anything may get lost there."""
    inside = tuple(name for name, below in _below(message) if _plan(below, unknown, plans))
    if message not in unknown and not inside:
        return False
    plans[message] = _Plan(tuple(unknown.get(message, ())), inside)
    return True


@functools.cache
def _below(message: type) -> tuple[tuple[str, type], ...]:
    """Return the fields of a message that hold messages, with their types."""
    found = []
    for field in msgspec.structs.fields(message):
        kinds = (kind for kind in _types(field.type) if isinstance(kind, type) and issubclass(kind, Message))
        found += [(field.name, kind) for kind in kinds]
    return tuple(found)


def _types(annotation: Any) -> tuple[Any, ...]:
    arguments = getattr(annotation, "__args__", ())
    return (annotation, *(kind for each in arguments for kind in _types(each)))


@functools.cache
def _defaults(message: type[Message]) -> dict[str, Any]:
    found = {}
    for field in msgspec.structs.fields(message):
        has_factory = field.default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT
        found[field.name] = field.default_factory() if has_factory else field.default
    return found
