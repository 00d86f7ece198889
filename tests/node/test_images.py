"""Image references, and what follows from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput
from shim.images import image_facts, normalise, parse

# What github.com/distribution/reference v0.6.0 answers (ParseDockerRef): text, canonical spelling, error.
RECORDED = json.loads((Path(__file__).parent / "image_references.json").read_text())


@pytest.mark.parametrize(("text", "canonical", "error"), RECORDED)
def test_references_are_read_as_the_distribution_library_reads_them(
    text: str, canonical: str | None, error: str | None
) -> None:
    assert _answer(text) == (canonical, error)


def _answer(text: str) -> tuple[str | None, str | None]:
    try:
        return normalise(text), None
    except BadInput as fault:
        return None, fault.what


@pytest.mark.parametrize(
    ("text", "canonical", "because"),
    [
        ("busybox", "docker.io/library/busybox:latest", "the defaults"),
        ("docker.io/busybox:1", "docker.io/library/busybox:1", "the hub's own images"),
        ("localhost/oracle/busybox:1", "localhost/oracle/busybox:1", "localhost is a registry"),
        ("quay.io/a/b:1@sha256:" + "a" * 64, "quay.io/a/b@sha256:" + "a" * 64, "a digest drops the tag"),
    ],
)
def test_canonical_spelling(text: str, canonical: str, because: str) -> None:
    assert normalise(text) == canonical, because
    assert normalise(canonical) == canonical


def test_every_spelling_of_a_reference_is_one_image() -> None:
    assert image_facts("busybox") == image_facts("docker.io/library/busybox:latest")
    assert image_facts("busybox:1").id != image_facts("busybox:2").id


def test_facts_are_those_of_an_image() -> None:
    facts = image_facts("quay.io/a/b:1")
    assert facts.repo_tags == ("quay.io/a/b:1",)
    (digest,) = facts.repo_digests
    assert digest.startswith("quay.io/a/b@sha256:")
    assert facts.id.startswith("sha256:")
    assert len(facts.id) == 71
    assert digest.rpartition("@")[2] != facts.id
    assert facts.size > 0
    assert facts.cmd == ("sh",)


def test_an_image_by_digest_has_that_digest_and_no_tag() -> None:
    facts = image_facts("quay.io/a/b:1@sha256:" + "a" * 64)
    assert facts.repo_tags == ()
    assert facts.repo_digests == ("quay.io/a/b@sha256:" + "a" * 64,)


def test_a_pause_image_pauses_as_nobody_in_particular() -> None:
    facts = image_facts("registry.k8s.io/pause:3.10")
    assert (facts.entrypoint, facts.user, facts.uid) == (("/pause",), "65535:65535", 65535)


@pytest.mark.parametrize(
    ("said", "uid", "username"),
    [
        ("1000", 1000, ""),
        ("1000:2000", 1000, ""),
        ("0", 0, ""),
        ("nginx", None, "nginx"),
        ("nginx:www", None, "nginx"),
        ("root", None, "root"),
        ("0x10", None, "0x10"),
        ("9223372036854775807", 9223372036854775807, ""),
        ("9223372036854775808", None, "9223372036854775808"),
    ],
)
def test_whom_an_image_runs_as_is_a_number_or_a_name(said: str, uid: int | None, username: str) -> None:
    """What Go's strconv.ParseInt makes of the part before the colon: getUserFromImage of containerd
    (internal/cri/server/images/image_status.go) and of CRI-O (server/image_status.go).
    """
    facts = image_facts("quay.io/a/b:1", said)
    assert (facts.user, facts.uid, facts.username) == (said, uid, username)


def test_another_configuration_is_another_image_and_another_manifest_has_another_digest() -> None:
    """As the image specification has it: an id is the digest of the configuration, which the manifest names."""
    plain, as_user = image_facts("quay.io/a/b:1"), image_facts("quay.io/a/b:1", "1000")
    noted = image_facts("quay.io/a/b:1", "", {"a": "1", "b": "2"})
    assert image_facts("quay.io/a/b:1", "", {}) == plain
    assert image_facts("quay.io/a/b:1", "", {"b": "2", "a": "1"}) == noted
    assert len({plain.id, as_user.id}) == 2
    assert noted.id == plain.id
    assert len({plain.repo_digests, as_user.repo_digests, noted.repo_digests}) == 3
    by_digest = "quay.io/a/b@sha256:" + "a" * 64
    assert image_facts(by_digest, "1000", {"a": "1"}).repo_digests == (by_digest,)


@given(st.text())
def test_any_text_is_a_reference_or_bad_input(text: str) -> None:
    try:
        reference = parse(text)
    except BadInput:
        return
    assert bool(reference.tag) != bool(reference.digest)
    assert normalise(str(reference)) == str(reference)
