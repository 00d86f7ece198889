"""What happens in a step of an experiment: as a file says it -> an `Action`, and what one writes down on a node."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from runtimes.errors import BadInput, Refused
from runtimes.model import find, known
from shim import nodefile
from shim.kubelet import releases
from shim.nodefile.document import OWN_FILE, KubeletPart
from shim.skew.experiments.experiment import (
    Action,
    Configure,
    Delete,
    Deploy,
    Drain,
    Kill,
    Reboot,
    Reload,
    Restart,
    Uncordon,
    Upgrade,
    Wait,
    Which,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.release import Release
    from shim.node import Node
    from shim.nodefile import Document

_PATHS = ("config", "configDir", "root")  # the settings that are paths
_UNITS = {"s": 1, "m": 60, "h": 3600}


def action(verb: str, said: Any, base: str) -> Action:
    """Return what a verb of `VERBS` does, given what stands behind it. Raises `BadInput`."""
    return _READ[verb](said, base)


def written(document: Document, action: Action, *, at_once: bool = True) -> Document:
    """Return a node's document after an action, as far as that writes something down. Raises `BadInput`.

    Where it need not come `at_once`, what could be otherwise by then is not looked at: which releases are there.
    """
    match action:
        case Configure():
            if any(name.partition(".")[0] == "images" for name in action.settings):
                what = "what an image is does not change while nodes run"
                raise BadInput(what, field="images", right="say it in the node's own file")
            return nodefile.apply_settings(document, action.settings)
        case Upgrade():
            for name, version in action.versions.items():
                _require_release(document, name, version, action if at_once else None)
            return nodefile.apply_settings(document, _settings(action))
    return document


def opened(document: Document) -> Node:
    """Open a node as it begins, one whose kubelet refuses to start with a kubelet of which nothing is said.

    Raises `BadInput` where something is wrong with it, or its runtime does not start.
    """
    try:
        return nodefile.open_node(document)
    except Refused as refusal:
        if refusal.where == "kubelet":
            return opened(replace(document, kubelet=KubeletPart()))
        fault = BadInput(f"the runtime does not start: {refusal}", right="a node that starts")
        raise document.origin.fault("runtime", fault) from None


def startable(document: Document) -> None:
    """Raise `BadInput` where a document is wrong in a way that no component could refuse: a file that is not there."""
    with contextlib.suppress(Refused):
        nodefile.open_node(document)


def names_of(said: str | list[str] | None) -> tuple[str, ...]:
    """Return one name or several as several."""
    return (said,) if isinstance(said, str) else tuple(said or ())


def _configure(said: dict[str, Any], base: str) -> Action:
    return Configure(settings={name: _text(name, value, base) for name, value in said.items()})


def _flip(said: dict[str, Any], _base: str) -> Action:
    return Configure(settings={f"kubelet.featureGates.{gate}": json.dumps(on) for gate, on in said.items()})


def _restart(said: dict[str, Any] | str, _base: str) -> Action:
    return _kill(said) if isinstance(said, dict) else Restart(component=said)  # type: ignore[arg-type]  # by the schema


def _wait(said: str | int, _base: str) -> Action:
    unit = _UNITS.get(str(said)[-1])
    return Wait(seconds=float(str(said)[:-1]) * unit if unit else float(said))


def _upgrade(said: dict[str, Any], *, down: bool) -> Upgrade:
    versions = {f"{name}.version": said[name] for name in ("kubelet", "runtime") if said.get(name)}
    versions |= {f"handlers.{name}.version": version for name, version in (said.get("handlers") or {}).items()}
    if not versions:
        raise BadInput("names no release", right="such as kubelet: 1.28.4 or runtime: 2.0.9")
    return Upgrade(versions=versions, drained=bool(said.get("drained")), down=down)


def _kill(said: dict[str, Any]) -> Kill:
    given = {name: names_of(words) for name, words in said.items() if words}
    if len(given) != 1:
        raise BadInput("says not exactly one of workload, pod and container", right="restart: {pod: shop}")
    return Kill(which=Which(**given), whole="container" not in given)


def _text(name: str, value: Any, base: str) -> str:
    """Return a value as `apply_settings` takes it; a relative path starts beside the file."""
    if value is None or isinstance(value, (bool, list)):
        return json.dumps(value)
    text = str(value)
    if name.rpartition(".")[2] in _PATHS and text and not text.startswith(("/", OWN_FILE)):
        path = os.path.normpath(os.path.join(base, text))  # noqa: PTH118
        return path if name.endswith(".root") else OWN_FILE + path
    return text


def _settings(action: Upgrade) -> dict[str, str]:
    settings = {}
    for name, version in action.versions.items():
        family, at, number = version.rpartition("@")
        settings[name] = number
        if at:
            settings[f"{name.removesuffix('.version')}.name"] = family
    return settings


def _require_release(document: Document, name: str, version: str, now: Upgrade | None) -> None:
    """Raise `BadInput` where a release is unknown, or not newer (older) than the one that is there, if it comes now."""
    filled = nodefile.fill(document)
    if name == "kubelet.version":
        there, then = (releases.known(text)[0] for text in (filled.kubelet.version or "", version))
        if now:
            _require_order("kubelet", there, then, down=now.down)
        return
    handler = name.removeprefix("handlers.").removesuffix(".version") if name.startswith("handlers.") else ""
    if handler and handler not in filled.handlers:
        raise BadInput(f"the node has no handler {handler}", right=f"one of {', '.join(filled.handlers) or 'none'}")
    part = filled.handlers[handler] if handler else filled.runtime
    family, at, number = version.rpartition("@")
    model = find(family if at else part.name or "")
    then = known(model, number)
    if now and model.name == part.name:
        _require_order(model.name, known(model, part.version or ""), then, down=now.down)
    elif now and not now.drained:
        what = f"another runtime, {model.name} in the place of {part.name}, knows nothing of what runs"
        raise BadInput(what, right="drained: true")


def _require_order(what: str, now: Release, then: Release, *, down: bool) -> None:
    if now == then:
        raise BadInput(f"{what} has release {now} already")
    if (then < now) != down:
        older, right = ("older", "downgrade") if then < now else ("newer", "upgrade")
        raise BadInput(f"{what} {then} is {older} than {now}", right=right)


_READ: dict[str, Callable[[Any, str], Action]] = {
    "deploy": lambda said, _: Deploy(workloads=names_of(said)),
    "delete": lambda said, _: Delete(workloads=names_of(said)),
    "configure": _configure,
    "flip": _flip,
    "upgrade": lambda said, _: _upgrade(said, down=False),
    "downgrade": lambda said, _: _upgrade(said, down=True),
    "restart": _restart,
    "reload": lambda *_: Reload(),
    "reboot": lambda *_: Reboot(),
    "drain": lambda *_: Drain(),
    "uncordon": lambda *_: Uncordon(),
    "wait": _wait,
}
VERBS = tuple(_READ)
