"""SIGHUP: what a running daemon takes over from its configuration, and what it loses.

The files are read again on top of the built-in values, so that what flags and environment variables had set is lost for
every setting that reloads; a setting that does not reload stays as it was at the start. The profile's file is read even
if its name stays the same. What is wrong stops the reload where it is met, and what was taken over before stays.
Containers that exist keep their specs. Source: pkg/config/reload.go.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.crio import config as crio_conf
from runtimes.crio import profiles
from runtimes.crio.config import Config, Handler
from runtimes.crio.layout import Layout
from runtimes.crio.persona import CrioPersona
from runtimes.decision import Step
from runtimes.errors import Refused
from runtimes.files import NO_SUCH_FILE, FileFault
from runtimes.gojson import GoJsonFault, quote
from runtimes.model import Reloaded

if TYPE_CHECKING:
    from runtimes.crio.daemon import Daemon
    from runtimes.crio.profiles import Loaded
    from runtimes.files import Files
    from runtimes.model import Setup

_RELOAD = "pkg/config/reload.go Reload"
_FAILED = "Unable to reload configuration: "
_IMAGE_KEYS = ("pause_image", "pause_command")
# What reloads and no answer depends on.
_OTHERS = {
    *("log_level", "log_filter", "decryption_keys_path", "apparmor_profile", "blockio_config_file", "blockio_reload"),
    *("rdt_config_file", "cdi_spec_dirs", "pinned_images", "pause_image_auth_file"),
}


class _StoppedError(Exception):
    """The reload ends here. The text is the daemon's."""


def reload(daemon: Daemon, setup: Setup, files: Files) -> Reloaded:
    """Return the daemon that goes on after SIGHUP. Raises `BadInput` for a configuration that is not there."""
    try:
        new = crio_conf.reread(daemon.release, setup, files)
    except Refused as refused:
        return _told(daemon, _FAILED + refused.message)
    work = _Reload(daemon, new, files)
    try:
        work.run()
    except _StoppedError as stopped:
        return _told(work.finished(), _FAILED + str(stopped), tuple(work.steps))
    return Reloaded(work.finished(), tuple(work.steps))


def _told(daemon: Daemon, failure: str, steps: tuple[Step, ...] = ()) -> Reloaded:
    return Reloaded(daemon, (*steps, Step("runtime", "reload", failure, _RELOAD, warns=True)), failure)


