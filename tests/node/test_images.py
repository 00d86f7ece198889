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


@given(st.text())
def test_any_text_is_a_reference_or_bad_input(text: str) -> None:
    try:
        reference = parse(text)
    except BadInput:
        return
    assert bool(reference.tag) != bool(reference.digest)
    assert normalise(str(reference)) == str(reference)
