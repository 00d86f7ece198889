"""The daemon's configuration file, config.toml, as the CRI plugin of a release takes it.

`settings.yaml` tells every setting; `config_document.py` finds the table in which a release looks for them. What is
read once here holds for the daemon's life.
Source: pkg/cri/config/config.go, internal/cri/config/config.go at each tag.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes import facts
from runtimes.containerd import base_spec, config_document
from runtimes.containerd.config_effect import Setting, without_effect
from runtimes.containerd.known import PACKAGE
from runtimes.containerd.paths import join
from runtimes.containerd.refusals import not_started
from runtimes.errors import BadInput
from runtimes.release import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.containerd.config_document import Document
    from runtimes.containerd.known import Known
    from runtimes.containerd.spec import Spec
    from runtimes.decision import Step
    from runtimes.files import Files

Table = dict[str, Any]

_IMAGES = "io.containerd.cri.v1.images"
_RUNTIMES = "containerd.runtimes."  # before the name of a handler
_ZERO: dict[str, Any] = {"string": "", "bool": False, "int": 0}
_TYPES: dict[str, type] = {"string": str, "bool": bool, "int": int, "strings": list, "map": dict, "options": dict}
_WORDS: dict[type, str] = {str: "text", bool: "true or false", int: "a number", list: "a list", dict: "a table"}


class Handler(msgspec.Struct, frozen=True):
    """One runtime handler. `settings` are keyed as Status shows them; `base_spec` is the content of its file."""

    name: str
    settings: Table
    base_spec: Spec | None = None

    def get(self, key: str) -> Any:
        """Return a setting, None where the release has no such."""
        return self.settings.get(key)


class Config(msgspec.Struct, frozen=True):
    """The settings of the CRI plugin. `shown` is what Status(verbose) shows of them, in its order.

    `notes` say what of the file has no effect.
    """

    shown: Table
    handlers: dict[str, Handler]
    default_handler: str
    pause_image: str
    notes: tuple[Step, ...] = ()

    def get(self, key: str) -> Any:
        """Return a setting by the name Status shows, None where the release has no such."""
        return self.shown.get(key)

    @property
    def unset_seccomp_profile(self) -> str:
        """The profile of requests that name none."""
        return str(self.shown.get("unsetSeccompProfile") or "")

    @property
    def root_dir(self) -> str:
        """Where the plugin keeps what outlives the host's restart."""
        return str(self.shown["rootDir"])

    @property
    def state_dir(self) -> str:
        """Where the plugin keeps what does not."""
        return str(self.shown["stateDir"])


def load(path: str, known: Known, files: Files) -> Config:
    """Read a configuration file; "" stands for the built-in configuration.

    Raises `BadInput` where a file is not there or no TOML, `Refused` where the release does not start with it.
    """
    document = config_document.read(path, known, files)
    shown = _filled("Config", document.cri, known, path)
    containerd = shown["containerd"]
    asked = document.cri.get("containerd")
    containerd["runtimes"] = _runtimes((asked or {}).get("runtimes"), known, path)
    _directories(shown, document.table)
    default = _default_handler(containerd, known)
    handlers = {name: _handler(name, settings, known, files) for name, settings in containerd["runtimes"].items()}
    notes = (*document.notes, *without_effect(document, known, lambda struct: _settings_of(struct, known)))
    return Config(shown, handlers, default, _pause_image(document, shown, known), notes)


@functools.cache
def names() -> tuple[str, ...]:
    """Return the dotted path of every key that the CRI plugin's table has, or had, in some release."""
    return tuple(_names("Config"))


def has(name: str) -> bool:
    """Whether there is, or was, such a key: its dotted path in the table of the CRI plugin."""
    if not name.startswith(_RUNTIMES):
        return name in names()
    _, _, key = name.removeprefix(_RUNTIMES).partition(".")
    return any(key.partition(".")[0] == each for each in _names("Runtime"))


def _names(struct: str) -> Iterator[str]:
    for entry in _settings()[struct]:
        key = entry.get("toml")
        if key and entry["type"] in _settings():
            yield from (f"{key}.{below}" for below in _names(entry["type"]))
        elif key:
            yield key


# Tables -> settings.


def _filled(struct: str, table: Table, known: Known, where: str, *, zero: bool = False) -> Table:
    """Return the settings of a struct, in order, from a table of the file; without defaults when `zero`."""
    table = _by_case(struct, table, known)
    found: Table = {}
    for field in _fields(struct, known):
        value = table.get(field.toml) if field.toml else None
        if field.type == "runtimes":
            found[field.json] = {}
        elif field.type in _settings():
            below = value if value is not None else {}
            _check(below, dict, field, where)
            found[field.json] = _filled(field.type, below, known, where, zero=zero or field.type == "Runtime")
        elif value is None:
            found[field.json] = _ZERO.get(field.type) if zero else field.default
        else:
            _check(value, _TYPES[field.type], field, where)
            found[field.json] = value
    return found


