"""The build step: what it compiles, what it leaves alone, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

# Not among the dependencies of the tests: a test of an installed crishim can do without a compiler.
pytest.importorskip("grpc_tools")
pytest.importorskip("hatchling")

import hatch_build

if TYPE_CHECKING:
    from pathlib import Path

PROTO = 'syntax = "proto3"; package room.v1; message Door { string name = 1; }'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with one proto file and one data file."""
    for name, text in {"proto/room/v1/door.proto": PROTO, "runtimes/door/facts.yaml": "- since: [1.5.0]\n"}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


def test_protos_become_modules_with_stubs_in_packages(tree: Path) -> None:
    compiled = {path.relative_to(tree).as_posix() for path in hatch_build.compile_protos(tree)}
    assert compiled == {
        "shim/cri/pb/__init__.py",
        "shim/cri/pb/room/__init__.py",
        "shim/cri/pb/room/v1/__init__.py",
        "shim/cri/pb/room/v1/door_pb2.py",
        "shim/cri/pb/room/v1/door_pb2.pyi",
    }
    assert all((tree / path).exists() for path in compiled)


def test_protos_are_compiled_again_only_if_one_changed(tree: Path) -> None:
    hatch_build.compile_protos(tree)
    module = tree / "shim/cri/pb/room/v1/door_pb2.py"
    module.write_text("left alone")
    hatch_build.compile_protos(tree)
    assert module.read_text() == "left alone"

    (tree / "proto/room/v1/door.proto").write_text(PROTO.replace("Door", "Gate"))
    hatch_build.compile_protos(tree)
    assert "Gate" in module.read_text()

    module.unlink()
    hatch_build.compile_protos(tree)
    assert module.exists()


def test_a_broken_proto_leaves_the_last_good_code(tree: Path) -> None:
    hatch_build.compile_protos(tree)
    module = tree / "shim/cri/pb/room/v1/door_pb2.py"
    good = module.read_text()
    (tree / "proto/room/v1/door.proto").write_text("message {")
    with pytest.raises(RuntimeError, match="protoc failed"):
        hatch_build.compile_protos(tree)
    assert module.read_text() == good


def test_data_becomes_json_that_names_its_source(tree: Path) -> None:
    source = tree / "runtimes/door/facts.yaml"
    (compiled,) = hatch_build.compile_data(tree)
    assert compiled == source.with_suffix(".json")
    assert json.loads(compiled.read_text()) == {
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "data": [{"since": ["1.5.0"]}],
    }


def test_data_is_compiled_again_only_if_it_changed(tree: Path) -> None:
    (compiled,) = hatch_build.compile_data(tree)
    before = compiled.stat().st_ino
    hatch_build.compile_data(tree)
    assert compiled.stat().st_ino == before

    (tree / "runtimes/door/facts.yaml").write_text("- since: [1.6.0]\n")
    hatch_build.compile_data(tree)
    assert "1.6.0" in compiled.read_text()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("- made: 2024-11-21", "made: .* is a date", id="a date without quotes"),
        pytest.param("1.10: x", "key 1.1 is a float", id="a version as a key"),
        pytest.param("no: x", "key False is a bool", id="a word that YAML takes for a truth value"),
        pytest.param("x: [1, .nan]", r"x\[1\]: nan", id="not a number"),
        pytest.param("x: !!set {a, b}", "is a set", id="a set"),
    ],
)
def test_data_that_json_would_change_is_refused(tree: Path, text: str, complaint: str) -> None:
    (tree / "runtimes/door/facts.yaml").write_text(text)
    with pytest.raises(TypeError, match=complaint):
        hatch_build.compile_data(tree)
