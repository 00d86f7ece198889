"""Ask the libraries that CRI-O vendors for their default profile: writes tests/crio/library_profiles.json.gz.

    python scripts/reference/crio/record.py [--out FILE]

Needs Go and its module proxy. A library that changed its profile between two releases of CRI-O is in the list with the
first or the last version that one of them has; that of CRI-O 1.18 and 1.19 tells its profile only where libseccomp is
installed, and is not asked. What CRI-O does to the profile afterwards is in a package that no other module may import:
the tests tell that part from its source.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUTPUT = HERE.parents[2] / "tests/crio/library_profiles.json.gz"

COMMON, PODMAN = "github.com/containers/common", "go.podman.io/common"
# A release of CRI-O -> the module and version in its go.mod.
LIBRARIES = {
    "1.20.2": (COMMON, "v0.21.0"),
    "1.20.9": (COMMON, "v0.26.3"),
    "1.21.7": (COMMON, "v0.35.4"),
    "1.22.5": (COMMON, "v0.43.2"),
    "1.23.5": (COMMON, "v0.46.1-0.20211001143714-161e078e4c7f"),
    "1.24.0": (COMMON, "v0.46.1-0.20211001143714-161e078e4c7f"),
    "1.25.0": (COMMON, "v0.49.1"),
    "1.31.0": (COMMON, "v0.60.2"),
    "1.33.0": (COMMON, "v0.63.0"),
    "1.35.0": (PODMAN, "v0.66.1"),
    "1.36.3": (PODMAN, "v0.66.2-0.20260126213724-1e46b0756b39"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    told = {
        release: {"library": f"{module}@{version}", "profile": ask(module, version)}
        for release, (module, version) in LIBRARIES.items()
    }
    text = json.dumps(told, separators=(",", ":")).encode()
    arguments.out.write_bytes(gzip.compress(text, mtime=0))
    print(f"{len(told)} profiles in {arguments.out}")


def ask(module: str, version: str) -> dict[str, Any]:
    """Return the default profile of one version, as the library itself writes it."""
    package = f"{module}/pkg/seccomp"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.go").write_text(HERE.joinpath("main.go").read_text().replace("LIBRARY", package))
        for command in (["mod", "init", "record"], ["get", f"{package}@{version}"]):
            subprocess.run(["go", *command], cwd=folder, check=True, capture_output=True)
        found = subprocess.run(["go", "run", "."], cwd=folder, check=True, capture_output=True)
    profile: dict[str, Any] = json.loads(found.stdout)
    return profile


if __name__ == "__main__":
    main()
