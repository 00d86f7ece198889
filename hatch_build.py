"""Build step: compile what is written by people into what is fast to load.

Two things are compiled, each into the source tree, so that an editable install runs from the same files as a wheel:

- ``proto/**/*.proto`` into ``shim/cri/pb/``, with the type stubs that protoc writes itself. There is no ``*_pb2_grpc``:
  the server registers generic handlers, which lets one servicer answer under more than one package name.
- every ``X.yaml`` below ``runtimes/`` and ``shim/`` into ``X.json`` beside it, ``{"source_sha256": ..., "data": ...}``.
  A loader takes the JSON while the digest is that of the YAML, and parses the YAML otherwise: an edited fact counts at
  once, and a stale JSON file does no harm.

Both are git-ignored. Whatever is up to date is left alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import yaml
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROTO_ROOT = Path("proto")
PB_ROOT = Path("shim/cri/pb")
DATA_ROOTS = (Path("runtimes"), Path("shim"))

PACKAGE_DOCSTRING = '"""Compiled from proto/ by hatch_build.py: not to be edited, nor kept in git."""\n'


class CompileHook(BuildHookInterface[Any]):
    """Runs before a wheel or an editable install is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the results packaged although git ignores them."""
        del version  # "standard" or "editable": the same files either way
        root = Path(self.root)
        compiled = compile_protos(root) + compile_data(root)
        build_data["artifacts"].extend(f"/{path.relative_to(root).as_posix()}" for path in compiled)


def compile_protos(root: Path) -> list[Path]:
    """Compile every proto file below ``root``, unless that was done before, and return the files of the package."""
    sources = sorted((root / PROTO_ROOT).rglob("*.proto"))
    if not sources:
        raise FileNotFoundError(f"no .proto file below {root / PROTO_ROOT}")
    target = root / PB_ROOT
    stamp = target / ".stamp"
    state = _protos_state(sources)
    modules = [target / source.relative_to(root / PROTO_ROOT).with_suffix("") for source in sources]
    outputs = [module.with_name(f"{module.name}_pb2{kind}") for module in modules for kind in (".py", ".pyi")]
    packages = sorted({parent for output in outputs for parent in output.parents if parent.is_relative_to(target)})
    inits = [package / "__init__.py" for package in packages]

    complete = all(path.exists() for path in (*outputs, *inits))
    if not (complete and stamp.exists() and stamp.read_text() == state):
        _run_protoc(root / PROTO_ROOT, sources, target)
        for init in inits:
            init.write_text(PACKAGE_DOCSTRING)
        stamp.write_text(state)
    return outputs + inits


def compile_data(root: Path) -> list[Path]:
    """Write the JSON form of every data file that changed, and return all JSON forms."""
    compiled = []
    for source in sorted(path for base in DATA_ROOTS for path in (root / base).rglob("*.yaml")):
        raw = source.read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        head = f'{{"source_sha256":"{digest}",'
        target = source.with_suffix(".json")
        if not (target.exists() and target.read_text().startswith(head)):
            data = yaml.load(raw, Loader=yaml.CSafeLoader)
            _require_same_in_json(data, where=str(source.relative_to(root)))
            body = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
            _replace(target, f'{head}"data":{body}}}\n'.encode())
        compiled.append(target)
    return compiled


def _protos_state(sources: list[Path]) -> str:
    """What the generated code depends on: the proto files, the compiler and this file."""
    digest = hashlib.sha256(importlib.metadata.version("grpcio-tools").encode())
    for path in (Path(__file__), *sources):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest() + "\n"


def _run_protoc(proto_root: Path, sources: list[Path], target: Path) -> None:
    """Compile into a temporary directory first: a proto file with an error in it leaves the last good code in place."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".new-") as fresh:
        arguments = ["protoc", f"-I{proto_root}", f"--python_out={fresh}", f"--pyi_out={fresh}", *map(str, sources)]
        if protoc.main(arguments):
            raise RuntimeError(f"protoc failed: {' '.join(arguments)}")
        for path in sorted(Path(fresh).rglob("*_pb2.py*")):
            final = target / path.relative_to(fresh)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)


def _require_same_in_json(value: object, where: str) -> None:
    """Refuse what JSON would change: an unquoted date, a version read as a key that is a number, a set, a NaN."""
    match value:
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"{where}: the key {key!r} is a {type(key).__name__}: quote it")
                _require_same_in_json(item, f"{where}: {key}")
        case list():
            for index, item in enumerate(value):
                _require_same_in_json(item, f"{where}[{index}]")
        case float() if not math.isfinite(value):
            raise TypeError(f"{where}: {value!r} has no JSON form")
        case str() | int() | float() | None:
            pass
        case _:
            raise TypeError(f"{where}: {value!r} is a {type(value).__name__}, which JSON has not: quote it")


def _replace(target: Path, content: bytes) -> None:
    """Write at once or not at all: a test run may be reading while an install compiles."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as new:
        new.write(content)
    Path(new.name).chmod(0o644)
    Path(new.name).replace(target)
