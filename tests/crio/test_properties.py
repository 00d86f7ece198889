"""Whatever is asked of it, the model answers or refuses; and no answer depends on what was asked before."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from runtimes.crio import config as crio_conf
from runtimes.crio import model, profiles
from runtimes.crio.daemon import Daemon
from runtimes.crio.times import rfc3339
from runtimes.decision import Decision
from runtimes.errors import BadInput, CapacityExceeded, Refused
from runtimes.files import MemoryFiles
from runtimes.gojson import GoJsonFault, dumps
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.release import parse
from runtimes.request import ContainerRequest, SandboxRequest
from tests.crio.player import container_request, sandbox_request
from tests.crio.strategies import (
    NOTIFIER,
    PROFILE,
    containers,
    documents,
    hosts,
    profile_bytes,
    releases,
    sandboxes,
)
from tests.oci_schema import check

patient = settings(max_examples=60)  # the first question to a release reads what is known of it
CONF = "/etc/crio/crio.conf"
GOOD = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}


def start(release: str, host: Host, profile: bytes | None = None) -> Daemon:
    """Start a daemon whose default handler lets the notifier's annotation through, where there is one."""
    known = parse(release)
    granted = NOTIFIER in crio_conf.known_annotations(known)
    text = '[crio.runtime]\ndefault_runtime = "runc"\n[crio.runtime.runtimes.runc]\nruntime_path = "/r"\n'
    text += f'allowed_annotations = ["{NOTIFIER}"]' if granted else ""
    data = json.dumps(GOOD).encode() if profile is None else profile
    return model.runtime(known, host, Setup(config=CONF), MemoryFiles({PROFILE: data, CONF: text.encode()}))


def asked(daemon: Daemon, sandbox: SandboxRequest, container: ContainerRequest) -> list[str]:
    """Return what a daemon makes of a sandbox and of a container in it, as texts."""
    _, sandbox_place = sandbox_request({})
    _, place = container_request({"sandbox": "np", "security_context": {}})
    calls = (
        lambda: daemon.sandbox(sandbox, sandbox_place),
        lambda: daemon.container(container, place, sandbox, sandbox_place),
    )
    return [_answer(call) for call in calls]


def _answer(call: Callable[[], Decision]) -> str:
    decision, refused = _either(call)
    if decision is None:
        event("refused")
        assert refused
        return refused
    event("section" if decision.section else "unconfined")
    assert decision.steps
    assert all(step.because and step.source for step in decision.steps)
    check(decision.spec)
    return dumps(decision.spec)


def _either(call: Callable[[], Decision]) -> tuple[Decision | None, str]:
    try:
        return call(), ""
    except Refused as refused:
        return None, f"{refused.code} {refused.message}"
    except CapacityExceeded as limit:
        return None, str(limit)


@patient
@given(releases, hosts, sandboxes, containers)
def test_every_request_is_answered_or_refused(
    release: str, host: Host, sandbox: SandboxRequest, container: ContainerRequest
) -> None:
    assert all(asked(start(release, host), sandbox, container))


@patient
@given(releases, sandboxes, containers, st.lists(st.tuples(sandboxes, containers), max_size=3))
def test_an_answer_does_not_depend_on_earlier_questions(
    release: str,
    sandbox: SandboxRequest,
    container: ContainerRequest,
    others: list[tuple[SandboxRequest, ContainerRequest]],
) -> None:
    daemon = start(release, Host())
    first = asked(daemon, sandbox, container)
    for other in others:
        asked(daemon, *other)
    assert asked(daemon, sandbox, container) == first
    assert asked(start(release, Host()), sandbox, container) == first


