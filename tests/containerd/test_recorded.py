"""The model beside real daemons: every recorded case of three releases, in every recorded configuration."""

from __future__ import annotations

import json

import pytest

from tests.containerd.player import daemon, play, recorded

RELEASES = tuple(recorded()["releases"])
CONFIGS = tuple((release, config) for release in RELEASES for config in recorded()["releases"][release]["configs"])


@pytest.mark.parametrize(("release", "config"), CONFIGS)
def test_every_case_is_answered_as_recorded(release: str, config: str) -> None:
    runtime = daemon(release, config)
    every = recorded()["releases"][release]["all"]
    wrong = {}
    for name, answer in recorded()["releases"][release]["configs"][config]["cases"].items():
        expected = json.loads(json.dumps(answer).replace('"ALL"', json.dumps(every)))
        ours = play(runtime, recorded()["cases"][name])
        differs = {key: (ours.get(key), value) for key, value in expected.items() if ours.get(key) != value}
        missing = {key: value for key, value in ours.items() if key not in expected and key not in ("spec", "start")}
        if differs or missing:
            wrong[name] = (differs, missing)
    assert not wrong
