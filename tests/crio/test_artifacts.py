"""Profiles that are OCI artifacts: beside a real daemon, and by the sources of the releases that nobody recorded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtimes.artifacts import ArtifactFault, Manifest
from runtimes.crio import artifacts, model
from runtimes.crio.artifacts import LIMIT, MEDIA_TYPE
from runtimes.crio.at import at
from runtimes.errors import CapacityExceeded, Refused
from runtimes.model import Runtime, Setup
from runtimes.release import parse
from tests.crio.player import CONFIG, CRIO_CONF, HOST, container_request, files, play, sandbox_request

TOLD: dict[str, Any] = json.loads(Path(__file__).with_name("artifacts.json").read_text())
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
V1, V2 = "seccomp-profile.kubernetes.cri-o.io", "seccomp-profile.crio.io"
PULLS = "setup seccomp: try to pull OCI artifact seccomp profile: "
MARKED = b'{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["marked"],"action":"SCMP_ACT_ALLOW"}]}'


class Registry:
    """Registries in memory: reference -> (media type, manifest), and blobs by digest."""

    def __init__(self) -> None:
        self.manifests: dict[str, Manifest] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []

    def push(self, reference: str, *layers: bytes, config: str = MEDIA_TYPE, **more: Any) -> dict[str, Any]:
        manifest = {
            "schemaVersion": 2,
            "config": {"mediaType": config, "digest": _digest(b"{}"), "size": 2},
            "layers": [{"mediaType": "text/plain", "digest": _digest(each), "size": len(each)} for each in layers],
            **more,
        }
        self.blobs |= {_digest(each): each for each in layers}
        self.put(reference, OCI, manifest)
        return manifest

    def put(self, reference: str, media_type: str, manifest: Any) -> str:
        content = json.dumps(manifest).encode()
        self.manifests[reference] = self.manifests[_digest(content)] = Manifest(media_type, content)
        return _digest(content)

    def manifest(self, reference: str, digest: str = "") -> Manifest:
        self.asked.append(digest or reference)
        if (digest or reference) in self.manifests:
            return self.manifests[digest or reference]
        name, _, tag = reference.rpartition(":")
        raise ArtifactFault("manifest", f"reading manifest {tag} in {name}: manifest unknown", reference)

    def blob(self, reference: str, digest: str, limit: int) -> bytes:
        del reference
        if digest not in self.blobs:
            raise ArtifactFault("blob", "fetching blob: blob unknown to registry", "r")
        return self.blobs[digest][:limit]


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def recorded_registry() -> Registry:
    found = Registry()
    for name, text in TOLD["artifacts"].items():
        found.push(f"127.0.0.1:5999/seccomp/{name}:1", text.encode())
    return found


def start(release: str, registry: Registry | None, allowed: tuple[str, ...] = (V1, V2), more: str = "") -> Runtime:
    """Start a daemon whose handler lets the annotations through that its release knows."""
    known = [name for name in allowed if name in at(parse(release)).value("artifact-annotations")]
    handler = f"allowed_annotations = {json.dumps(known)}\n" if known else ""
    found: Any = files(CRIO_CONF.format(release=release, runtime=more, handler=handler))
    if registry is not None:
        found.artifacts = registry
    return model.runtime(parse(release), HOST, Setup(config=CONFIG), found)


def ask(
    runtime: Runtime,
    annotations: dict[str, str],
    seccomp: dict[str, Any] | None = None,
    *,
    name: str = "container1",
    image: dict[str, str] | None = None,
) -> Any:
    """Return the decision about a container in a pod with these annotations, of an image with those."""
    case: dict[str, Any] = {"sandbox": "np", "name": name, "security_context": {"seccomp": seccomp} if seccomp else {}}
    pod, pod_place = sandbox_request({"annotations": annotations})
    request, place = container_request(case)
    place = msgspec.structs.replace(place, image=msgspec.structs.replace(place.image, annotations=image or {}))
    return runtime.container(request, place, pod, pod_place)


def marked(decision: Any) -> bool:
    return "marked" in json.dumps(decision.section)


def failure(release: str, registry: Registry, reference: str = "r.example/x:1") -> str:
    with pytest.raises(Refused) as caught:
        ask(start(release, registry), {f"{V1}/POD": reference})
    assert caught.value.code == "UNKNOWN"
    assert caught.value.message.startswith(PULLS)
    return caught.value.message.removeprefix(PULLS)


# --- beside a real daemon


@pytest.mark.parametrize("name", TOLD["recorded"])
def test_a_recorded_case_is_answered_as_recorded(name: str) -> None:
    ours = play(start("1.36.3", recorded_registry()), TOLD["cases"][name])
    ours.pop("spec", None)
    assert ours == TOLD["recorded"][name]


def test_every_recorded_case_is_there() -> None:
    assert len(TOLD["recorded"]) == 24
    assert sum(each["outcome"] == "error" for each in TOLD["recorded"].values()) == 3


# --- which artifact: upstream's own tables (unit and bats), at v1.36.3, with V1 names from 1.30.0 on

POD_AND_IMAGE = [
    ("the image's own", {}, {"": "a"}, None, True),
    ("the image's, for pods", {}, {"/POD": "a"}, None, True),
    ("the image's, for this container", {}, {"/container1": "a"}, None, True),
    ("the image's, over Unconfined", {}, {"/POD": "a"}, {"profile_type": 1}, True),
    ("the image's, under RuntimeDefault", {}, {"/POD": "a"}, {"profile_type": 0}, False),
    ("the pod's", {"/POD": "a"}, {}, None, True),
    ("the pod's for this container", {"/container1": "a"}, {}, None, True),
    ("the pod's for another container", {"/container2": "a"}, {}, None, False),
    ("the pod's without a suffix", {"": "a"}, {}, None, False),
    ("the container's over the pod's", {"/container1": "a", "/POD": "missing"}, {}, None, True),
    ("the pod's over the image's", {"/POD": "a"}, {"": "missing", "/container1": "missing"}, None, True),
    ("the image's own over its container's", {}, {"": "a", "/container1": "missing", "/POD": "missing"}, None, True),
    ("an empty one ends the search", {"/container1": "", "/POD": "missing"}, {"": "missing"}, None, False),
]


@pytest.mark.parametrize("release", ["1.30.0", "1.33.0", "1.35.0", "1.36.3"])
@pytest.mark.parametrize(("case", "pod", "image", "field", "expected"), POD_AND_IMAGE)
def test_which_artifact_applies(
    release: str,
    case: str,
    pod: dict[str, str],
    image: dict[str, str],
    field: dict[str, Any] | None,
    expected: bool,
) -> None:
    registry = Registry()
    registry.push("a", MARKED)
    runtime = start(release, registry)
    for name in at(parse(release)).value("artifact-annotations"):
        annotations = {name + suffix: value for suffix, value in pod.items()}
        of_image = {name + suffix: value for suffix, value in image.items()}
        decision = ask(runtime, annotations, field, image=of_image)
        assert marked(decision) == expected, (case, name)
        if expected:
            assert decision.spec["annotations"]["io.kubernetes.cri-o.SeccompProfilePath"] == ""


def test_the_newer_name_is_preferred_in_each_place_and_the_place_counts_first() -> None:
    registry = Registry()
    registry.push("a", MARKED)
    runtime = start("1.36.3", registry)
    assert marked(ask(runtime, {f"{V2}/POD": "a", f"{V1}/POD": "missing"}))
    assert marked(ask(runtime, {f"{V2}/POD": "missing", f"{V1}/container1": "a"}))


@pytest.mark.parametrize(
    "field", [{"profile_type": 0}, {"profile_type": 2, "localhost_ref": "/profiles/oci-basic.json"}]
)
def test_a_profile_that_is_asked_for_wins_and_a_step_warns(field: dict[str, Any]) -> None:
    registry = Registry()
    decision = ask(start("1.36.3", registry), {f"{V2}/POD": "missing"}, field)
    assert not registry.asked
    assert any(step.rule == "artifact-ignored" and step.warns for step in decision.steps)


def test_what_the_handler_does_not_allow_is_not_looked_at() -> None:
    registry = Registry()
    decision = ask(start("1.36.3", registry, allowed=()), {f"{V1}/POD": "missing"}, image={V2: "missing"})
    assert decision.section is None
    assert not registry.asked
    assert [step.rule for step in decision.steps].count("annotation-not-allowed") == 2


def test_a_workload_can_allow_the_annotation() -> None:
    registry = Registry()
    registry.push("a", MARKED)
    workload = f'[crio.runtime.workloads.trusted]\nactivation_annotation = "my/trust"\nallowed_annotations = ["{V2}"]\n'
    runtime = start("1.36.3", registry, allowed=(), more=workload)
    assert marked(ask(runtime, {f"{V2}/POD": "a", "my/trust": ""}))
    assert ask(runtime, {f"{V2}/POD": "a"}).section is None


def test_sandboxes_and_the_privileged_ask_no_registry() -> None:
    registry = Registry()
    runtime = start("1.36.3", registry)
    pod, place = sandbox_request({"annotations": {f"{V2}/POD": "missing"}, "security_context": {"privileged": True}})
    runtime.sandbox(pod, place)
    case = {"sandbox": "np", "security_context": {"privileged": True, "seccomp": {"profile_type": 1}}}
    assert runtime.container(*container_request(case), pod, place).section is None
    assert not registry.asked


@pytest.mark.parametrize("release", ["1.29.13", "1.24.6"])
def test_before_1_30_there_are_no_artifacts(release: str) -> None:
    registry = Registry()
    ask(start(release, registry), {f"{V1}/POD": "missing"}, {"profile_type": 1})
    assert not registry.asked


def test_a_node_that_asks_no_registry_says_so() -> None:
    with pytest.raises(CapacityExceeded, match=r"names the OCI artifact r\.example/x:1"):
        ask(start("1.36.3", None), {f"{V1}/POD": "r.example/x:1"})


def test_the_profile_is_composed_as_any_other() -> None:
    registry = Registry()
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
            {"names": ["kill"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_KILL"]}},
        ],
    }
    registry.push("a", json.dumps(profile).encode())
    section = ask(start("1.36.3", registry), {f"{V1}/POD": "a"}).section
    assert section == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ALLOW"}],
    }


# --- what is said of one that cannot be had, generation by generation

ERAS = ["1.30.0", "1.32.13", "1.33.0", "1.34.11", "1.35.0", "1.35.1", "1.35.2", "1.36.3"]
MISSING = "reading manifest 1 in r.example/x: manifest unknown"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
NOT_AN_ARTIFACT = "pull artifact: image reference: reference is a container image, not an OCI artifact"


def _by_era(first: str, stored: str, copied: str | None, checked: str | None) -> dict[str, str | None]:
    texts = (first, first, stored, stored, copied, copied, checked, checked)
    return {era: text and f"pull OCI artifact: {text}" for era, text in zip(ERAS, texts, strict=True)}


@pytest.mark.parametrize(
    ("release", "expected"),
    _by_era(
        f"build image source: {MISSING}",
        f"pull artifact: get manifest: build image source: {MISSING}",
        f"pull artifact: pull artifact: initializing source docker://r.example/x:1: {MISSING}",
        f"pull artifact: image reference: get manifest from ref: create image source: {MISSING}",
    ).items(),
)
def test_a_missing_artifact(release: str, expected: str) -> None:
    assert failure(release, Registry()) == expected


@pytest.mark.parametrize(
    ("release", "expected"),
    _by_era(
        f'wrong config media type "{IMAGE_CONFIG}", requires "{MEDIA_TYPE}"',
        f'pull artifact: wrong config media type "{IMAGE_CONFIG}", requires "{MEDIA_TYPE}"',
        None,
        NOT_AN_ARTIFACT,
    ).items(),
)
def test_an_artifact_of_an_image_s_type(release: str, expected: str | None) -> None:
    registry = Registry()
    registry.push("r.example/x:1", MARKED, config=IMAGE_CONFIG)
    if expected:
        assert failure(release, registry) == expected
    else:
        assert marked(ask(start(release, registry), {f"{V1}/POD": "r.example/x:1"}))


@pytest.mark.parametrize("release", ERAS)
def test_any_type_will_do_from_1_35_on(release: str) -> None:
    registry = Registry()
    registry.push("r.example/x:1", MARKED, config="application/vnd.oci.empty.v1+json", artifactType="text/x")
    if release < "1.35":
        assert 'wrong config media type "application/vnd.oci.empty.v1+json"' in failure(release, registry)
    else:
        assert marked(ask(start(release, registry), {f"{V1}/POD": "r.example/x:1"}))


@pytest.mark.parametrize("release", ERAS)
def test_an_artifact_without_layers(release: str) -> None:
    registry = Registry()
    registry.push("r.example/x:1")
    first = "pull OCI artifact: artifact needs at least one layer"
    assert failure(release, registry) == (first if release < "1.33" else "artifact data is empty")


def _padded(size: int) -> bytes:
    return MARKED + b" " * (size - len(MARKED))


SINGLE = f"get artifact data: read artifact blob: exceeded maximum allowed size of {LIMIT} bytes for a single layer"
IN_ALL = f"get artifact data: exceeded maximum allowed artifact size of {LIMIT} bytes"
SIZES = [
    ("just small enough", (LIMIT,), None, None),
    (
        "a byte too large",
        (LIMIT + 1,),
        f"read with limit: exceeded maximum allowed size of {LIMIT} bytes",
        IN_ALL,
    ),
    ("two bytes too large", (LIMIT + 2,), f"exceeded maximum allowed size of {LIMIT} bytes", SINGLE),
    ("two layers that are too large together", (LIMIT - 9, 200), None, IN_ALL),
]


@pytest.mark.parametrize("release", ["1.30.0", "1.33.0", "1.36.3"])
@pytest.mark.parametrize(("case", "sizes", "first", "stored"), SIZES)
def test_a_profile_is_a_mebibyte_at_the_most(
    release: str, case: str, sizes: tuple[int, ...], first: str | None, stored: str | None
) -> None:
    registry = Registry()
    registry.push("r.example/x:1", *map(_padded, sizes))
    expected = first if release < "1.33" else stored
    if expected is None:
        assert marked(ask(start(release, registry), {f"{V1}/POD": "r.example/x:1"})), case
    else:
        assert failure(release, registry) == f"pull OCI artifact: {expected}", case


def test_a_size_that_is_a_lie_does_not_help() -> None:
    registry = Registry()
    manifest = registry.push("r.example/x:1", _padded(LIMIT * 3))
    manifest["layers"][0]["size"] = 10
    registry.put("r.example/x:1", OCI, manifest)
    assert failure("1.30.0", registry) == f"pull OCI artifact: exceeded maximum allowed size of {LIMIT} bytes"


@pytest.mark.parametrize("release", ["1.30.0", "1.33.0", "1.36.3"])
def test_bytes_that_are_not_those_of_the_digest(release: str) -> None:
    registry = Registry()
    registry.push("r.example/x:1", MARKED)
    registry.blobs[_digest(MARKED)] = b"{}"
    ours, theirs = _digest(b"{}"), _digest(MARKED)
    hexes = ours.removeprefix("sha256:"), theirs.removeprefix("sha256:")
    first = "sha256 mismatch between real layer bytes ({}) and manifest descriptor ({})".format(*hexes)
    text = failure(release, registry)
    if release < "1.33":
        assert text == f"pull OCI artifact: verify digest of layer: {first}"
    else:
        assert text.endswith(f"writing blob: Digest did not match, expected {theirs}, got {ours}")


@pytest.mark.parametrize("release", ["1.30.0", "1.33.0", "1.35.0", "1.36.3"])
def test_an_index_leads_to_the_manifest_of_this_architecture(release: str) -> None:
    registry = Registry()
    registry.push("r.example/x:1", MARKED)
    ours = registry.put("one", OCI, json.loads(registry.manifests["r.example/x:1"].content))
    entries = [
        {"digest": _digest(b"other"), "platform": {"architecture": "arm64", "os": "linux"}},
        {"digest": ours, "platform": {"architecture": "amd64", "os": "linux"}},
    ]
    registry.put("r.example/x:1", INDEX, {"schemaVersion": 2, "manifests": entries})
    if release < "1.33":
        told = "parse manifest: Treating manifest lists as individual manifests is not implemented"
        assert failure(release, registry) == f"pull OCI artifact: {told}"
        return
    assert marked(ask(start(release, registry), {f"{V1}/POD": "r.example/x:1"}))
    registry.put("r.example/x:1", INDEX, {"schemaVersion": 2, "manifests": entries[:1]})
    assert failure(release, registry).endswith(
        'no image found in image index for architecture "amd64", variant "", OS "linux"'
    )


def test_a_docker_list_is_an_image() -> None:
    registry = Registry()
    registry.put("r.example/x:1", DOCKER_LIST, {"manifests": []})
    assert failure("1.33.0", registry) == "pull OCI artifact: pull artifact: provided artifact is a container image"


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"layers": 1}', b'{"layers": [1]}', b'{"config": []}'])
@pytest.mark.parametrize("release", ["1.30.0", "1.36.3"])
def test_a_broken_manifest_is_refused(release: str, content: bytes) -> None:
    registry = Registry()
    registry.manifests["r.example/x:1"] = Manifest(OCI, content)
    assert failure(release, registry)


def test_every_generation_has_words_for_everything() -> None:
    for known in model.releases():
        facts = at(known.release)
        words = facts.value("artifact-errors")
        assert bool(words) == facts.has("artifact-profiles")
        if words:
            wanted = {"large-when-read"} if not facts.has("artifact-store") else set()
            wanted |= {"media-type"} if facts.has("artifact-media-type-required") else set()
            common = "reference transport manifest parse instance docker-list is-image no-layer blob large large-in-all"
            assert wanted | set(common.split()) <= set(words), known.release
    assert artifacts.named(at(parse("1.29.0")), "c", {f"{V1}/POD": "a"}, {}) is None
