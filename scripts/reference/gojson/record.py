"""Ask Go's encoding/json about thousands of texts: writes tests/gojson/answers.json.gz.

    python scripts/reference/gojson/record.py [--cases N] [--seed N] [--out FILE]

Needs Go and, the first time, its module proxy. main.go is built twice, as it is and with GOEXPERIMENT=jsonv2, which is
what later releases of Go are. Every character of a text in the file stands for the byte of that number; "go" holds the
answers, "jsonv2" those of them that are others there.

More cases than the tests carry are a good idea after a change: --cases 8000 --seed 2 --out FILE.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUTPUT = HERE.parents[2] / "tests/gojson/answers.json.gz"

Answers = list[dict[str, str]]
Maker = Callable[[random.Random], bytes]

PROFILE = (
    b'{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],'
    b'"flags":["SECCOMP_FILTER_FLAG_LOG"],"listenerPath":"/run/a.sock","listenerMetadata":"m\\u00e9\\n",'
    b'"archMap":null,"syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW","comment":"c\xc3\xa9","args":[]},'
    b'{"names":["personality"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"args":[{"index":0,"value":8,'
    b'"valueTwo":18446744073709551615,"op":"SCMP_CMP_MASKED_EQ"}],"includes":{"caps":["CAP_BPF"]}}]}'
)
NUMBERS = [
    *b"0 -0 1 -1 7 255 256 65536 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296".split(),
    *b"9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809".split(),
    *b"18446744073709551615 18446744073709551616 99999999999999999999 123456789012345678901234567890".split(),
    *b"1e3 1E3 1.0 1.5 -1.5 1e+3 1e-3 0e0 0.0 1e400 -1e400".split(),
]
NO_NUMBERS = b"00 01 +1 1e 1e+ 1. .5 - -- -a 0x10 1_000 1.2.3 1e5e 1.x -1e+x NaN Infinity -Infinity".split()
LITERALS = b"true false null".split()
NO_LITERALS = b"True nul nulL tru truE fals t f n nullx truetrue".split()
STRINGS = [
    *rb'"" "a" "SCMP_ACT_ALLOW" "\u0041" "\ud83d\ude00" "\ud800" "\ud800x" "\udc00\ud800" "\ud800\u0041"'.split(),
    *rb'"\uDFFF" "\ud800\ud83d\ude00" "\b\f\n\r\t\/\\\"" "\u00e9\\n" "\u2028<>&"'.split(),
    *b'"\xc3\xa9" "\xff" "\xe2\x82" "\xe2\x82\xac" "\xed\xa0\x80" "\xc0\x80" "\xf4\x90\x80\x80"'.split(),
    *b'"\xf0\x9f\x98\x80" "\xf0\x9f\x98" "\xef\xbf\xbd" "\x7f" "\xff\\n"'.split(),
]
NO_STRINGS = [
    *rb"""'a' "\x" "\u12" "\u12G4" "\u" "\" "\ "\u1 "\u12x "\`" "\a" "\0" "\'" "\U0041" "\u`" "\u"12" """.split(),
    *b'"\\\xc3\xa9" "\\\xff" "\\u\xc3\xa9"'.split(),
    *(b'"\x00"', b'"\n"', b'"\x1f"', b'"\\ "', b'"\\\n"', b'"\\u   "'),
]
CHARACTERS = [
    *b"\xef\xbb\xbf \xfe\xff \xc2\xad \xe2\x82\xac \xef\xbf\xbd \xf0\x9f\x98\x80 \xf3\xa0\x80\x81 \xff".split(),
    *b"\xe2\x82 \xc2 \x80 \x00 \x07 \x08 \x1b \x7f ' \" \\ ` / # < x \xcd\xb8 \xee\x80\x80".split(),
    *(b"\x0b", b"\x0c", b"\xc2\x85", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xe3\x80\x80"),
]
KEYS = [
    *"defaultAction defaultErrnoRet architectures flags listenerPath listenerMetadata syscalls names action".split(),
    *"errnoRet args index value valueTwo op text word flag uint uint8 uint32 uint64 int int32 int64 pointer".split(),
    *"task matrix inner list pointers sizes named name count words other a/b a~b a.b 0 12 \u00e9".split(),
    *"DEFAULTACTION Names syscallS listenerpath ta\u017fk TA\u212a ta_sk li-st".split(),
]
SPACES = [b"", b"", b"", b" ", b"\n\t\r "]

# What a text is made to fit: a type's name, or the same things inside a list or an object.
SECCOMP: dict[str, Any] = {
    "defaultAction": str,
    "defaultErrnoRet": int,
    "architectures": [str],
    "flags": [str],
    "listenerPath": str,
    "syscalls": [
        {"names": [str], "action": str, "errnoRet": int, "args": [{"index": int, "value": int, "valueTwo": int}]}
    ],
}
INNER: dict[str, Any] = {"name": str, "count": int, "words": [str]}
EVERYTHING: dict[str, Any] = {
    **dict.fromkeys(["uint", "uint8", "int32", "int64", "pointer"], int),
    "text": str,
    "word": str,
    "task": [str],
    "matrix": [[int]],
    "sizes": {"a": int, "b": int},
    "inner": INNER,
    "list": [INNER],
    "pointers": [INNER],
    "named": {"a": INNER, "b": INNER},
}
# Few keys, so that many come twice and meet what the first one left.
TWICE = [{"list": [INNER]}, {"pointers": [INNER], "matrix": [[int]]}, {"syscalls": SECCOMP["syscalls"]}]


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=120, help="texts of each random kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUTPUT)
    options = parser.parse_args()
    questions = [
        *({"decode": text.decode("latin-1")} for text in to_decode(options.cases, options.seed)),
        *({"encode": text.decode("latin-1")} for text in to_encode(options.cases, options.seed)),
    ]
    both = zip(questions, ask(questions, ""), ask(questions, "jsonv2"), strict=True)
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    content = {"toolchain": version, "answers": [entry(*each) for each in both]}
    text = json.dumps(content, separators=(",", ":"))
    options.out.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(questions)} questions, answered by {version}: {options.out}")


