"""What the recorded answers leave out: eras of the runtime spec, dropped keys, properties of the reader itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtimes.gojson import (
    SECCOMP_FIELDS,
    GoJsonFault,
    Pointer,
    Record,
    Signed,
    Slice,
    Text,
    Toolchain,
    Unsigned,
    decode,
    decode_seccomp,
    dumps,
    loads,
    quote,
)
from runtimes.oci import Arg, Seccomp, Syscall

# What containerd's own decode and encode made of twenty files, at the tags where the vendored runtime-spec changed.
LOCALHOST: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "localhost.json").read_text())
ERAS = {
    "1.2": (),
    "1.4.0-beta.0": ("flags",),
    "1.4.0-beta.2": ("flags", "errnoRet"),
    "1.5.5": SECCOMP_FIELDS,
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", LOCALHOST)
def test_localhost_files_era_by_era(name: str, era: str) -> None:
    answers = LOCALHOST[name]["answers"]
    want = [answers[known] for known in ERAS if known in answers and list(ERAS).index(known) <= list(ERAS).index(era)]
    try:
        got = dumps(decode_seccomp(LOCALHOST[name]["input"].encode(), ERAS[era]).section)
    except GoJsonFault as fault:
        got = f"error: {fault}"
    assert got == want[-1]


def test_section_and_dropped_keys() -> None:
    """A profile in Docker's format loses its conditions, and says so."""
    text = b"""{
        "defaultAction": "SCMP_ACT_ERRNO", "archMap": [{"architecture": "SCMP_ARCH_X86_64"}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "a", "args": []},
            {"name": "bpf", "ACTION": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]},
             "args": [{"index": 0, "value": 18446744073709551615, "op": "SCMP_CMP_EQ", "x/y": 1}]}
        ]
    }"""
    profile = decode_seccomp(text)
    assert profile.section == Seccomp(
        default_action="SCMP_ACT_ERRNO",
        syscalls=(
            Syscall(names=("read",), action="SCMP_ACT_ALLOW"),
            Syscall(
                names=None, action="SCMP_ACT_ALLOW", args=(Arg(index=0, value=18446744073709551615, op="SCMP_CMP_EQ"),)
            ),
        ),
    )
    assert profile.dropped == (
        "archMap",
        "syscalls[0].comment",
        "syscalls[1].name",
        "syscalls[1].includes",
        "syscalls[1].args[0].x/y",
    )


def test_a_field_that_the_era_lacks_is_dropped() -> None:
    text = b'{"defaultAction":"SCMP_ACT_ERRNO","flags":["x"],"syscalls":[{"names":["a"],"errnoRet":-1}]}'
    profile = decode_seccomp(text, ())
    assert profile.section.flags == ()
    assert profile.dropped == ("flags", "syscalls[0].errnoRet")
    with pytest.raises(GoJsonFault, match="number -1"):
        decode_seccomp(text, ("errnoRet",))


PATHS = [
    (
        '{"syscalls":[{},{"args":[{"value":1e3}]}]}',
        "number 1e3 into Go struct field LinuxSeccompArg.syscalls.args.value of type uint64",
        "number 1e3 into Go struct field LinuxSeccomp.syscalls.1.args.0.value of type uint64",
    ),
    (
        '{"SYSCALLS":[{"Names":[1]}]}',
        "number into Go struct field LinuxSyscall.syscalls.names of type string",
        "number into LinuxSeccomp.SYSCALLS.0.Names.0 of type string",
    ),
    (
        '{"syscalls":"x"}',
        "string into Go struct field LinuxSeccomp.syscalls of type []specs.LinuxSyscall",
        "string into Go struct field LinuxSeccomp.syscalls of type []specs.LinuxSyscall",
    ),
    (
        '{"flags":[[]],"syscalls":5}',
        "array into Go struct field LinuxSeccomp.flags of type specs.LinuxSeccompFlag",
        "array into LinuxSeccomp.flags.0 of type specs.LinuxSeccompFlag",
    ),
    ("[]", "array into Go value of type specs.LinuxSeccomp", "array into Go value of type specs.LinuxSeccomp"),
]


@pytest.mark.parametrize(("text", "path", "jsonv2"), PATHS)
def test_how_a_generation_names_a_field(text: str, path: str, jsonv2: str) -> None:
    for toolchain, want in ((Toolchain.PATH, path), (Toolchain.SHORT_ESCAPES, path), (Toolchain.JSONV2, jsonv2)):
        with pytest.raises(GoJsonFault) as caught:
            decode_seccomp(text.encode(), toolchain=toolchain)
        assert str(caught.value) == f"json: cannot unmarshal {want}"


