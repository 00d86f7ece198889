"""An experiment -> the text of a file that says the same, for others to play."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from shim import nodefile
from shim.nodefile.document import OWN_FILE
from shim.skew.experiments.experiment import (
    CHECKS,
    Action,
    Configure,
    Delete,
    Deploy,
    Expectation,
    Experiment,
    Kill,
    Reload,
    Restart,
    Step,
    Upgrade,
    Wait,
    Which,
    Workload,
)

_WIDTH = 100
_PATHS = ("config", "configDir")  # the settings that may be files beside the experiment


class _Block(dict[str, Any]):
    """A mapping with a line for each key."""


def text(experiment: Experiment, base: str) -> str:
    """Return a YAML file that stands in the directory `base`. Paths are relative where they have anything in common."""
    whole = {
        "title": experiment.title,
        "says": experiment.says,
        "sources": list(experiment.sources),
        "nodes": {name: _beside(nodefile.to_dict(document), base) for name, document in experiment.nodes.items()},
        "workloads": _Block({name: _workload(each, base) for name, each in experiment.workloads.items()}),
        "steps": [_step(each, base) for each in experiment.steps],
        "expect": [_expected(each) for each in experiment.expect],
    }
    return _yaml({key: value for key, value in whole.items() if value})


def _yaml(whole: dict[str, Any]) -> str:
    """Write it with what is innermost on one line, and manifests as they are."""
    import yaml  # noqa: PLC0415  takes longer to import than most of what does without it

    class Dumper(yaml.SafeDumper):
        """PyYAML's, without anchors."""

        def ignore_aliases(self, _data: Any) -> bool:
            return True

    def written(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        ordinary = value.strip() and not value[0].isspace() and not value.endswith("\n\n")
        style = ("|" if "\n" in value else ">" if len(value) > _WIDTH else None) if ordinary else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def block(dumper: yaml.SafeDumper, value: _Block) -> yaml.MappingNode:
        return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=False)

    Dumper.add_representer(str, written)
    Dumper.add_representer(_Block, block)
    made: list[str] = [
        yaml.dump(
            _Block({key: value}),
            Dumper=Dumper,
            sort_keys=False,
            width=_WIDTH,
            allow_unicode=True,
            default_flow_style=None,
        )
        for key, value in whole.items()
    ]
    return "\n".join(made)


def _beside(said: Any, base: str) -> Any:
    """Return what is said with the paths of files of this machine as they are seen from a directory."""
    if isinstance(said, list):
        return [_beside(each, base) for each in said]
    if not isinstance(said, dict):
        return said
    return {key: _path(value, base) if _is_ours(key, value) else _beside(value, base) for key, value in said.items()}


def _is_ours(key: str, value: Any) -> bool:
    """Whether a setting is a path of this machine."""
    name = key.rpartition(".")[2]
    return isinstance(value, str) and (value.startswith(OWN_FILE) if name in _PATHS else name == "root")


def _path(path: str, base: str) -> str:
    """Return an absolute path as it is seen from a directory; one that has nothing in common with it stays as it is."""
    plain = path.removeprefix(OWN_FILE)
    return path if os.path.commonpath((plain, base)) == "/" else os.path.relpath(plain, base)


def _workload(workload: Workload, base: str) -> dict[str, Any] | str:
    inline = "\n" in workload.manifest
    manifest = workload.manifest if inline else _path(workload.manifest, base)
    more = {"nodes": _names(workload.nodes), "source": workload.source, "handler": workload.handler}
    plain = {"nodes": "*", "source": "api", "handler": ""}
    said = {key: value for key, value in more.items() if value != plain[key]}
    return {"manifest": manifest, **said} if said else manifest


def _step(step: Step, base: str) -> dict[str, Any] | str:
    said = _beside(_action(step.action), base)
    if isinstance(said, str) and not (step.expect or step.name != str(step.action) or step.nodes != ("*",)):
        return said
    whole = _Block({said: "node"} if isinstance(said, str) else said)
    if step.name != str(step.action):
        whole = _Block({"name": step.name, **whole})
    if step.nodes != ("*",):
        whole["nodes"] = _names(step.nodes)
    if step.expect:
        whole["expect"] = [_expected(each) for each in step.expect]
    return whole


def _action(action: Action) -> dict[str, Any] | str:
    write = _WRITE.get(type(action))
    return write(action) if write else str(action)  # reboot, drain and uncordon stand alone


def _upgrade(action: Upgrade) -> dict[str, Any]:
    handlers: dict[str, str] = {}
    said: dict[str, Any] = {}
    for name, version in action.versions.items():
        part = name.removesuffix(".version")
        if part.startswith("handlers."):
            handlers[part.removeprefix("handlers.")] = version
        else:
            said[part] = version
    said |= ({"handlers": handlers} if handlers else {}) | ({"drained": True} if action.drained else {})
    return {"downgrade" if action.down else "upgrade": said}


def _number(seconds: float) -> int | str:
    return int(seconds) if seconds == int(seconds) else f"{seconds:.9f}".rstrip("0")


def _setting(value: str) -> Any:
    """Write true, false, null and lists as themselves: the others are text."""
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return read if read is None or isinstance(read, (bool, list)) else value


def _expected(expected: Expectation) -> dict[str, Any]:
    said: dict[str, Any] = _which(expected.which)
    for name in CHECKS:
        if getattr(expected, name) is not None:
            said[name] = getattr(expected, name)
    if expected.capabilities:
        said["capabilities"] = _names(expected.capabilities)
    for name in ("allows", "denies"):
        calls = getattr(expected, name)
        if calls:
            said[name] = _names(tuple(each.text for each in calls))
    return said


def _which(which: Which) -> dict[str, Any]:
    return {name: _names(getattr(which, name)) for name in which.__struct_fields__ if getattr(which, name)}


def _names(names: tuple[str, ...]) -> list[str] | str:
    return names[0] if len(names) == 1 else list(names)


_WRITE: dict[type[Action], Callable[[Any], dict[str, Any]]] = {
    Deploy: lambda action: {"deploy": _names(action.workloads)},
    Delete: lambda action: {"delete": _names(action.workloads)},
    Configure: lambda action: {"configure": {name: _setting(value) for name, value in action.settings.items()}},
    Upgrade: _upgrade,
    Restart: lambda action: {"restart": action.component},
    Kill: lambda action: {"restart": _which(action.which)},
    Reload: lambda _: {"reload": "runtime"},
    Wait: lambda action: {"wait": _number(action.seconds)},
}
