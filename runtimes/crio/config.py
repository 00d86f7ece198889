"""crio.conf as CRI-O reads it: built-in values, then the file, then the drop-in directory, then environment and flags.

    load(release, setup, files) -> Config
    reread(release, setup, files) -> Config     what SIGHUP reads: the files only, on top of the built-in values

Later files win key by key; a list replaces a list, and a handler's table replaces the whole handler. Keys are matched
without regard to case; a key that the release does not know, or that stands in the wrong table, is ignored without a
word, which a step of the configuration says. A value of another type keeps the daemon from starting.

What a release knows and what it starts from are facts (config.yaml, flags.yaml, facts.yaml).
Source: pkg/config/config.go (UpdateFromFile, UpdateFromPath, Validate) and internal/criocli/criocli.go.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.crio import toml
from runtimes.crio.at import PACKAGE, at
from runtimes.decision import Step
from runtimes.errors import BadInput, Refused
from runtimes.facts import read_data
from runtimes.files import IS_A_DIRECTORY, FileFault
from runtimes.gojson import quote
from runtimes.release import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.files import Files
    from runtimes.model import Setup
    from runtimes.release import Release

NOT_STARTED = "UNAVAILABLE"  # what a client gets where no daemon listens

# TOML table -> the list of its keys in config.yaml.
TABLES = {
    "crio": "root",
    "crio.api": "api",
    "crio.runtime": "runtime",
    "crio.image": "image",
    "crio.network": "network",
    "crio.metrics": "metrics",
    "crio.tracing": "tracing",
    "crio.stats": "stats",
    "crio.nri": "nri",
}
_NAMED_TABLES = {"runtimes": "handler", "workloads": "workload"}
# The flags that say where the configuration is, which the node file does; and their short names.
_SHORT = {"c": "config", "d": "config-dir"}
# The Go structs that they are decoded into; of the outermost, which has no name, the first part.
_STRUCTS = {
    "crio": "struct { config.RootConfig }",
    "crio.api": "config.APIConfig",
    "crio.runtime": "config.RuntimeConfig",
    "crio.image": "config.ImageConfig",
    "crio.network": "config.NetworkConfig",
    "crio.metrics": "config.MetricsConfig",
    "crio.tracing": "config.TracingConfig",
    "crio.stats": "config.StatsConfig",
    "crio.nri": "*nri.Config",
    "runtimes": "config.RuntimeHandler",
    "workloads": "config.WorkloadConfig",
}


class Key(msgspec.Struct, frozen=True):
    """One key of a table. `field` is its Go name where Status shows it."""

    key: str
    type: str
    span: Span
    field: str = ""
    default: Any = None


class Flag(msgspec.Struct, frozen=True):
    """A flag of the daemon; `key` is what it sets in crio.conf ("" for what no spec is made of)."""

    flag: str
    span: Span
    variable: str = ""
    key: str = ""
    bool: bool = False


class Handler(msgspec.Struct, frozen=True):
    """One runtime handler as configured. `built_in` marks the one that is there when nobody names any."""

    name: str
    values: dict[str, Any] = {}
    built_in: bool = False

    def __getitem__(self, key: str) -> Any:
        """Return a key's value, None where nobody set it."""
        return self.values.get(key)

    @property
    def allowed_annotations(self) -> tuple[str, ...]:
        """The annotations that it lets through."""
        return tuple(self.values.get("allowed_annotations") or ())