def _by_case(struct: str, table: Table, known: Known) -> Table:
    """Return the table with its keys as the settings spell them, for releases that do not mind the case."""
    if not known.has("config-key-case") or not any(key != key.lower() for key in table):
        return table
    names = {field.toml.lower(): field.toml for field in _fields(struct, known) if field.toml}
    return {names.get(key.lower(), key): value for key, value in table.items()}


def _check(value: Any, kind: type, field: _Field, where: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = _WORDS.get(type(value), type(value).__name__)
        text = f"containerd does not start with {found} here"
        raise BadInput(text, where=where, field=field.toml, right=_WORDS[kind])


class _Field(msgspec.Struct, frozen=True):
    """One setting of a struct, as one release has it."""

    json: str
    toml: str
    type: str
    default: Any


def _fields(struct: str, known: Known) -> tuple[_Field, ...]:
    return known.once(f"settings of {struct}", lambda: _made(struct, known))  # type: ignore[no-any-return]


def _made(struct: str, known: Known) -> tuple[_Field, ...]:
    return tuple(
        _Field(entry["json"], entry.get("toml", ""), entry["type"], _default(entry, known))
        for entry in _settings()[struct]
        if known.release in Span.read(entry)
    )


def _default(entry: Table, known: Known) -> Any:
    default = entry.get("default", _ZERO.get(entry["type"]))
    if isinstance(default, list) and default and isinstance(default[0], dict):
        return next(each["value"] for each in reversed(default) if known.release in Span.read(each))
    return default


def _settings_of(struct: str, known: Known) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for entry in _settings().get(struct, ()):
        there = known.release in Span.read(entry)
        if "toml" in entry and (there or entry["toml"] not in found):
            found[entry["toml"]] = Setting(entry["type"], there)
    return found


@functools.cache
def _settings() -> dict[str, list[Table]]:
    return facts.read_data(PACKAGE, "settings")  # type: ignore[no-any-return]


# Runtimes.


def _runtimes(table: Any, known: Known, where: str) -> Table:
    """Return the configured runtimes: the built-in one and the file's, as the release's TOML library joins them."""
    if table is not None and not isinstance(table, dict):
        raise BadInput("runtimes is a table of tables", where=where, field="runtimes")
    asked: Table = table or {}
    built_in = _filled("Runtime", {}, known, where)
    built_in["runtimeType"] = known.value("default-runtime-type")
    if "options" in built_in:
        built_in["options"] = known.value("runtime-options-defaults")
    how = known.value("config-maps")
    found: Table = {} if asked and how == "replaced" else {"runc": built_in}
    for name, settings in asked.items():
        if not isinstance(settings, dict):
            raise BadInput("a runtime is a table", where=where, field=f"runtimes.{name}")
        found[name] = _filled("Runtime", settings, known, where)
        if how == "merged" and name == "runc":
            found[name] = _over(built_in, settings, found[name], known)
    return dict(sorted(found.items()))


def _over(built_in: Table, asked: Table, filled: Table, known: Known) -> Table:
    """Return the built-in runtime with what the file says about it, its options merged one by one."""
    said = {field.json for field in _fields("Runtime", known) if field.toml in _by_case("Runtime", asked, known)}
    found = {key: (filled[key] if key in said else value) for key, value in built_in.items()}
    if "options" in said:
        found["options"] = dict(sorted({**(built_in["options"] or {}), **filled["options"]}.items()))
    return found


def _default_handler(containerd: Table, known: Known) -> str:
    name = str(containerd.get("defaultRuntimeName") or "runc")
    if name not in containerd["runtimes"]:
        raise not_started(known.value("handler-refusal").format(name=name))
    return name


def _handler(name: str, settings: Table, known: Known, files: Files) -> Handler:
    path = settings.get("baseRuntimeSpec")
    return Handler(name, settings, base_spec.load(path, known, files) if path else None)


# What stands elsewhere in the file.


def _directories(shown: Table, document: Table) -> None:
    root, state = document.get("root"), document.get("state")
    address = _below(document, "plugins", "io.containerd.server.v1.grpc").get("address")
    address = address or _below(document, "grpc").get("address")
    if isinstance(root, str) and root:
        shown["containerdRootDir"], shown["rootDir"] = root, join(root, config_document.OLD)
    if isinstance(state, str) and state:
        shown["stateDir"] = join(state, config_document.OLD)
    if isinstance(address, str) and address:
        shown["containerdEndpoint"] = address


def _pause_image(document: Document, shown: Table, known: Known) -> str:
    default = known.value("pause-image-pinned-by-name")
    if default is None:
        return str(shown["sandboxImage"])
    pinned = _below(document.table, "plugins", _IMAGES, "pinned_images").get("sandbox")
    return str(pinned or document.cri.get("sandbox_image") or default)


def _below(table: Table, *keys: str) -> Table:
    found: Any = table
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
