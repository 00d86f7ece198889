"""HostFiles: a directory that stands for a node's file system, out of which nothing leads."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtimes.errors import CapacityExceeded
from runtimes.files import FileFault
from shim.files import FILE_LIMIT, WALK_LIMIT, HostFiles

SECRET = b"what lies outside"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node's root with a secret beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    root = tmp_path / "node"
    (root / "etc/profiles").mkdir(parents=True)
    (root / "etc/profiles/a.json").write_bytes(b"{}")
    (root / "etc/plain").write_bytes(b"plain")
    return root


@pytest.mark.parametrize(
    ("path", "because"),
    [
        ("/etc/profiles/a.json", "an absolute path of the node"),
        ("etc/profiles/a.json", "a relative one starts where a daemon does, at the top"),
        ("//etc///profiles/./a.json", "slashes and dots are one"),
        ("/etc/profiles/../profiles/a.json", "two dots go up"),
        ("/../../../etc/profiles/a.json", "and stop at the top"),
    ],
)
def test_reads(node: Path, path: str, because: str) -> None:
    assert HostFiles(str(node)).read(path) == b"{}", because


@pytest.mark.parametrize(
    ("target", "because"),
    [
        ("/etc/plain", "an absolute target starts at the node's top"),
        ("plain", "a relative one beside the link"),
        ("../../../../etc/plain", "and two dots stop at the top"),
        ("profiles/../plain", "two dots within a target"),
    ],
)
def test_follows_links(node: Path, target: str, because: str) -> None:
    (node / "etc/link").symlink_to(target)
    assert HostFiles(str(node)).read("/etc/link") == b"plain", because


@pytest.mark.parametrize("way", ["..", "../..", "/..", "profiles/../../.."])
def test_no_link_leads_out(node: Path, way: str) -> None:
    (node / "etc/out").symlink_to(way)
    with pytest.raises(FileFault, match=r"^open /etc/out/secret: no such file or directory$"):
        HostFiles(str(node)).read("/etc/out/secret")
    (node / "etc/direct").symlink_to(node.parent / "secret")
    with pytest.raises(FileFault, match="no such file or directory"):
        HostFiles(str(node)).read("/etc/direct")


def test_two_dots_after_a_link_are_those_of_its_target(node: Path) -> None:
    (node / "var").mkdir()
    (node / "var/profiles").symlink_to("/etc/profiles")
    assert HostFiles(str(node)).read("/var/profiles/../plain") == b"plain"


@pytest.mark.parametrize(
    ("path", "text", "because"),
    [
        ("/none.json", "open /none.json: no such file or directory", "a missing file"),
        ("/none/x.json", "open /none/x.json: no such file or directory", "a missing directory on the way"),
        ("none.json", "open none.json: no such file or directory", "a path is told as it was given"),
        ("", "open : no such file or directory", "no path at all"),
        ("/etc", "read /etc: is a directory", "a directory opens and does not read"),
        ("/", "read /: is a directory", "the top itself"),
        ("/etc/plain/x", "open /etc/plain/x: not a directory", "a file on the way"),
        ("/etc/plain/", "open /etc/plain/: not a directory", "a slash after a file"),
        ("/etc/plain/.", "open /etc/plain/.: not a directory", "a dot after a file"),
        ("/etc/plain/..", "open /etc/plain/..: not a directory", "two dots after a file"),
        ("/loop", "open /loop: too many levels of symbolic links", "a link to itself"),
        ("/a\0b", "open /a\0b: invalid argument", "a NUL"),
        ("/half \ud800", "open /half \ud800: no such file or directory", "half of a surrogate pair"),
        ("/" + "n" * 256, f"open /{'n' * 256}: file name too long", "a name of 256 bytes"),
        ("/" + "n/" * 2048, f"open /{'n/' * 2048}: file name too long", "a path of 4097 bytes"),
    ],
)
def test_faults_are_told_as_go_tells_them(node: Path, path: str, text: str, because: str) -> None:
    (node / "loop").symlink_to("loop")
    with pytest.raises(FileFault) as caught:
        HostFiles(str(node)).read(path)
    assert str(caught.value) == text, because


def test_forty_links_are_followed_and_no_more(node: Path) -> None:
    (node / "l0").symlink_to("/etc/plain")
    for number in range(1, 41):
        (node / f"l{number}").symlink_to(f"l{number - 1}")
    assert HostFiles(str(node)).read("l39") == b"plain"
    with pytest.raises(FileFault, match="too many levels"):
        HostFiles(str(node)).read("l40")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(node: Path) -> None:
    (node / "etc/plain").chmod(0)
    (node / "etc/profiles").chmod(0)
    for path in ("/etc/plain", "/etc/profiles/a.json", "/etc/profiles"):
        with pytest.raises(FileFault, match=rf"^open {path}: permission denied$"):
            HostFiles(str(node)).read(path)


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileFault, match=r"^open /x: no such file or directory$"):
        HostFiles(str(tmp_path / "gone")).read("/x")


def test_a_pipe_does_not_hang(node: Path) -> None:
    os.mkfifo(node / "pipe")
    with pytest.raises(CapacityExceeded, match="/pipe is a pipe or a device"):
        HostFiles(str(node)).read("/pipe")


def test_dev_null_of_this_host_is_an_empty_file() -> None:
    assert HostFiles().read("/dev/null") == b""
    with pytest.raises(CapacityExceeded, match="/dev/zero is a pipe or a device"):
        HostFiles().read("/dev/zero")


def test_a_file_that_is_too_large(node: Path) -> None:
    with (node / "large").open("wb") as large:
        large.truncate(FILE_LIMIT)
    assert len(HostFiles(str(node)).read("/large")) == FILE_LIMIT
    with (node / "large").open("ab") as large:
        large.write(b"x")
    with pytest.raises(CapacityExceeded, match=f"/large is larger than {FILE_LIMIT} bytes"):
        HostFiles(str(node)).read("/large")


def test_names_that_are_no_utf8(node: Path) -> None:
    (node / os.fsdecode(b"caf\xe9")).write_bytes(b"latin")
    assert HostFiles(str(node)).read("/caf\udce9") == b"latin"


def test_walk_goes_as_filepath_walk_does(node: Path) -> None:
    for name in ("b/deep/z", "b/a", "b.d/c", "a"):
        (node / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (node / "conf" / name).write_bytes(b"")
    (node / "conf/link").symlink_to("/etc")
    (node / "conf/gone").symlink_to("/nowhere")
    assert HostFiles(str(node)).walk("/conf/") == (
        "/conf/a",
        "/conf/b/a",
        "/conf/b/deep/z",
        "/conf/b.d/c",
        "/conf/gone",
        "/conf/link",
    )


def test_walk_does_not_enter_a_link(node: Path) -> None:
    (node / "link").symlink_to("/etc")
    assert HostFiles(str(node)).walk("/link") == ("/link",)
    assert HostFiles(str(node)).walk("//etc/../etc/plain") == ("/etc/plain",)


def test_walk_of_what_is_not_there(node: Path) -> None:
    with pytest.raises(FileFault, match=r"^lstat /none: no such file or directory$"):
        HostFiles(str(node)).walk("/none")


def test_walk_has_a_limit(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WALK_LIMIT >= 1000
    monkeypatch.setattr("shim.files.WALK_LIMIT", 2)
    assert len(HostFiles(str(node)).walk("/etc/profiles")) == 1
    with pytest.raises(CapacityExceeded, match="more than 2 files below /etc"):
        HostFiles(str(node)).walk("/etc")


# Random trees, against the kernel's own resolution inside a root.

NAMES = ("a", "b", "c")
_parts = st.lists(st.sampled_from([*NAMES, "..", ".", "", "secret"]), min_size=1, max_size=6)
_paths = st.builds(lambda absolute, parts: "/" * absolute + "/".join(parts), st.booleans(), _parts)
_places = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
_trees = st.lists(st.tuples(_places, st.one_of(st.none(), st.just("file"), _paths.filter(bool))), max_size=8)


@given(tree=_trees, paths=st.lists(_paths, min_size=1, max_size=5))
@example(tree=[("a", "../secret"), ("b", "/../../secret")], paths=["a", "b", "../secret"])
@example(tree=[("a", "b"), ("b", "a")], paths=["a/x"])
def test_random_links_lead_where_the_kernel_says_and_never_out(
    tree: list[tuple[str, str | None]], paths: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as outside:
        (Path(outside) / "secret").write_bytes(SECRET)
        root = Path(outside) / "x" / "node"
        (root.parent / "secret").parent.mkdir()
        (root.parent / "secret").write_bytes(SECRET)
        root.mkdir()
        _plant(root, tree)
        files = HostFiles(str(root))
        for path in paths:
            got = _read(files, path)
            assert got != SECRET
            expected = _read_in_root(root, path)
            if expected is not None:
                assert got == expected


def _plant(root: Path, tree: list[tuple[str, str | None]]) -> None:
    for place, what in tree:
        path = root / place
        try:
            if path.parent.resolve().is_relative_to(root) and not os.path.lexists(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                if what is None:
                    path.mkdir()
                elif what == "file":
                    path.write_bytes(place.encode())
                else:
                    path.symlink_to(what)
        except (OSError, RuntimeError):
            pass  # a file or a loop is in the way


def _read(files: HostFiles, path: str) -> bytes | str:
    try:
        return files.read(path)
    except FileFault as fault:
        return fault.errno


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _read_in_root(root: Path, path: str) -> bytes | str | None:
    """What openat2(RESOLVE_IN_ROOT) of Linux 5.6 and later makes of a path; None where it cannot be asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    directory = os.open(root, os.O_PATH)
    how = _OpenHow(os.O_RDONLY | os.O_CLOEXEC, 0, 0x10)
    file = libc.syscall(437, directory, path.encode(), ctypes.byref(how), ctypes.sizeof(how))
    number = ctypes.get_errno()
    os.close(directory)
    if file < 0:
        return None if number in (errno.ENOSYS, errno.EPERM) else os.strerror(number).lower()
    try:
        return os.read(file, 100)
    except OSError as fault:
        return os.strerror(fault.errno or 0).lower()
    finally:
        os.close(file)