class Config(msgspec.Struct, frozen=True):
    """What a daemon runs with. Each table by key; `handlers` by name, in the order in which they were read.

    `said` are the keys that somebody set ("crio.runtime.seccomp_profile"), `given` those among them that a flag or a
    variable decided, and which one.
    """

    tables: dict[str, dict[str, Any]]
    handlers: dict[str, Handler]
    workloads: dict[str, dict[str, Any]]
    steps: tuple[Step, ...] = ()
    given: dict[str, str] = {}
    said: frozenset[str] = frozenset()

    @property
    def runtime(self) -> dict[str, Any]:
        """The table `crio.runtime`, without its handlers and workloads."""
        return self.tables["crio.runtime"]

    @property
    def default_runtime(self) -> str:
        """The name of the handler that a request without one gets."""
        name: str = self.runtime["default_runtime"]
        return name

    def handler(self, name: str) -> Handler:
        """Return a handler by name, the default one for ""."""
        return self.handlers[name or self.default_runtime]

    def allowed_annotations(self, handler: str, annotations: dict[str, str]) -> tuple[str, ...]:
        """Return what a handler and the workload that the annotations activate let through."""
        active = next(
            (each for each in self.workloads.values() if each.get("activation_annotation") in annotations), {}
        )
        return self.handler(handler).allowed_annotations + tuple(active.get("allowed_annotations") or ())


def load(release: Release, setup: Setup, files: Files) -> Config:
    """Read the configuration of a daemon. Raises `Refused` where it does not start, `BadInput` for a file that the
    setup names and that is not there.
    """
    reader = _Reader(release)
    reader.files(setup.config, files, ("config-error-prefix", "drop-in-error-prefix"))
    for variable, text in setup.environment.items():
        reader.variable(variable, text)
    reader.flags(setup.flags)
    return reader.config()


def reread(release: Release, setup: Setup, files: Files) -> Config:
    """Read the files again as a running daemon does on SIGHUP: without flags and variables. Raises as `load` does."""
    reader = _Reader(release)
    reader.files(setup.config, files, ("reload-config-error-prefix", "reload-drop-in-error-prefix"))
    return reader.config()


def _paths(config: str, files: Files) -> Iterator[tuple[str, bool]]:
    """A file is that of `--config`, a directory that of `--config-dir`: every file below it, whatever its name."""
    try:
        files.read(config)
    except FileFault as fault:
        if fault.errno != IS_A_DIRECTORY:
            raise BadInput(str(fault), field="runtime.config", right="a crio.conf or a drop-in directory") from None
        for path in files.walk(config):
            yield path, True
        return
    yield config, False


@functools.cache
def keys(table: str) -> tuple[Key, ...]:
    """Return what any release knows of a table ("runtime", "handler"...), in the order of the Go struct."""
    return tuple(
        Key(row["key"], row["type"], Span.read(row), row.get("field", ""), row.get("default"))
        for row in read_data(PACKAGE, "config")[table]
    )


@functools.cache
def flags() -> tuple[Flag, ...]:
    """Return every flag that any release knows."""
    rows = read_data(PACKAGE, "flags")["flags"]
    return tuple(
        Flag(row["flag"], Span.read(row), row.get("variable", ""), row.get("key", ""), row.get("bool", False))
        for row in rows
    )


@functools.cache
def known(table: str, release: Release) -> dict[str, Key]:
    """Return the keys that a release knows, by their name in lower case."""
    return {each.key: each for each in keys(table) if release in each.span}


@functools.cache
def known_annotations(release: Release) -> tuple[str, ...]:
    """Return the annotations that a release acts upon, and that a handler may therefore allow."""
    rows = read_data(PACKAGE, "annotations")["annotations"]
    return tuple(row["name"] for row in rows if release in Span.read(row))


