"""What Go's encoding/json makes of bytes and values: texts, errors and the values in between.

    dumps(value)                     json.Marshal
    loads(data)                      json.Unmarshal into an `any`
    decode(data, shape)              json.Unmarshal into a Go type, told as values (`Record`, `Slice`, `Unsigned`...)
    decode_seccomp(data, fields)     the same into the runtime spec's LinuxSeccomp of an era
    quote(text)                      strconv.Quote, and the verb %q

What is wrong with a text is a `GoJsonFault`, whose own text is Go's. `Toolchain` says which generation of Go speaks.
"""

from __future__ import annotations

from runtimes.gojson.decode import Decoded, decode, loads
from runtimes.gojson.encode import dumps
from runtimes.gojson.fault import GoJsonFault
from runtimes.gojson.quoting import quote
from runtimes.gojson.seccomp import SECCOMP_FIELDS, SeccompProfile, decode_seccomp
from runtimes.gojson.shape import Bool, Map, Pointer, Record, Shape, Signed, Slice, Text, Unsigned
from runtimes.gojson.toolchain import Toolchain

__all__ = [
    "SECCOMP_FIELDS",
    "Bool",
    "Decoded",
    "GoJsonFault",
    "Map",
    "Pointer",
    "Record",
    "SeccompProfile",
    "Shape",
    "Signed",
    "Slice",
    "Text",
    "Toolchain",
    "Unsigned",
    "decode",
    "decode_seccomp",
    "dumps",
    "loads",
    "quote",
]
