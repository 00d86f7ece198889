"""A real containerd or CRI-O beside crishim as that release: the same requests to both, every difference told.

    sudo scripts/differential containerd|cri-o [--binary PATH] [--release X] [--filter REGEX] [--random N] [--json FILE]

Plays every case of tests/<family>/recorded.json.gz in every configuration of it against both, and then some made at
random; compares outcome, step, code, message, seccomp section and the whole rest of the spec, order included, and what
a daemon says that does not start. Not compared:

    ids, process ids, network namespaces' names,
    numbers of temporary folders, times, addresses  made up by each side: placeholders
    linux.devices                                   of privileged containers: the device nodes of this machine
    the order of JSON in CRI-O's annotations,
    and of the mounts of its `read_only`            another one every time
    the annotation CNIResult of CRI-O's             its network plugin's words
    what runc says to all but the section           CRI-O calls it at once; it gets a spec with little else

Needs root, and a daemon that serves the CRI v1: a containerd (from 1.6 on) with ctr, containerd-shim-runc-v2 and runc
beside it or in PATH, or a crio (from 1.21 on) with conmon, pinns and runc. Exit code: 0 where nothing differs, 1 where
something does, 2 where there is no daemon to compare with.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from runtimes.capabilities import KERNEL_CAPABILITIES
from scripts.beside import at_random
from scripts.beside.containerd import Containerd
from scripts.beside.crio import Crio
from scripts.beside.daemons import FailedError, Real, RefusedError, Setting, crishim
from scripts.beside.images import CONTAINER
from scripts.beside.play import Case, Outcome, Player

FAMILIES: dict[str, type[Real]] = {each.family: each for each in (Containerd, Crio)}
START = "the start"
FIELDS = ("outcome", "step", "code", "message", "seccomp", "spec", "start")
SHOWN = 20

Differing = dict[str, dict[str, Any]]
"""{case: {field or place in the spec: (what the real one said, what crishim said)}}"""


def differences(real: Outcome, ours: Outcome, ignored: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """Return {field: (real, ours)} for what differs; of a spec only the places that do, but for the ignored ones."""
    found: dict[str, Any] = {}
    for field in FIELDS:
        if _ordered(real.get(field)) == _ordered(ours.get(field)):
            continue
        if field == "spec" and real.get(field) and ours.get(field):
            found |= {f"spec.{place}": pair for place, pair in _places(real[field], ours[field], (), ignored)}
        else:
            found[field] = (real.get(field), ours.get(field))
    return found


def _ordered(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _places(real: Any, ours: Any, path: tuple[str, ...], ignored: tuple[tuple[str, ...], ...]) -> Any:
    """Yield where two values differ, as deep as both are objects."""
    if path in ignored or real == ours:
        return
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in dict.fromkeys((*real, *ours)):
            yield from _places(real.get(key), ours.get(key), (*path, key), ignored)
    else:
        yield ".".join(path), (real, ours)


def capabilities_of(mask: str) -> list[str]:
    """Return the capabilities of a hexadecimal mask."""
    bits = int(mask, 16)
    return [name for number, name in enumerate(KERNEL_CAPABILITIES) if bits >> number & 1]


def compare(
    real: Real, release: str, setting: Setting, cases: dict[str, Case], sandboxes: dict[str, Case]
) -> tuple[int, Differing]:
    """Play cases in one configuration; return how many of them the real one refused, and {case: differences}.

    Where a daemon does not start with it, that is the only case, and refused.
    """
    real.lay_out(setting)
    theirs = ours = None
    outcomes = {}
    try:
        with real.serving() as mask:
            try:
                with crishim(real, release, capabilities_of(mask)) as socket:
                    outcomes = _outcomes(real, socket, cases, sandboxes)
            except RefusedError as refusal:
                ours = str(refusal)
    except RefusedError as refusal:
        theirs = str(refusal)
        try:
            with crishim(real, release, list(KERNEL_CAPABILITIES)):
                pass
        except RefusedError as also:
            ours = str(also)
    if theirs != ours:
        return 1, {START: {"refuses": (theirs, ours)}}
    refused = sum(1 for each, _ in outcomes.values() if each["outcome"] == "error")
    found = {name: differences(*pair, real.ignored) for name, pair in outcomes.items()}
    return refused + (theirs is not None), {name: differs for name, differs in found.items() if differs}


def _outcomes(
    real: Real, socket: Path, cases: dict[str, Case], sandboxes: dict[str, Case]
) -> dict[str, tuple[Outcome, Outcome]]:
    """Play cases on both sides."""
    sides = [Player(each, real.folder, sandboxes) for each in (real.socket, socket)]
    sides[1].call("PullImage", service="ImageService", image={"image": CONTAINER})
    try:
        return {name: (sides[0].play(case), sides[1].play(case)) for name, case in cases.items()}
    finally:
        for side in sides:
            side.close()


def by_chance(seed: int, number: int) -> tuple[dict[str, Case], dict[str, Case]]:
    """Return cases made at random, and the pods that some of them share."""
    source = random.Random(seed)  # noqa: S311  the same ones again
    sandboxes = {f"r{at}": at_random.sandbox(source, profile=False) for at in range(6)}
    cases = {
        f"{seed}.{at}": at_random.sandbox(source) if at % 4 == 0 else at_random.container(source, sandboxes)
        for at in range(number)
    }
    return cases, sandboxes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--binary", help="the real one  [default: containerd or crio in PATH]")
    parser.add_argument("--release", help="what crishim is  [default: what the binary calls itself]")
    parser.add_argument("--filter", default="", metavar="REGEX", help="only cases whose names match")
    parser.add_argument("--random", type=int, default=100, metavar="N", help="cases made at random  [default: 100]")
    parser.add_argument("--seed", type=int, default=1, help="others at random  [default: 1]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every difference there")
    options = parser.parse_args()
    family = FAMILIES[options.family]
    wanted = options.binary or family.command
    binary = shutil.which(wanted)
    if not binary or os.geteuid():
        print(f"nothing to compare with: {'no root' if binary else f'no {wanted}'}", file=sys.stderr)
        return 2
    recorded = json.loads(gzip.decompress(Path("tests", family.command, "recorded.json.gz").read_bytes()))
    before, played, refused = time.monotonic(), 0, 0
    wrong: Differing = {}
    folder = Path(tempfile.mkdtemp(prefix="crishim-beside-"))
    try:
        for name, text in recorded["profiles"].items():
            file = folder / "profiles" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("latin-1"))
        real = family(Path(binary).resolve(), folder)
        release = options.release or real.version()
        plays = [
            (label, real.filled(setting), {name: recorded["cases"][name] for name in names}, recorded["sandboxes"])
            for label, (setting, names) in real.configurations(recorded["releases"]).items()
        ]
        plays += [
            (label, setting, *by_chance(options.seed, options.random)) for label, setting in real.at_random.items()
        ]
        for label, setting, every, sandboxes in plays:
            cases = {name: case for name, case in every.items() if re.search(options.filter, name)}
            if not cases and (every or options.filter):
                continue
            refusals, found = compare(real, release, setting, cases, sandboxes)
            played, refused = played + len(cases), refused + refusals
            wrong |= {f"{label}: {name}": differs for name, differs in found.items()}
            print(f"{label}: {len(cases)} cases, {len(found)} differ", flush=True)
    except FailedError as fault:
        print(f"differential: {fault}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, differs in list(wrong.items())[:SHOWN]:
        for field, (theirs, ours) in differs.items():
            print(f"{name}: {field}")
            print(f"    {family.family:<10} {json.dumps(theirs)[:600]}\n    crishim    {json.dumps(ours)[:600]}")
    if options.json:
        options.json.write_text(json.dumps(wrong, indent=1))
    seconds = time.monotonic() - before
    print(f"{family.family} {release}: {played} cases, {refused} of them refused; {len(wrong)} differ; {seconds:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