class _Reload:
    """A copy of a running daemon, and the configuration that was read for it."""

    def __init__(self, old: Daemon, new: Config, files: Files) -> None:
        self.old, self.new, self.files = old, new, files
        self.facts = old.facts
        self.tables = {name: dict(table) for name, table in old.config.tables.items()}
        self.handlers = dict(old.config.handlers)
        self.given = dict(old.config.given)
        self.profile: Loaded = old.rules.profile
        self.handler_profiles = old.rules.handler_profiles
        self.taken: set[str] = set()
        self.steps: list[Step] = []

    def run(self) -> None:
        for key in _IMAGE_KEYS:
            self._take("crio.image", key)
        self._take_profile()
        if self.facts.has("privileged-profile"):
            self._take("crio.runtime", "privileged_seccomp_profile")
        if self.facts.has("reloads-runtimes"):
            self._take_runtimes()
        self._tell_what_stays()

    def finished(self) -> Daemon:
        """Return the daemon with everything that was taken over."""
        old = self.old
        kept = tuple(step for step in old.config.steps if step.rule == "config")
        told = tuple(step for step in self.new.steps if step.rule != "config")
        config = msgspec.structs.replace(
            old.config, tables=self.tables, handlers=self.handlers, given=self.given, steps=kept + told
        )
        daemon = copy.copy(old)
        daemon.config = config
        daemon.steps = [*told, *(step for step in self.steps if step.warns)]
        daemon.rules = copy.copy(old.rules)
        daemon.rules.profile, daemon.rules.handler_profiles = self.profile, self.handler_profiles
        if self.facts.has("privileged-profile"):
            daemon.rules.privileged_profile = config.runtime["privileged_seccomp_profile"] or ""
        daemon.layout = Layout(old.release, old.host, config)
        daemon.persona = CrioPersona(old.release, config, daemon.layout)
        return daemon

    def _take(self, table: str, key: str) -> None:
        """Take one setting over, and say so where it was another one."""
        dotted = f"{table}.{key}"
        was, now = self.tables[table].get(key), self.new.tables[table].get(key)
        self.taken.add(dotted)
        self.tables[table][key] = now
        how = self.given.pop(dotted, "")
        if how and was != now:
            because = f"SIGHUP reads the files only: what {how} had set is lost, {key} is now {_shown(now)}"
            self._step("reload-loses-flags", because, warns=True)
        elif was != now:
            self._step("reload", f"{key}: {_shown(was)} -> {_shown(now)}")

    def _take_profile(self) -> None:
        path = self.new.runtime["seccomp_profile"] or ""
        release = self.old.release
        own = profiles.internal(release, self.old.host.arch)
        if not path or not self.old.host.seccomp:
            self.profile = own
        else:
            try:
                self.profile = profiles.configured(self.files.read(path), release)
                self._step("reload", f"seccomp_profile: {quote(path)} is read again")
            except FileFault as fault:
                if fault.errno != NO_SUCH_FILE or not self.facts.has("missing-profile-falls-back"):
                    text = self.facts.value("profile-open-error").format(path=path, fault=fault)
                    self._stop_at_profile(text.removeprefix("unable to load seccomp profile: "))
                self.profile = own
                because = f"`seccomp_profile` {quote(path)} is not there: the internal default is used without a word"
                self._step("missing-profile-falls-back", because, warns=True)
            except GoJsonFault as fault:
                self._stop_at_profile(f"decoding seccomp profile failed: {fault}")
        self._take("crio.runtime", "seccomp_profile")

    def _stop_at_profile(self, text: str) -> None:
        raise _StoppedError(self.facts.value("reload-profile-error").format(text=text))

    def _take_runtimes(self) -> None:
        names = self.facts.value("reload-runtimes-error")
        before = self.handlers
        self.handlers = dict(self.new.handlers)
        self._take("crio.runtime", "default_runtime")
        default = self.tables["crio.runtime"]["default_runtime"]
        if default not in self.handlers:
            missing = self.facts.value("default-runtime-missing").format(name=quote(default), plain=default)
            # A real daemon goes on without a default; here the old handlers stay, so that there is one to answer.
            self.handlers = before
            self.tables["crio.runtime"]["default_runtime"] = self.old.config.default_runtime
            raise _StoppedError(names["default"].format(text=missing))
        if before != self.handlers:
            self._step("reload", f"the runtime handlers are now {', '.join(self.handlers)}")
        if self.facts.has("handler-profile") and self.old.host.seccomp:
            self._take_handler_profiles(default, names["handler"])

    def _take_handler_profiles(self, default: str, words: str) -> None:
        self.handler_profiles = {}
        for name, handler in list(self.handlers.items()):
            path = handler["seccomp_profile"]
            if not path:
                continue
            try:
                self.handler_profiles[name] = profiles.configured(self.files.read(path), self.old.release)
            except (FileFault, GoJsonFault) as fault:
                what = "open seccomp profile" if isinstance(fault, FileFault) else "decoding seccomp profile failed"
                text = f"unable to load runtime handler seccomp profile: {what}: {fault}"
                if name == default:
                    raise _StoppedError(words.format(text=text)) from None
                del self.handlers[name]
                because = f'Runtime handler "{name}" is being ignored due to: {text}'
                self._step("handler-ignored", because, warns=True)

    def _tell_what_stays(self) -> None:
        """Name what stands otherwise in the files and waits for a restart. What a flag decided does not wait."""
        for name, table in self.tables.items():
            for key, value in table.items():
                dotted, new = f"{name}.{key}", self.new.tables[name].get(key)
                if value == new or dotted in self.taken or dotted in self.given or key in _OTHERS | {"default_runtime"}:
                    continue
                self._waits(f"{key} stays {_shown(value)}: {_shown(new)} counts from the next start on")
        if not self.facts.has("reloads-runtimes"):
            old, new_handlers = _named(self.handlers), _named(self.new.handlers)
            default, new_default = (each["default_runtime"] for each in (self.tables["crio.runtime"], self.new.runtime))
            if (old, default) != (new_handlers, new_default):
                self._waits("the runtime handlers stay as they are: this release does not reload them")
        if self.old.config.workloads != self.new.workloads:
            self._waits("the workloads stay as they are: they count from the next start on")

    def _waits(self, because: str) -> None:
        self._step("reload-keeps", because, warns=True)

    def _step(self, rule: str, because: str, *, warns: bool = False) -> None:
        self.steps.append(Step("runtime", rule, because, _RELOAD, warns))


def _named(handlers: dict[str, Handler]) -> dict[str, Any]:
    return {name: handler.values for name, handler in handlers.items()}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return quote(value or "") if value is None or isinstance(value, str) else str(value)
