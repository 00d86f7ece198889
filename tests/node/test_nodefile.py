"""The node file: what is read, what is refused and in which words, and that its schema says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.errors import BadInput, CapacityExceeded, Refused
from shim import nodefile
from shim.nodefile import BadDocument, load, loads, open_node, schema, to_dict, to_yaml

VALIDATOR = jsonschema.Draft202012Validator(schema())

TABLES = yaml.safe_load((Path(__file__).parent / "wrong_node_files.yaml").read_text())

WHOLE = """\
host:
  arch: arm64
  kernel: 5.10.0-28-cloud
  seccomp: true
  root: /
  cgroup: 2
  hostname: node-7
  capabilities:
    [CAP_CHOWN, CAP_KILL]
kubelet:
  version: 1.24.17
  seccompDefault: true
  featureGates:
    SeccompDefault: true
  step: apply
runtime:
  name: toy
  version: 1.1.0
  config: /etc/toy.json
  handler: strict
handlers:
  crio-1.36:
    name: toy
    version: 2.0.0
images:
  "quay.io/shop/web:1.2":
    annotations:
      seccomp-profile.kubernetes.cri-o.io: "quay.io/crio/seccomp:v2"
    user: "1000"
"""


def test_a_whole_document() -> None:
    document = loads(WHOLE)
    assert document.host.capabilities == ("CAP_CHOWN", "CAP_KILL")
    assert document.kubelet.seccomp_default is True
    assert document.handlers["crio-1.36"].version == "2.0.0"
    assert document.images["quay.io/shop/web:1.2"].user == "1000"
    assert to_yaml(document) == WHOLE


def test_json_is_read_too_with_tabs_as_json_has_them() -> None:
    text = json.dumps(yaml.safe_load(WHOLE), indent="\t")
    assert to_dict(loads(text)) == to_dict(loads(WHOLE))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "host:\nkubelet:\nruntime:\n  name: toy\nhandlers:\nimages:\n",
        "runtime: {name: toy}\nimages: {a: , 'b:1': {annotations: , user: ~}, c: {annotations: {d: ''}}}",
        "runtime: {name: toy, version: null, config: ~}",
        "runtime: {name: toy}\nhandlers: {kata: {handler: strict}, empty: }",
        "# only words\nruntime: {name: toy, version: v1.1.0}",
        "runtime: {name: toy, version: 1.1.0~deb12u1}",
        "runtime: {name: toy}\nkubelet: {version: '1.28', seccompDefault: yes}",
        "\ufeffruntime: {name: toy}",
        "runtime: &a {name: toy}\nhandlers: {b: *a}",
        "runtime: {name: toy}\nhost: {kernel: '6.1', capabilities: []}",
    ],
)
def test_is_accepted_and_meets_the_schema(text: str) -> None:
    document = loads(text.encode())
    VALIDATOR.validate(yaml.safe_load(text.removeprefix("\ufeff")))
    VALIDATOR.validate(to_dict(document))
    VALIDATOR.validate(to_dict(document, full=True))


@pytest.mark.parametrize("row", TABLES["wrong"], ids=lambda row: row["text"])
def test_what_is_wrong_is_told_with_its_place(row: dict[str, Any]) -> None:
    with pytest.raises(BadDocument) as caught:
        loads(row["text"], "n.yaml")
    assert str(caught.value) == row["answer"]
    if row["schema"]:
        assert list(VALIDATOR.iter_errors(yaml.safe_load(row["text"])))


# What is no document at all.
BROKEN: list[tuple[bytes, str]] = [
    (b"", "n.yaml: is empty (a node file holds host, kubelet, runtime, handlers and images, each of which may be "),
    (b"# nothing\n", "n.yaml: is empty"),
    (b"\thost: {}", "n.yaml:1:1: is not YAML: a tab stands where only spaces may (indent with spaces)"),
    (b"host:\n\tarch: amd64", "n.yaml:2:1: is not YAML: a tab stands where only spaces may (indent with spaces)"),
    (b"host: {arch: amd64\n", "n.yaml:2:1: is not YAML: did not find expected ',' or '}'"),
    (b"host: 'a", "n.yaml:1:9: is not YAML: found unexpected end of stream"),
    (b"host: a: b", "n.yaml:1:8: is not YAML: mapping values are not allowed in this context"),
    (b"host: *a", "n.yaml:1:7: is not YAML: found undefined alias"),
    (b"{}\n---\n{}\n", "n.yaml:2:1: holds more than one document (one document in a file)"),
    (b"host:\n  arch: \xff", "n.yaml:2:9: byte 0xff is not UTF-8 (save the file as UTF-8)"),
    ("host:\n  arch: ä".encode("utf-16"), "n.yaml:1:1: byte 0xff is not UTF-8"),
    (b"host: \x00", "n.yaml:1:7: character U+0000 has no place in YAML"),
    (b"[" * 100_000, "n.yaml:1:99: is nested more than 100 deep"),
    (b"a:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 200)), "n.yaml:99:99: is nested more than 100 deep"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "answer"), BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_document(text: bytes, answer: str) -> None:
    with pytest.raises(BadInput) as caught:
        loads(text, "n.yaml")
    assert str(caught.value).startswith(answer)


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    text = "runtime: {name: toy, version: 0.1.0}\nhost:\n  arch: x\n  arhc: amd64\nkubelet: {version: 9.9.9}\n"
    with pytest.raises(BadDocument) as caught:
        loads(text, "n.yaml")
    fields = [fault.field for fault in caught.value.faults]
    assert fields == ["runtime.version", "host.arch", "host.arhc", "kubelet.version"]
    assert str(caught.value).count("\n") == 3
    assert (caught.value.line, caught.value.field) == (1, "runtime.version")


def test_a_document_that_is_too_large() -> None:
    with pytest.raises(CapacityExceeded, match=r"n.yaml is larger than 1048576 bytes"):
        loads(b"#" * 2**20 + b"\n", "n.yaml")


# Files.


def test_paths_start_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "toy.json").write_text('{"handlers": ["own"]}')
    file = tmp_path / "node.yaml"
    file.write_text("host: {root: ./root}\nruntime: {name: toy, config: toy.json}\n")
    document = load(str(file))
    assert document.host.root == str(tmp_path / "root")
    assert document.runtime.config == f"file://{tmp_path}/toy.json"
    node = open_node(document)
    assert node.default.runtime.handlers == ("own",)
    # What was read can be kept, and sent to a server that runs elsewhere.
    again = loads(to_yaml(document))
    assert to_dict(again) == to_dict(document)
    assert open_node(again).default.runtime.handlers == ("own",)


def test_an_absolute_configuration_is_the_nodes_own(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/toy.json").write_text('{"handlers": ["inside"]}')
    node = open_node(loads(f"host: {{root: {tmp_path}/root}}\nruntime: {{name: toy, config: /etc/toy.json}}"))
    assert node.default.runtime.handlers == ("inside",)


@pytest.mark.parametrize("row", TABLES["opened"], ids=lambda row: row["text"])
def test_what_is_only_seen_when_the_node_is_opened(tmp_path: Path, row: dict[str, str]) -> None:
    with pytest.raises(BadInput) as caught:
        open_node(loads(row["text"], "n.yaml", base=str(tmp_path)))
    assert str(caught.value) == row["answer"].replace("BASE", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (
            "kubelet: {version: 1.22.0, seccompDefault: true}\nruntime: {name: toy}",
            "kubelet",
            "the SeccompDefault feature gate must be enabled in order to use the SeccompDefault configuration",
        ),
        ("runtime: {name: toy, config: toy.json}", "runtime", "toy will not"),
    ],
)
def test_a_component_that_refuses_to_start_does_so_in_its_own_words(
    tmp_path: Path, text: str, where: str, words: str
) -> None:
    (tmp_path / "toy.json").write_text('{"refuse": "toy will not"}')
    with pytest.raises(Refused) as caught:
        open_node(loads(text, base=str(tmp_path)))
    assert caught.value.where == where
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("name", "because"), [("gone.yaml", "No such file or directory"), ("", "Is a directory"), ("a\0b", "null byte")]
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, because: str) -> None:
    with pytest.raises(BadInput, match=f"cannot be read: .*{because}"):
        load(f"{tmp_path}/{name}")


# Defaults.


def test_the_default_is_this_host_with_the_newest_of_everything() -> None:
    full = to_dict(loads("runtime: {name: toy}"), full=True)
    assert full["runtime"]["version"] == "2.0.0"  # 2.1.0-beta.1 is newer, and no release for a default
    assert full["kubelet"]["step"] == "apply"
    assert full["kubelet"]["seccompDefault"] is False
    assert full["kubelet"]["featureGates"] == {}
    assert full["host"]["root"] == "/"
    assert list(full) == ["host", "kubelet", "runtime", "handlers", "images"]
    again = loads(to_yaml(loads("runtime: {name: toy}"), full=True))
    assert to_dict(again, full=True) == full


def test_an_entry_is_of_the_nodes_runtime_unless_it_says_otherwise() -> None:
    full = to_dict(loads("runtime: {name: toy, version: 1.0.0}\nhandlers: {a: {}}"), full=True)
    assert full["handlers"]["a"] == {"name": "toy", "version": "2.0.0", "config": None, "handler": None}


def test_the_schema_knows_the_capabilities_of_the_kernel() -> None:
    known = schema()["properties"]["host"]["properties"]["capabilities"]["items"]["enum"]
    assert tuple(known) == KERNEL_CAPABILITIES
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    ("machine", "arch"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("ppc64le", "ppc64le"), ("loongarch64", "loong64")],
)
def test_architectures_of_uname(machine: str, arch: str) -> None:
    from shim.nodefile.thishost import architecture  # noqa: PLC0415

    assert architecture(machine) == arch
    assert arch in schema()["properties"]["host"]["properties"]["arch"]["enum"]


# Properties: the reader and a real validator agree, nothing crashes, what is written is read again.

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.floats(0, 9, width=16), st.sampled_from(
        ["", "amd64", "6.1.0", "toy", "1.1.0", "apply", "CAP_KILL", "/etc/x", "true", "6.1"]
    ),
)  # fmt: skip
_keys = st.sampled_from(
    [
        *"host kubelet runtime handlers arch kernel seccomp root cgroup hostname capabilities".split(),
        *"version seccompDefault featureGates step name config handler other".split(),
    ]
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=12,
)
_yaml = _values.map(yaml.safe_dump)


def _instance(definition: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that nearly meet a part of the schema, and often do."""
    if "$ref" in definition:
        return _instance(schema()["$defs"]["runtime"])
    likely: list[st.SearchStrategy[Any]] = []
    if "enum" in definition:
        likely.append(st.sampled_from(definition["enum"]))
    elif "examples" in definition:
        likely.append(st.sampled_from(definition["examples"]))
    if "properties" in definition:
        optional = {key: _instance(inner) for key, inner in definition["properties"].items()}
        likely.append(st.fixed_dictionaries({}, optional=optional))
    elif isinstance(definition.get("additionalProperties"), dict):
        likely.append(st.dictionaries(_keys, _instance(definition["additionalProperties"]), max_size=2))
    if "items" in definition:
        likely.append(st.lists(_instance(definition["items"]), max_size=3))
    if "boolean" in definition["type"]:
        likely.append(st.booleans())
    return st.one_of(*likely, *likely, *likely, _values)


