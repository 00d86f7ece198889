"""An experiment as values: nodes, workloads, what happens to them step by step, and what is expected then.

It is read from a file by `file`, played by `play`, and judged by `judge`, all of this room.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Literal

import msgspec

from shim.skew.calls import Call

if TYPE_CHECKING:
    from shim.kubelet.api import Source
    from shim.kubelet.pod import Pod
    from shim.nodefile import Document

Component = Literal["kubelet", "runtime"]

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


class Place(msgspec.Struct, frozen=True):
    """Where something stands: a file, a line and a column of it, and the field."""

    file: str = ""
    line: int | None = None
    column: int | None = None
    field: str = ""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Pods that come and go together, on the nodes whose names match.

    `manifest` is what they were read from: the path of a file, or the text itself.
    """

    name: str
    pods: tuple[Pod, ...]
    manifest: str = ""
    nodes: tuple[str, ...] = ("*",)
    source: Source = "api"
    handler: str = ""


class Action(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something that happens to a node."""

    def __str__(self) -> str:
        """In a few words."""
        return type(self).__name__.lower()


class Deploy(Action, frozen=True, kw_only=True):
    """The pods of some workloads come."""

    workloads: tuple[str, ...]

    def __str__(self) -> str:
        """In a few words."""
        return f"deploy {', '.join(self.workloads)}"


class Delete(Action, frozen=True, kw_only=True):
    """The pods of some workloads go."""

    workloads: tuple[str, ...]

    def __str__(self) -> str:
        """In a few words."""
        return f"delete {', '.join(self.workloads)}"


class Configure(Action, frozen=True, kw_only=True):
    """Settings of the node document are written down; they count when their component reads them again."""

    settings: dict[str, str]

    def __str__(self) -> str:
        """In a few words."""
        return "set " + ", ".join(f"{name}={value}" for name, value in self.settings.items())


class Upgrade(Action, frozen=True, kw_only=True):
    """Components get other releases, by the settings that name them ("runtime.version"), and are started again."""

    versions: dict[str, str]
    drained: bool = False
    down: bool = False

    def __str__(self) -> str:
        """In a few words."""
        what = ", ".join(f"{name.removesuffix('.version')} to {version}" for name, version in self.versions.items())
        return f"{'downgrade' if self.down else 'upgrade'} {what}" + (", drained" if self.drained else "")


class Restart(Action, frozen=True, kw_only=True):
    """A component is started again."""

    component: Component

    def __str__(self) -> str:
        """In a few words."""
        return f"restart the {self.component}"


class Kill(Action, frozen=True, kw_only=True):
    """Pods are replaced by new ones, or containers end and are restarted in their sandboxes: those that match."""

    which: Which
    whole: bool

    def __str__(self) -> str:
        """In a few words."""
        return f"restart {self.which}"


class Reload(Action, frozen=True, kw_only=True):
    """The runtimes are told to read their configuration again, as SIGHUP does."""


class Reboot(Action, frozen=True, kw_only=True):
    """Nothing runs any more; runtime and kubelet start with what is written down."""


class Drain(Action, frozen=True, kw_only=True):
    """The pods of the API server leave the node, and no new ones come."""


class Uncordon(Action, frozen=True, kw_only=True):
    """New pods of the workloads come to the node again."""


class Wait(Action, frozen=True, kw_only=True):
    """Time passes."""

    seconds: float

    def __str__(self) -> str:
        """In a few words."""
        unit, length = next((each for each in _UNITS if self.seconds and not self.seconds % each[1]), ("s", 1))
        return f"wait {self.seconds / length:g} {unit}"


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Containers by pattern: of their node, workload, pod and own name; whatever is left out matches everything.

    A pod is called "name" or "namespace/name", a container "name" or "pod/name".
    """

    node: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    pod: tuple[str, ...] = ()
    container: tuple[str, ...] = ()

    def matches(self, node: str, workload: str, pod: str, container: str) -> bool:
        """Whether a container is meant. `pod` is "namespace/name"."""
        short = pod.rpartition("/")[2]
        return (
            _any(self.node, node)
            and _any(self.workload, workload)
            and _any(self.pod, pod, short)
            and _any(self.container, container, f"{short}/{container}", f"{pod}/{container}")
        )

    def __str__(self) -> str:
        """In a few words."""
        said = {name: ", ".join(getattr(self, name)) for name in self.__struct_fields__}
        return "; ".join(f"{name} {words}" for name, words in said.items() if words) or "every container"


# The expectations that are a single value each.
CHECKS = ("profile", "digest", "state", "message", "unchanged", "because", "kubelet", "runtime")


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of the containers that match. None and () stand for what is not."""

    which: Which
    place: Place = Place()
    profile: str | None = None
    digest: str | None = None
    capabilities: tuple[str, ...] = ()
    allows: tuple[Call, ...] = ()
    denies: tuple[Call, ...] = ()
    state: str | None = None
    message: str | None = None
    unchanged: bool | Literal["until-restart"] | None = None
    because: str | None = None
    kubelet: str | None = None
    runtime: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens to the nodes whose names match, and what is expected then."""

    name: str
    action: Action
    nodes: tuple[str, ...] = ("*",)
    expect: tuple[Expectation, ...] = ()
    place: Place = Place()

    def concerns(self, node: str) -> bool:
        """Whether it happens to a node."""
        return _any(self.nodes, node)


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `first` are the workloads that are there from the start."""

    where: str
    title: str = ""
    says: str = ""
    sources: tuple[str, ...] = ()
    nodes: dict[str, Document]
    workloads: dict[str, Workload]
    steps: tuple[Step, ...]
    expect: tuple[Expectation, ...] = ()

    @property
    def first(self) -> tuple[str, ...]:
        """The workloads that no step deploys."""
        later = [each.action.workloads for each in self.steps if isinstance(each.action, Deploy)]
        return tuple(name for name in self.workloads if not any(_any(names, name) for names in later))

    def up_to(self, number: int) -> Experiment:
        """Return the experiment as if it ended after a step."""
        return msgspec.structs.replace(self, steps=self.steps[:number], expect=())

    def on(self, node: str) -> tuple[Workload, ...]:
        """Return the workloads that have their pods on a node."""
        return tuple(each for each in self.workloads.values() if _any(each.nodes, node))


def matching(patterns: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that a pattern matches, in their order."""
    return tuple(name for name in names if _any(patterns, name))


def _any(patterns: tuple[str, ...], *names: str) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)
