"""A third family of runtimes, as another package would bring it: the folder beside this file registers it.

Toy 1 confines nothing unless it is told to; from 2 on what is unset means the default profile. Its default profile
allows a syscall or two more when the container may administer the system.
"""

# ruff: noqa: INP001

from __future__ import annotations

import json
from typing import Any

from runtimes.decision import Decision, Step
from runtimes.errors import BadInput, Refused
from runtimes.facts import Facts
from runtimes.files import FileFault, Files
from runtimes.host import Host
from runtimes.model import ContainerPlace, KnownRelease, SandboxPlace, Setup
from runtimes.oci import ALLOW, ERRNO, Seccomp, Syscall
from runtimes.persona import Persona
from runtimes.release import Release, parse
from runtimes.request import (
    LOCALHOST,
    UNCONFINED,
    ContainerRequest,
    SandboxRequest,
    SecurityProfile,
    container_security,
    sandbox_security,
)

RELEASES = tuple(
    KnownRelease(parse(text), date)
    for text, date in (
        ("1.0.0", "2020-01-01"),
        ("1.1.0", "2021-01-01"),
        ("2.0.0", "2022-01-01"),
        ("2.1.0-beta.1", "2022-06-01"),
    )
)
FACTS = Facts(
    [
        {
            "fact": "unset-is-default",
            "group": "decision",
            "says": "a container that says nothing gets the default profile",
            "since": ["2.0.0"],
            "source": "toy NEWS",
        },
        {
            "fact": "oci-version",
            "group": "persona",
            "says": "the `ociVersion` of every spec",
            "source": "toy NEWS",
            "values": [{"value": "1.0.0"}, {"value": "1.1.0", "since": ["1.1.0"]}],
        },
        {
            "fact": "default-errno",
            "group": "profile",
            "says": "the default profile answers ENOSYS",
            "since": ["1.1.0"],
            "until": ["2.1.0-beta.1"],
            "source": "toy#12",
        },
        {
            "fact": "RunPodSandbox.handler-unknown",
            "group": "persona",
            "says": "what a handler that is not there is answered with",
            "source": "toy NEWS",
            "values": [{"value": {"code": "UNKNOWN", "message": 'toy has no handler "{handler}"'}}],
        },
    ]
)


class ToyPersona(Persona):
    @property
    def pause_image(self) -> str:
        return "toys.example/pause:1"


class ToyRuntime:
    """One toy daemon. Its configuration file is JSON: `handlers` names some, `refuse` says why it does not start and
    `no-sandbox` why it makes no sandbox.
    """

    def __init__(self, release: Release, host: Host, setup: Setup, files: Files) -> None:
        self.release, self.host, self.files = release, host, files
        self.persona: Persona = ToyPersona(FACTS, release)
        settings = json.loads(files.read(setup.config)) if setup.config else {}
        if "refuse" in settings:
            raise Refused("UNKNOWN", settings["refuse"])
        self.no_sandbox: str = settings.get("no-sandbox", "")
        self.handlers: tuple[str, ...] = tuple(settings.get("handlers", ("plain", "strict")))
        if setup.handler and setup.handler not in self.handlers:
            known = ", ".join(self.handlers)
            raise BadInput(f"toy has no handler {setup.handler!r}", field="handler", right=f"one of {known}")

    def sandbox(self, request: SandboxRequest, place: SandboxPlace) -> Decision:
        if self.no_sandbox:
            raise Refused("INTERNAL", self.no_sandbox)
        context = sandbox_security(request)
        return self._decide(context.seccomp if context else None, place.id, ())

    def container(
        self,
        request: ContainerRequest,
        place: ContainerPlace,
        sandbox: SandboxRequest,  # noqa: ARG002  the protocol hands it over
        sandbox_place: SandboxPlace,  # noqa: ARG002
    ) -> Decision:
        context = container_security(request)
        add = context.capabilities.add_capabilities if context and context.capabilities else ()
        return self._decide(context.seccomp if context else None, place.id, add)

    def start(self, decision_spec: dict[str, object]) -> None:
        if "SCMP_ACT_BOGUS" in str(decision_spec):
            raise Refused("UNKNOWN", "toy cannot play with SCMP_ACT_BOGUS")

    def _decide(self, profile: SecurityProfile | None, identity: str, add: tuple[str, ...]) -> Decision:
        linux: dict[str, Any] = {"cgroupsPath": f"/toy/{identity}"}
        spec = {"ociVersion": self.persona.value("oci-version"), "linux": linux}
        if profile is None and self.release not in FACTS["unset-is-default"]:
            return Decision(spec, (Step("runtime", "unset", "toy confines nothing that says nothing", "toy NEWS"),))
        if profile is not None and profile.profile_type == UNCONFINED:
            return Decision(spec, (Step("runtime", "unconfined", "the request says Unconfined", "toy NEWS"),))
        if profile is not None and profile.profile_type == LOCALHOST:
            step = Step("runtime", "localhost", f"the profile is the file {profile.localhost_ref}", "toy NEWS")
            try:
                linux["seccomp"] = json.loads(self.files.read(profile.localhost_ref))
            except FileFault as fault:
                raise Refused("UNKNOWN", f"toy cannot load a profile: {fault}", (step,)) from None
            return Decision(spec, (step,))
        names = ("read", "write", *(("mount",) if "SYS_ADMIN" in add else ()))
        errno = 38 if self.release in FACTS["default-errno"] else None
        rule = Syscall(names=names, action=ALLOW)
        linux["seccomp"] = Seccomp(default_action=ERRNO, default_errno_ret=errno, syscalls=(rule,)).to_json()
        return Decision(spec, (Step("profile", "default", "toy's default profile", "toy NEWS"),))


class ToyModel:
    name = "toy"

    def releases(self) -> tuple[KnownRelease, ...]:
        return RELEASES

    def facts(self) -> Facts:
        return FACTS

    def runtime(self, release: Release, host: Host, setup: Setup, files: Files) -> ToyRuntime:
        return ToyRuntime(release, host, setup, files)


model = ToyModel()