@given(_instance(schema()))
def test_reader_and_validator_agree_about_shapes(value: Any) -> None:
    from shim.nodefile.reading import Reader, compose  # noqa: PLC0415

    reader = Reader(schema(), "n.yaml")
    reader.read(compose(yaml.safe_dump(value), "n.yaml", ""), schema())
    assert bool(reader.faults) == bool(list(VALIDATOR.iter_errors(value))), reader.faults


@given(st.one_of(st.binary(max_size=80), st.one_of(st.text(max_size=80), _yaml).map(str.encode)))
def test_any_bytes_are_a_document_or_bad_input(raw: bytes) -> None:
    try:
        loads(raw, "n.yaml")
        answer = "n.yaml:"
    except BadInput as fault:
        answer = str(fault)
    assert answer.startswith("n.yaml:")


_texts = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)


@given(name=_texts, handler=_texts, gates=st.dictionaries(_texts, st.booleans(), max_size=3))
def test_what_is_written_is_read_again(name: str, handler: str, gates: dict[str, bool]) -> None:
    value = {
        "kubelet": {"featureGates": gates},
        "runtime": {"name": "toy", "handler": handler},
        "handlers": {name: {"name": "toy"}},
    }
    document = loads(json.dumps(value))
    assert to_dict(document) == value
    assert to_dict(loads(to_yaml(document))) == value
    assert yaml.safe_load(to_yaml(document)) == value


def test_load_and_default_are_the_public_way(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text(WHOLE)
    assert to_dict(load(str(tmp_path / "n.yaml"))) == to_dict(loads(WHOLE))
    assert to_dict(nodefile.default_document()) == {}
