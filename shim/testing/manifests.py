"""Manifests as a test has them: text, a mapping, a file, or nothing but a security context."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from shim.kubelet import manifest
from shim.kubelet.pod import Pod, SecurityContext
from shim.nodefile.reading import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = re.compile(r"[^\n]*\.(ya?ml|json)")
_IMAGE = "registry.k8s.io/pause:3.10"


def read_pods(given: Any, base: str) -> list[Pod]:
    """Return the pods of a manifest: YAML or JSON, a mapping, or the path of a file, which starts in `base`.

    Raises `BadInput` with file, line and field.
    """
    if isinstance(given, Pod):
        return [given]
    if isinstance(given, os.PathLike) or (isinstance(given, str) and _FILE.fullmatch(given)):
        from shim.nodefile import read_user_file  # noqa: PLC0415  of a module that this one needs for nothing else

        path = os.path.join(base, os.fspath(given))  # noqa: PTH118  a path stays as it was written
        return manifest.pods(read_user_file(path), path)
    if isinstance(given, (str, bytes)):
        return manifest.pods(given, "manifest")
    try:
        return manifest.pods(json.dumps(given), "manifest")
    except TypeError as fault:
        raise BadInput(f"is no manifest: {fault}", where="manifest", right="YAML, a mapping, or a path") from None


def plain_pod(security: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest of a pod with one container that has this securityContext.

    Raises `BadInput` for a field that there is not: the API server would drop it in silence.
    """
    known = [field.encode_name for field in msgspec.structs.fields(SecurityContext)]
    for name in security:
        if name not in known:
            raise BadInput("there is no such field", field=f"securityContext.{name}", right=nearest(name, known))
    container = {"name": "main", "image": _IMAGE, **({"securityContext": dict(security)} if security else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain"}, "spec": {"containers": [container]}}
