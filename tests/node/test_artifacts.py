"""Pulling artifacts over HTTP from a small registry of our own. The words for what fails are containers/image's."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtimes.artifacts import ArtifactFault, artifacts_of
from runtimes.files import MemoryFiles
from runtimes.model import Setup, find
from runtimes.release import parse
from shim.artifacts import Registries, _insecure
from shim.files import HostFiles
from shim.images import parse as parse_reference
from shim.nodefile import loads, open_node
from tests.crio.player import CONFIG, CRIO_CONF, HOST, container_request, files, play, sandbox_request
from tests.node.registry import OCI, Registry, digest, refusal, serving

TOLD: dict[str, Any] = json.loads((Path(__file__).parent.parent / "crio/artifacts.json").read_text())
PROFILE = b'{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["marked"],"action":"SCMP_ACT_ALLOW"}]}'


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with serving(Registry()) as served:
        yield served


@pytest.fixture(autouse=True)
def _fresh(registry: Registry) -> None:
    registry.asked.clear()
    registry.replies = {"/v2/": (200, {}, b"{}")}


def registries(**conf: str) -> Registries:
    return Registries(MemoryFiles({path: text.encode() for path, text in conf.items()}), connect=2, read=2, deadline=5)


def failure(reference: str, **conf: str) -> ArtifactFault:
    with pytest.raises(ArtifactFault) as caught:
        registries(**conf).manifest(reference)
    return caught.value


def test_a_manifest_and_its_blob_are_pulled(registry: Registry) -> None:
    registry.push("seccomp/x", "1", PROFILE)
    pulls, reference = registries(), f"{registry.host}/seccomp/x:1"
    manifest = pulls.manifest(reference)
    assert manifest.media_type == OCI
    layer = json.loads(manifest.content)["layers"][0]
    assert pulls.blob(reference, layer["digest"], 1 << 20) == PROFILE
    by_digest = f"{registry.host}/seccomp/x@{digest(manifest.content)}"
    assert pulls.manifest(by_digest) == manifest
    assert pulls.manifest(reference, digest(manifest.content)) == manifest


def test_a_reference_without_a_tag_means_latest(registry: Registry) -> None:
    registry.push("x", "latest", PROFILE)
    assert registries().manifest(f"{registry.host}/x").media_type == OCI


@pytest.mark.parametrize("name", TOLD["recorded"])
def test_a_recorded_case_is_answered_as_recorded_over_http(registry: Registry, name: str) -> None:
    """The daemon that was recorded pulled from 127.0.0.1:5999; the port is the only difference."""
    for artifact, text in TOLD["artifacts"].items():
        registry.push(f"seccomp/{artifact}", "1", text.encode())
    handler = f"allowed_annotations = {json.dumps(TOLD['setting']['runtimes.runc']['allowed_annotations'])}"
    found: Any = files(CRIO_CONF.format(release="1.36.3", runtime="", handler=handler))
    found.artifacts = _Elsewhere(registry.host)
    ours = play(find("cri-o").runtime(parse("1.36.3"), HOST, Setup(config=CONFIG), found), TOLD["cases"][name])
    ours.pop("spec", None)
    assert json.loads(json.dumps(ours).replace(registry.host, "127.0.0.1:5999")) == TOLD["recorded"][name]


class _Elsewhere:
    """Registries, with the recorded one at another port."""

    def __init__(self, host: str) -> None:
        self.host, self.registries = host, registries()

    def manifest(self, reference: str, digest: str = "") -> Any:
        return self.registries.manifest(reference.replace("127.0.0.1:5999", self.host), digest)

    def blob(self, reference: str, digest: str, limit: int) -> bytes:
        return self.registries.blob(reference.replace("127.0.0.1:5999", self.host), digest, limit)


def test_an_opened_node_pulls(registry: Registry, tmp_path: Path) -> None:
    registry.push("x", "1", PROFILE)
    config = tmp_path / "crio.conf"
    config.write_text('[crio.runtime.runtimes.crun]\nallowed_annotations = ["seccomp-profile.crio.io"]\n')
    node = open_node(
        loads(f"{{host: {{arch: amd64}}, runtime: {{name: cri-o, version: 1.36.3, config: file://{config}}}}}")
    )
    assert artifacts_of(node.files) is not None
    pod, place = sandbox_request({"annotations": {"seccomp-profile.crio.io/POD": f"{registry.host}/x:1"}})
    request, container = container_request({"sandbox": "np", "security_context": {}})
    decision = node.default.runtime.container(request, container, pod, place)
    assert decision.section == json.loads(PROFILE)
    assert artifacts_of(HostFiles()) is None


# --- what a registry may want


def test_a_token_is_fetched_where_the_registry_wants_one(registry: Registry) -> None:
    registry.push("a/b", "1", PROFILE)
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token",service="s p",scope="x"'}
    registry.replies["/v2/"] = refusal(401, "UNAUTHORIZED", "authentication required", challenge)
    registry.replies["/token"] = (200, {}, b'{"token": "secret"}')
    served = registry.replies["/v2/a/b/manifests/1"]
    assert not callable(served)
    registry.replies["/v2/a/b/manifests/1"] = lambda headers: (
        served if headers.get("authorization") == "Bearer secret" else refusal(401, "UNAUTHORIZED", "no")
    )
    assert registries().manifest(f"{registry.host}/a/b:1").media_type == OCI
    assert "/token?scope=repository%3Aa%2Fb%3Apull&service=s+p" in registry.asked


def test_a_redirect_within_the_registry_is_followed(registry: Registry) -> None:
    registry.push("a", "1", PROFILE)
    registry.replies[f"/v2/a/blobs/{digest(PROFILE)}"] = (307, {"Location": "/elsewhere"}, b"")
    registry.replies["/elsewhere"] = (200, {}, PROFILE)
    assert registries().blob(f"{registry.host}/a:1", digest(PROFILE), 1000) == PROFILE


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/x", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_nobody_else_is_asked_without_tls(registry: Registry, target: str) -> None:
    registry.replies[f"/v2/a/blobs/{digest(PROFILE)}"] = (307, {"Location": target}, b"")
    with pytest.raises(ArtifactFault, match="neither HTTPS nor the registry itself"):
        registries().blob(f"{registry.host}/a:1", digest(PROFILE), 1000)
    challenge = {"WWW-Authenticate": f'Bearer realm="{target}"'}
    registry.replies["/v2/"] = refusal(401, "UNAUTHORIZED", "no", challenge)
    assert "neither HTTPS nor the registry itself" in str(failure(f"{registry.host}/a:1"))


def test_a_redirect_in_a_circle_ends(registry: Registry) -> None:
    registry.replies["/v2/a/manifests/1"] = (302, {"Location": "/v2/a/manifests/1"}, b"")
    assert "stopped after 5 redirects" in str(failure(f"{registry.host}/a:1"))
    assert len(registry.asked) < 10


def test_a_long_blob_is_not_read_to_its_end(registry: Registry) -> None:
    registry.replies["/v2/a/blobs/sha256:1"] = (200, {}, b"x" * 5_000_000)
    assert len(registries().blob(f"{registry.host}/a:1", "sha256:1", 1000)) == 1000


# --- plain HTTP


def test_only_this_machine_and_what_registries_conf_says_go_without_tls(registry: Registry) -> None:
    """`127.0.0.1.nip.example` and the like are names of others, whatever they resolve to."""
    registry.push("a", "1", PROFILE)
    port = registry.host.rpartition(":")[2]
    assert registries().manifest(f"localhost:{port}/a:1").media_type == OCI
    conf = f'[[registry]]\nprefix = "{socket.gethostname()}:{port}"\ninsecure = true\n'
    name = parse_reference(f"{socket.gethostname()}:{port}/a:1")
    assert _insecure(MemoryFiles({"/etc/containers/registries.conf": conf.encode()}), name)
    assert not _insecure(MemoryFiles({"/etc/containers/registries.conf": b"[[registry"}), name)
    assert not _insecure(MemoryFiles(), name)
    longer = conf + f'[[registry]]\nlocation = "{socket.gethostname()}:{port}/a"\ninsecure = false\n'
    assert not _insecure(MemoryFiles({"/etc/containers/registries.conf": longer.encode()}), name)


# --- what goes wrong


@pytest.mark.parametrize(
    ("reference", "stage", "text"),
    [
        ("", "reference", "invalid reference format"),
        ("http://x/y", "reference", "invalid reference format"),
        ("../../etc/passwd", "reference", "invalid reference format"),
        ("r.example/A:1", "reference", "invalid reference format: repository name must be lowercase"),
        (
            f"r.example/a:1@sha256:{'a' * 64}",
            "transport",
            "Docker references with both a tag and digest are currently not supported",
        ),
    ],
)
def test_a_reference_that_cannot_be(reference: str, stage: str, text: str) -> None:
    fault = failure(reference)
    assert (fault.stage, str(fault)) == (stage, text)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"), "manifest unknown"),
        (refusal(404, "NAME_UNKNOWN", "no such thing"), "name unknown: no such thing"),
        (refusal(403, "DENIED", "requested access to the resource is denied"), None),
        (refusal(404, "ODD", "m"), "unknown: m"),
        ((404, {}, b"not found"), 'StatusCode: 404, "not found"'),
        ((404, {}, b"x" * 60), f'StatusCode: 404, "{"x" * 50}..."'),
        ((404, {}, b'{"errors": []}'), 'StatusCode: 404, "{\\"errors\\": []}"'),
        ((429, {}, b'{"details": "slow down"}'), "unknown: slow down"),
        ((500, {}, b"oops"), "received unexpected HTTP status: 500 Internal Server Error"),
        ((401, {}, b"?"), "unauthorized: authentication required"),
    ],
)
def test_the_words_of_a_refusal(registry: Registry, reply: Any, text: str | None) -> None:
    registry.replies["/v2/a/b/manifests/1"] = reply
    fault = failure(f"{registry.host}/a/b:1")
    told = text or "requested access to the resource is denied"
    assert str(fault) == f"reading manifest 1 in {registry.host}/a/b: {told}"
    assert (fault.stage, fault.reference) == ("manifest", f"{registry.host}/a/b:1")


def test_a_blob_that_is_not_there(registry: Registry) -> None:
    with pytest.raises(ArtifactFault, match=r"^fetching blob: blob unknown to registry$") as caught:
        registries().blob(f"{registry.host}/a:1", f"sha256:{'a' * 64}", 10)
    assert caught.value.stage == "blob"


def test_nobody_listens() -> None:
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = f'Get "http://{host}/v2/": dial tcp {host}: connect: connection refused'
        assert str(failure(f"{host}/a:1")) == f"pinging container registry {host}: {refused}"


def test_a_registry_that_never_answers_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        pulls = Registries(MemoryFiles(), connect=0.1, read=0.1, deadline=0.3)
        with pytest.raises(ArtifactFault, match=f"^pinging container registry {host}: "):
            pulls.manifest(f"{host}/a:1")


def test_a_body_that_ends_early(registry: Registry) -> None:
    registry.replies["/v2/a/manifests/1"] = (
        200,
        {"Content-Type": OCI, "Content-Length": "99", "Connection": "close"},
        b"{",
    )
    assert "unexpected EOF" in str(failure(f"{registry.host}/a:1"))


@pytest.mark.parametrize("token", [b"", b"[]", b'{"token": "a\\nb"}'])
def test_a_token_that_is_none(registry: Registry, token: bytes) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'}
    registry.replies["/v2/"] = refusal(401, "UNAUTHORIZED", "no", challenge)
    registry.replies["/token"] = (200, {}, token)
    assert str(failure(f"{registry.host}/a:1"))
