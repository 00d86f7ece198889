"""A dump is read a window at a time and comes out as if it had been read at once. The judge is Python's own json."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput
from shim.kubelet import dump, manifest
from shim.kubelet.dump import Piece, Whole, pieces

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
# What a scanner of braces could take for one, and what looks like the end of an item of kubectl.
TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(['"', "\\", '{"', "}", '\\"}', "\n        },\n        {", "]", '"items": ['])
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4).map(lambda more: {"kind": "Other", "apiVersion": "v1", **more})
STYLES = st.sampled_from(
    [
        {"indent": 4},
        {"indent": 4, "ensure_ascii": False},
        {"indent": 1, "sort_keys": True},
        {"separators": (",", ":")},
        {},
        {"indent": "\t"},
        {"indent": 0},
    ]
)


def read(text: bytes, window: int = dump.WINDOW) -> list[Piece | Whole]:
    return list(pieces(io.BytesIO(text), "dump.json", window=window))


def items(found: list[Piece | Whole]) -> list[Any]:
    return [json.loads(bytes(raw)) for piece in found if isinstance(piece, Piece) for raw in piece.items]


@given(st.lists(OBJECTS, max_size=8), STYLES, st.integers(1, 400), st.booleans())
def test_the_items_are_those_of_the_list(things: list[Any], style: dict[str, Any], window: int, first: bool) -> None:
    head = {"apiVersion": "v1", "kind": "List"}
    whole = {**head, "items": things} if first else {"items": things, **head}
    text = json.dumps(whole, **style).encode()
    found = read(text, window)
    assert all(isinstance(piece, Piece) for piece in found)
    assert items(found) == things


@given(st.lists(OBJECTS, max_size=8), STYLES, st.integers(1, 400))
def test_every_item_has_the_line_on_which_it_begins(things: list[Any], style: dict[str, Any], window: int) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things}, **style).encode()
    lines = text.split(b"\n")
    decoder = json.JSONDecoder()
    for piece in read(text, window):
        assert isinstance(piece, Piece)
        for raw, line in zip(piece.items, piece.lines, strict=True):
            rest = b"\n".join(lines[line - 1 :]).decode()
            begins = [at for at, character in enumerate(lines[line - 1].decode()) if character == "{"]
            decoded = []
            for at in begins:
                try:
                    decoded.append(decoder.raw_decode(rest, at)[0])
                except ValueError:  # a brace inside of a text
                    continue
            assert json.loads(bytes(raw)) in decoded


@pytest.mark.parametrize("style", [{"indent": 4}, {"separators": (",", ":")}, {"indent": 2, "sort_keys": True}])
@pytest.mark.parametrize("kind", ["List", "PodList"])
def test_pods_are_those_of_the_manifest_reader(style: dict[str, Any], kind: str) -> None:
    things = [{**POD, "metadata": {"name": f"p{number}", "labels": {"a": "}{"}}} for number in range(40)]
    if kind == "PodList":
        things = [{key: value for key, value in each.items() if key not in ("apiVersion", "kind")} for each in things]
    text = json.dumps({"kind": kind, "apiVersion": "v1", "metadata": {}, "items": things}, **style).encode()
    found = [pod for piece in read(text, 500) for pod in dump.pods(piece)]
    bare = [msgspec.structs.replace(pod, origin=msgspec.structs.replace(pod.origin, line=None)) for pod in found]
    assert bare == manifest.pods(text, "dump.json")


class Endless(io.RawIOBase):
    """A list that does not end, and counts what was read of it."""

    def __init__(self) -> None:
        self.given = 0
        self.chunks = self._chunks()
        self.rest = b""

    def _chunks(self) -> Iterator[bytes]:
        yield b'{"apiVersion": "v1", "kind": "List", "items": ['
        while True:
            yield json.dumps(POD, indent=4).encode() + b",\n"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while len(self.rest) < len(buffer):
            self.rest += next(self.chunks)
        size = len(buffer)
        buffer[:], self.rest = self.rest[:size], self.rest[size:]
        self.given += size
        return size


def test_no_more_is_read_than_a_window_or_two_ahead() -> None:
    stream = Endless()
    used = 0
    for number, piece in enumerate(pieces(io.BufferedReader(stream, 64), "endless", window=1 << 16)):
        assert isinstance(piece, Piece)
        used += sum(len(bytes(raw)) for raw in piece.items)
        assert stream.given - used < 4 << 16
        if number == 30:
            break
    assert used > 20 << 16


def test_one_item_may_be_larger_than_a_window() -> None:
    things = [POD, {**POD, "metadata": {"name": "big", "annotations": {"x": "{" * 10_000}}}, POD]
    assert items(read(json.dumps({"kind": "List", "apiVersion": "v1", "items": things}).encode(), 64)) == things


YAML_LIST = "apiVersion: v1\nkind: List\nitems:\n- &p\n  apiVersion: v1\n  kind: Pod\n- {<<: *p}\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# a\napiVersion: v1\nkind: Pod\n---\n\napiVersion: v1\nkind: Pod\n", [2, 6]),
        (YAML_LIST, [4, 7]),
        (json.dumps(POD, indent=2), [1]),
        ("\n\n" + json.dumps(POD), [3]),
        (json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}, indent=4) + f"\n{json.dumps(POD)}", [5, 21]),
        # more than is read twice
        (json.dumps({**POD, "x": " " * (1 << 20)}), [None]),
    ],
)
def test_objects_have_lines(text: str, lines: list[int | None]) -> None:
    assert [pod.origin.line for piece in read(text.encode()) for pod in dump.pods(piece)] == lines


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\n", "ab"),
        (json.dumps({**POD, "metadata": {"name": "a"}}), "a"),
        (json.dumps({"apiVersion": "v1", "kind": "List", "items": []}), ""),
        ("\ufeff" + json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}), "p"),
        # jq -S sorts keys, and then only the list's end says what its items are.
        (json.dumps({"apiVersion": "v1", "items": [{"metadata": {"name": "a"}}], "kind": "PodList"}), "a"),
        # Two outputs of kubectl, one behind the other; and a pod behind a list.
        (2 * (json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}, indent=4) + "\n"), "pp"),
        (json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}) + json.dumps(POD), "pp"),
        # A list inside of an object is none.
        (json.dumps({"spec": {"volumes": [{"items": [POD]}], "containers": []}, **POD}), "p"),
        (json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"items": [POD]}, "items": [POD, POD]}), "pp"),
    ],
)
def test_what_comes_in_other_forms(text: str, names: str) -> None:
    assert "".join(pod.name for piece in read(text.encode()) for pod in dump.pods(piece)) == names


OTHER = '{"kind":"X","apiVersion":"v1"}'
CUT_OFF, NO_OBJECT = "the file ends in the middle of a list", "an object is expected"


@pytest.mark.parametrize(
    ("why", "text", "says"),
    [
        ("nothing behind an item", '{"a":1}\n', f"3: {CUT_OFF}"),
        ("an item that is cut off", '{"a":{"b":1}', "2: the file ends in the middle of it"),
        ("nothing behind the items", '{"a":1}\n]', f"3: {CUT_OFF}"),
        ("nothing behind a comma", '{"a":1},', f"2: {CUT_OFF}"),
        ("no comma", '{"a":1}\n{"b":1}]}', "3: items[1]: a comma is expected"),
        ("a comma too many", '{"a":1},\n]}', f"3: items[1]: {NO_OBJECT}"),
        ("a comma in front", ',{"a":1}]}', f"2: items[0]: {NO_OBJECT}"),
        ("no object", f"{OTHER},\n7]}}", f"3: items[1]: {NO_OBJECT}"),
        ("no JSON behind", '],"a":}', "2: it is no JSON"),
        ("no list", f'{OTHER}\n],"kind":"Pod"}}', None),
        (
            "too deep",
            '{"kind":"Pod","apiVersion":"v1","spec":' + '{"template":{"spec":' * 5000 + "1" + "}}" * 5000 + "}]}",
            "2: items[0]",
        ),
        (
            "no UTF-8",
            '{"kind":"Pod","apiVersion":"v1",\n"spec":{"hostname":"\udcff"}}]}',
            "3: items[0]: byte 0xff is no UTF-8",
        ),
        (
            "no UTF-8 beside it",
            '{"kind":"Pod","apiVersion":"v1",\n"x":"\udcff","spec":7}]}',
            "3: items[0].spec: a mapping is",
        ),
        ("no JSON inside", '{"kind":"X",\n"apiVersion":,}\n]}', "3: items[0]: it is no JSON"),
        ("no kind of an item", '{"apiVersion":"v1"}\n]}', "2: items[0].kind: kind is missing"),
        (
            "a wrong type",
            '{"kind":"Pod","apiVersion":"v1",\n"spec":{"hostPID":\n"yes"}}\n]}',
            "3: items[0].spec.hostPID: true or false is expected, not text",
        ),
    ],
)
def test_what_is_wrong_with_items_is_told_with_its_line(why: str, text: str, says: str | None) -> None:
    whole = '{"kind":"List","apiVersion":"v1","items":[\n' + text
    assert wrong(whole) == "" if says is None else wrong(whole).startswith(f"dump.json:{says}"), why


@pytest.mark.parametrize(
    ("why", "text", "says"),
    [
        ("no kind at all", f'{{"apiVersion":"v1","items":[\n{OTHER}\n]}}', "3: kind: the list does not say it"),
        ("no version", f'{{"kind":"List","items":[\n{OTHER}\n]}}', "3: apiVersion: the list does not say it"),
        ("no list", f'{{"apiVersion":"v1","items":[\n{OTHER}\n],"kind":"Pod"}}', "3: kind: a Pod is no list"),
    ],
)
def test_a_list_says_what_it_is(why: str, text: str, says: str) -> None:
    assert wrong(text) == f"dump.json:{says}", why


def test_what_is_wrong_behind_a_list_has_its_line_in_the_file() -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": []}, indent=4)
    assert wrong(text + '\n{"kind": "Pod",\n "apiVersion": "v1", "spec": 1}').startswith("dump.json:7: spec: ")


def wrong(text: str) -> str:
    """Return what is said of a text, "" where that is nothing."""
    try:
        for piece in read(text.encode(errors="surrogateescape")):
            list(dump.pods(piece))
    except BadInput as fault:
        return str(fault)
    return ""


def test_objects_of_other_kinds_may_have_any_shape() -> None:
    other = {"kind": "Odd", "apiVersion": "odd/v1", "spec": [1], "metadata": {"labels": 3}}
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": [other, POD]}).encode()
    assert [pod.name for piece in read(text) for pod in dump.pods(piece)] == ["p"]
