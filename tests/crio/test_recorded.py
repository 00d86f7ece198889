"""The model beside real daemons: every recorded case of three releases, in every recorded configuration."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.errors import Refused
from tests.crio.player import daemon, play, recorded, start

RELEASES: dict[str, Any] = recorded()["releases"]
CONFIGS = [(release, config) for release, told in RELEASES.items() for config in told["configs"]]
# The recorded 1.36.3 was built with Go 1.27, the released one with 1.26 (v1.36.3:nix/derivation.nix), which words this
# otherwise: a daemon built with 1.26 says it so.
BYTE_ORDER_MARK = ("'\\ufeff' looking for", "'ï' looking for")
# The settings with which the recorded daemons did not start.
EXITS = [
    ("1.24.6", "unconfined", {"seccomp_profile": "unconfined"}),
    ("1.36.3", "file-invalid", {"seccomp_profile": "${PROFILE_DIR}/not-json.json"}),
    ("1.36.3", "rt-unconfined", {"runtimes.runc": {"seccomp_profile": "unconfined"}}),
]


@pytest.mark.parametrize(("release", "config"), CONFIGS)
def test_every_case_is_answered_as_recorded(release: str, config: str) -> None:
    runtime = daemon(release, config)
    wrong = {}
    for name, answer in RELEASES[release]["configs"][config]["cases"].items():
        expected = {**answer}
        if "message" in answer:
            expected["message"] = answer["message"].replace(*BYTE_ORDER_MARK)
        ours = play(runtime, recorded()["cases"][name])
        if "spec" not in expected:
            ours.pop("spec", None)
        if ours != expected:
            keys = ours.keys() | expected.keys()
            wrong[name] = {k: (ours.get(k), expected.get(k)) for k in keys if ours.get(k) != expected.get(k)}
    assert not wrong


@pytest.mark.parametrize(("release", "name", "setting"), EXITS)
def test_a_daemon_that_did_not_start_does_not_start(release: str, name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        start(release, setting)
    assert caught.value.message == RELEASES[release]["refuses_to_start"][name]
    assert caught.value.where == "runtime"


def test_the_recordings_hold_what_they_should() -> None:
    assert {release: len(told["configs"]) for release, told in RELEASES.items()} == {
        "1.24.6": 4,
        "1.30.14": 1,
        "1.36.3": 14,
    }
    assert sum(len(RELEASES[release]["configs"][config]["cases"]) for release, config in CONFIGS) == 1435
    assert {name for told in RELEASES.values() for name in told["refuses_to_start"]} == {name for _, name, _ in EXITS}
