"""Images: what names one has, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtimes.errors import BadInput, Refused
from runtimes.request import ImageSpec
from shim.engine.engine import Engine
from shim.engine.store import Store
from shim.images import image_facts, normalise
from tests.engine.fakes import ToyPersona, box, pod, toy_engine, toy_node


@pytest.fixture
def engine() -> Engine:
    return toy_engine()


def named(name: str) -> ImageSpec:
    return ImageSpec(image=name)


def test_the_pause_images_are_there_from_the_start_and_pinned(engine: Engine) -> None:
    assert {tag for image in engine.images() for tag in image.repo_tags} == {
        "registry.k8s.io/pause:alpha",
        "registry.k8s.io/pause:beta",
    }
    assert all(image.pinned for image in engine.images())
    assert engine.images()[0].uid is not None


def test_another_node_pins_its_own_pause_image(engine: Engine) -> None:
    engine.node = toy_node(default=ToyPersona("gamma"))
    pinned = [image.repo_tags for image in engine.images() if image.pinned]
    assert pinned == [("registry.k8s.io/pause:gamma",)]


def test_a_pause_image_that_was_removed_comes_back_with_the_next_sandbox(engine: Engine) -> None:
    engine.remove_image(named("registry.k8s.io/pause:alpha"))
    assert engine.image_status(named("registry.k8s.io/pause:alpha")).image is None
    engine.run_sandbox(pod())
    assert engine.image_status(named("registry.k8s.io/pause:alpha")).image is not None


@pytest.mark.parametrize(
    "name",
    [
        "busybox",
        "busybox:latest",
        "library/busybox",
        "docker.io/busybox",
        "docker.io/library/busybox:latest",
        "index.docker.io/library/busybox",
    ],
)
def test_every_spelling_of_a_reference_is_the_same_image(engine: Engine, name: str) -> None:
    ref = engine.pull_image(named("busybox"))
    assert engine.pull_image(named(name)) == ref
    assert len(engine.images()) == 3
    status = engine.image_status(named(name)).image
    assert status is not None
    assert status.repo_tags == ("docker.io/library/busybox:latest",)
    assert (status.size > 0, status.pinned, status.uid, status.username) == (True, False, None, "")
    assert [image.id for image in engine.images(named(name))] == [ref]


def test_the_same_name_is_the_same_image_on_every_node() -> None:
    refs = {toy_engine().pull_image(named("quay.io/a/b:1")) for _ in range(2)}
    assert len(refs) == 1
    assert refs != {toy_engine().pull_image(named("quay.io/a/b:2"))}


def test_an_image_is_found_by_its_id_any_unique_prefix_of_it_and_its_digest(engine: Engine) -> None:
    ref = engine.pull_image(named("busybox"))
    image = engine.images(named("busybox"))[0]
    digits = ref.removeprefix("sha256:")
    for name in (ref, digits, digits[:12], f"sha256:{digits[:12]}", image.repo_digests[0]):
        assert engine.image_status(named(name)).image == image, name


@pytest.mark.parametrize(
    "name", ["absent", "quay.io/x/y:1", "sha256:" + "0" * 64, "0" * 64, "NO", "a b", "?", "x" * 300_000]
)
def test_what_is_not_there_is_no_error(engine: Engine, name: str) -> None:
    assert engine.image_status(named(name), verbose=True).image is None
    assert engine.images(named(name)) == []
    engine.remove_image(named(name))


def test_a_prefix_of_several_ids_is_an_error(engine: Engine) -> None:
    seen = {}
    for number in range(20):
        ref = engine.pull_image(named(f"busybox:{number}")).removeprefix("sha256:")
        if ref[0] in seen:
            break
        seen[ref[0]] = ref
    with pytest.raises(BadInput, match=f"multiple IDs found with provided prefix: {ref[0]}"):
        engine.image_status(named(f"sha256:{ref[0]}"))


@pytest.mark.parametrize("tag_first", [True, False])
def test_tags_and_digests_of_one_manifest_are_names_of_one_image(engine: Engine, tag_first: bool) -> None:
    digest = next(iter(_digests("busybox:1")))
    names = ["busybox:1", digest]
    refs = {engine.pull_image(named(name)) for name in (names if tag_first else names[::-1])}
    assert len(refs) == 1
    image = engine.image_status(named(digest)).image
    assert image is not None
    assert image.repo_tags == ("docker.io/library/busybox:1",)
    engine.remove_image(named(digest if tag_first else "busybox:1"))
    assert engine.images(named("busybox:1")) == engine.images(named(digest)) == engine.images(named(image.id)) == []


def test_an_image_pulled_by_digest_has_no_tag(engine: Engine) -> None:
    engine.pull_image(named("quay.io/a/b:1@sha256:" + "a" * 64))
    image = engine.image_status(named("quay.io/a/b@sha256:" + "a" * 64)).image
    assert image is not None
    assert (image.repo_tags, image.repo_digests) == ((), ("quay.io/a/b@sha256:" + "a" * 64,))


def test_a_container_names_its_image_as_it_likes(engine: Engine) -> None:
    ref = engine.pull_image(named("busybox"))
    sandbox = engine.run_sandbox(pod())
    for number, name in enumerate((ref, ref[7:20], "busybox", "docker.io/library/busybox")):
        made = engine.create_container(sandbox, box(f"b{number}", image=name))
        status = engine.container_status(made).status
        assert (status.image_id, status.image.image) == (ref, "docker.io/library/busybox:latest"), name
    engine.remove_image(named(ref))
    assert engine.container_status(made).status.image_id == ref  # what exists needs it no more


def test_no_name_at_all(engine: Engine) -> None:
    for spec in (None, ImageSpec()):
        with pytest.raises(Refused, match=r"PullImage\.no-image"):
            engine.pull_image(spec)
        assert engine.image_status(spec).image is None
        engine.remove_image(spec)
        assert len(engine.images(spec)) == 2


@pytest.mark.parametrize("name", ["NO", "a b", "busybox:", "-", "busybox@sha256:1", "0" * 64])
def test_what_is_no_reference_cannot_be_pulled(engine: Engine, name: str) -> None:
    with pytest.raises(BadInput):
        engine.pull_image(named(name))
    assert len(engine.images()) == 2


def described(**images: Any) -> Any:
    """Return the toy node with images of which something is said, by name."""
    facts = {normalise(name): image_facts(name, **said) for name, said in images.items()}
    return msgspec.structs.replace(toy_node(), images=facts)


def test_what_is_said_of_an_image_counts_when_it_is_pulled(engine: Engine) -> None:
    plain = engine.pull_image(named("web"))
    engine.node = described(web={"user": "1000:7"})
    assert engine.image_status(named("web")).image == engine.images(named(plain))[0]
    ref = engine.pull_image(named("docker.io/web:latest"))
    image = engine.image_status(named("web")).image
    assert image is not None
    assert image.uid is not None
    assert (image.id, image.uid.value, image.username) == (ref, 1000, "")
    assert ref != plain
    engine.node = described(web={"user": "nginx"})
    engine.pull_image(named("web"))
    image = engine.image_status(named("web")).image
    assert image is not None
    assert (image.uid, image.username) == (None, "nginx")


def test_a_tag_goes_over_to_what_is_pulled_and_what_was_there_keeps_its_digest(engine: Engine, tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    engine = toy_engine(store)
    old = engine.pull_image(named("web"))
    (digest,) = engine.images(named(old))[0].repo_digests
    engine.node = described(web={"user": "1000"})
    new = engine.pull_image(named("web"))
    engine.close()
    for each in (engine, toy_engine(Store.open(tmp_path))):
        (before,), (after,) = each.images(named(old)), each.images(named(new))
        assert (before.repo_tags, before.repo_digests) == ((), (digest,))
        assert after.repo_tags == ("docker.io/library/web:latest",)
        assert each.images(named("web")) == [after]
        assert each.images(named(digest)) == [before]
    each.close()


def test_another_manifest_of_the_same_configuration_is_another_digest_of_one_image(engine: Engine) -> None:
    old = engine.pull_image(named("web"))
    (digest,) = engine.images(named(old))[0].repo_digests
    engine.node = described(web={"annotations": {"a": "b"}})
    assert engine.pull_image(named("web")) == old
    (image,) = engine.images(named("web"))
    assert image.repo_tags == ("docker.io/library/web:latest",)
    assert (len(image.repo_digests), image.repo_digests[1]) == (2, digest)


def test_verbose_info_is_the_runtimes(engine: Engine) -> None:
    engine.pull_image(named("busybox"))
    assert engine.image_status(named("busybox")).info == {}
    info = engine.image_status(named("busybox"), verbose=True).info
    assert json.loads(info["info"]) == {"imageSpec": {"config": {"Cmd": ["sh"]}}}


def test_the_file_system_holds_what_the_images_take(engine: Engine) -> None:
    (before,) = engine.fs_info().image_filesystems
    engine.pull_image(named("busybox"))
    (after,) = engine.fs_info().image_filesystems
    size = engine.images(named("busybox"))[0].size
    assert before.used_bytes
    assert after.used_bytes
    assert after.used_bytes.value - before.used_bytes.value == size
    assert after.fs_id
    assert after.fs_id.mountpoint == "/"


def _digests(name: str) -> tuple[str, ...]:
    engine = toy_engine()
    engine.pull_image(named(name))
    return engine.images(named(name))[0].repo_digests
