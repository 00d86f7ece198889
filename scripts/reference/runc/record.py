"""Show sections to real runc binaries: writes tests/runc/answers.json.

    sudo python scripts/reference/runc/record.py NAME=PATH [NAME=PATH ...] [--cases N] [--seed N] [--out FILE]

NAME is the release that PATH is, "1.1.5=/usr/sbin/runc". Each section is given to `runc create`; the container is never
started. No section kills the process that installs it, so that nothing hangs. What is kept is the
text behind "runc create failed: ", null where the section is accepted, once for the releases that agree.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parents[3] / "tests/runc/answers.json"
AGENT = "agent.sock"  # an agent waits there
REFUSED = re.compile(r'msg="runc create failed: (.*)"$', re.MULTILINE)

ALLOW, ERRNO, NOTIFY, LOG, TRACE = (f"SCMP_ACT_{name}" for name in ("ALLOW", "ERRNO", "NOTIFY", "LOG", "TRACE"))
ACTIONS = [ALLOW, ERRNO, LOG, TRACE, *(f"SCMP_ACT_{name}" for name in ("KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"))]
FLAGS = [*(f"SECCOMP_FILTER_FLAG_{name}" for name in "TSYNC LOG SPEC_ALLOW WAIT_KILLABLE_RECV BOGUS".split()), ""]
ARCHITECTURES = [
    *(f"SCMP_ARCH_{name}" for name in "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64".split()),
    *(f"SCMP_ARCH_{name}" for name in "MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X RISCV64 LOONGARCH64".split()),
    *("SCMP_ARCH_PARISC", "SCMP_ARCH_NATIVE", "SCMP_ARCH_BOGUS", "amd64", ""),
]
OPERATORS = [f"SCMP_CMP_{name}" for name in "EQ EQ EQ NE LT LE GE GT MASKED_EQ".split()]
NAMES = ["mkdir", "rmdir", "mkdir", "acct"]  # nothing that runc needs


def rule(names: list[str] | None, action: str = ERRNO, *args: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"names": names, "action": action, **rest, **({"args": list(args)} if args else {})}


def arg(index: int, value: int, op: str = "SCMP_CMP_EQ", value_two: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "op": op, **({"valueTwo": value_two} if value_two else {})}


def by_hand() -> Iterator[dict[str, Any]]:
    yield {"defaultAction": ""}
    yield {"defaultAction": "", "architectures": ["SCMP_ARCH_BOGUS"]}
    yield from (
        {"defaultAction": action} for action in (ALLOW, LOG, ERRNO, NOTIFY, "SCMP_ACT_BOGUS", "allow", 'a"b\né')
    )
    yield from ({"defaultAction": ALLOW, "flags": [flag]} for flag in FLAGS)
    yield from ({"defaultAction": ALLOW, "architectures": [arch]} for arch in ARCHITECTURES)
    yield {"defaultAction": "", "syscalls": [rule(["mkdir"])]}
    yield {"defaultAction": "X", "architectures": ["Y"], "flags": ["Z"], "syscalls": [rule(["mkdir"], "V")]}
    yield {"defaultAction": "X", "architectures": ["Y"], "syscalls": [rule(["mkdir"], "V")]}
    yield {"defaultAction": "X", "syscalls": [rule(["mkdir"], "V")]}
    yield {"defaultAction": NOTIFY, "syscalls": [rule(["write"], NOTIFY)]}
    yield {"defaultAction": ERRNO, "defaultErrnoRet": 4095, "architectures": ["SCMP_ARCH_S390X"]}
    yield {"defaultAction": ERRNO, "defaultErrnoRet": 38, "syscalls": [rule(["mkdir"], ERRNO, errnoRet=38)]}
    yield {"defaultAction": ALLOW, "listenerPath": "nosuch.sock", "syscalls": [rule(["mkdir"])]}
    yield {"defaultAction": ALLOW, "listenerPath": AGENT, "syscalls": [rule(["mkdir"], NOTIFY)]}
    yield {"defaultAction": ALLOW, "listenerPath": "nosuch.sock", "syscalls": [rule(["mkdir"], NOTIFY)]}
    for rules in (
        *([rule(["mkdir"], action)] for action in (*ACTIONS, NOTIFY, "SCMP_ACT_BOGUS", "")),
        *(
            [rule(["mkdir"], ERRNO, errnoRet=number)]
            for number in (0, 1, 4094, 4095, 32768, 65535, 65536, 70000, 2**32)
        ),
        *([rule(["mkdir"], TRACE, errnoRet=number)] for number in (0, 4095, 65536)),
        *([rule(["mkdir"], ERRNO, arg(0, 1), errnoRet=number)] for number in (4095,)),
        *([rule(["mkdir"], ERRNO, arg(index, 1))] for index in (5, 6, 7, 2**32)),
        *([rule(["mkdir"], ERRNO, arg(0, 1, op))] for op in (*OPERATORS, "SCMP_CMP_BOGUS", "")),
        [rule([""])],
        [rule(["", "mkdir"], ALLOW)],
        [rule([])],
        [rule(None)],
        [rule([], "SCMP_ACT_BOGUS")],
        [rule([], ERRNO, arg(0, 1, "SCMP_CMP_BOGUS"))],
        [rule([], NOTIFY)],
        [rule(["no_such_call"])],
        [rule(["mkdir"], ALLOW, arg(6, 1))],
        [rule(["write"], NOTIFY)],
        [rule(["mkdir"], ERRNO), rule(["rmdir", "write"], NOTIFY)],
        [rule(["mkdir"], ERRNO, arg(0, 1), arg(0, 2)), rule(["mkdir"], TRACE, arg(0, 2))],
        [rule(["mkdir"], ERRNO, arg(0, 1), arg(1, 2)), rule(["mkdir"], TRACE, arg(1, 2), arg(0, 1))],
        [rule(["mkdir"], ERRNO, arg(0, 1), arg(1, 2)), rule(["mkdir"], TRACE, arg(0, 1))],
        [rule(["mkdir"], ERRNO, arg(0, 1)), rule(["mkdir"], TRACE, arg(0, 1), arg(1, 2))],
        [rule(["mkdir"], ERRNO), rule(["mkdir"], TRACE, arg(0, 1)), rule(["mkdir"], LOG, arg(0, 1))],
        [rule(["mkdir"], ERRNO, arg(0, 1)), rule(["mkdir"], TRACE), rule(["mkdir"], LOG, arg(0, 1))],
        [rule(["mkdir"], ERRNO, arg(0, 3, OPERATORS[-1], 5)), rule(["mkdir"], LOG, arg(0, 3, OPERATORS[-1], 1))],
        [rule(["mkdir"], ERRNO, arg(0, 1, "SCMP_CMP_EQ", 5)), rule(["mkdir"], LOG, arg(0, 1))],
    ):
        yield {"defaultAction": ALLOW, "syscalls": rules}


def at_random(source: random.Random) -> dict[str, Any]:
    def some_rule() -> dict[str, Any]:
        args = [
            arg(source.randrange(2), source.randrange(3), source.choice(OPERATORS), source.randrange(2))
            for _ in range(source.choice([0, 1, 1, 2]))
        ]
        names = source.choices(NAMES, k=source.choice([1, 1, 2]))
        return rule(names, source.choice([ALLOW, ERRNO, LOG, TRACE]), *args)

    section: dict[str, Any] = {"defaultAction": source.choice([ALLOW, LOG])}
    if source.random() < 0.5:  # noqa: PLR2004
        section["architectures"] = [f"SCMP_ARCH_{name}" for name in ("X86_64", "X86", "X32")]
    return {**section, "syscalls": [some_rule() for _ in range(source.randrange(1, 4))]}


def bundle(folder: Path) -> dict[str, Any]:
    """Prepare a container whose program is never run."""
    (folder / "rootfs").mkdir()
    program = folder / "rootfs" / "program"
    program.touch(mode=0o755)
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/program"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {"namespaces": [{"type": name} for name in ("pid", "mount")]},
    }


def ask(binary: str, folder: Path, spec: dict[str, Any]) -> str | None:
    (folder / "config.json").write_text(json.dumps(spec))
    command = [binary, "--root", str(folder / "state")]
    errors = folder / "errors"
    with errors.open("w") as file:
        # Not a pipe: the process that waits in the container would keep it open.
        done = subprocess.run(
            [*command, "create", "recorded"], cwd=folder, stdout=file, stderr=file, timeout=30, check=False
        )
    subprocess.run([*command, "delete", "--force", "recorded"], capture_output=True, check=False)
    if not done.returncode:
        return None
    found = REFUSED.search(errors.read_text())
    assert found, errors.read_text()
    return str(json.loads(f'"{found[1]}"'))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--cases", type=int, default=120, help="sections made at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUTPUT)
    options = parser.parse_args()
    binaries = dict(binary.split("=", 1) for binary in options.binaries)
    source = random.Random(options.seed)  # noqa: S311  reproducible on purpose
    sections = [*by_hand(), *(at_random(source) for _ in range(options.cases))]
    asked = [(section, False) for section in sections] + [(section, True) for section in sections[:90:6]]
    answers = []
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as agent:
        folder = Path(name)
        spec = bundle(folder)
        agent.bind(str(folder / AGENT))
        agent.listen(8)
        for section, no_new_privileges in asked:
            spec["process"]["noNewPrivileges"] = no_new_privileges
            spec["linux"]["seccomp"] = section
            said: dict[str | None, list[str]] = {}
            for release, binary in binaries.items():
                said.setdefault(ask(binary, folder, spec), []).append(release)
            answer = [{"releases": releases, "text": text} for text, releases in said.items()]
            answers.append({"section": section, "noNewPrivileges": no_new_privileges, "said": answer})
    version = {
        release: subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()
        for release, binary in binaries.items()
    }
    lines = ",\n".join(json.dumps(answer, separators=(",", ":")) for answer in answers)
    options.out.write_text(f'{{"recorded": {json.dumps(version)},\n"answers": [\n{lines}\n]}}\n')
    print(f"{len(answers)} sections, shown to {', '.join(binaries)}: {options.out}")


if __name__ == "__main__":
    main()