def ask(questions: list[dict[str, str]], experiment: str) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/gojson"
        environment = {**os.environ, "GOEXPERIMENT": experiment}
        subprocess.run(["go", "build", "-o", program, "."], cwd=HERE, env=environment, check=True)
        lines = "".join(json.dumps(question) + "\n" for question in questions)
        said = subprocess.run([program], input=lines.encode(), capture_output=True, check=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def entry(question: dict[str, str], before: dict[str, str], after: dict[str, str]) -> dict[str, object]:
    changed = {key: answer for key, answer in after.items() if before[key] != answer}
    return {**question, "go": before, **({"jsonv2": changed} if changed else {})}


def to_decode(cases: int, seed: int) -> list[bytes]:
    """Return each text once, `cases` of every random kind."""
    source = random.Random(seed)  # noqa: S311  reproducible on purpose
    fits = [partial(_fitting, shape=shape) for shape in (SECCOMP, EVERYTHING, *TWICE)]
    makers: list[Maker] = [_damaged, _tokens, _valid, *fits]
    found = [maker(source) for maker in makers for _ in range(cases)]
    return list(dict.fromkeys([*_by_hand(), *(PROFILE[:end] for end in range(len(PROFILE) + 1)), *found]))


def to_encode(cases: int, seed: int) -> list[bytes]:
    """Return each string once, every single byte among them."""
    source = random.Random(seed)  # noqa: S311  reproducible on purpose
    pieces = [*CHARACTERS, *(b"< > & a \xe2\x80\xa9 \xc3\xa9 \\b \\u0008").split(), b"\n", b"\r", b"\t"]
    found = [b"".join(source.choices(pieces, k=source.randrange(8))) for _ in range(cases)]
    return list(dict.fromkeys([*(bytes([number]) for number in range(256)), *found]))


def _by_hand() -> list[bytes]:
    ends = b'%s [%s [1%s [1,%s {%s {"a"%s {"a":%s {"a":1%s {"a":1,%s 1%s []%s "%s "\\%s'.split()
    values = b'null 1 "x" true [] {} [1] ["x"] [{}] [null]'.split()
    scalars = [*NUMBERS, *NO_NUMBERS, *LITERALS, *NO_LITERALS, *STRINGS, *NO_STRINGS, b'"', b'"\\']
    places = (b"%s", b" %s ", b"[%s]", b'{"uint":%s}', b'{"text":%s,"uint":1}')
    inner = (b'{"list":[{"name":%s}]}', b'{"list":[{"count":%s}]}', b'{"sizes":{"k":%s}}', b'{"named":{"k":%s}}')
    return [
        *(end % (character + rest) for end in ends for character in CHARACTERS for rest in (b"", b" 1]")),
        *(place % scalar for place in places for scalar in scalars),
        *(b'{"%s":%s}' % (key.encode(), value) for key in KEYS for value in values),
        *(place % value for place in inner for value in (*values, b"-1", b'{"count":"a"}')),
        *(b"[" * depth + b"]" * depth for depth in (2, 10000, 10001)),
        *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (2, 10000, 10001)),
        *(b'{"list":' * 10001, b"", b" ", b"[" * 10001, b"[" * 10000),
    ]


