"""The section's JSON form is the one that Go's encoder gives the OCI structs."""

from __future__ import annotations

import json

import msgspec

from runtimes.oci import Arg, Seccomp, Syscall


def test_what_is_omitted_and_in_which_order() -> None:
    """Empty optional fields vanish; `index`, `value`, `names` and `defaultAction` never do."""
    section = Seccomp(
        default_action="",
        syscalls=(Syscall(names=None, action="SCMP_ACT_ALLOW", args=(Arg(index=0, value=0, op="SCMP_CMP_EQ"),)),),
    )
    assert json.dumps(section.to_json(), separators=(",", ":")) == (
        '{"defaultAction":"","syscalls":[{"names":null,"action":"SCMP_ACT_ALLOW",'
        '"args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"}]}]}'
    )


def test_every_field_survives_a_round_trip() -> None:
    """What a section says is read back as it was, 64-bit numbers included."""
    section = Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno_ret=38,
        architectures=("SCMP_ARCH_X86_64",),
        flags=("SECCOMP_FILTER_FLAG_LOG",),
        listener_path="/run/x",
        listener_metadata="m",
        syscalls=(
            Syscall(
                names=("clone",),
                action="SCMP_ACT_ERRNO",
                errno_ret=0,
                args=(Arg(index=5, value=2**64 - 1, value_two=7, op="SCMP_CMP_MASKED_EQ"),),
            ),
        ),
    )
    text = msgspec.json.encode(section.to_json())
    assert Seccomp.from_json(msgspec.json.decode(text)) == section
    assert b'"errnoRet":0' in text
