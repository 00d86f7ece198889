"""A list of pods that is larger than memory may be -> its items, a few at a time, from a file or a pipe.

What `kubectl get pods -A -o json` prints is never held as a whole: `pieces` reads a window of it and cuts it between
two items, `pods` decodes the items of one piece. Anything that does not begin as a list in JSON does goes through
manifest.py in one piece.

How a window is cut. A JSON value cannot be the beginning of a longer one, so the items of a list are known to be right
as soon as they decode one after the other, wherever the cut came from. A cut is therefore guessed: the text between the
first two items ("}, new line, 8 spaces, {" of kubectl) is searched for from the window's end, and msgspec says whether
the guess was good. Where it was not, braces are counted.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from runtimes.errors import BadInput
from shim.kubelet import manifest, workload
from shim.kubelet.pod import Origin
from shim.kubelet.workload import Head, Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.kubelet.pod import Pod

WINDOW = 1 << 22  # bytes read at a time

_HEAD_WINDOW = 1 << 16  # bytes in which the items have to begin
_SEAM = 24  # bytes of the second item that belong to what is searched for
_OPENING_BRACE, _CLOSING = ord("{"), ord("]")
_LINE_LIMIT = 1 << 20  # bytes of a file that is read once more for the lines of its objects
_ITEMS = re.compile(rb'"items"\s*:\s*\[')
_GAP = re.compile(rb"\s*,?\s*")
_SPACE = re.compile(rb"\s*")
# Up to the next brace that is not inside of a string. Nothing is ever tried twice (`++`).
_BRACE = re.compile(rb'[^"{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}]*+)*+([{}])', re.DOTALL)
_BYTE = re.compile(r" \(byte (\d+)\)$")
_BOM = b"\xef\xbb\xbf"

_items_of = msgspec.json.Decoder(list[msgspec.Raw])
_item_of = msgspec.json.Decoder(Item)


class Piece(msgspec.Struct, frozen=True):
    """Some items of a list, as they stand in the file. `kind` and `api_version` are what the list says of its items, ""
    where they say it themselves; `first` is the number of the first one, and `lines` are those on which they begin.
    """

    where: str
    kind: str
    api_version: str
    first: int
    items: tuple[msgspec.Raw, ...]
    lines: tuple[int, ...]


class Whole(msgspec.Struct, frozen=True):
    """A file, or what is left of one, that is read at once. `line` is the number of lines before it."""

    where: str
    text: bytes
    line: int = 0


def pieces(stream: BinaryIO, where: str, *, window: int = WINDOW) -> Iterator[Piece | Whole]:
    """Yield a file piece by piece. Raises `BadInput` with the line at which it stops being JSON."""
    ahead = _Window(stream, where, window)
    first = True
    while ahead.more() or first:
        first = False
        while (found := _list_head(ahead.text)) is None and len(ahead.text) < _HEAD_WINDOW and ahead.read():
            pass
        if found is None or not _items_are_known(ahead, *found):
            yield Whole(where, ahead.rest(), ahead.line)
            return
        end, head = found
        ahead.drop(end)
        yield from _List(ahead, head).pieces()


def pods(piece: Piece | Whole) -> Iterator[Pod]:
    """Yield the pods of a piece. Raises `BadInput` with file, line and field."""
    if isinstance(piece, Whole):
        try:
            found = manifest.pods(piece.text, piece.where)
        except BadInput as fault:
            raise _moved(fault, piece.line) from None
        for pod, line in zip(found, _lines(piece.text, found), strict=True):
            there = msgspec.structs.replace(pod.origin, line=line + piece.line if line else None)
            yield msgspec.structs.replace(pod, origin=there)
        return
    for number, (raw, line) in enumerate(zip(piece.items, piece.lines, strict=True), piece.first):
        origin = Origin(piece.where, path=f"items[{number}]", line=line)
        try:
            item = _item_of.decode(raw)
        except msgspec.DecodeError as fault:
            item = _odd_item(bytes(raw), origin, piece.kind, fault)
        except UnicodeDecodeError:
            raise _no_utf8(bytes(raw), origin) from None
        except RecursionError:
            raise BadInput("it nests too deep", where=piece.where, line=line, field=origin.path) from None
        if piece.kind and not item.kind:
            item = msgspec.structs.replace(item, kind=piece.kind, api_version=piece.api_version)
        yield from workload.item_pods(item, origin)


def _odd_item(raw: bytes, origin: Origin, listed: str, fault: msgspec.DecodeError) -> Item:
    """Return an item of another shape, which only those that hold no pods may have."""
    line = origin.line or 1
    if not isinstance(fault, msgspec.ValidationError):
        what, at = _json_fault(fault)
        raise BadInput(what, where=origin.where, line=line + raw.count(b"\n", 0, at), field=origin.path)
    try:
        return manifest.item(msgspec.Raw(raw), raw.decode(errors="replace"), Origin(origin.where), listed)
    except BadInput as wrong:
        raise _moved(wrong, line - 1, f"{origin.path}.{wrong.field}".rstrip(".")) from None


def _no_utf8(raw: bytes, origin: Origin) -> BadInput:
    """Say which byte of an item is no UTF-8."""
    try:
        raw.decode()
        at = 0
    except UnicodeDecodeError as fault:
        at = fault.start
    line = (origin.line or 1) + raw.count(b"\n", 0, at)
    what, right = f"byte 0x{raw[at]:02x} is no UTF-8", "a file in UTF-8"
    return BadInput(what, where=origin.where, line=line, field=origin.path, right=right)


def _moved(fault: BadInput, lines: int, field: str = "") -> BadInput:
    """Return a fault of a part of the file as one of the file."""
    if not (lines or field):
        return fault
    line = fault.line + lines if fault.line else lines + 1
    return type(fault)(fault.what, where=fault.where, line=line, field=field or fault.field, right=fault.right)


def _json_fault(fault: msgspec.DecodeError) -> tuple[str, int]:
    """Return in words what is wrong with JSON, and the byte at which it is."""
    text = str(fault)
    found = _BYTE.search(text)
    said = text[: found.start()] if found else text
    what = said.removeprefix("JSON is malformed: ")
    return f"it is no JSON: {what[:1].lower()}{what[1:]}", int(found[1]) if found else 0


def _lines(text: bytes, found: list[Pod]) -> list[int | None]:
    """Return the lines on which objects stand; where they are not known, and the text is long, they stay unknown."""
    if len(text) > _LINE_LIMIT or all(pod.origin.line for pod in found):
        return [pod.origin.line for pod in found]
    from shim.kubelet import yamlfile  # noqa: PLC0415  YAML takes a while to import

    places = [(pod.origin.document, pod.origin.path) for pod in found]
    return yamlfile.lines_of(text.decode("utf-8-sig"), places)


def _list_head(text: bytes) -> tuple[int, Head] | None:
    """Return where the items of a list begin, and what it says of itself before; None where this is no such list."""
    for found in _ITEMS.finditer(text, 0, _HEAD_WINDOW):
        before = text[: found.start()].rstrip().removesuffix(b",")
        try:
            head = msgspec.json.decode(before + b"}", type=Head)
        except msgspec.DecodeError:  # deeper inside, or in a text, or not JSON at all
            continue
        return (found.end(), head) if head.kind is None or workload.is_list(head.kind) else None
    return None


def _items_are_known(ahead: _Window, begin: int, head: Head) -> bool:
    """Whether one can tell what the items are before the list's end: the list says so in front, or the first one does.

    An API server's own lists say it in front, but not once their keys are sorted.
    """
    begin = _end(_SPACE, ahead.text, begin)
    end = ahead.item_end(begin) if head.kind is None else None
    if end is None:
        return True
    try:
        return bool(msgspec.json.decode(ahead.text[begin:end], type=Head).kind)
    except msgspec.DecodeError:
        return True


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    """Return where a pattern that matches anything ends."""
    found = pattern.match(text, at)
    return found.end() if found else at


class _Window:
    """What was read of a stream and not yet used. `line` is the number of lines before it."""

    def __init__(self, stream: BinaryIO, where: str, size: int) -> None:
        self.stream, self.where, self.size = stream, where, size
        self.text, self.line, self.ended = b"", 0, False
        while len(self.text) < len(_BOM) and self.read():
            pass
        self.text = self.text.removeprefix(_BOM)

    def read(self) -> bool:
        """Read at least as much again as there is, and say whether there was more."""
        chunk = self.stream.read(max(self.size, len(self.text))) if not self.ended else b""
        self.ended = not chunk
        self.text += chunk
        return bool(chunk)

    def more(self) -> bool:
        """Say whether anything is left but space."""
        while not self.text.strip() and self.read():
            pass
        return bool(self.text.strip())

    def rest(self) -> bytes:
        """Return everything that is left."""
        everything = self.text + (b"" if self.ended else self.stream.read())
        self.text, self.ended = b"", True
        return everything

    def drop(self, end: int, counted: int = 0, line: int | None = None) -> None:
        """Forget what was used. `line` is the number of lines up to `counted`, where somebody has counted them."""
        self.line = (self.line if line is None else line) + self.text.count(b"\n", counted, end)
        self.text = self.text[end:]

    def item_end(self, begin: int) -> int | None:
        """Return where the object that begins there ends, None where it is none. Reads on until it ends."""
        while True:
            if begin < len(self.text) and self.text[begin] != _OPENING_BRACE:
                return None
            end = _object_end(self.text, begin)
            if end is not None:
                return end
            if not self.read():
                if begin == len(self.text):
                    return None
                raise self.bad("the file ends in the middle of it", len(self.text))

    def bad(self, what: str, at: int) -> BadInput:
        """Say what is wrong at a byte."""
        return BadInput(what, where=self.where, line=self.line + self.text.count(b"\n", 0, at) + 1)


def _object_end(text: bytes, begin: int) -> int | None:
    """Return where the object that begins there ends, None where the text ends before."""
    depth, at = 0, begin
    while found := _BRACE.match(text, at):
        at = found.end()
        depth += 1 if text[at - 1] == _OPENING_BRACE else -1
        if not depth:
            return at
    return None


class _List:
    """The items of one list, from its opening bracket to the end of the list."""

    def __init__(self, ahead: _Window, head: Head) -> None:
        self.ahead, self.head = ahead, head
        self.seam = b""  # what stands between two items, and the beginning of the second
        self.count = 0  # of the items that were handed out

    def pieces(self) -> Iterator[Piece]:
        """Yield the items, as many at a time as a window holds."""
        while (begin := self._next(0, self.count)) is not None:
            yield self._piece(*(self._guessed(begin) or self._counted(begin)))
        self._close()

    def _piece(self, items: list[tuple[int, msgspec.Raw]], end: int) -> Piece:
        """Hand out items, each with the place at which it begins."""
        ahead, lines = self.ahead, []
        line, last = ahead.line + 1, 0
        for begin, _raw in items:
            line += ahead.text.count(b"\n", last, begin)
            last = begin
            lines.append(line)
        kind = (self.head.kind or "").removesuffix("List")
        raws = tuple(raw for _begin, raw in items)
        piece = Piece(ahead.where, kind, self.head.api_version or "", self.count, raws, tuple(lines))
        self.count += len(items)
        ahead.drop(end, last, line - 1)
        return piece

    def _guessed(self, begin: int) -> tuple[list[tuple[int, msgspec.Raw]], int] | None:
        """Cut at the last seam in the window. None where there is none, or it was not one."""
        ahead = self.ahead
        if self.seam and len(ahead.text) < ahead.size:
            ahead.read()
        end = ahead.text.rfind(self.seam, begin) + 1 if self.seam else 0
        if end <= begin:
            return None
        try:
            raws = _items_of.decode(b"".join((b"[", memoryview(ahead.text)[begin:end], b"]")))
        except (msgspec.DecodeError, RecursionError):
            return None
        items: list[tuple[int, msgspec.Raw]] = []
        for raw in raws:
            if bytes(memoryview(raw)[:1]) != b"{":
                raise self._no_object(len(items), begin)
            items.append((begin, raw))
            begin = _end(_GAP, ahead.text, begin + len(memoryview(raw)))
        return items, end

    def _counted(self, begin: int) -> tuple[list[tuple[int, msgspec.Raw]], int]:
        """Cut by counting braces, which is slow and always right: two items to know the seam, else a window of them."""
        ahead = self.ahead
        items: list[tuple[int, msgspec.Raw]] = []
        while True:
            end = ahead.item_end(begin)
            if end is None:
                raise self._no_object(len(items), begin)
            items.append((begin, msgspec.Raw(ahead.text[begin:end])))
            if end >= ahead.size or (following := self._next(end, self.count + len(items))) is None:
                return items, end
            if not self.seam:
                self.seam = ahead.text[end - 1 : following + _SEAM]
                return items, end
            begin = following

    def _next(self, end: int, number: int) -> int | None:
        """Return where the item behind a place begins, None where the list ends there."""
        ahead = self.ahead
        while (at := _end(_GAP, ahead.text, end)) == len(ahead.text):
            if not ahead.read():
                raise ahead.bad("the file ends in the middle of a list", at)
        comma = b"," in ahead.text[end:at]
        if ahead.text[at] == _CLOSING and not comma:
            return None
        if comma == (number == 0):
            raise ahead.bad(f"items[{number}]: {'a comma' if number else 'an object'} is expected", at)
        return at

    def _no_object(self, more: int, at: int) -> BadInput:
        return self.ahead.bad(f"items[{self.count + more}]: an object is expected", at)

    def _close(self) -> None:
        """Read what the list says behind its items."""
        ahead = self.ahead
        ahead.drop(_end(_SPACE, ahead.text, 0) + 1)
        while (end := _object_end(b"{" + ahead.text, 0)) is None:
            if not ahead.read():
                raise ahead.bad("the file ends in the middle of a list", len(ahead.text))
        behind = ahead.text[: end - 1].lstrip().removeprefix(b",")
        try:
            tail = msgspec.json.decode(b"{" + behind, type=Head)
        except msgspec.DecodeError as fault:
            raise ahead.bad(_json_fault(fault)[0], 0) from None
        for field, value in (("apiVersion", self.head.api_version or tail.api_version), ("kind", self.kind(tail))):
            if not value:
                raise ahead.bad(f"{field}: the list does not say it", 0)
        ahead.drop(end - 1)

    def kind(self, tail: Head) -> str | None:
        """Return the list's kind, wherever it says it."""
        found = self.head.kind or tail.kind
        if found and not workload.is_list(found):
            raise self.ahead.bad(f"kind: a {found} is no list", 0)
        return found


def read(data: bytes, where: str) -> Iterator[Piece | Whole]:
    """Yield the pieces of a file that was read already."""
    return pieces(io.BytesIO(data), where)
