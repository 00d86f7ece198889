"""Which profile applies: 31 shapes of a request through CRI-O's own code at 17 tags.

`setup_matrix.json` holds for each shape the results, and which of them each release gave, a digit for each of
`releases`: the default action and the number of rules, what was recorded as the reference (nothing up to 1.27), how
many rules notify or refuse, whether there is a listener. An error stands as it was, a panic as such.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.crio import profiles
from runtimes.crio.at import at
from runtimes.crio.seccomp import Answer, Asked, Seccomp
from runtimes.errors import Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.release import Release, parse
from runtimes.request import LOCALHOST, RUNTIME_DEFAULT, UNCONFINED, SecurityProfile

PROFILE, EMPTY, BAD, DIRECTORY = "/p/profile.json", "/p/empty.json", "/p/bad.json", "/tmp"  # noqa: S108
FILES = MemoryFiles(
    {
        PROFILE: b'{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}',
        EMPTY: b"{}",
        BAD: b"{{",
        f"{DIRECTORY}/.keep": b"",
    }
)
NOTIFIED = {"io.kubernetes.cri-o.seccompNotifierAction": "stop"}


def localhost(path: str) -> dict[str, Any]:
    return {"field": SecurityProfile(profile_type=LOCALHOST, localhost_ref=path)}


DEFAULT_FIELD: dict[str, Any] = {"field": SecurityProfile(profile_type=RUNTIME_DEFAULT)}
UNCONFINED_FIELD: dict[str, Any] = {"field": SecurityProfile(profile_type=UNCONFINED)}
# The recorder's name of a shape -> what is asked. `use` is the setting seccomp_use_default_when_empty.
SHAPES: dict[str, dict[str, Any]] = {
    "nil field, path empty, useDefault=false": {},
    "nil field, path empty, useDefault=true": {"use": True},
    "nil field, path unconfined": {"path": "unconfined"},
    "nil field, path runtime/default": {"path": "runtime/default"},
    "nil field, path docker/default": {"path": "docker/default"},
    "nil field, path localhost/abs": {"path": f"localhost/{PROFILE}"},
    "nil field, path localhost/rel": {"path": "localhost/rel.json"},
    "nil field, path bogus": {"path": "bogus"},
    "nil field, path RuntimeDefault": {"path": "RuntimeDefault"},
    "field Unconfined, path runtime/default": {**UNCONFINED_FIELD, "path": "runtime/default"},
    "field RuntimeDefault": DEFAULT_FIELD,
    "field RuntimeDefault with LocalhostRef set": {
        "field": SecurityProfile(profile_type=RUNTIME_DEFAULT, localhost_ref=PROFILE)
    },
    "field Unconfined": UNCONFINED_FIELD,
    "field Localhost abs": localhost(PROFILE),
    "field Localhost localhost/ prefix": localhost(f"localhost/{PROFILE}"),
    "field Localhost missing": localhost("/nope.json"),
    "field Localhost relative": localhost("rel.json"),
    "field Localhost empty ref": localhost(""),
    "field Localhost dir": localhost(DIRECTORY),
    "field Localhost bad json": localhost(BAD),
    "field Localhost empty object": localhost(EMPTY),
    "field unknown type 7 no ref": {"field": SecurityProfile(profile_type=7)},
    "field unknown type 7 with ref": {"field": SecurityProfile(profile_type=7, localhost_ref=PROFILE)},
    "disabled: nil field useDefault=false": {"off": True},
    "disabled: nil field useDefault=true": {"off": True, "use": True},
    "disabled: RuntimeDefault": {**DEFAULT_FIELD, "off": True},
    "disabled: Unconfined": {**UNCONFINED_FIELD, "off": True},
    "disabled: Localhost": {**localhost(PROFILE), "off": True},
    "disabled: nil field path localhost": {"off": True, "path": f"localhost/{PROFILE}"},
    "notifier RuntimeDefault": {**DEFAULT_FIELD, "annotations": NOTIFIED},
    "notifier empty localhost": {**localhost(EMPTY), "annotations": NOTIFIED},
}


@functools.cache
def recorded() -> Any:
    return json.loads(Path(__file__).with_name("setup_matrix.json").read_text())


def ask(release: Release, *, off: bool = False, use: bool = False, **asked: Any) -> Answer:
    rules = Seccomp(
        release,
        Host(seccomp=not off),
        FILES,
        profile=profiles.internal(release, "amd64"),
        handler_profiles={},
        privileged_profile="",
        use_default_when_empty=use,
        listener_directory="/run/listeners",
    )
    # Where the host has no seccomp the server does not get as far as this for containers, only for sandboxes.
    return rules.answer(Asked(**{"field": None, "path": "", "bounding": (), "is_sandbox": off, **asked}), "runc")


def told(release: Release, shape: dict[str, Any]) -> list[str]:
    try:
        answer = ask(release, **shape)
    except Refused as refused:
        prefix: str = at(release).value("seccomp-error-prefix")
        if refused.code == "UNAVAILABLE":
            return ["panic"]
        return ["error", refused.message.removeprefix(prefix)]
    reference = answer.reference if at(release).has("records-profile-reference") else ""
    section = answer.section
    if section is None:
        return ["nil", reference]
    rules = section.get("syscalls", [])
    found = [f"{section['defaultAction']} rules={len(rules)}", reference]
    for action in ("notify", "errno"):
        count = sum(rule["action"] == f"SCMP_ACT_{action.upper()}" for rule in rules)
        found += [f"{action} {count}"] if count else []
    return found + (["listener"] if section.get("listenerPath") else [])


@pytest.mark.parametrize("name", recorded()["cases"])
def test_every_release_decides_as_upstream(name: str) -> None:
    record = recorded()["cases"][name]
    for text, number in zip(recorded()["releases"], record["by"], strict=True):
        found = json.loads(json.dumps(told(parse(text), SHAPES[name])))
        shown = [each.replace(PROFILE, "<PROFILE>").replace(EMPTY, "<PROFILE>") for each in found]
        assert shown == record["results"][int(number)], text


def test_nothing_is_missing() -> None:
    assert set(recorded()["cases"]) == set(SHAPES)
    assert len(SHAPES) == 31
    assert len(recorded()["releases"]) == 17