def _damaged(source: random.Random) -> bytes:
    data = bytearray(PROFILE)
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        at = source.randrange(len(data))
        sign = bytes([source.choice(b'{}[]:,"\\tfn0-1.eE+ ')])
        what = source.choice([b"", source.randbytes(1), sign, source.choice(CHARACTERS)])
        data[at : at + source.choice([0, 1, 1, 2, 40])] = what
    return bytes(data)


def _tokens(source: random.Random) -> bytes:
    pieces = [*b'{ } [ ] : , "a":'.split(), *STRINGS, *NUMBERS, *NO_NUMBERS, *LITERALS, *LITERALS]
    return b"".join(source.choice(pieces) + source.choice(SPACES) for _ in range(source.randrange(1, 12)))


def _valid(source: random.Random, depth: int = 4) -> bytes:
    scalars: list[Maker] = [lambda each: each.choice(each.choice([NUMBERS, STRINGS, LITERALS]))]
    inside = depth - 1
    composed: list[Maker] = [
        lambda each: _array([_valid(each, inside) for _ in range(each.randrange(4))], each),
        lambda each: _fitting(each, dict.fromkeys(each.sample(KEYS, 3)), inside),
    ]
    return source.choice(scalars + composed if depth > 0 else scalars)(source)


def _fitting(source: random.Random, shape: Any, depth: int = 8) -> bytes:
    """Make a text that fits for the most part, with duplicates, nulls and keys in another case."""
    luck = source.randrange(16)
    if not luck or shape is None:
        return _valid(source, min(depth, 2))
    if luck == 1:
        return b"null"
    if shape is str:
        return source.choice(STRINGS)
    if shape is int:
        return source.choice(b"0 1 2 7 200".split())
    if isinstance(shape, list):
        return _array([_fitting(source, shape[0], depth - 1) for _ in range(source.choice([0, 1, 1, 2, 3]))], source)
    members = []
    for key in source.choices(list(shape), k=source.randrange(min(7, len(shape) + 3))):
        spelled = json.dumps(source.choice([key, key, key, key, key.upper(), key.title(), key + "x"])).encode()
        members.append(spelled + b":" + source.choice(SPACES) + _fitting(source, shape[key], depth - 1))
    return b"{" + source.choice(SPACES) + b",".join(members) + b"}"


def _array(items: list[bytes], source: random.Random) -> bytes:
    return b"[" + b",".join(source.choice(SPACES) + item + source.choice(SPACES) for item in items) + b"]"


if __name__ == "__main__":
    main()
