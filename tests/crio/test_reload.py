"""SIGHUP, release by release, and the command line. Evidence: pkg/config/reload.go and internal/criocli at each tag."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from runtimes.crio import model
from runtimes.crio.config import flags
from runtimes.errors import BadInput, Refused
from runtimes.files import MemoryFiles
from runtimes.model import Reloaded, Runtime, Setup, find
from runtimes.model import reload as told_to_reload
from runtimes.release import parse
from tests.crio.player import CONFIG, HOST, container_request, sandbox_request

A, B = (f"/etc/{name}.json" for name in "ab")


def profile(name: str) -> bytes:
    return json.dumps(
        {"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": [name], "action": "SCMP_ACT_ALLOW"}]}
    ).encode()


def files(config: str, **more: bytes) -> MemoryFiles:
    return MemoryFiles({CONFIG: config.encode(), A: profile("a"), B: profile("b"), **more})


def runtime_table(text: str = "", handler: str = "") -> str:
    handlers = f'[crio.runtime.runtimes.runc]\nruntime_type = "oci"\n{handler}\n'
    return f'[crio.runtime]\ndefault_runtime = "runc"\n{text}\n{handlers}'


def start(release: str, found: MemoryFiles, *words: str, **environment: str) -> Runtime:
    setup = Setup(config=CONFIG, flags=words, environment=environment)
    return model.runtime(parse(release), HOST, setup, found)


def told(runtime: Runtime, found: MemoryFiles, *words: str) -> Reloaded:
    return told_to_reload(runtime, Setup(config=CONFIG, flags=words), found)


def section(
    runtime: Runtime, seccomp: dict[str, Any] | None = None, *, handler: str = "", privileged: bool = False
) -> Any:
    """Return what a container gets, RuntimeDefault if nothing else is said: "a" and "b" for the two profiles."""
    context = {"seccomp": seccomp or {"profile_type": 0}, "privileged": privileged}
    pod, place = sandbox_request({"security_context": {"privileged": privileged}})
    place = msgspec.structs.replace(place, handler=handler, requested_handler=handler)
    case = {"sandbox": "np", "security_context": context}
    found = runtime.container(*container_request(case), pod, place).section
    if found is None:
        return None
    names = found["syscalls"][0]["names"]
    return names[0] if len(names) == 1 else "internal"


OLD_AND_NEW = ["1.18.0", "1.24.6", "1.25.0", "1.25.1", "1.32.0", "1.33.0", "1.36.3"]
FIELD = [each for each in OLD_AND_NEW if each > "1.21"]


@pytest.mark.parametrize("release", FIELD)
def test_files_count_from_a_reload_on_and_not_before(release: str) -> None:
    found = files(runtime_table(f'seccomp_profile = "{A}"'))
    runtime = start(release, found)
    found[A] = profile("changed")
    assert section(runtime) == "a"
    after = told(runtime, found)
    assert (section(after.runtime), after.failure) == ("changed", "")
    found[CONFIG] = runtime_table(f'seccomp_profile = "{B}"').encode()
    assert section(told(after.runtime, found).runtime) == "b"
    assert section(after.runtime) == "changed"  # a reload makes another daemon of it; this one is a value
    found[CONFIG] = runtime_table().encode()
    assert section(told(after.runtime, found).runtime) == "internal"


@pytest.mark.parametrize("release", FIELD)
@pytest.mark.parametrize("how", ["flag", "variable"])
def test_what_a_flag_or_a_variable_set_is_lost(release: str, how: str) -> None:
    found = files(runtime_table(f'seccomp_profile = "{B}"'))
    given = {"CONTAINER_SECCOMP_PROFILE": A} if how == "variable" else {}
    words = (f"--seccomp-profile={A}",) if how == "flag" else ()
    runtime = start(release, found, *words, **given)
    assert section(runtime) == "a"
    after = told(runtime, found, *words)
    assert section(after.runtime) == "b"
    lost = next(step for step in after.steps if step.rule == "reload-loses-flags")
    assert lost.warns
    assert ("CONTAINER_SECCOMP_PROFILE" if how == "variable" else "--seccomp-profile") in lost.because
    assert lost in after.runtime.container(*_asked()).steps


def _asked() -> Any:
    pod, place = sandbox_request({})
    return (*container_request({"sandbox": "np", "security_context": {}}), pod, place)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file() -> None:
    found = files(runtime_table('seccomp_profile = "/etc/c.json"'), **{"/etc/c.json": profile("c")})
    assert section(start("1.36.3", found)) == "c"
    assert section(start("1.36.3", found, CONTAINER_SECCOMP_PROFILE=B)) == "b"
    assert section(start("1.36.3", found, "--seccomp-profile", A, CONTAINER_SECCOMP_PROFILE=B)) == "a"


@pytest.mark.parametrize("release", OLD_AND_NEW)
def test_a_file_that_went_away(release: str) -> None:
    """Until 1.24 the daemon goes on with what it has; from 1.25 on it falls back, as at the start."""
    found = files(runtime_table(f'seccomp_profile = "{A}"'))
    runtime = start(release, found)
    del found[A]
    after = told(runtime, found)
    if release < "1.25":
        opened = f"open seccomp profile {A} failed" if release < "1.21" else "open seccomp profile"
        what = f"unable to reload seccomp_profile: {opened}: open {A}: no such file or directory"
        assert after.failure == f"Unable to reload configuration: {what}"
    else:
        assert after.failure == ""
        assert any(step.rule == "missing-profile-falls-back" for step in after.steps)
    if release > "1.21":
        assert section(after.runtime) == ("a" if release < "1.25" else "internal")


@pytest.mark.parametrize("release", ["1.24.6", "1.36.3"])
def test_a_file_that_cannot_be_read_stops_the_reload_there(release: str) -> None:
    found = files(runtime_table(f'seccomp_profile = "{A}"'))
    runtime = start(release, found)
    found[A] = b"nonsense"
    found[CONFIG] = f'[crio.image]\npause_image = "r.example/pause:9"\n{found[CONFIG].decode()}'.encode()
    after = told(runtime, found)
    what = "unable to reload seccomp_profile: " if release < "1.25" else "unable to load seccomp profile: "
    assert after.failure.startswith(f"Unable to reload configuration: {what}decoding seccomp profile failed: ")
    assert section(after.runtime) == "a"
    assert after.runtime.persona.pause_image == "r.example/pause:9"  # it had been taken over before


@pytest.mark.parametrize(
    ("release", "prefix"),
    [("1.30.0", ""), ("1.31.0", "update config from single file: update config from drop-in file: ")],
)
def test_a_configuration_that_cannot_be_read_changes_nothing(release: str, prefix: str) -> None:
    found = files(runtime_table(f'seccomp_profile = "{A}"'))
    runtime = start(release, found)
    found[CONFIG] = b"[crio.runtime]\nseccomp_profile = 1\n"
    after = told(runtime, found)
    assert after.failure.startswith(
        f"Unable to reload configuration: {prefix}unable to decode configuration {CONFIG}: toml: line 2"
    )
    assert after.runtime is runtime


@pytest.mark.parametrize("release", ["1.32.0", "1.33.0", "1.36.3"])
def test_the_profile_of_the_privileged_reloads_where_there_is_one(release: str) -> None:
    found = files(runtime_table())
    runtime = start(release, found)
    found[CONFIG] = runtime_table(f'privileged_seccomp_profile = "{B}"').encode()
    assert section(told(runtime, found).runtime, privileged=True) == ("b" if release >= "1.33" else None)


@pytest.mark.parametrize("release", ["1.33.0", "1.34.0", "1.36.3"])
def test_the_profile_of_a_handler_reloads_where_there_is_one(release: str) -> None:
    found = files(runtime_table(handler=f'seccomp_profile = "{A}"'))
    runtime = start(release, found)
    assert section(runtime) == ("a" if release >= "1.34" else "internal")
    found[A] = profile("changed")
    after = told(runtime, found)
    assert section(after.runtime) == ("changed" if release >= "1.34" else "internal")
    del found[A]
    failure = told(runtime, found).failure
    why = f"unable to load runtime handler seccomp profile: open seccomp profile: open {A}: no such file or directory"
    assert failure == (f"Unable to reload configuration: unable to reload runtimes: {why}" if release >= "1.34" else "")


@pytest.mark.parametrize("release", ["1.24.6", "1.25.0", "1.25.1", "1.36.3"])
def test_handlers_reload_from_1_25_1_on(release: str) -> None:
    found = files(runtime_table())
    runtime = start(release, found)
    found[CONFIG] += b'[crio.runtime.runtimes.kata]\nruntime_type = "vm"\n'
    after = told(runtime, found)
    assert ("kata" in after.runtime.handlers) == (release >= "1.25.1")
    assert any(step.rule == "reload-keeps" for step in after.steps) == (release < "1.25.1")


def test_a_default_that_is_not_there_fails() -> None:
    found = files(runtime_table())
    runtime = start("1.36.3", found)
    found[CONFIG] = b'[crio.runtime]\ndefault_runtime = "gone"\n'
    after = told(runtime, found)
    assert after.failure == (
        'Unable to reload configuration: unable to reload runtimes: default_runtime set to "gone", '
        "but no runtime entry table [crio.runtime.runtimes.gone] was found"
    )
    assert section(after.runtime) == "internal"


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("1.24.6", "seccomp_use_default_when_empty = false"),
        ("1.36.3", 'default_capabilities = ["KILL"]'),
        ("1.36.3", "add_inheritable_capabilities = true"),
        ("1.36.3", "pids_limit = 7"),
    ],
)
def test_what_waits_for_a_restart_is_named(release: str, line: str) -> None:
    found = files(runtime_table())
    runtime = start(release, found)
    before = runtime.container(*_asked()).spec
    found[CONFIG] = runtime_table(line).encode()
    after = told(runtime, found)
    assert any(step.rule == "reload-keeps" and line.partition(" ")[0] in step.because for step in after.steps)
    assert after.runtime.container(*_asked()).spec == before
    assert start(release, found).container(*_asked()).spec != before


def test_a_family_that_does_not_reload_says_so() -> None:
    runtime = find("containerd").runtime(parse("2.3.4"), HOST, Setup(), MemoryFiles())
    after = told_to_reload(runtime, Setup(), MemoryFiles())
    assert after.runtime is runtime
    assert [step.rule for step in after.steps] == ["no-reload"]


# --- the command line

GONE = "seccomp-use-default-when-empty"
BAD_FLAGS = [
    ("1.36.3", ("--seccomp-profil=/x",), "flag provided but not defined: -seccomp-profil"),
    (
        "1.30.0",
        ("--seccomp-use-default-when-empty=true",),
        "flag provided but not defined: -seccomp-use-default-when-empty",
    ),
    ("1.19.3", (f"--{GONE}",), f"flag provided but not defined: -{GONE}"),
    ("1.32.0", ("--privileged-seccomp-profile=/x",), "flag provided but not defined: -privileged-seccomp-profile"),
    ("1.36.3", ("--seccomp-profile",), "flag needs an argument: -seccomp-profile"),
    ("1.36.3", ("--selinux=maybe",), 'invalid boolean value "maybe" for -selinux: parse error'),
    ("1.36.3", ("--pids-limit=many",), 'invalid value "many" for flag -pids-limit: parse error'),
]


@pytest.mark.parametrize(("release", "words", "message"), BAD_FLAGS)
def test_a_wrong_flag_keeps_the_daemon_from_starting(release: str, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refused) as caught:
        start(release, files(runtime_table()), *words)
    assert (caught.value.message, caught.value.where) == (message, "runtime")


@pytest.mark.parametrize("words", [("--config=/x",), ("-c", "/x"), ("crio",)])
def test_what_the_node_file_says_elsewhere_is_no_flag(words: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        start("1.36.3", files(runtime_table()), *words)


def test_flags_that_no_spec_is_made_of_are_taken() -> None:
    start("1.36.3", files(runtime_table()), "--log-level=debug", "--enable-metrics", "--log", "/var/log/crio.log")


def test_the_option_that_is_gone_is_ignored_as_a_variable_and_a_step_says_so() -> None:
    found = files(runtime_table())
    for release, expected in (("1.24.6", None), ("1.29.0", None), ("1.30.0", None)):
        runtime = start(release, found, CONTAINER_SECCOMP_USE_DEFAULT_WHEN_EMPTY="false")
        decision = runtime.container(*_asked())
        assert decision.section is expected
        assert any(step.rule == "ignored-variable" and step.warns for step in decision.steps) == (release == "1.30.0")


def test_every_flag_that_touches_seccomp_sets_its_key() -> None:
    keys = {each.flag: each.key for each in flags() if "seccomp" in each.flag and not each.flag.startswith("nri")}
    assert keys == {name: name.replace("-", "_") for name in keys}
    assert len(keys) == 3
    assert len(flags()) == len({each.flag for each in flags()}) == 145
