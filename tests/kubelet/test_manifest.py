"""Reading manifests: what holds pods, and what is wrong with a file that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput
from shim.kubelet import manifest, yamlfile
from shim.kubelet.pod import Origin

HEAD = "apiVersion: v1\nkind: Pod\n"
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}
SERVICE = {"apiVersion": "v1", "kind": "Service", "spec": {"template": 5, "containers": "x"}}

# What is wrong, the file, the sentence.
BAD: list[tuple[str, str | bytes, str]] = [
    ("nothing in it", "", "f: there is nothing in it"),
    ("only comments", "# nothing\n---\n", "f: there is nothing in it"),
    ("not a mapping", "hello", "f:1: it is no manifest (a mapping with apiVersion and kind)"),
    ("a bare list", "- kind: Pod\n", "f:1: it is no manifest (a mapping with apiVersion and kind)"),
    ("not YAML", "kind: [Pod\n", "f:2:1: it is no YAML: did not find expected ',' or ']'"),
    ("not JSON", '{"kind": "Pod",\n "apiVersion": v1}', "f:2:16: it is no JSON: expecting value"),
    ("JSON that ends early", '{"kind": "Pod",', "f:1:16: it is no JSON: expecting property name"),
    ("broken after a good one", json.dumps(POD) + "\n{oops", "f:2:2: it is no JSON: expecting property name"),
    ("a tab", HEAD + "spec:\n\tcontainers: []\n", "f:4:1: a tab stands where YAML wants spaces (spaces)"),
    ("no UTF-8", b"apiVersion: v1\nkind: \xff\n", "f:2: byte 0xff is no UTF-8 (a file in UTF-8)"),
    ("a control character", "kind: \x00\n", "f: it is no YAML: control characters are not allowed"),
    ("no kind", "apiVersion: v1\n", "f:1: kind: kind is missing"),
    ("no version", "kind: Pod\n", "f:1: apiVersion: apiVersion is missing"),
    ("a Pod of nowhere", "apiVersion: apps/v1\nkind: Pod\n", "f:1: apiVersion: there is no Pod in 'apps/v1' (v1)"),
    ("only other kinds", "apiVersion: v1\nkind: Service\n", "f: there is no pod in it, only Service (Pod, Deployment"),
    (
        "a key that stands twice",
        HEAD + "kind: Pod\n",
        "f:3:1: the key 'kind' stands twice in one mapping, first on line 2",
    ),
    (
        "a key that stands twice, in one line",
        "{apiVersion: v1, kind: Pod, kind: Pod}",
        "f:1:29: the key 'kind' stands twice in one mapping, first on line 1",
    ),
    ("a list as a key", HEAD + "? [a]\n: b\n", "f:3:3: a key has to be text"),
    ("an alias of nothing", HEAD + "metadata: *a\n", "f:3:11: the alias *a stands before its anchor is complete"),
    ("an alias of itself", HEAD + "metadata: &a {x: *a}\n", "f:3:18: the alias *a stands before its anchor"),
    ("a tag of nobody", HEAD + "metadata: !x a\n", "f:3:11: 'a' is no !x"),
    ("a number that is none", HEAD + "x: !!int a\n", "f:3:4: 'a' is no tag:yaml.org,2002:int"),
    (
        "a name that is a number",
        HEAD + "spec:\n  containers:\n  - image: x\n    name: 5\n",
        "f:6: spec.containers[0].name: text is expected, not a whole number",
    ),
    (
        "a name that is a truth value",
        HEAD + "metadata: {name: on}\n",
        "f:3: metadata.name: text is expected, not true or false",
    ),
    (
        "containers that are no list",
        HEAD + "spec: {containers: x}\n",
        "f:3: spec.containers: a list is expected, not text",
    ),
    (
        "an annotation that is a number",
        HEAD + "metadata:\n  annotations:\n    a: 1\n",
        "f:4: metadata.annotations: text is expected, not a whole number",
    ),
    (
        "a truth value that is text",
        HEAD + "spec:\n  containers:\n  - securityContext: {privileged: 'true'}\n",
        "f:5: spec.containers[0].securityContext.privileged: true or false is expected, not text",
    ),
    (
        "a wrong one in the second document",
        HEAD + "metadata: {name: a}\n---\n" + HEAD + "metadata: {name: [b]}\n",
        "f:7: metadata.name: text is expected, not a list",
    ),
    (
        "a wrong one in a list",
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [SERVICE, POD, {**POD, "spec": 5}]}, indent=1),
        "f:33: items[2].spec: a mapping is expected, not a whole number",
    ),
    (
        "an item without a kind",
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [{"metadata": {}}]}),
        "f: items[0].apiVersion: apiVersion is missing",
    ),
    (
        "a list in a list",
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "PodList"}]}),
        "f: items[0].kind: a list stands in a list",
    ),
    (
        "a kind that is a number, in JSON",
        '{"apiVersion":"v1","kind":5}',
        "f:1: kind: text is expected, not a whole number",
    ),
    ("another kind of any shape, in JSON", json.dumps(SERVICE), "f: there is no pod in it, only Service"),
    (
        "items that are no list, in JSON",
        '{"apiVersion":"v1","kind":"List","items":5}',
        "f:1: items: a list is expected, not a whole number",
    ),
    (
        "an item that is no object, in JSON",
        '{"apiVersion":"v1","kind":"List","items":[5]}',
        "f:1: items[0]: a mapping is expected, not a whole number",
    ),
    (
        "an item whose kind is a number, in JSON",
        '{"apiVersion":"v1","kind":"List","items":[{"kind":5}]}',
        "f:1: items[0].kind: text is expected, not a whole number",
    ),
    ("items that are no list", "apiVersion: v1\nkind: List\nitems: 5\n", "f:3: items: a list is expected"),
    ("an item that is no mapping", "apiVersion: v1\nkind: List\nitems: [5]\n", "f:3: items[0]: a mapping is expected"),
    (
        "a number that is not whole",
        HEAD + "spec: {terminationGracePeriodSeconds: 1.5}\n",
        "f:3: spec.terminationGracePeriodSeconds: a whole number is expected, not a number",
    ),
    ("flow lists without end", "a: " + "[" * 100_000, "f:1:503: it nests more than 500 deep"),
    ("flow mappings without end", "{a: " * 100_000, "f:1:2001: it nests more than 500 deep"),
    ("block lists without end", "- " * 100_000, "f:1:1001: it nests more than 500 deep"),
    ("JSON without end", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "f: it nests too deep"),
]


@pytest.mark.parametrize(("why", "text", "words"), BAD, ids=[row[0] for row in BAD])
def test_a_file_that_is_wrong_is_told_so_with_its_line_and_field(why: str, text: str | bytes, words: str) -> None:
    with pytest.raises(BadInput) as fault:
        manifest.pods(text, "f")
    assert str(fault.value).startswith(words), why


def _in(*path: str, **more: Any) -> dict[str, Any]:
    """A workload whose pod template stands at a path."""
    value: Any = {"metadata": {"labels": {"l": "1"}}, "spec": {"containers": [{"name": "c"}]}}
    for name in reversed(path):
        value = {name: value}
    return {"metadata": {"name": "w", "namespace": "ns"}, **more, **value}


@pytest.mark.parametrize(
    ("thing", "name", "template"),
    [
        (_in("spec", "template", apiVersion="apps/v1", kind="Deployment"), "ns/w", "spec.template"),
        (_in("spec", "template", apiVersion="apps/v1", kind="ReplicaSet"), "ns/w", "spec.template"),
        (_in("spec", "template", apiVersion="apps/v1", kind="DaemonSet"), "ns/w", "spec.template"),
        (_in("spec", "template", apiVersion="apps/v1", kind="StatefulSet"), "ns/w-0", "spec.template"),
        (_in("spec", "template", apiVersion="v1", kind="ReplicationController"), "ns/w", "spec.template"),
        (_in("spec", "template", apiVersion="batch/v1", kind="Job"), "ns/w", "spec.template"),
        (
            _in("spec", "jobTemplate", "spec", "template", apiVersion="batch/v1", kind="CronJob"),
            "ns/w",
            "spec.jobTemplate.spec.template",
        ),
        (_in("template", apiVersion="v1", kind="PodTemplate"), "ns/w", "template"),
    ],
)
@pytest.mark.parametrize("form", [json.dumps, yaml.safe_dump])
def test_a_workload_holds_a_pod(form: Any, thing: dict[str, Any], name: str, template: str) -> None:
    (pod,) = manifest.pods(form(thing), "f")
    assert (str(pod), pod.origin.template, pod.origin.kind) == (name, template, thing["kind"])
    assert pod.labels == {"l": "1"}
    assert [each.name for each in pod.spec.containers or ()] == ["c"]


@pytest.mark.parametrize("form", [json.dumps, yaml.safe_dump])
@pytest.mark.parametrize("kind", ["List", "PodList"])
def test_a_list_holds_pods_and_other_things(form: Any, kind: str) -> None:
    items = [SERVICE, POD] if kind == "List" else [POD, {"metadata": {"name": "without-kind"}}]
    found = manifest.pods(form({"apiVersion": "v1", "kind": kind, "items": items}), "f")
    expected = ["default/a"] if kind == "List" else ["default/a", "default/without-kind"]
    assert [str(pod) for pod in found] == expected
    assert found[0].origin.path == ("items[1]" if kind == "List" else "items[0]")


def test_a_list_of_nothing_is_no_mistake() -> None:
    assert manifest.pods('{"apiVersion":"v1","kind":"List","items":[]}', "f") == []


@pytest.mark.parametrize(
    "text",
    [
        "---\n" + HEAD + "metadata: {name: a}\n---\n# nothing\n---\n" + yaml.safe_dump(SERVICE) + "---\n" + HEAD,
        json.dumps(POD) + "\n" + json.dumps(SERVICE) + json.dumps(POD),
        "  \n" + json.dumps(POD) + "\n\n" + json.dumps(POD, indent=2) + "\n",
    ],
    ids=["yaml", "json", "json, white space around"],
)
def test_a_file_holds_several_documents(text: str) -> None:
    assert len(manifest.pods(text, "f")) == 2


def test_a_byte_order_mark_is_no_part_of_a_file() -> None:
    assert manifest.pods(b"\xef\xbb\xbf" + HEAD.encode(), "f")
    assert manifest.pods("\ufeff" + json.dumps(POD), "f")


def test_null_is_as_good_as_absent() -> None:
    text = '{"apiVersion":"v1","kind":"Pod","metadata":null,"spec":{"containers":[{"name":"c","securityContext":null}],'
    (pod,) = manifest.pods(text + '"securityContext":{"seccompProfile":{"type":null}}}}', "f")
    assert pod.spec.profile is not None
    assert pod.spec.profile.type is None


def test_of_a_key_that_stands_twice_in_json_the_last_counts() -> None:
    (pod,) = manifest.pods('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","name":"b"}}', "f")
    assert pod.name == "b"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *((word, True) for word in ("y", "Y", "yes", "On", "TRUE", "true")),
        *((word, False) for word in ("n", "N", "No", "OFF", "false")),
        *((word, None) for word in ("~", "null", "NULL")),
        *(
            (word, word)
            for word in ("yES", "22:22", "1:30:00", "2024-01-01", "1.2.3", "0x", "1_000.5.1", "-", "+", "e1")
        ),
        ("0755", 493),
        ("0o17", 15),
        ("0b101", 5),
        ("0x1F", 31),
        ("-1_000", -1000),
        ("0_", 0),
        ("0x_", "0x_"),
        ("0b_", "0b_"),
        ("1_0.5", 10.5),
        ("08", 8.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("9" * 70, 1e70),
        ("9" * 500, "9" * 500),
    ],
)
def test_plain_words_are_what_kubernetes_takes_them_for(word: str, value: Any) -> None:
    found = yamlfile.plain(word)
    assert (type(found), found) == (type(value), pytest.approx(value) if isinstance(value, float) else value)


def test_quoted_words_are_text_and_merges_are_merged() -> None:
    text = "a: &a {x: !!int '1', 5: w, ~: n}\n? *k\n"
    with pytest.raises(BadInput, match="the alias"):
        list(yamlfile.documents(text, "f"))
    ((value, _),) = yamlfile.documents("a: &k !!int 7\n5: w\n*k : x\n~: q\n", "f")
    assert value == {"a": 7, "5": "w", "7": "x", "~": "q"}
    text = "a: &a {x: '1', w: \"yes\", k: !!str 5}\nb: {<<: *a, w: 2}\nc: {<<: [*a, {z: 3}], x: 4}\n'<<': q\n"
    ((value, line),) = yamlfile.documents(text, "f")
    assert line == 1
    assert value["a"] == {"x": "1", "w": "yes", "k": "5"}
    assert value["b"] == {"x": "1", "w": 2, "k": "5"}
    assert value["c"] == {"x": 4, "w": "yes", "k": "5", "z": 3}
    assert value["<<"] == "q"


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text("abc:- #'\"\n\té", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abyn1~-", max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(trees)
def test_what_a_yaml_writer_writes_is_read_back(tree: Any) -> None:
    text = yaml.safe_dump({"tree": tree}, allow_unicode=True)
    # PyYAML does not quote what only Kubernetes' reader takes for truth values.
    expected = json.loads(json.dumps({"tree": tree}))
    ((value, _line),) = yamlfile.documents(text, "f")
    assert _without_truth(value) == _without_truth(expected)


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_whatever_is_read_is_pods_or_bad_input(text: str | bytes) -> None:
    try:
        found = manifest.pods(text, "f")
    except BadInput as fault:
        assert str(fault).startswith("f:")  # noqa: PT017  what else may be raised is the point
    else:
        assert isinstance(found, list)


def test_lines_are_found_when_they_are_asked_for() -> None:
    text = "# a\n---\n" + HEAD + "spec:\n  containers:\n  - name: a\n  - name: b\n    image: c\n"
    (pod,) = manifest.pods(text, "f")
    assert pod.origin == Origin("f", kind="Pod", document=1, line=3)
    places = ["", "spec.containers[1].image", "spec.containers[1].args", "spec.containers[7]", "status"]
    assert [manifest.line(text, "f", pod.origin, place) for place in places] == [3, 9, 8, 6, 3]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}, indent=1)
    (pod,) = manifest.pods(listed, "f")
    assert manifest.line(listed, "f", pod.origin, "spec.containers[0]") == 13


def _without_truth(value: Any) -> Any:
    """Undo what stands for truth in one of the two readers only: y and n."""
    if isinstance(value, dict):
        return {_word(key): _without_truth(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_truth(each) for each in value]
    return _word(value)


def _word(value: Any) -> Any:
    if isinstance(value, bool):
        return "truth" if value else "untruth"
    if isinstance(value, str) and value in ("y", "n", "true", "false"):
        return "truth" if value in ("y", "true") else "untruth"
    return value
