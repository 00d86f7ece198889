"""What a family of runtimes offers, and how one is found by name.

    RuntimeModel      a family: its releases, its facts, and `runtime(...)`, one configured daemon
    Runtime           one daemon of one release with its configuration on one host: turns requests into decisions
    Persona           what a client can see of it besides: Version, Status, verbose info, name rules, error texts

A third family is an object that meets `RuntimeModel`, registered in the entry-point group `crishim.runtimes`.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from runtimes.decision import Step
from runtimes.errors import BadInput
from runtimes.release import Release, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.decision import Decision
    from runtimes.facts import Facts
    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.persona import Persona
    from runtimes.request import ContainerRequest, SandboxRequest

ENTRY_POINTS = "crishim.runtimes"

# The families of this distribution, found without asking for its metadata, which would take half of a start. They are
# entry points all the same, like any other's.
_OWN = {"containerd": "runtimes.containerd:model", "cri-o": "runtimes.crio:model"}


_ORDINARY = 1000  # the number that the first user of a system commonly gets


class KnownRelease(msgspec.Struct, frozen=True):
    """A release that exists: its tag without the v, the day it was made ("2024-11-21"), and the last day its line is
    cared for ("" where that is open or unknown).
    """

    release: Release
    date: str = ""
    line_end: str = ""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How a daemon was set up: its own configuration file (a path on the node, "" for none) and which of the handlers
    in it stands for the node's entry ("" for the one the file makes the default).

    `flags` are the words of its command line and `environment` its variables, for a family that has settings there.
    """

    config: str = ""
    handler: str = ""
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = {}


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image on the node. `id` is the digest of its configuration, "sha256:" and 64 hex digits.

    `user` is what that says; what the CRI tells of it is `uid`, or where it is a name `username` and no `uid`.
    `annotations` are those of its manifest.
    """

    id: str
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    size: int = 0
    created: str = ""
    user: str = ""
    uid: int | None = 0
    username: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()
    pinned: bool = False
    annotations: dict[str, str] = {}

    def number(self, name: str, *, group: bool = False) -> int | None:
        """Return the number of a user or group, None where the image's files do not have it.

        Nobody looks into them: an image has root, and whom it says that it runs as.
        """
        if name == "root":
            return 0
        own, _, own_group = self.user.partition(":")
        if not name or name != (own_group if group else own):
            return None
        return _ORDINARY if group or self.uid is None else self.uid


class SandboxPlace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the node adds to a sandbox request: everything in its spec that is neither the request's nor the release's.

    `created_at` is in nanoseconds since 1970, `network` is the UUID that names its namespaces, `handler` is the
    runtime's own handler ("" for its default) and `requested_handler` what the request said.
    """

    id: str
    created_at: int
    pid: int
    network: str
    ip: str = ""
    handler: str = ""
    requested_handler: str = ""
    image: ImageFacts


