"""Image references as people write them, and what a node that never pulls knows about an image.

A reference is read as the distribution project's library reads it, which is what containerd and kubelets use:

    busybox                     docker.io/library/busybox:latest
    quay.io/a/b:1@sha256:...    quay.io/a/b@sha256:...       a digest says more than a tag, which is dropped
    localhost:5000/x            localhost:5000/x:latest

No registry is ever asked. An image's facts follow from its name and what a node file says of it, so two runs, two
nodes and a rehearsal agree about every id; its configuration is the least that runs: a search path and a shell, or
`/pause` for a pause image.
Source of the grammar: distribution/reference, regexp.go and normalize.go.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from runtimes.model import ImageFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_PATH_PART}(?:/{_PATH_PART})*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH})(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_HEX_64 = re.compile(r"[a-f0-9]{64}")
_NAME_LIMIT = 255  # of a repository, its domain not counted
_DIGEST_HEX = {"sha256": 64, "sha384": 96, "sha512": 128}

_PATH_ENV = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")  # what Go reads as an int64, if it is no larger
_INT64 = 1 << 63
_CREATED = "2024-01-01T00:00:00Z"


class Reference(msgspec.Struct, frozen=True):
    """An image reference with its defaults filled in. Of `tag` and `digest` one is empty."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository: "docker.io/library/busybox"."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    def __str__(self) -> str:
        """Its canonical spelling."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def parse(text: str) -> Reference:
    """Read a reference. Raises `BadInput` whose `what` is the library's own text."""
    if _HEX_64.fullmatch(text):
        raise BadInput(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = _split_domain(text)
    remote_name = rest.partition(":")[0]
    if remote_name != remote_name.lower():
        raise BadInput(f"invalid reference format: repository name ({remote_name}) must be lowercase")
    found = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if not found and _REFERENCE.fullmatch(f"{domain}/{rest}".lower()):
        raise BadInput("repository name must be lowercase")
    if not found:
        raise BadInput("invalid reference format")
    if len(found["path"]) > _NAME_LIMIT:
        raise BadInput(f"repository name must not be more than {_NAME_LIMIT} characters")
    digest = found["digest"] or ""
    if digest:
        _check_digest(digest)
    return Reference(found["domain"] or "", found["path"], "" if digest else found["tag"] or "latest", digest)


def normalise(text: str) -> str:
    """Return the canonical spelling of a reference. Raises `BadInput`."""
    return str(parse(text))


def look_up(described: Mapping[str, ImageFacts], text: str) -> ImageFacts:
    """Return the facts of an image: those that were `described`, by canonical reference, else those of its name.

    Raises `BadInput` where it has no such name.
    """
    found = described.get(normalise(text)) if described else None
    return image_facts(text) if found is None else found


def image_facts(text: str, user: str = "", annotations: Mapping[str, str] | None = None) -> ImageFacts:
    """Return what a node knows about an image after it was "pulled". Raises `BadInput` where it has no such name.

    The identity is that of the canonical reference: every spelling of one reference gives the same facts. `user` is in
    its configuration, of which the id is the digest, and `annotations` are in its manifest, which names that: what is
    said of either gives another image, as it does in a registry. A digest in the reference stays what it is.
    """
    reference = parse(text)
    canonical = str(reference)
    pause = reference.path.rsplit("/", 1)[-1].startswith("pause")
    in_config = f"{canonical} as {user}" if user else canonical
    in_manifest = f"{in_config} with {_said(annotations)}" if annotations else in_config
    uid, username = _user(user) if user else (65535 if pause else 0, "")
    return ImageFacts(
        id=_sha256("config", in_config),
        repo_tags=(canonical,) if reference.tag else (),
        repo_digests=(f"{reference.name}@{reference.digest or _sha256('manifest', in_manifest)}",),
        size=_size(canonical, pause=pause),
        created=_CREATED,
        user=user or ("65535:65535" if pause else ""),
        uid=uid,
        username=username,
        env=(_PATH_ENV,),
        entrypoint=("/pause",) if pause else (),
        cmd=() if pause else ("sh",),
        working_dir="/" if pause else "",
        diff_ids=(_sha256("layer", canonical),),
        annotations=dict(annotations or {}),
    )


def _user(text: str) -> tuple[int | None, str]:
    """Return what the CRI tells of the user in an image's configuration: a number, or a name. The group is left out.

    Source: getUserFromImage in pkg/cri/server/image_status.go of containerd and server/image_status.go of CRI-O.
    """
    user = text.partition(":")[0]
    number = int(user) if _NUMBER.fullmatch(user) else None
    return (None, user) if number is None or not -_INT64 <= number < _INT64 else (number, "")


def _said(annotations: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(annotations), order="deterministic").decode()


def _split_domain(text: str) -> tuple[str, str]:
    """Tell a registry from the first word of a path: it has a dot, a port or a capital, or is "localhost"."""
    first, slash, rest = text.partition("/")
    is_domain = bool(slash) and (first == "localhost" or any(mark in first for mark in ".:") or first != first.lower())
    domain, rest = (first, rest) if is_domain else ("docker.io", text)
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest


def _check_digest(digest: str) -> None:
    algorithm, _, number = digest.partition(":")
    if algorithm != algorithm.lower():
        raise BadInput("invalid checksum digest format")
    if algorithm not in _DIGEST_HEX:
        raise BadInput("unsupported digest algorithm")
    if len(number) != _DIGEST_HEX[algorithm]:
        raise BadInput("invalid checksum digest length")
    if number != number.lower():
        raise BadInput("invalid checksum digest format")


def _sha256(kind: str, canonical: str) -> str:
    return "sha256:" + hashlib.sha256(f"{kind} of {canonical}".encode()).hexdigest()


def _size(canonical: str, *, pause: bool) -> int:
    """Return a size in bytes that looks like one: 300 kB for a pause image, 1 to 64 MiB for others."""
    number = int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:4], "big")
    return 300_000 + number % 20_000 if pause else 1_048_576 + number % 66_060_288
