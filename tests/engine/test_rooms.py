"""The small rooms: ids, codec, addresses, signals, clock."""

from __future__ import annotations

import signal as linux
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput, CapacityExceeded
from runtimes.request import ContainerRequest, KeyValue
from shim.engine import codec, signals
from shim.engine.addresses import Addresses
from shim.engine.clock import SystemClock, VirtualClock
from shim.engine.identities import AmbiguousError, Ids, fresh_id, uuid_of

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.sets(st.text("01ab", min_size=1, max_size=5), max_size=12), st.text("01ab", min_size=1, max_size=5))
def test_a_prefix_means_what_looking_at_every_id_would_find(ids: set[str], prefix: str) -> None:
    having = [each for each in ids if each.startswith(prefix)]
    found: Callable[[], str | None] = lambda: Ids(ids).find(prefix)  # noqa: E731
    if len(having) > 1 and prefix not in ids:
        with pytest.raises(AmbiguousError):
            found()
    else:
        assert found() == (prefix if prefix in ids else having[0] if having else None)


@given(st.lists(st.tuples(st.booleans(), st.text("01", min_size=3, max_size=3))))
def test_ids_come_and_go(steps: list[tuple[bool, str]]) -> None:
    ids, known = Ids(), set[str]()
    for adds, each in steps:
        if adds and each not in known:
            ids.add(each)
            known.add(each)
        elif not adds:
            ids.discard(each)
            known.discard(each)
        assert all((ids.find(some) == some) == (some in known) for _, some in steps)


def test_a_fresh_id_is_64_hex_digits_and_another_each_time() -> None:
    assert len(fresh_id()) == 64
    assert int(fresh_id(), 16) != int(fresh_id(), 16)


def test_uuid_of_an_id() -> None:
    assert uuid_of("0123456789abcdef" * 4) == "01234567-89ab-cdef-0123-456789abcdef"


_JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**64 - 1) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_what_is_written_down_reads_back_surrogates_included(value: Any) -> None:
    body = codec.encode(value)
    assert codec.decode(body, object) == value
    body.decode("ascii" if b"\\ud" in body else "utf-8")


@given(st.binary(max_size=20))
def test_an_environment_that_is_no_utf8_survives(raw: bytes) -> None:
    request = ContainerRequest(envs=(KeyValue(key="A", value=raw.decode(errors="surrogateescape")),))
    back = codec.decode(codec.encode(request), ContainerRequest)
    assert back == request
    assert back.envs[0].value.encode(errors="surrogateescape") == raw


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1', b'"\\ud8', b'{"envs":[{"key":1,"value":"\\udc80"}]}'])
def test_a_damaged_value_is_no_value(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, ValueError)):
        codec.decode(body, ContainerRequest)


def test_addresses_are_given_in_turn_and_again_once_they_are_free() -> None:
    addresses = Addresses("10.0.0.0/29", taken=["10.0.0.3"])
    handed_out: list[str] = []
    while len(handed_out) < 4:
        handed_out.append(addresses.next())
        addresses.take(handed_out[-1])
    assert handed_out == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(CapacityExceeded, match=r"no free pod address in 10\.0\.0\.0/29"):
        addresses.next()
    addresses.free("10.0.0.4")
    assert addresses.next() == "10.0.0.4"


def test_an_address_that_was_just_given_back_is_the_last_to_be_given_again() -> None:
    addresses = Addresses("10.0.0.0/24")
    first = addresses.next()
    addresses.take(first)
    addresses.free(first)
    assert addresses.next() != first


@pytest.mark.parametrize(
    ("text", "first", "why"),
    [
        ("10.1.2.0/24", "10.1.2.2", "IPv4"),
        ("10.1.2.7/24", "10.1.2.2", "host bits are no fault"),
        ("fd00:1::/64", "fd00:1::2", "IPv6"),
        ("10.1.0.0/16,fd00::/64", "10.1.0.2", "dual stack: the first"),
    ],
)
def test_ranges(text: str, first: str, why: str) -> None:
    assert Addresses(text).next() == first, why


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "pods", "10.0.0.0/31", "10.0.0.0/32", "fd00::/127", "10.0.0/8"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="pod_cidr"):
        Addresses(text)


# The order of the enum Signal in the CRI's api.proto, from 1.
_ENUM = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP "
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN"
).split()


@pytest.mark.parametrize("name", [name for name in _ENUM if hasattr(linux, f"SIG{name}")])
def test_signals_have_the_numbers_of_this_kernel(name: str) -> None:
    number = int(getattr(linux, f"SIG{name}"))
    code = signals.exit_code(_ENUM.index(name) + 1, timeout=10)
    assert code in {128 + number, signals.KILLED}


@pytest.mark.parametrize(
    ("requested", "of_image", "timeout", "code", "why"),
    [
        (0, "", 10, 143, "SIGTERM unless something is said"),
        (0, "", 0, 137, "no time: SIGKILL"),
        (0, "", -1, 137, "no time: SIGKILL"),
        (0, "SIGINT", 10, 130, "the image says so"),
        (0, "quit", 10, 131, "in short"),
        (0, "3", 10, 131, "or by number"),
        (0, "SIGRTMIN+3", 10, 128 + 37, "as systemd does"),
        (0, "SIGNOSUCH", 10, 143, "what nobody knows is not sent"),
        (0, "99", 10, 143, "nor what has no number"),
        (8, "SIGINT", 10, 129, "the request is asked before the image: SIGHUP"),
        (32, "", 10, 137, "SIGWINCH is ignored, so the grace period ends with SIGKILL"),
        (21, "", 10, 137, "a stopped process has not ended"),
        (65, "", 10, 128 + 64, "SIGRTMAX"),
        (51, "", 10, 128 + 50, "SIGRTMAX-14"),
        (35, "", 10, 128 + 34, "SIGRTMIN"),
        (99, "SIGINT", 10, 130, "an enum number of the future"),
    ],
)
def test_how_a_container_ends(requested: int, of_image: str, timeout: int, code: int, why: str) -> None:
    assert signals.exit_code(signals.stop_signal(requested, of_image), timeout) == code, why


def test_the_clock_never_runs_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5, 3, 4, 9])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    clock = SystemClock()
    assert [clock.now_ns() for _ in range(4)] == [5, 5, 5, 9]


def test_the_virtual_clock_goes_on_when_told() -> None:
    clock = VirtualClock(100)
    clock.advance(1.5)
    assert clock.now_ns() == 1_500_000_100