@patient
@given(releases, sandboxes, containers)
def test_the_persona_shows_whatever_was_created(
    release: str, sandbox: SandboxRequest, container: ContainerRequest
) -> None:
    daemon = start(release, Host())
    _, sandbox_place = sandbox_request({})
    _, place = container_request({"sandbox": "np", "security_context": {}})
    persona = daemon.persona
    assert persona.sandbox_name(sandbox).startswith("k8s_")
    assert persona.container_name(container, sandbox, sandbox_place.id).startswith("k8s_")
    assert isinstance(persona.sandbox_labels(sandbox), dict)
    decision, _ = _either(lambda: daemon.container(container, place, sandbox, sandbox_place))
    if decision is None:
        return
    assert json.loads(persona.container_info(container, place, sandbox_place, decision, state=1)["info"])["runtimeSpec"]


# --- files


@patient
@given(releases, hosts, profile_bytes)
@example("1.36.3", Host(), b"[" * 100_000)
@example("1.24.6", Host(), b'{"a":' * 50_000)
@example("1.36.3", Host(), b'{"syscalls":[{"errnoRet":' + b"9" * 5000 + b"}]}")
@example("1.36.3", Host(), b'"\\ud800')
@example("1.18.0", Host(), b"{}")
def test_every_profile_file_is_applied_or_refused(release: str, host: Host, data: bytes) -> None:
    daemon = start(release, host, data)
    context: dict[str, Any] = {"seccomp": {"profile_type": 2, "localhost_ref": PROFILE}}
    context["seccomp_profile_path"] = f"localhost/{PROFILE}"
    sandbox, _ = sandbox_request({"annotations": {NOTIFIER: "stop"}})
    request, _ = container_request({"sandbox": "np", "security_context": context})
    first = asked(daemon, sandbox, request)
    assert asked(daemon, sandbox, request) == first


@patient
@given(releases, profile_bytes)
@example("1.36.3", b"[" * 100_000)
@example("1.36.3", b'{"syscalls":[{"errnoRet":' + b"9" * 5000 + b"}]}")
def test_every_configured_profile_starts_the_daemon_or_does_not(release: str, data: bytes) -> None:
    with contextlib.suppress(GoJsonFault):
        profiles.configured(data, parse(release))


@patient
@given(releases, st.binary(max_size=40) | documents().map(str.encode))
@example("1.36.3", b"a = " + b"[" * 5000)
@example("1.36.3", b"[crio.runtime]\npids_limit = " + b"9" * 5000)
@example("1.36.3", b"[crio.runtime]\npids_limit = " + b"9" * 30)
def test_every_configuration_starts_or_is_refused(release: str, conf: bytes) -> None:
    files = MemoryFiles({CONF: conf, PROFILE: json.dumps(GOOD).encode()})
    try:
        daemon = model.runtime(parse(release), Host(), Setup(config=CONF), files)
    except (Refused, BadInput):
        event("refused")
        return
    event("started")
    sandbox, _ = sandbox_request({})
    request, _ = container_request({"sandbox": "np", "security_context": {"seccomp": {}}})
    assert all(asked(daemon, sandbox, request))
    assert daemon.persona.status().conditions
    assert daemon.handlers[0] == daemon.config.default_runtime


@patient
@given(
    st.dictionaries(st.sampled_from(["CONTAINER_SELINUX", "CONTAINER_PIDS_LIMIT", "PATH"]), st.text()),
    st.lists(st.text()),
)
def test_every_flag_is_taken_or_refused(environment: dict[str, str], flags: list[str]) -> None:
    setup = Setup(environment=environment, flags=tuple(flags))
    with contextlib.suppress(Refused, BadInput):
        model.runtime(parse("1.36.3"), Host(), setup, MemoryFiles())


@patient
@given(st.integers(-(2**63), 2**63 - 1))
@example(0)
@example(951_782_400 * 10**9)  # 29 February 2000
def test_a_time_is_written_as_a_date_can_be(nanoseconds: int) -> None:
    text = rfc3339(nanoseconds)
    assert text.endswith("Z")
    date, _, clock = text.partition("T")
    assert len(date) == 10
    assert clock[2] == clock[5] == ":"
