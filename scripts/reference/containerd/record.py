"""Ask containerd's own code for its built-in profile, release by release.

    python scripts/reference/containerd/record.py [RELEASE ...] [--check] [--arch GOARCH,...] [--out FILE]

Compiles main.go against each release's public module and calls the public function DefaultProfile with each capability
set of tests/containerd/profile_digests.json. Writes {release: {"GOARCH/set": sha256 of canonical JSON}}; --check
compares with what is carried there instead, and exits with 1 where anything differs, with 2 where only some release
could not be had. Without a RELEASE: every one.

The function answers for the architecture that it is compiled for and for the kernel that it runs on. So what runs here
is recorded by default; other architectures, and a kernel before 4.8, need qemu-user, which is used if it is there.

Of a release only the folder of that function is compiled, unchanged but for the file beside it that loads Localhost
profiles: that one needs most of containerd, and releases before 1.5 do not say with which versions of everything else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT))  # the names of the capability sets are those of the tests

from runtimes.containerd import model  # noqa: E402
from tests.containerd.test_default_profile import capabilities, recorded  # noqa: E402

MODULE = "github.com/containerd/containerd"
FOLDERS = ("contrib/seccomp", "contrib/seccomp/kernelversion", "pkg/kernelversion")
LOADS_FILES = "seccomp.go"
OLD_KERNEL = "4.4.0"
# Where a release does not name a version of the runtime spec that Go can ask for: the one before `errnoRet`.
SPEC = "v1.0.2"
NATIVE = {"x86_64": ("amd64", "386"), "aarch64": ("arm64",)}
QEMU = {"amd64": "x86_64", "386": "i386", "arm64": "aarch64", "loong64": "loongarch64"}  # others as Go calls them


class NotServedError(Exception):
    """The module proxy does not have a release, or the release does not compile. The text says which and why."""


def go(*words: str, folder: Path, **variables: str) -> str:
    """Run the Go command. Raises `NotServedError` with what it says."""
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "CGO_ENABLED": "0", **variables}
    done = subprocess.run(["go", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = re.search(r'^\t"Error": (".*"),?$', done.stdout, re.MULTILINE)  # of `go mod download -json`
        raise NotServedError(json.loads(said[1]) if said else (done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout


class Release:
    """The function of one release, ready to be compiled."""

    def __init__(self, tag: str, folder: Path) -> None:
        self.tag, self.folder = tag, folder
        self.module = MODULE if tag.startswith("1.") else f"{MODULE}/v{tag.partition('.')[0]}"
        folder.mkdir()
        (folder / "go.mod").write_text("module recorder\ngo 1.21\n")
        found = json.loads(go("mod", "download", "-json", f"{self.module}@v{tag}", folder=folder))
        self._lay_out(Path(found["Dir"]))

    def _lay_out(self, source: Path) -> None:
        for name in FOLDERS:
            for file in (source / name).glob("*.go"):
                if not file.name.endswith("_test.go") and (name, file.name) != (FOLDERS[0], LOADS_FILES):
                    target = self.folder / "source" / name / file.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(file.read_bytes())
        (self.folder / "source" / "go.mod").write_text(f"module {self.module}\ngo 1.21\n")
        (self.folder / "go.mod").write_text(
            f"module recorder\ngo 1.21\nrequire {self.module} v{self.tag}\nreplace {self.module} => ./source\n"
            f"require github.com/opencontainers/runtime-spec {_spec_version(source)}\nrequire golang.org/x/sys v0.1.0\n"
        )
        text = (HERE / "main.go").read_text().replace(f'"{MODULE}/v2/', f'"{self.module}/')
        (self.folder / "main.go").write_text(text)

    def ask(self, arch: str, sets: list[tuple[str, ...]], runner: list[str]) -> list[str]:
        """Return the digest of the profile for each bounding set, as a build for `arch` makes it."""
        go("build", "-o", f"recorder-{arch}", ".", folder=self.folder, GOARCH=arch)
        lines = "".join(json.dumps(each) + "\n" for each in sets)
        command = [*runner, f"./recorder-{arch}"]
        done = subprocess.run(command, cwd=self.folder, input=lines, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotServedError(f"{' '.join(command)}: {(done.stderr.strip() or done.returncode)}")
        return [digest(json.loads(line)) for line in done.stdout.splitlines()]


def _spec_version(source: Path) -> str:
    """Return the version of the runtime spec that a release is built with."""
    for name in ("go.mod", "vendor.conf"):
        if (source / name).exists():
            text = (source / name).read_text()
            said = re.search(r"^\s*github\.com/opencontainers/runtime-spec\s.*?(v\d\S+)", text, re.MULTILINE)
            if said and not re.search(r"-\d+-g[0-9a-f]+$", said[1]):
                return said[1]
    return SPEC


def digest(section: Any) -> str:
    """Return the sha256 of canonical JSON: keys sorted, no spaces, lists in their order."""
    return hashlib.sha256(json.dumps(section, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def runner_for(arch: str, *, old_kernel: bool) -> list[str] | None:
    """Return what to run a build with, None where this machine cannot."""
    qemu = shutil.which(f"qemu-{QEMU.get(arch, arch)}")
    if old_kernel:
        return [qemu, "-r", OLD_KERNEL] if qemu else None
    if arch in NATIVE.get(platform.machine(), ()):
        return []
    return [qemu] if qemu else None


def record(tag: str, folder: Path, arches: list[str] | None) -> dict[str, str]:
    """Return {key: digest} of a release, for what can be run here. Raises `NotServedError`."""
    (group,) = (group for group in recorded()["groups"] if tag in group["tags"])
    release = Release(tag, folder)
    found: dict[str, str] = {}
    runs: dict[tuple[str, bool], list[str]] = {}
    for key, said in zip(recorded()["keys"], group["digests"], strict=True):
        if said:
            runs.setdefault((key.partition("/")[0], "@kernel<4.8" in key), []).append(key)
    for (arch, old), keys in runs.items():
        runner = runner_for(arch, old_kernel=old)
        if runner is None or (arches and arch not in arches):
            continue
        named = [key.partition("/")[2].partition("@")[0] for key in keys]
        sets = [capabilities(name, group["reactive"]) for name in named]
        found.update(zip(keys, release.ask(arch, sets, runner), strict=True))
    return found


def differences(tag: str, found: dict[str, str]) -> list[str]:
    """Return the keys in which a release differs from what the project carries."""
    (group,) = (group for group in recorded()["groups"] if tag in group["tags"])
    carried = dict(zip(recorded()["keys"], group["digests"], strict=True))
    return [key for key, value in found.items() if not value.startswith(carried[key])]


_MISSING = 2  # exit code: nothing differs, but not every release could be had


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", nargs="*", metavar="RELEASE")
    parser.add_argument("--check", action="store_true", help="compare with what the project carries")
    parser.add_argument("--arch", metavar="GOARCH,...", help="only these  [default: every one that can be run here]")
    parser.add_argument("--out", type=Path, help="write there, not to standard output")
    options = parser.parse_args()
    every = [known.release.upstream for known in model.releases()]
    tags = [tag.removeprefix("v") for tag in options.releases] or every
    if set(tags) - set(every):
        parser.error(f"not known: {', '.join(sorted(set(tags) - set(every)))}")
    answers: dict[str, dict[str, str]] = {}
    missing, wrong = {}, {}
    with tempfile.TemporaryDirectory(prefix="crishim-record-") as folder:
        for tag in tags:
            try:
                answers[tag] = record(tag, Path(folder) / tag, options.arch.split(",") if options.arch else None)
            except NotServedError as fault:
                missing[tag] = str(fault)
                print(f"containerd {tag}: not recorded: {fault}", file=sys.stderr)
                continue
            differing = differences(tag, answers[tag])
            if differing:
                wrong[tag] = differing
            if options.check:
                says = f"differs in {', '.join(differing)}" if differing else "as carried"
                print(f"containerd {tag}: {len(answers[tag])} profiles, {says}", flush=True)
    if options.check:
        profiles = sum(map(len, answers.values()))
        print(f"{profiles} profiles of {len(answers)} releases: {len(wrong)} releases differ, {len(missing)} missing")
        return 1 if wrong else _MISSING if missing else 0
    text = json.dumps(answers, indent=1) + "\n"
    if options.out:
        options.out.write_text(text)
    else:
        print(text, end="")
    return _MISSING if missing else 0


if __name__ == "__main__":
    sys.exit(main())
