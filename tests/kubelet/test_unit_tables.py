"""The kubelet's own unit tables, row by row, on the first and last release that each table belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtimes.errors import Refused
from runtimes.release import parse
from runtimes.request import RUNTIME_DEFAULT, UNCONFINED, SecurityProfile, container_security
from shim.kubelet import manifest
from shim.kubelet.config import Folder, Settings, Switch
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.pod import Pod
from shim.kubelet.profile import Field, Rules

TABLES = msgspec.json.decode(Path(__file__).with_name("unit_tables.json").read_bytes())
ROWS = [
    pytest.param(release, row, id=f"{release} {row['table']} {row['id']} {row.get('seccompDefault', '')}".strip())
    for row in TABLES["rows"]
    for release in row["releases"]
]


@pytest.mark.parametrize(("release", "row"), ROWS)
def test_a_row_of_the_kubelets_own_tables(release: str, row: dict[str, Any]) -> None:
    settings = Settings(
        seccomp_default=Switch(row.get("seccompDefault", False)), profile_root=Folder(row.get("root", TABLES["root"]))
    )
    rules = Rules(parse(release), settings)
    if row["table"] == "sandbox_linux_config":
        asked = rules.sandbox(row.get("annotations"))
    elif "error" in row:
        with pytest.raises(Refused) as refusal:
            rules.container(_field(row.get("container")), _field(row.get("pod")))
        assert (refusal.value.message, refusal.value.reason) == (row["error"], "CreateContainerConfigError")
        return
    else:
        container = _field(row.get("container", row.get("field")))
        asked = rules.container(container, _field(row.get("pod")), row.get("annotations"), row.get("name", ""))
    if "message" in row:
        number, *reference = row["message"]
        wanted = SecurityProfile(profile_type=number, localhost_ref=reference[0] if reference else "")
        assert asked.message == wanted
    if "path" in row:
        assert asked.path == row["path"]


@pytest.mark.parametrize("row", TABLES["end_to_end"])
def test_a_row_of_the_end_to_end_tests(row: dict[str, Any]) -> None:
    kubelet = Kubelet.start("1.36.3", seccomp_default=row["seccompDefault"])
    (plan,) = kubelet.requests(_pod(row)).containers
    assert not isinstance(plan.request, Refused)
    context = container_security(plan.request)
    assert context is not None
    assert context.seccomp is not None
    assert context.seccomp.profile_type == {0: UNCONFINED, 2: RUNTIME_DEFAULT}[row["line"]]


@pytest.mark.parametrize("release", ["1.19.16", "1.22.17", "1.25.16", "1.36.3"])
@pytest.mark.parametrize("row", TABLES["api"])
def test_a_row_of_the_api_servers_validation(release: str, row: dict[str, Any]) -> None:
    refused = Kubelet.start(release).requests(_pod(row)).refused
    if "error" not in row:
        assert refused is None
        return
    assert refused is not None
    assert row["error"] in refused.message
    assert (refused.where, refused.reason) == ("api", "Invalid")


def test_every_row_is_there() -> None:
    assert [len(TABLES[name]) for name in ("rows", "end_to_end", "api")] == [227, 5, 16]


def _field(value: list[str] | None) -> Field | None:
    if value is None:
        return None
    type_, *profile = value
    return Field(type=type_, localhost_profile=profile[0] if profile else None)


def _pod(row: dict[str, Any]) -> Pod:
    def context(value: list[str] | None) -> dict[str, Any]:
        return {} if value is None else {"securityContext": {"seccompProfile": msgspec.to_builtins(_field(value))}}

    container = {"name": row.get("name", "ctr"), "image": "busybox", **context(row.get("container"))}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": row.get("annotations", {})},
        "spec": {"containers": [container], **context(row.get("pod"))},
    }
    (found,) = manifest.pods(msgspec.json.encode(pod), "row.json")
    return found