class ContainerPlace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the node adds to a container request. `storage` is the 64-digit id of its root file system.

    `image_reference` is the image as the node resolved it.
    """

    id: str
    created_at: int
    pid: int
    storage: str
    image: ImageFacts
    image_reference: str = ""


class Runtime(Protocol):
    """One daemon: a release, its configuration, a host."""

    release: Release
    persona: Persona

    @property
    def handlers(self) -> tuple[str, ...]:
        """The handlers of its own configuration, the default one first."""
        ...

    def sandbox(self, request: SandboxRequest, place: SandboxPlace) -> Decision:
        """Decide about the pause container of a sandbox. Raises `Refused`."""
        ...

    def container(
        self, request: ContainerRequest, place: ContainerPlace, sandbox: SandboxRequest, sandbox_place: SandboxPlace
    ) -> Decision:
        """Decide about a container. Raises `Refused`."""
        ...

    def start(self, decision_spec: dict[str, object]) -> None:
        """Hand a spec to the OCI runtime when the container is started. Raises `Refused` where that rejects it."""
        ...


class Reloaded(msgspec.Struct, frozen=True):
    """What becomes of a daemon that is told to read its configuration again.

    `runtime` is the daemon from then on, the same one where nothing changed; `steps` say what was taken over, what was
    lost and what has to wait for a restart; `failure` is what the daemon logs where it could not do all of it.
    """

    runtime: Runtime
    steps: tuple[Step, ...] = ()
    failure: str = ""


def reload(runtime: Runtime, setup: Setup, files: Files) -> Reloaded:
    """Tell a daemon to read the files of a setup again, as SIGHUP does, where its family has a `reload` method."""
    reloads = getattr(runtime, "reload", None)
    if reloads is not None:
        return reloads(setup, files)  # type: ignore[no-any-return]
    because = "a reload does nothing: this runtime reads its configuration when it starts, so it has to be restarted"
    return Reloaded(runtime, (Step("runtime", "no-reload", because),))


def wipes(runtime: Runtime, before: Release) -> str:
    """Say why a daemon removes every pod when it starts where one of another release ran; "" where it keeps them, which
    is what a family does that has nothing to say about it.
    """
    why = getattr(runtime, "wipes", None)
    return why(before) if why is not None else ""


def pairing(runtime: Runtime, kubelet: Release) -> tuple[Step, ...]:
    """Return what there is to say about a runtime under a kubelet, where its family says with which ones it goes.

    A pairing that nobody supports is no error: it is what happens in the middle of an upgrade.
    """
    pairs = getattr(runtime, "pairing", None)
    return pairs(kubelet) if pairs is not None else ()


def settings(model: RuntimeModel) -> tuple[str, ...]:
    """Return the settings of its own configuration file that a family can write there, where it has a `written` method.

    A name is the family's own: "unset_seccomp_profile", "default_capabilities".
    """
    return model.settings() if isinstance(model, _Writes) else ()


def has_setting(model: RuntimeModel, name: str) -> bool:
    """Whether a family can write a setting: one of `settings`, or what is below a name that the user gives."""
    return isinstance(model, _Writes) and model.has_setting(name)


def written(
    model: RuntimeModel, release: Release, values: Mapping[str, Any], config: str, files: Files
) -> tuple[str, dict[str, bytes]]:
    """Write settings over what a configuration says ("" for nothing), as the release looks for them.

    Returns the path of the configuration, and the files that are to be there. Raises `BadInput`.
    """
    if not isinstance(model, _Writes):
        raise BadInput(f"{model.name} has no settings that could be written into its configuration", field="settings")
    return model.written(release, values, config, files)


@runtime_checkable
class _Writes(Protocol):
    """What a family has to have for its settings to be written."""

    def settings(self) -> tuple[str, ...]: ...

    def has_setting(self, name: str) -> bool: ...

    def written(
        self, release: Release, settings: Mapping[str, Any], path: str, files: Files
    ) -> tuple[str, dict[str, bytes]]: ...


class RuntimeModel(Protocol):
    """A family of releases."""

    name: str

    def releases(self) -> tuple[KnownRelease, ...]:
        """Every release that the model answers for, oldest first."""
        ...

    def facts(self) -> Facts:
        """What changed when, for `crishim facts` and for the lint."""
        ...

    def runtime(self, release: Release, host: Host, setup: Setup, files: Files) -> Runtime:
        """Start one daemon. Raises `Refused` with `where="runtime"` if that release refuses to start so, `BadInput` if
        the setup names what is not there.
        """
        ...


@functools.cache
def find(name: str) -> RuntimeModel:
    """Return the model of a family, "containerd" for instance."""
    if name in _OWN:
        module, attribute = _OWN[name].split(":")
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    entries = _entry_points()
    if name not in entries:
        raise BadInput(f"there is no runtime {name!r}", right="one of " + ", ".join(sorted({*_OWN, *entries})))
    return entries[name].load()  # type: ignore[no-any-return]


def known(model: RuntimeModel, text: str) -> Release:
    """Return a release of a family by the name that people or vendors give it. Unknown ones are refused."""
    release = parse(text)
    key = release.key  # worked out once: this is asked for every container that is looked at
    if any(each.release.key == key for each in model.releases()):
        return release
    releases = [each.release for each in model.releases()]
    below = max((each for each in releases if each < release), default=None)
    above = min((each for each in releases if each > release), default=None)
    nearest = " and ".join(each.upstream for each in (below, above) if each)
    raise BadInput(f"{model.name} {text} is not a known release", right=f"the nearest known: {nearest}")


def names() -> tuple[str, ...]:
    """Return the name of every family that is installed."""
    return tuple(sorted({*_OWN, *_entry_points()}))


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415  half of a start: only for what is not ours

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
