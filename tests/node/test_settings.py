"""Single settings of a node, by dotted path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput
from shim.nodefile import BadDocument, Document, apply_settings, changes, loads, to_dict

TEXT = """
kubelet: {version: 1.28.3}
runtime: {name: toy, version: 1.1.0}
handlers:
  old: {version: 1.0.0, handler: strict}
  old.er: {version: 1.0.0}
images:
  quay.io/a/b:1: {user: "1", annotations: {c.d: e}}
"""


@pytest.fixture(scope="module")
def document(toy: None) -> Document:
    del toy
    return loads(TEXT)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"kubelet.seccompDefault": "true"}, "kubelet.seccompDefault: false -> true"),
        ({"kubelet.version": "1.24"}, "kubelet.version: 1.28.3 -> 1.24"),
        ({"kubelet.version": '"1.24"'}, "kubelet.version: 1.28.3 -> 1.24"),
        ({"kubelet.step": "none"}, "kubelet.step: apply -> none"),
        ({"kubelet.featureGates.SeccompDefault": "true"}, "kubelet.featureGates.SeccompDefault: none -> true"),
        ({"runtime.version": "2.0.0"}, "runtime.version: 1.1.0 -> 2.0.0"),
        ({"runtime.version": "null"}, "runtime.version: 1.1.0 -> 2.0.0"),
        ({"runtime.handler": "strict"}, "runtime.handler: none -> strict"),
        ({"handlers.old.version": "1.1.0"}, "handlers.old.version: 1.0.0 -> 1.1.0"),
        ({"handlers.old.er.version": "1.1.0"}, "handlers.old.er.version: 1.0.0 -> 1.1.0"),
        ({"handlers.crio-1.36.version": "1.0.0"}, "handlers.crio-1.36.name: none -> toy"),
        ({"handlers.crio-1.36.version": "1.0.0"}, "handlers.crio-1.36.version: none -> 1.0.0"),
        ({"handlers.old": "null"}, "handlers.old.version: 1.0.0 -> none"),
        ({"handlers": "null"}, "handlers.old.er.version: 1.0.0 -> none"),
        ({"handlers.old.est.version": "1.1.0"}, "handlers.old.est.version: none -> 1.1.0"),
        ({"images.quay.io/a/b:1.user": "1000"}, "images.quay.io/a/b:1.user: 1 -> 1000"),
        ({"images.quay.io/a/b:1.user": "null"}, "images.quay.io/a/b:1.user: 1 -> none"),
        ({"images.quay.io/a/b:1": "null"}, "images.quay.io/a/b:1.user: 1 -> none"),
        ({"images.quay.io/a/b:1.annotations.c.d": "f"}, "images.quay.io/a/b:1.annotations.c.d: e -> f"),
        ({"images.quay.io/a/b:1.annotations.x.user": "f"}, "images.quay.io/a/b:1.annotations.x.user: none -> f"),
        ({"images.quay.io/a/b:1.2.user": "app"}, "images.quay.io/a/b:1.2.user: none -> app"),
        ({"images.web.annotations.c.user": "f"}, "images.web.annotations.c.user: none -> f"),
        ({"images.web": "{user: a}"}, "images.web.user: none -> a"),
        ({"host.capabilities": "[CAP_KILL, CAP_CHOWN]"}, "-> [CAP_KILL, CAP_CHOWN]"),
        ({"host.kernel": "4.4"}, "-> 4.4"),
        ({"host": "{cgroup: 1, hostname: n}"}, "host.hostname:"),
    ],
)
def test_a_setting_changes_what_it_names(document: Document, settings: dict[str, str], line: str) -> None:
    lines = changes(document, apply_settings(document, settings))
    assert any(line in each for each in lines), lines


def test_nothing_else_changes(document: Document) -> None:
    changed = apply_settings(document, {"kubelet.seccompDefault": "true"})
    assert changes(document, changed) == ("kubelet.seccompDefault: false -> true",)
    back = apply_settings(changed, {"kubelet.seccompDefault": "null"})
    assert to_dict(back) == to_dict(document)
    assert changes(document, back) == ()


def test_null_takes_back_what_is_named_by_the_user_too(document: Document) -> None:
    changed = apply_settings(document, {"kubelet.featureGates.SeccompDefault": "true"})
    back = apply_settings(changed, {"kubelet.featureGates.SeccompDefault": "null"})
    assert changes(document, back) == ()


@pytest.mark.parametrize(
    ("path", "value", "answer"),
    [
        ("kubelet.seccompdefault", "true", "there is no such setting (did you mean kubelet.seccompDefault?)"),
        ("kubelet.seccompDefault.x", "true", "there is no such setting (did you mean kubelet.seccompDefault?)"),
        ("kubelet.seccompDefault", "1", 'is a whole number "1", not true or false'),
        ("kubelet.seccompDefault", "treu", 'is text "treu", not true or false'),
        ("kubelet.version", "1.99.0", "kubelet 1.99.0 is not a known release (the nearest known: 1.36.3)"),
        ("kubelet.step", "", "is empty (null takes a setting back to its default)"),
        ("kubelet.step", "[", "is not YAML: did not find expected node content"),
        ("kubelet.step", "maybe", '"maybe" is not one of the values it may have (one of apply, none)'),
        ("runtime.name", "toyy", "there is no runtime 'toyy' (one of containerd, cri-o, toy)"),
        (
            "runtime.config",
            "toy.json",
            "toy.json is relative, and this document came without a file (an absolute path)",
        ),
        ("handlers.old", "1.0.0", 'is text "1.0.0", not a mapping'),
        ("handlers.old.version", "3.0.0", "toy 3.0.0 is not a known release (the nearest known: 2.1.0-beta.1)"),
        ("images.quay.io/a/b:1.user", "[a]", 'is a list, not text (for instance "1000")'),
        ("host.capabilities", "CAP_KILL", 'is text "CAP_KILL", not a list'),
    ],
)
def test_what_is_wrong_is_told_with_the_setting(document: Document, path: str, value: str, answer: str) -> None:
    with pytest.raises(BadDocument) as caught:
        apply_settings(document, {path: value})
    assert str(caught.value) == f"{path}: {answer}"


def test_an_image_is_named_as_one_can_be_and_once(document: Document) -> None:
    with pytest.raises(BadDocument) as caught:
        apply_settings(document, {"images.A.user": "a", "images.b.user": "a", "images.docker.io/b.user": "a"})
    assert str(caught.value) == (
        "images.A: A names no image: invalid reference format: repository name (library/A) must be lowercase"
        " (such as quay.io/a/b:1.2)\n"
        "images.docker.io/b: is the same image as b, which is there, too (leave one)"
    )
    with pytest.raises(BadDocument, match=r"^images\.quay\.io/a/b:1\.usr: there is no such setting"):
        apply_settings(document, {"images.quay.io/a/b:1.usr": "a"})


def test_all_that_is_wrong_is_told_and_nothing_is_changed(document: Document) -> None:
    before = to_dict(document)
    with pytest.raises(BadDocument) as caught:
        apply_settings(document, {"kubelet.seccompDefault": "true", "kubelet.x": "1", "": "2"})
    assert len(caught.value.faults) == 2
    assert to_dict(document) == before


@given(
    st.dictionaries(
        st.one_of(
            st.text(max_size=12),
            st.lists(st.sampled_from("host kubelet runtime handlers version old er x".split()), max_size=4).map(
                ".".join
            ),
        ),
        st.one_of(st.text(max_size=8), st.sampled_from(["true", "null", "1.0.0", "{}", "[]"])),
        max_size=3,
    )
)
def test_any_settings_are_taken_or_bad_input(document: Document, settings: dict[str, str]) -> None:
    try:
        changed = apply_settings(document, settings)
    except BadInput:
        return
    value: dict[str, Any] = to_dict(changed)
    assert to_dict(apply_settings(changed, {})) == value
