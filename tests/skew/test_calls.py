"""System calls as people write them: what we write can be read again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shim.skew.calls import call, call_of
from shim.skew.constants import NUMBERS

SYSCALLS = st.sampled_from(["socket", "socketpair", "clone", "unshare", "personality", "read"])
VALUES = st.one_of(st.sampled_from(sorted(NUMBERS.values())), st.integers(0, (1 << 64) - 1))


@given(SYSCALLS, st.dictionaries(st.integers(0, 5), VALUES))
def test_a_call_that_is_written_can_be_read_again(syscall: str, args: dict[int, int]) -> None:
    written = call_of(syscall, args)
    assert call(written.text) == written


def test_arguments_that_do_not_matter_may_be_written_as_a_difference_shows_them() -> None:
    assert call("socket(AF_NETLINK, *, NETLINK_AUDIT)").args == {0: 16, 2: 9}
