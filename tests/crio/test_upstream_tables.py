"""CRI-O's own acceptance tables (test/*.bats) as cases for the model: what a container may call, release by release.

A row holds for the releases from `since` to `until`, both inclusive, as upstream's table does. Where upstream runs a
program in the container, here the section says whether its system call would be allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from runtimes.crio import model
from runtimes.crio.daemon import Daemon
from runtimes.errors import Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.release import Release, parse
from runtimes.request import ContainerRequest, SandboxRequest
from tests.crio.player import container_request, sandbox_request

# The server's profile of the tables: the default one without chmod. The others carry a call that marks them.
P1, MARKED, OTHER = "/p/one.json", "/p/marked.json", "/p/other.json"
CONF = "/etc/crio/crio.conf"
CONFIGURED = {"seccomp_profile": P1}
FIRST, LAST = "1.18.0", "1.36.3"
ABSENT = {"CONTAINER_SECCOMP_USE_DEFAULT_WHEN_EMPTY": "false"}
PRESENT = {"CONTAINER_SECCOMP_USE_DEFAULT_WHEN_EMPTY": "true"}


def profile(*names: str) -> bytes:
    rule = {"names": ["read", "write", "execve", *names], "action": "SCMP_ACT_ALLOW"}
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}).encode()


def start(release: Release, settings: dict[str, Any], environment: dict[str, str] | None = None) -> Daemon:
    """Start a daemon. A setting of handler runc is written "runc.KEY"."""
    own = [f"{key} = {json.dumps(value)}" for key, value in settings.items() if "." not in key]
    handler = [f"{key[5:]} = {json.dumps(value)}" for key, value in settings.items() if "." in key]
    head = ["[crio.runtime]", 'default_runtime = "runc"', 'cgroup_manager = "cgroupfs"']
    text = "\n".join([*head, *own, "[crio.runtime.runtimes.runc]", 'runtime_path = "/r"', *handler])
    files = {CONF: text.encode(), P1: profile(), MARKED: profile("marker"), OTHER: profile(), "/p/bad.json": b"{{}}"}
    return model.runtime(release, Host(), Setup(config=CONF, environment=environment or {}), MemoryFiles(files))


def container(
    daemon: Daemon,
    context: dict[str, Any],
    *,
    pod: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any] | None:
    sandbox, sandbox_place = sandbox_request({"security_context": pod or {}, "annotations": annotations or {}})
    request, place = container_request({"sandbox": "np", "security_context": context})
    return daemon.container(request, place, sandbox, sandbox_place).section


def allows(section: dict[str, Any] | None, call: str) -> bool:
    if section is None:
        return True
    rules = [rule for rule in section.get("syscalls", ()) if call in rule["names"] and not rule.get("args")]
    action: str = rules[0]["action"] if rules else section["defaultAction"]
    return action == "SCMP_ACT_ALLOW"


def releases(since: str, until: str) -> Iterator[Release]:
    """Yield the first and the last of every line between two releases."""
    span = [known.release for known in model.releases() if parse(since) <= known.release <= parse(until)]
    for at, release in enumerate(span):
        ends = at in (0, len(span) - 1)
        if ends or span[at - 1].branch != release.branch or span[at + 1].branch != release.branch:
            yield release


def field(kind: int, path: str = "") -> dict[str, Any]:
    return {"seccomp": {"profile_type": kind, "localhost_ref": path}}


def path(text: str) -> dict[str, Any]:
    return {"seccomp_profile_path": text}


# what, since, until, the container's context, the environment, whether chmod is allowed
MAY_CALL: list[tuple[str, str, str, dict[str, Any], dict[str, str], bool]] = [
    ("unconfined", FIRST, "1.27.8", path("unconfined"), {}, True),
    ("runtime/default", FIRST, "1.27.8", path("runtime/default"), {}, False),
    ("docker/default", FIRST, "1.27.8", path("docker/default"), {}, False),
    ("nothing", FIRST, "1.23.5", path(""), {}, True),
    ("nothing", "1.24.0", "1.27.8", path(""), {}, False),
    ("a file", FIRST, "1.27.8", path(f"localhost/{P1}"), {}, False),
    ("nothing means the default", "1.19.4", "1.23.5", path(""), PRESENT, False),
    ("nothing means nothing", "1.24.0", "1.29.13", path(""), ABSENT, True),
    ("field Unconfined", "1.28.0", LAST, field(1), {}, True),
    ("field RuntimeDefault", "1.28.0", LAST, field(0), {}, False),
    ("field Localhost", "1.28.0", LAST, field(2, P1), {}, False),
    ("no field, and no setting for it", "1.30.0", LAST, {}, {}, True),
]


@pytest.mark.parametrize("row", MAY_CALL, ids=lambda row: f"{row[0]} from {row[1]}")
def test_what_a_container_may_call(row: tuple[str, str, str, dict[str, Any], dict[str, str], bool]) -> None:
    _, since, until, context, environment, allowed = row
    for release in releases(since, until):
        section = container(start(release, CONFIGURED, environment), context)
        assert allows(section, "chmod") == allowed, release


@pytest.mark.parametrize(
    ("since", "until", "context", "words"),
    [
        (FIRST, "1.20.9", path("wontwork"), ["unknown seccomp profile option:", "wontwork"]),
        ("1.21.0", "1.27.8", path("wontwork"), ["unknown seccomp profile ", "wontwork"]),
        ("1.28.0", LAST, field(2, "wontwork"), ["no such file or directory", "wontwork"]),
    ],
)
def test_what_cannot_be_created(since: str, until: str, context: dict[str, Any], words: list[str]) -> None:
    for release in releases(since, until):
        with pytest.raises(Refused) as caught:
            container(start(release, CONFIGURED), context)
        assert all(word in caught.value.message for word in words), release


@pytest.mark.parametrize(
    ("since", "until", "context"),
    [("1.24.0", "1.27.8", path("")), ("1.28.0", "1.29.13", {}), ("1.24.0", LAST, field(0))],
)
def test_nobody_may_unshare_by_default(since: str, until: str, context: dict[str, Any]) -> None:
    for release in releases(since, until):
        assert not allows(container(start(release, {}), context), "unshare"), release


@pytest.mark.parametrize("release", ["1.29.8", "1.29.9", "1.30.5", "1.30.6", "1.31.0", "1.36.3"])
def test_a_clone_with_namespaces_is_refused_since_two_patch_releases(release: str) -> None:
    section = container(start(parse(release), {}), field(0))
    assert section
    refused = [
        rule["args"]
        for rule in section["syscalls"]
        if "clone" in rule["names"] and rule["action"] == "SCMP_ACT_ERRNO" and rule.get("errnoRet") == 1
    ]
    assert bool(refused) == (release not in ("1.29.8", "1.30.5"))
    with_admin = container(start(parse(release), {}), {**field(0), "capabilities": {"add_capabilities": ["SYS_ADMIN"]}})
    assert allows(with_admin, "clone")


def sections(release: str, settings: dict[str, Any], *, pod: bool, own: bool) -> tuple[Any, Any]:
    """Return the sections of a sandbox and of a container in it, which are privileged or not."""
    daemon = start(parse(release), settings)
    request, place = sandbox_request({"security_context": {"privileged": pod}})
    return daemon.sandbox(request, place).section, container(daemon, {"privileged": own}, pod={"privileged": pod})


@pytest.mark.parametrize("release", ["1.33.0", "1.34.11", "1.36.3"])
def test_a_profile_of_the_privileged(release: str) -> None:
    settings = {"privileged_seccomp_profile": P1}
    sandbox, inside = sections(release, settings, pod=True, own=True)
    assert not allows(sandbox, "chmod")
    assert not allows(inside, "chmod")
    sandbox, inside = sections(release, settings, pod=True, own=False)
    assert sandbox
    assert inside is None
    missing = {"privileged_seccomp_profile": "not-existing"}
    assert sections(release, missing, pod=False, own=False) == (None, None)
    with pytest.raises(Refused, match="not-existing"):
        sections(release, missing, pod=True, own=True)


@pytest.mark.parametrize(
    ("settings", "context", "marked"),
    [
        ({"seccomp_profile": OTHER, "runc.seccomp_profile": MARKED}, field(0), True),
        ({"seccomp_profile": MARKED, "runc.seccomp_profile": ""}, field(0), True),
        ({"seccomp_profile": OTHER, "runc.seccomp_profile": OTHER}, field(0), False),
        ({"seccomp_profile": OTHER, "runc.seccomp_profile": MARKED}, field(1), None),
    ],
)
def test_a_handler_with_its_own_profile(
    settings: dict[str, str], context: dict[str, Any], *, marked: bool | None
) -> None:
    daemon = start(parse("1.34.0"), settings)
    request, place = sandbox_request({"security_context": context})
    for section in (container(daemon, context), daemon.sandbox(request, place).section):
        assert (section and allows(section, "marker")) == marked


@pytest.mark.parametrize(
    ("file", "words"),
    [("/not-exist", "open /not-exist: no such file or directory"), ("/p/bad.json", "decoding seccomp profile failed")],
)
def test_the_default_handlers_profile_cannot_be_had(file: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        start(parse("1.34.0"), {"runc.seccomp_profile": file})


NOTIFIER = "io.kubernetes.cri-o.seccompNotifierAction"


@pytest.mark.parametrize("release", ["1.26.0", "1.30.14", "1.36.3"])
@pytest.mark.parametrize("granted", [True, False])
def test_the_notifier_is_asked_where_the_handler_lets_it(release: str, *, granted: bool) -> None:
    daemon = start(parse(release), {"runc.allowed_annotations": [NOTIFIER] if granted else []})
    annotations = {NOTIFIER: "stop"}
    section = container(daemon, field(0), annotations=annotations)
    assert section
    actions = {rule["action"] for rule in section["syscalls"]}
    assert ("SCMP_ACT_NOTIFY" in actions) == granted
    assert ("SCMP_ACT_ERRNO" in actions) != granted
    assert ("listenerPath" in section) == granted


def test_who_asks_with_nothing_but_names() -> None:
    """A request without a `linux` part, of a container and of its sandbox."""
    sandbox = msgspec.convert({"metadata": {"name": "p", "namespace": "n", "uid": "u"}}, SandboxRequest)
    request = msgspec.convert({"metadata": {"name": "c"}, "image": {"image": "i"}}, ContainerRequest)
    place, sandbox_place = container_request({"sandbox": "np", "security_context": {}})[1], sandbox_request({})[1]
    for release in releases(FIRST, LAST):
        daemon = start(release, {})
        assert daemon.sandbox(sandbox, sandbox_place).spec["linux"]
        assert daemon.container(request, place, sandbox, sandbox_place).spec["process"]["cwd"] == "/"
