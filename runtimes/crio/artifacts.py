"""Profiles that come as OCI artifacts: which one an annotation names, and what CRI-O says of one that it cannot use.

    named(facts, container, pod, image)                -> (annotation, reference) or None
    pull(facts, arch, artifacts, reference)            -> the bytes of the profile

Three generations pulled them. Until 1.32 the first layer was read straight from the registry; from 1.33 the artifact is
copied into a store and all of its layers read back; from 1.35 a library does the copying, and the type of its
configuration does not matter any more. What fails is told with the steps of each, so the words are facts (facts.yaml).
Source: internal/config/seccomp/seccompociartifact; internal/config/ociartifact up to 1.32, internal/ociartifact after.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NoReturn

from runtimes.artifacts import ArtifactFault
from runtimes.gojson import GoJsonFault, loads, quote

if TYPE_CHECKING:
    from runtimes.artifacts import Artifacts, Manifest
    from runtimes.crio.at import At

LIMIT = 1 << 20  # bytes of a profile, and where there is a store of all layers
MEDIA_TYPE = "application/vnd.cncf.seccomp-profile.config.v1+json"

_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_IMAGE_CONFIGS = ("", "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_LISTS_REFUSED = "Treating manifest lists as individual manifests is not implemented"
_UNUSABLE = "Unimplemented manifest MIME type"


class PullFault(Exception):
    """The profile cannot be had. The text is CRI-O's, from "pull OCI artifact" on."""


def named(facts: At, container: str, pod: dict[str, str], image: dict[str, str]) -> tuple[str, str] | None:
    """Return the annotation that decides and the reference in it; None where none does, or the one that does is empty.

    `pod` and `image` are the annotations of the sandbox and of the image, without those that are not allowed.
    """
    for given, suffix in (
        (pod, f"/{container}"),
        (pod, "/POD"),
        (image, ""),
        (image, f"/{container}"),
        (image, "/POD"),
    ):
        for name in facts.value("artifact-annotations"):
            key = name + suffix
            if key in given:
                return (key, given[key]) if given[key] else None
    return None


def pull(facts: At, arch: str, artifacts: Artifacts, reference: str) -> bytes:
    """Return the profile. Raises `PullFault`."""
    return _Pull(facts, arch, artifacts, reference).profile()


class _Pull:
    """One artifact on its way."""

    def __init__(self, facts: At, arch: str, artifacts: Artifacts, reference: str) -> None:
        self.facts, self.arch, self.artifacts, self.reference = facts, arch, artifacts, reference
        self.words: dict[str, str] = facts.value("artifact-errors")
        self.stored = facts.has("artifact-store")

    def profile(self) -> bytes:
        try:
            manifest = self._manifest()
        except ArtifactFault as fault:
            self._fault(fault)
        layers = manifest.get("layers") or []
        if not layers:
            self._fail("no-layer", prefixed=not self.stored)
        found: list[bytes] = []
        for layer in layers if self.stored else layers[:1]:
            found.append(self._layer(layer))
            if sum(map(len, found)) > LIMIT:
                self._fail("large-in-all", limit=LIMIT)
        return found[0]

    def _manifest(self) -> dict[str, Any]:
        """Return the manifest, its type and that of its configuration having been looked at."""
        answer = self.artifacts.manifest(self.reference)
        if answer.media_type == _DOCKER_LIST and self.words["docker-list"]:
            self._fail("docker-list")
        if answer.media_type in (_DOCKER_LIST, _OCI_INDEX):
            answer = self._instance(answer)
        if answer.media_type not in (_OCI_MANIFEST, _DOCKER_MANIFEST):
            self._fail("parse", text=f"{_UNUSABLE} {quote(answer.media_type)}")
        manifest = self._parsed(answer)
        config = manifest.get("config")
        media_type = str((config if isinstance(config, dict) else {}).get("mediaType") or "")
        if self.facts.has("artifact-media-type-required") and media_type != MEDIA_TYPE:
            self._fail("media-type", found=quote(media_type), required=quote(MEDIA_TYPE))
        if self.words["is-image"] and media_type in _IMAGE_CONFIGS and not manifest.get("artifactType"):
            self._fail("is-image")
        return manifest

    def _instance(self, index: Manifest) -> Manifest:
        """Return the manifest of an index that this host would take: its own platform's, else one without any."""
        if not self.stored:
            self._fail("parse", text=_LISTS_REFUSED)
        entries = [each for each in self._parsed(index).get("manifests") or [] if isinstance(each, dict)]
        wanted = {"architecture": self.arch, "os": "linux"}
        ours = [each for each in entries if wanted.items() <= (each.get("platform") or {}).items()]
        chosen = next(iter(ours or [each for each in entries if not each.get("platform")]), None)
        if chosen is None:
            kind = "manifest list" if index.media_type == _DOCKER_LIST else "image index"
            text = f'no image found in {kind} for architecture {quote(self.arch)}, variant "", OS "linux"'
            self._fail("instance", text=text)
        return self.artifacts.manifest(self.reference, str(chosen.get("digest") or ""))

    def _parsed(self, manifest: Manifest) -> dict[str, Any]:
        try:
            value = loads(manifest.content)
        except GoJsonFault as fault:
            self._fail("parse", text=str(fault))
        if not isinstance(value, dict):
            self._fail("parse", text=f"json: cannot unmarshal {_kind(value)} into Go value of type manifest.OCI1")
        return value

    def _layer(self, layer: Any) -> bytes:
        told = layer if isinstance(layer, dict) else {}
        digest, size = str(told.get("digest") or ""), told.get("size")
        if isinstance(size, int) and size > LIMIT + 1:
            self._fail("large", limit=LIMIT)
        if not _DIGEST.fullmatch(digest):
            self._fail("digest", text=f"invalid digest {quote(digest)}: invalid checksum digest format")
        try:
            data = self.artifacts.blob(self.reference, digest, LIMIT + 2)
        except ArtifactFault as fault:
            self._fail("blob", digest=digest, text=str(fault))
        if len(data) > LIMIT + 1:
            self._fail("large", limit=LIMIT)
        if len(data) > LIMIT and not self.stored:
            self._fail("large-when-read", limit=LIMIT)
        algorithm, _, expected = digest.partition(":")
        found = hashlib.new(algorithm, data).hexdigest()
        if found != expected:
            self._fail("mismatch", algorithm=algorithm, expected=expected, found=found)
        return data

    def _fault(self, fault: ArtifactFault) -> NoReturn:
        self._fail(fault.stage, text=str(fault), reference=fault.reference or self.reference)

    def _fail(self, what: str, *, prefixed: bool = True, **details: object) -> NoReturn:
        text = self.words[what].format(**details)
        raise PullFault(f"pull OCI artifact: {text}" if prefixed else text)


def _kind(value: object) -> str:
    names = {str: "string", list: "array", bool: "bool"}
    return "null" if value is None else names.get(type(value), "number")
