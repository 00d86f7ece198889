"""Record the history of the CRI from a clone of its published repository: writes tests/proto/descriptors.json.

    python scripts/reference/record_descriptors.py PATH/TO/cri-api

Needs git and the dev dependencies. Each minor release is compiled at its newest patch tag, and HEAD after them. What is
written is no text of that repository but one line for each thing a peer can see, with the releases that have it:

    "Mount.image": {"ImageSpec = 9": "1.31.."}
    "KeyValue.value": {"string = 2": "1.20..1.36", "bytes = 2": "head.."}

Run it again when a Kubernetes minor release is out, and read the difference: it is the news in the interface.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

OUTPUT = Path(__file__).parents[2] / "tests/proto/descriptors.json"
FIRST_MINOR = 20  # the release in which package runtime.v1 appears
HEAD = "head"

Shapes = dict[str, str]
"""What a peer can see of one release: the name of a field, an enum value, a method or a message, and its shape."""


def shapes(file: FileDescriptorProto) -> Shapes:
    """Flatten a compiled proto file. Package names are left out, so that v1alpha2 can be compared with v1."""
    found: Shapes = {}
    for service in file.service:
        for method in service.method:
            streams = ("stream " * method.client_streaming, "stream " * method.server_streaming)
            request, response = (_local(name, file) for name in (method.input_type, method.output_type))
            found[f"{service.name}.{method.name}"] = f"{streams[0]}{request} -> {streams[1]}{response}"
    for name, message in _messages(file.message_type):
        found[name] = "message"
        found |= {f"{name}.{field.name}": _field_shape(field, file) for field in message.field}
    for name, enum in _enums(file):
        found[name] = "enum"
        found |= {f"{name}.{value.name}": f"= {value.number}" for value in enum.value}
    return found


def exact_digests(file: FileDescriptorProto) -> dict[str, str]:
    """One digest for each message, enum and service, which the order of its parts and their options change too."""
    known = shapes(file)
    parts: dict[str, list[str]] = {
        service.name: [known[f"{service.name}.{method.name}"] for method in service.method] for service in file.service
    }
    for name, message in _messages(file.message_type):
        parts[name] = [f"{f.name}: {known[f'{name}.{f.name}']} {_options(f)}" for f in message.field]
    for name, enum in _enums(file):
        parts[name] = [f"{value.name} {value.number}" for value in enum.value]
    return {name: digest(lines) for name, lines in parts.items()}


def digest(lines: Iterable[str]) -> str:
    """Short enough to read, long enough to notice any change."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def history_digest(release: Shapes) -> str:
    """Digest of everything a peer can see, in no particular order."""
    return digest(sorted(f"{name}: {shape}" for name, shape in release.items()))


def _field_shape(field: FieldDescriptorProto, file: FileDescriptorProto) -> str:
    scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    presence = "optional " * field.proto3_optional
    repeated = "repeated " * (field.label == FieldDescriptorProto.LABEL_REPEATED)
    return f"{presence}{repeated}{_local(field.type_name, file) or scalar} = {field.number}"


def _options(field: FieldDescriptorProto) -> list[str]:
    return [option.name for option, value in field.options.ListFields() if value]


def _messages(messages: Iterable[DescriptorProto], prefix: str = "") -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        yield prefix + message.name, message
        yield from _messages(message.nested_type, f"{prefix}{message.name}.")


def _enums(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto]]:
    yield from ((enum.name, enum) for enum in file.enum_type)
    for name, message in _messages(file.message_type):
        yield from ((f"{name}.{enum.name}", enum) for enum in message.enum_type)


def _local(type_name: str, file: FileDescriptorProto) -> str:
    return type_name.removeprefix(f".{file.package}.")


# Recording. Nothing below is used by the tests.


def newest_patches(tags: Iterable[str]) -> dict[str, str]:
    """``{"1.20": "kubernetes-1.20.15", ...}`` in order, without pre-releases."""
    newest: dict[int, int] = {}
    for tag in tags:
        if match := re.fullmatch(r"kubernetes-1\.(\d+)\.(\d+)", tag):
            minor, patch = int(match[1]), int(match[2])
            newest[minor] = max(patch, newest.get(minor, 0))
    return {f"1.{minor}": f"kubernetes-1.{minor}.{newest[minor]}" for minor in sorted(newest) if minor >= FIRST_MINOR}


def compile_proto(text: str) -> FileDescriptorProto:
    """Compile one api.proto. Releases up to 1.33 import gogoproto, for options of the Go code alone."""
    text = "\n".join(line for line in text.splitlines() if "gogoproto" not in line)
    with tempfile.TemporaryDirectory() as directory:
        source, output = Path(directory, "api.proto"), Path(directory, "api.pb")
        source.write_text(text)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{directory}", f"--descriptor_set_out={output}"]
        subprocess.run([*command, str(source)], check=True)
        return FileDescriptorSet.FromString(output.read_bytes()).file[0]


def with_ranges(releases: Mapping[str, Shapes]) -> dict[str, dict[str, str]]:
    """Turn shapes by release into releases by shape: ``1.20..1.36``, or ``1.31..`` for what is still there."""
    order = list(releases)
    seen: dict[str, dict[str, list[int]]] = {}
    for index, release in enumerate(order):
        for name, shape in releases[release].items():
            seen.setdefault(name, {}).setdefault(shape, []).append(index)
    return {
        name: {shape: _range(indices, order) for shape, indices in by_shape.items()}
        for name, by_shape in sorted(seen.items())
    }


def _range(indices: list[int], order: list[str]) -> str:
    first, last = indices[0], indices[-1]
    if len(indices) != last - first + 1:
        raise ValueError(f"went away and came back: {[order[index] for index in indices]}")
    return f"{order[first]}..{order[last] if order[last] != HEAD else ''}"


def record(repository: Path) -> dict[str, object]:
    """Read and compile every release, and lay the table out."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True, text=True).stdout

    def proto_of(revision: str, package: str) -> FileDescriptorProto | None:
        path = f"pkg/apis/runtime/{package}/api.proto"
        if not git("ls-tree", "--name-only", revision, path):
            return None
        return compile_proto(git("show", f"{revision}:{path}"))

    revisions = newest_patches(git("tag").split()) | {HEAD: git("rev-parse", "HEAD").strip()}
    files: dict[str, FileDescriptorProto] = {}
    alphas: dict[str, object] = {}
    for release, revision in revisions.items():
        file = proto_of(revision, "v1")
        if file is None:
            raise FileNotFoundError(f"{revision} has no v1 API")
        files[release] = file
        if alpha_file := proto_of(revision, "v1alpha2"):
            alpha, beta = shapes(alpha_file), shapes(file)
            lacks = sorted(beta.keys() - alpha.keys())
            alphas[release] = {"digest": history_digest(alpha), "lacks": lacks}
    return {
        "releases": revisions,
        "v1alpha2": alphas,
        "head": exact_digests(files[HEAD]),
        "head_order": digest(exact_digests(files[HEAD])),
        "v1": with_ranges({release: shapes(file) for release, file in files.items()}),
    }


def dump(table: Mapping[str, object]) -> str:
    """JSON with one entry a line, so that a diff between two recordings can be read."""
    sections = []
    for section, content in table.items():
        if isinstance(content, dict):
            entries = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
            sections.append(f" {json.dumps(section)}: {{\n{entries}\n }}")
        else:
            sections.append(f" {json.dumps(section)}: {json.dumps(content)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path, help="a clone, or its git directory, with all tags")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    arguments.output.write_text(dump(record(arguments.repository)))


if __name__ == "__main__":
    main()