class _Reader:
    """Takes file after file; what it holds is what holds so far."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.facts = at(release)
        self.steps: list[Step] = []
        self.given: dict[str, str] = {}
        self.set_keys: set[str] = set()
        self.tables = {name: self._defaults(keys_of) for name, keys_of in TABLES.items()}
        self.workloads: dict[str, dict[str, Any]] = {}
        built_in = self._value("default-runtime")
        self.handlers = {built_in: Handler(built_in, self._built_in_values(), built_in=True)}
        self.tables["crio.runtime"]["default_runtime"] = built_in
        self.built_in = built_in

    def files(self, config: str, files: Files, prefixes: tuple[str, str]) -> None:
        """Take a file, or every file of a directory. `prefixes` are the facts that say what stands before an error."""
        for path, is_drop_in in _paths(config, files) if config else ():
            self.file(path, files.read(path), self._value(prefixes[is_drop_in]))

    def file(self, path: str, content: bytes, prefix: str) -> None:
        try:
            document = toml.parse(content, self.facts)
            self._tables(document, path)
        except toml.TomlFault as fault:
            message = f"{prefix}unable to decode configuration {path}: {fault}"
            raise self._not_started(message) from None

    def variable(self, variable: str, text: str) -> None:
        """Take one environment variable; those of other programs and other releases pass by."""
        how = f"the environment variable {variable}"
        same = [each for each in flags() if each.variable == variable]
        found = next((each for each in same if self.release in each.span), None)
        if found is not None:
            self._give(found, text, how)
        elif same:
            because = f"{how} means nothing to CRI-O {self.release}: it is ignored without a word"
            self.steps.append(Step("runtime", "ignored-variable", because, "internal/criocli/criocli.go", warns=True))

    def flags(self, words: tuple[str, ...]) -> None:
        """Take the command line: `--seccomp-profile=/etc/x.json`, or the value as the next word."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            name, has_value, text = word.lstrip("-").partition("=")
            name = _SHORT.get(name, name)
            found = next((each for each in flags() if each.flag == name and self.release in each.span), None)
            if not word.startswith("-"):
                raise BadInput(f"{word!r} is no flag", field="flags", right="--name=value")
            if found is None:
                raise self._not_started(f"flag provided but not defined: -{name}")
            if name in _SHORT.values():
                raise BadInput(f"{word} names the configuration", field="flags", right="runtime.config does that")
            if found.bool:
                text = text if has_value else "true"
            elif not has_value:
                if not rest:
                    raise self._not_started(f"flag needs an argument: -{name}")
                text = rest.pop(0)
            try:
                self._give(found, text, f"the flag --{name}")
            except BadInput:
                kind = "boolean value" if found.bool else "value"
                flag = f"-{name}" if found.bool else f"flag -{name}"
                raise self._not_started(f"invalid {kind} {quote(text)} for {flag}: parse error") from None

    def config(self) -> Config:
        if not self.tables["crio.runtime"]["default_runtime"]:
            self.tables["crio.runtime"]["default_runtime"] = self.built_in
            self.handlers.setdefault(self.built_in, Handler(self.built_in, self._built_in_values(), built_in=True))
        return Config(self.tables, self.handlers, self.workloads, tuple(self.steps), self.given, self.said)

    @property
    def said(self) -> frozenset[str]:
        return frozenset(self.set_keys | self.given.keys())

    def _value(self, fact: str) -> Any:
        return self.facts.value(fact)

    def _defaults(self, keys_of: str) -> dict[str, Any]:
        return {
            each.key: self._value(_DEFAULT_FACTS[each.key]) if each.key in _DEFAULT_FACTS else each.default
            for each in keys(keys_of)
        }

    def _built_in_values(self) -> dict[str, Any]:
        values = {
            "runtime_type": "oci",
            "allowed_annotations": self._value("default-handler-annotations"),
            "monitor_env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "runtime_root": f"/run/{self._value('default-runtime')}",
        }
        least = self._value("built-in-handler-minimum-memory")
        return values | ({"container_min_memory": "500KiB"} if least else {})

    def _tables(self, document: toml.Document, path: str) -> None:
        for name, value in document.values.items():
            if name.lower() == "crio":
                self._table("crio", toml.table(value, _STRUCTS["crio"], name, document), name, document, path)
            else:
                self._ignored(name, path, "is no table that CRI-O reads")

    def _table(self, table: str, values: dict[str, Any], place: str, document: toml.Document, path: str) -> None:
        """Take a table. `place` is its name as the file spells it, which is how the library speaks of it."""
        known_keys = known(TABLES[table], self.release)
        for spelled, value in values.items():
            name, at_key = spelled.lower(), f"{place}.{spelled}"
            dotted = f"{table}.{name}"
            if dotted in TABLES and name not in known_keys:
                struct = f"struct {{ {_STRUCTS[dotted]} }}"
                self._table(dotted, toml.table(value, struct, at_key, document), at_key, document, path)
            elif name not in known_keys:
                self._unknown(TABLES[table], at_key, path)
            elif table == "crio.runtime" and name in _NAMED_TABLES:
                self._named(name, value, at_key, document, path)
            else:
                taken = toml.typed(value, known_keys[name].type, at_key, document)
                if taken is None:
                    self._ignored(at_key, path, "is no table")
                else:
                    self.tables[table][name] = taken
                    self.set_keys.add(dotted)
        if table == "crio.runtime" and "default_runtime" in {key.lower() for key in values}:
            self._replace_built_in()

    def _named(self, kind: str, value: Any, place: str, document: toml.Document, path: str) -> None:
        known_keys = known(_NAMED_TABLES[kind], self.release)
        tables = toml.typed(value, "tables", place, document)
        if tables is None:
            self._ignored(place, path, "is no table")
            return
        for name, table in tables.items():
            at_table = f"{place}.{name}"
            taken: dict[str, Any] = {}
            for spelled, item in toml.table(table, _STRUCTS[kind], at_table, document).items():
                key = known_keys.get(spelled.lower())
                if key is None:
                    self._unknown(_NAMED_TABLES[kind], f"{at_table}.{spelled}", path)
                else:
                    taken[key.key] = toml.typed(item, key.type, f"{at_table}.{spelled}", document)
            if kind == "runtimes":
                self.handlers.pop(name, None)
                self.handlers[name] = Handler(name, taken)
            else:
                self.workloads[name] = taken

    def _replace_built_in(self) -> None:
        """Of an old release, naming another default takes the built-in handler away, unless a file configured it."""
        default = self.tables["crio.runtime"]["default_runtime"]
        replaces = self.facts.has("default-runtime-replaced")
        if replaces and default != self.built_in:
            self.handlers.pop(self.built_in, None)

    def _give(self, flag: Flag, text: str, how: str) -> None:
        for table, keys_of in TABLES.items():
            found = known(keys_of, self.release).get(flag.key)
            if found and found.type in ("string", "bool", "integer", "list"):
                self.tables[table][flag.key] = toml.from_text(text, found.type, how)
                self.given[f"{table}.{flag.key}"] = how
                self.steps.append(Step("runtime", "config", f"{how} sets {table}.{flag.key} to {text!r}", "crio(8)"))

    def _not_started(self, message: str) -> Refused:
        return Refused(NOT_STARTED, message, tuple(self.steps))

    def _unknown(self, table: str, dotted: str, path: str) -> None:
        name = dotted.rpartition(".")[2].lower()
        everywhere = [each.span for other in read_data(PACKAGE, "config") for each in keys(other) if each.key == name]
        if any(each.key == name for each in keys(table)):
            why = f"is no key of this table in CRI-O {self.release}"
        elif any(self.release in span for span in everywhere):
            why = "stands in a table that does not have it"
        else:
            why = f"is no key of CRI-O {self.release}" if everywhere else "is no key that CRI-O knows"
        self._ignored(dotted, path, why)

    def _ignored(self, name: str, path: str, why: str) -> None:
        because = f"{path}: `{name}` {why}: it is ignored without a word"
        self.steps.append(Step("runtime", "ignored-key", because, "pkg/config/config.go tomlConfig", warns=True))


# What a key starts from where that changed over the releases.
_DEFAULT_FACTS = {
    "pause_image": "pause-image",
    "pids_limit": "pids-limit",
    "drop_infra_ctr": "drop-infra-ctr",
    "add_inheritable_capabilities": "add-inheritable-default",
    "seccomp_use_default_when_empty": "use-default-when-empty-default",
    "default_capabilities": "default-capabilities",
}
