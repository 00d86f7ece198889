"""From a pod to the requests for it: paths, words, variables and resources."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.errors import BadInput
from runtimes.request import (
    KeyValue,
    LinuxContainerResources,
)
from shim.kubelet import quantity
from shim.kubelet.expansion import expand
from tests.kubelet.pods import C, context, plan, request


@pytest.mark.parametrize(
    ("version", "masked", "readonly"),
    [
        ("1.18.0", 9, 6),
        ("1.26.15", 9, 6),
        ("1.27.0", 10, 5),
        ("1.28.11", 10, 5),
        ("1.28.12", 11, 5),
        ("1.29.6", 10, 5),
        ("1.29.7", 11, 5),
        ("1.30.2", 10, 5),
        ("1.30.3", 11, 5),
        ("1.31.12", 11, 5),
        ("1.31.13", 12, 5),
        ("1.32.8", 11, 5),
        ("1.32.9", 12, 5),
        ("1.33.4", 11, 5),
        ("1.33.5", 12, 5),
        ("1.36.3", 12, 5),
    ],
)
def test_masked_and_readonly_paths(version: str, masked: int, readonly: int) -> None:
    found = context(plan(version, {}))
    assert (len(found.masked_paths), len(found.readonly_paths)) == (masked, readonly)
    assert ("/proc/asound" in found.masked_paths) != ("/proc/asound" in found.readonly_paths)


@pytest.mark.parametrize(
    ("version", "source", "spec", "unmasked"),
    [
        ("1.29.0", "api", {}, False),
        ("1.29.0", "static", {}, True),
        ("1.33.0", "api", {"hostUsers": False}, True),
        ("1.32.0", "static", {"hostUsers": False}, True),
    ],
)
def test_an_unmasked_proc(version: str, source: str, spec: dict[str, Any], unmasked: bool) -> None:
    own = {"securityContext": {"procMount": "Unmasked"}}
    planned = plan(version, {**spec, "containers": [{**C, **own}]}, source=source)
    assert (context(planned).masked_paths == ()) is unmasked
    assert any(step.rule == "proc-mount-kept" and step.warns for step in planned.containers[0].steps) != unmasked


def test_words_and_variables_are_expanded() -> None:
    variables = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(A) $$(A) $(C) $("},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "D"},
        {"name": "A", "value": "2"},
    ]
    spec = {**C, "env": variables, "command": ["$(B)"], "args": ["$(A)", "$D"], "workingDir": "/w", "tty": True}
    planned = plan("1.30.0", {"containers": [{**spec, "stdin": True, "stdinOnce": True, "envFrom": [{}]}]})
    found = request(planned)
    assert found.envs == (
        KeyValue(key="A", value="2"),
        KeyValue(key="B", value="11 $(A) $(C) $("),
        KeyValue(key="D", value=""),
    )
    assert (found.command, found.args, found.working_dir) == (("11 $(A) $(C) $(",), ("2", "$D"), "/w")
    assert (found.tty, found.stdin, found.stdin_once) == (True, True, True)
    left_out = [step.because for step in planned.containers[0].steps if step.rule == "left-out"]
    assert [because.partition(":")[0] for because in left_out] == ["envFrom", "variables with valueFrom"]


# third_party/forked/golang/expansion/expand_test.go at v1.36.3
@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(VAR_A)", "A"),
        ("$(VAR_A)-$(VAR_A)", "A-A"),
        ("$(VAR_A)-1", "A-1"),
        ("___$(VAR_B)___", "___B___"),
        ("___$(VAR_C)", "___C"),
        ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
        ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
        ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
        ("f000-$$VAR_A", "f000-$VAR_A"),
        ("foo\\$(VAR_C)bar", "foo\\Cbar"),
        ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
        ("foo\\\\\\\\$(VAR_A)bar", "foo\\\\\\\\Abar"),
        ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
        ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
        ("foo$(VAR_EMPTY)bar", "foobar"),
        ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
        ("f00__(VAR_A)__", "f00__(VAR_A)__"),
        ("$?_boo_$!", "$?_boo_$!"),
        ("$VAR_A", "$VAR_A"),
        ("$(VAR_DNE)", "$(VAR_DNE)"),
        ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
        ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
        ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
        ("$$$$$$$(VAR_A)", "$$$A"),
        ("$VAR_A)", "$VAR_A)"),
        ("${VAR_A}", "${VAR_A}"),
        ("$(VAR_B)_______$(A", "B_______$(A"),
        ("$(VAR_C)_______$(", "C_______$("),
        ("$(VAR_A)foobarzab$", "Afoobarzab$"),
        ("foo-\\$(VAR_A", "foo-\\$(VAR_A"),
        ("--$($($($($--", "--$($($($($--"),
        ("$($($($($--foo$(", "$($($($($--foo$("),
        ("foo0--$($($($(", "foo0--$($($($("),
        ("$(foo$$var)", "$(foo$$var)"),
        ("\n", "\n"),
        ("$£FOO", "$£FOO"),
        ("prefix-$€-suffix", "prefix-$€-suffix"),
        ("$中文", "$中文"),
        ("", ""),
    ],
)
def test_references_are_replaced_as_kubernetes_replaces_them(text: str, expanded: str) -> None:
    values = {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}
    assert expand(text, values) == expanded


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (None, LinuxContainerResources(cpu_period=100000, cpu_shares=2, oom_score_adj=1000)),
        (
            {"limits": {"cpu": "500m", "memory": "64Mi"}},
            LinuxContainerResources(
                cpu_period=100000, cpu_quota=50000, cpu_shares=512, memory_limit_in_bytes=64 * 2**20, oom_score_adj=-997
            ),
        ),
        (
            {"requests": {"cpu": 1}, "limits": {"cpu": "1500m", "memory": "1e3"}},
            LinuxContainerResources(cpu_period=100000, cpu_quota=150000, cpu_shares=1024, memory_limit_in_bytes=1000),
        ),
        (
            {"requests": {"cpu": "0.0005"}, "limits": {"cpu": "1m"}},
            LinuxContainerResources(cpu_period=100000, cpu_quota=1000, cpu_shares=2),
        ),
        (
            {"requests": {"cpu": "1k", "ephemeral-storage": "1Gi"}},
            LinuxContainerResources(cpu_period=100000, cpu_shares=262144),
        ),
    ],
)
def test_resources(resources: dict[str, Any] | None, expected: LinuxContainerResources) -> None:
    linux = request(plan("1.30.0", {"containers": [{**C, "resources": resources}]})).linux
    assert linux is not None
    assert linux.resources == expected


@pytest.mark.parametrize(
    ("text", "billionths"),
    [
        ("1", 10**9),
        ("0.5", 5 * 10**8),
        (".5", 5 * 10**8),
        ("5.", 5 * 10**9),
        ("100m", 10**8),
        ("1u", 1000),
        ("1n", 1),
        ("0.1n", 1),
        ("-1", -(10**9)),
        ("1Ki", 1024 * 10**9),
        ("1.5Gi", 3 * 2**29 * 10**9),
        ("1E", 10**27),
        ("1e3", 10**12),
        ("1E-3", 10**6),
        (2, 2 * 10**9),
        (0.25, 25 * 10**7),
    ],
)
def test_quantities(text: str | float, billionths: int) -> None:
    assert quantity.parse(text) == billionths


@pytest.mark.parametrize("text", ["", "m", ".", "1 Gi", "1gi", "0x1", "1e", "one", "1e100"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(BadInput) as fault:
        plan("1.30.0", {"containers": [C, {**C, "name": "d", "resources": {"limits": {"cpu": text}}}]})
    assert str(fault.value).startswith(f"p.json: spec.containers[1].resources: {text!r} is no quantity")
