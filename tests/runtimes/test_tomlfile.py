"""What is written is what the standard library reads back: for any table."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.tomlfile import at, dumps

_texts = st.text(st.characters(codec="utf-8"), max_size=8)
_scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    _texts,
    st.dates(),
    st.datetimes(),
    st.times(),
)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3))


@given(st.dictionaries(_texts, _values, max_size=4))
def test_a_table_is_read_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(table)) == table


def test_a_file_looks_as_a_person_would_write_it() -> None:
    table = {"version": 2, "plugins": {"io.containerd.grpc.v1.cri": {"unset_seccomp_profile": "runtime/default"}}}
    assert dumps(table) == (
        'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nunset_seccomp_profile = "runtime/default"\n'
    )


@pytest.mark.parametrize("there", [{}, {"a": {}}, {"a": {"b": {}}}, {"a": 1}])
def test_a_table_in_a_table_is_made_where_there_is_none(there: dict[str, Any]) -> None:
    at(there, "a", "b")["c"] = 1
    assert there == {"a": {"b": {"c": 1}}}