# Decoding goes into what is there, which shows when a key comes more than once.
TWICE = [
    ("a list is overwritten element by element", '{"l":[{"a":1,"b":"x"}],"l":[{"a":2}]}', [{"a": 2, "b": "x"}]),
    ("what a shorter list cut off comes back", '{"l":[{"a":1},{"a":2}],"l":[{}],"l":[{},{}]}', [{"a": 1}, {"a": 2}]),
    ("but not after an empty one", '{"l":[{"a":1}],"l":[],"l":[{}]}', [{}]),
    ("nor after null", '{"l":[{"a":1}],"l":null,"l":[{}]}', [{}]),
    ("null leaves a struct as it is", '{"l":[{"a":1}],"l":[null]}', [{"a": 1}]),
    ("null empties a pointer", '{"l":[{"p":1}],"l":[{"p":null}]}', [{}]),
]
ELEMENT = Record("main.T", {"a": Unsigned(), "b": Text(), "p": Pointer(Signed("int32", 32))})


@pytest.mark.parametrize(("text", "want"), [row[1:] for row in TWICE], ids=[row[0] for row in TWICE])
def test_keys_that_come_twice(text: str, want: list[dict[str, Any]]) -> None:
    decoded = decode(text.encode(), Record("main.L", {"l": Slice(ELEMENT)}))
    assert decoded.value == {"l": [{"a": 0, "b": "", "p": None, **element} for element in want]}


def test_dumps() -> None:
    """Structs, tuples, what Marshal keeps out of HTML, and two escapes that had no short form before Go 1.22."""
    section = Seccomp(default_action="<&>\u2028", architectures=("a",))
    assert dumps(section) == '{"defaultAction":"\\u003c\\u0026\\u003e\\u2028","architectures":["a"]}'
    assert dumps({"b": [True, None, 2**64 - 1], "a": ("é",)}) == '{"b":[true,null,18446744073709551615],"a":["é"]}'
    assert dumps("\b\f\\b\n") == r'"\b\f\\b\n"'
    assert dumps("\b\f\\b\n", Toolchain.PATH) == r'"\u0008\u000c\\b\n"'
    assert dumps({"\udcff": "<"}) == r'{"\ufffd":"\u003c"}'


QUOTED = [
    ("", '""'),
    ('a"b\\', r'"a\"b\\"'),
    ("\a\n\x00\x7f", r'"\a\n\x00\x7f"'),
    ("é\u200b\U000e0001\udcff", r'"é\u200b\U000e0001\xff"'),
]


@pytest.mark.parametrize(("text", "want"), QUOTED)
def test_quote(text: str, want: str) -> None:
    assert quote(text) == want


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from(Toolchain), st.sampled_from([None, 1]))
def test_loads_agrees_with_python_on_ascii(value: Any, toolchain: Toolchain, indent: int | None) -> None:
    """On ASCII texts whose numbers a float64 can hold, both read the same."""
    text = json.dumps(value, indent=indent)
    assert loads(text.encode(), toolchain) == json.loads(text)


@given(JSON, st.sampled_from(Toolchain))
def test_dumps_is_read_back(value: Any, toolchain: Toolchain) -> None:
    assert json.loads(dumps(value, toolchain)) == value


PIECES = st.sampled_from([*b'{}[]:,"\\/bfnrtu019eE+-. \n', 0xEF, 0xBB, 0xBF, 0xFF, 0, *b"truefalsn"])


@given(st.binary() | st.lists(PIECES).map(bytes), st.sampled_from(Toolchain))
@example(b'"\\u12', Toolchain.JSONV2)
@example(b"-", Toolchain.PATH)
def test_nothing_but_go_faults(data: bytes, toolchain: Toolchain) -> None:
    """Whatever the bytes are: a value or a text of Go's, and of syntax every reader thinks the same."""
    assert _outcome(data, loads, toolchain) == _outcome(data, _decode_seccomp, toolchain)


def _decode_seccomp(data: bytes, toolchain: Toolchain) -> object:
    return decode_seccomp(data, toolchain=toolchain)


def _outcome(data: bytes, read: Callable[[bytes, Toolchain], object], toolchain: Toolchain) -> str:
    try:
        read(data, toolchain)
    except GoJsonFault as fault:
        return str(fault).partition("json: cannot unmarshal ")[0]
    return ""
