"""crio.conf: precedence, what is ignored without a word, and what keeps a daemon from starting."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.crio import config as crio_conf
from runtimes.crio import model
from runtimes.crio.config import Config
from runtimes.crio.daemon import Daemon
from runtimes.errors import BadInput, Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.release import parse

CONF = "/etc/crio/crio.conf"
DROP_INS = "/etc/crio/crio.conf.d"
PROFILE = b'{"defaultAction": "SCMP_ACT_ALLOW"}'


def read(*texts: str, release: str = "1.36.3", **setup: Any) -> Config:
    """Return what a daemon reads from one file, or from drop-ins in the order of their names."""
    files = MemoryFiles({f"{DROP_INS}/{number}0-part": text.encode() for number, text in enumerate(texts)})
    return crio_conf.load(parse(release), Setup(config=DROP_INS if texts else "", **setup), files)


def start(text: str, release: str = "1.36.3", host: Host | None = None, **files: bytes) -> Daemon:
    """Start a daemon with a crio.conf. `files` are its neighbours, by name."""
    there = MemoryFiles({CONF: text.encode(), **{f"/etc/crio/{name}.json": data for name, data in files.items()}})
    return model.runtime(parse(release), host or Host(), Setup(config=CONF), there)


def refusal(text: str, release: str = "1.36.3", **files: bytes) -> str:
    with pytest.raises(Refused) as caught:
        start(text, release, None, **files)
    assert (caught.value.code, caught.value.where) == ("UNAVAILABLE", "runtime")
    return caught.value.message


def warnings(config: Config) -> list[str]:
    return [step.because for step in config.steps if step.warns]


# --- what holds


def test_a_later_file_wins_key_by_key() -> None:
    first = '[crio.runtime]\nseccomp_profile = "a"\nselinux = true\ndefault_capabilities = ["CHOWN", "KILL"]'
    config = read(first, '[crio.runtime]\nseccomp_profile = "b"\ndefault_capabilities = ["KILL"]')
    assert config.runtime["seccomp_profile"] == "b"
    assert config.runtime["selinux"] is True
    assert config.runtime["default_capabilities"] == ["KILL"]


def test_a_later_table_of_a_handler_replaces_the_whole_handler() -> None:
    handler = "[crio.runtime.runtimes.kata]\n"
    config = read(handler + 'seccomp_profile = "a"\nruntime_path = "/k"', handler + 'runtime_root = "/r"')
    assert config.handlers["kata"].values == {"runtime_root": "/r"}


def test_every_file_of_a_drop_in_directory_is_read_whatever_its_name() -> None:
    files = MemoryFiles(
        {
            f"{DROP_INS}/README": b'[crio.runtime]\nseccomp_profile = "upper"',
            f"{DROP_INS}/b.conf.bak": b'[crio.runtime]\nseccomp_profile = "backup"',
            f"{DROP_INS}/a/x": b'[crio.runtime]\nseccomp_profile = "deep"',
        }
    )
    config = crio_conf.load(parse("1.36.3"), Setup(config=DROP_INS), files)
    assert config.runtime["seccomp_profile"] == "backup"


def test_keys_are_matched_without_regard_to_case() -> None:
    config = read('[CRIO.Runtime]\nSeccomp_Profile = "x"\n[crio.runtime.runtimes.Kata]\nRuntime_Path = "/k"')
    assert config.runtime["seccomp_profile"] == "x"
    assert config.handlers["Kata"]["runtime_path"] == "/k"
    assert not warnings(config)


def test_environment_and_flags_come_last() -> None:
    text = '[crio.runtime]\nseccomp_profile = "file"'
    environment = {"CONTAINER_SECCOMP_PROFILE": "variable", "HOME": "/root"}
    assert read(text, environment=environment).runtime["seccomp_profile"] == "variable"
    config = read(text, environment=environment, flags=("--seccomp-profile=flag", "--selinux"))
    assert config.runtime["seccomp_profile"] == "flag"
    assert config.runtime["selinux"] is True


@pytest.mark.parametrize(
    ("release", "pause", "pids", "default"),
    [
        ("1.18.0", "k8s.gcr.io/pause:3.2", 1024, "runc"),
        ("1.24.6", "registry.k8s.io/pause:3.6", 0, "runc"),
        ("1.36.3", "registry.k8s.io/pause:3.10.1", -1, "crun"),
    ],
)
def test_built_in_values_by_release(release: str, pause: str, pids: int, default: str) -> None:
    config = read(release=release)
    assert config.tables["crio.image"]["pause_image"] == pause
    assert config.runtime["pids_limit"] == pids
    assert config.default_runtime == default
    assert list(config.handlers) == [default]


@pytest.mark.parametrize(("release", "handlers"), [("1.25.0", ["kata"]), ("1.25.1", ["runc", "kata"])])
def test_naming_another_default_took_the_built_in_handler_away(release: str, handlers: list[str]) -> None:
    text = '[crio.runtime]\ndefault_runtime = "kata"\n[crio.runtime.runtimes.kata]\nruntime_path = "/k"'
    assert sorted(read(text, release=release).handlers) == sorted(handlers)


# --- what is ignored without a word


@pytest.mark.parametrize(
    ("release", "text", "words"),
    [
        ("1.36.3", '[crio.runtime]\nsecomp_profile = "x"', "`crio.runtime.secomp_profile` is no key that CRI-O knows"),
        ("1.36.3", '[crio]\nseccomp_profile = "x"', "stands in a table that does not have it"),
        ("1.32.0", '[crio.runtime]\nprivileged_seccomp_profile = "x"', "is no key of this table in CRI-O 1.32.0"),
        ("1.30.0", "[crio.runtime]\nseccomp_use_default_when_empty = true", "is no key of this table in CRI-O 1.30.0"),
        ("1.33.0", '[crio.runtime.runtimes.runc]\nseccomp_profile = "x"', "is no key of this table in CRI-O 1.33.0"),
        ("1.36.3", '[runtime]\nseccomp_profile = "x"', "`runtime` is no table that CRI-O reads"),
    ],
)
def test_what_a_release_does_not_know_is_ignored_and_told(release: str, text: str, words: str) -> None:
    config = read(text, release=release)
    assert len(warnings(config)) == 1, warnings(config)
    assert words in warnings(config)[0]
    if "privileged" in text or "runc" in text:
        assert not read(text).steps  # the newest does know it


def test_a_daemon_tells_its_warnings_with_every_decision() -> None:
    runtime = start('[crio.runtime]\nsecomp_profile = "x"')
    assert [step.rule for step in runtime.steps if step.warns] == ["ignored-key"]


def test_a_missing_profile_falls_back_since_1_25() -> None:
    text = '[crio.runtime]\nseccomp_profile = "/etc/crio/no.json"'
    assert refusal(text, "1.24.6").endswith("open seccomp profile: open /etc/crio/no.json: no such file or directory")
    steps = start(text, "1.25.0").steps
    assert [step.rule for step in steps if step.warns] == ["missing-profile-falls-back"]


def test_an_old_daemon_without_seccomp_does_not_look_at_the_profile() -> None:
    start('[crio.runtime]\nseccomp_profile = "/etc/crio/no.json"', "1.24.6", Host(seccomp=False))


def test_a_handler_whose_profile_is_not_there_is_dropped_unless_it_is_the_default() -> None:
    kata = '[crio.runtime.runtimes.kata]\nruntime_path = "/k"\nseccomp_profile = "/etc/crio/no.json"\n'
    runtime = start(kata)
    assert runtime.handlers == ("crun",)
    assert [step.rule for step in runtime.steps if step.warns] == ["handler-ignored"]
    assert "unable to load runtime handler seccomp profile" in refusal(
        '[crio.runtime]\ndefault_runtime = "kata"\n' + kata
    )


# --- what keeps it from starting


@pytest.mark.parametrize(
    ("text", "key", "has", "wanted"),
    [
        ("[crio.runtime]\nseccomp_profile = 3", "crio.runtime.seccomp_profile", "int64", "string"),
        ('[crio.runtime]\nSELinux = "yes"', "crio.runtime.SELinux", "string", "boolean"),
        ("crio.runtime.selinux = 1.5", "crio.runtime.selinux", "float64", "boolean"),
        ('[crio.runtime]\ndefault_capabilities = "CHOWN"', "crio.runtime.default_capabilities", "string", "slice"),
        ("[crio.runtime]\ndefault_env = [3]", "crio.runtime.default_env", "int64", "string"),
        ("[crio.runtime]\npids_limit = true", "crio.runtime.pids_limit", "bool", "integer"),
        ("[crio.runtime]\nlog_level = 1979-05-27", "crio.runtime.log_level", "time.Time", "string"),
    ],
)
def test_a_value_of_another_type(text: str, key: str, has: str, wanted: str) -> None:
    line = text.count("\n") + 1
    before, after = f"unable to decode configuration {CONF}: toml: ", f"type {has}; destination has type {wanted}"
    assert refusal(text, "1.18.0") == f"{before}cannot load TOML value of type {has} into a Go {wanted}"
    assert refusal(text, "1.24.6") == f'{before}incompatible types: TOML key "{key}" has {after}'
    prefix = f"update config from file: update config from drop-in file: {before}"
    assert refusal(text) == f'{prefix}line {line} (last key "{key}"): incompatible types: TOML value has {after}'


@pytest.mark.parametrize(("release", "name"), [("1.30.14", "[]interface {}"), ("1.31.0", "[]any")])
def test_a_list_for_a_text(release: str, name: str) -> None:
    assert f"TOML value has type {name}; destination" in refusal("[crio.runtime]\nlog_level = []", release)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[crio]\nruntime = 3", "type mismatch for struct { config.RuntimeConfig }: expected table but found int64"),
        (
            '[crio.runtime.runtimes]\nkata = "x"',
            "type mismatch for config.RuntimeHandler: expected table but found string",
        ),
        ("crio = 3", "expected table but found int64"),
    ],
)
def test_something_else_for_a_table(text: str, words: str) -> None:
    assert words in refusal(text)


def test_a_workload_has_a_table_of_its_own() -> None:
    workload = (
        '[crio.runtime.workloads.w]\nactivation_annotation = "a"\n[crio.runtime.workloads.w.resources]\ncpushares = 5'
    )
    assert read(workload).workloads["w"]["resources"] == {"cpushares": 5}
    assert "expected table but found int64" in refusal("[crio.runtime.workloads.w]\nresources = 5")


def test_something_else_for_a_map_is_passed_over() -> None:
    config = read("[crio.runtime]\nruntimes = 3\nworkloads = []")
    assert len(warnings(config)) == 2
    assert list(config.handlers) == ["crun"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[crio.runtime]\ndefault_runtime = "kata"',
            'default_runtime set to "kata", but no runtime entry table [crio.runtime.runtimes.kata] was found',
        ),
        (
            '[crio.runtime]\ncgroup_manager = "hybrid"',
            "unable to update cgroup manager: invalid cgroup manager: hybrid",
        ),
        (
            '[crio.runtime.runtimes.runc]\nallowed_annotations = ["x"]',
            "runtime validation: invalid allowed_annotation: x",
        ),
        (
            '[crio.runtime.runtimes.runc]\nruntime_type = "x"',
            'runtime validation: invalid `runtime_type` "x" for runtime "runc"',
        ),
        (
            '[crio.runtime]\ndefault_capabilities = ["SYS_NOTHING"]',
            'invalid capabilities: validating capabilities: "CAP_SYS_NOTHING": unknown capability',
        ),
        ('[crio.runtime]\ndefault_ulimits = ["x"]', "unrecognized ulimit x: invalid ulimit argument: x"),
    ],
)
def test_a_value_that_validation_refuses(text: str, message: str) -> None:
    assert refusal(text) == f"validating runtime config: {message}"


@pytest.mark.parametrize("release", ["1.18.0", "1.24.6", "1.36.3"])
def test_a_profile_that_is_no_json(release: str) -> None:
    text = '[crio.runtime]\nseccomp_profile = "/etc/crio/bad.json"'
    before = "validating runtime config: unable to load seccomp profile: decoding seccomp profile failed: "
    assert refusal(text, release, bad=b"{{").startswith(before)
    start(text, release, bad=PROFILE)


def test_a_workload_that_nothing_activates() -> None:
    message = refusal('[crio.runtime.workloads.w]\nannotation_prefix = "a"')
    assert message.endswith('workloads validation: annotation shouldn\'t be empty for workload "w"')


def test_an_entry_names_a_handler_that_is_not_configured() -> None:
    with pytest.raises(BadInput, match="the configuration has no handler 'kata'"):
        model.runtime(parse("1.36.3"), Host(), Setup(handler="kata"), MemoryFiles())


def test_no_toml_at_all() -> None:
    assert f"unable to decode configuration {CONF}: toml: " in refusal("[crio")


def test_a_flag_that_is_none() -> None:
    with pytest.raises(Refused, match="flag provided but not defined: -nothing"):
        read(flags=("--nothing=1",))


@pytest.mark.parametrize(
    "setup",
    [
        {"environment": {"CONTAINER_PIDS_LIMIT": "many"}},
    ],
)
def test_a_flag_of_another_type(setup: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        read(**setup)


def test_a_file_that_is_not_there_is_the_node_documents_fault() -> None:
    with pytest.raises(BadInput, match="no such file or directory") as caught:
        model.runtime(parse("1.36.3"), Host(), Setup(config=CONF), MemoryFiles())
    assert caught.value.field == "runtime.config"
