"""Translation against the descriptors: of whatever message there is, a value keeps all that it has a name for."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes import request
from shim.cri.pb.runtime.v1 import api_pb2 as pb
from shim.cri.translate import reader, writer
from shim.engine import values

PAIRS: list[tuple[type[Message], type[msgspec.Struct]]] = [
    (pb.PodSandboxConfig, request.SandboxRequest),
    (pb.ContainerConfig, request.ContainerRequest),
    (pb.ImageSpec, request.ImageSpec),
    (pb.LinuxContainerResources, request.LinuxContainerResources),
    (pb.VersionResponse, values.VersionView),
    (pb.StatusResponse, values.StatusView),
    (pb.RuntimeConfigResponse, values.RuntimeConfigView),
    (pb.PodSandbox, values.Sandbox),
    (pb.PodSandboxStatusResponse, values.SandboxStatusView),
    (pb.PodSandboxStats, values.SandboxStats),
    (pb.Container, values.Container),
    (pb.ContainerStatusResponse, values.ContainerStatusView),
    (pb.ContainerStats, values.ContainerStats),
    (pb.ContainerEventResponse, values.Event),
    (pb.MetricDescriptor, values.MetricDescriptor),
    (pb.PodSandboxMetrics, values.SandboxMetrics),
    (pb.Image, values.Image),
    (pb.ImageStatusResponse, values.ImageStatusView),
    (pb.ImageFsInfoResponse, values.FsInfo),
]

# What no decision and no answer needs.
LEFT_OUT = {
    "ContainerStats.io",
    "CpuUsage.psi",
    "LinuxPodSandboxStats.io",
    "MemoryUsage.psi",
    "PodSandboxStats.windows",
    "PodSandboxStatusResponse.containers_statuses",
    "PodSandboxStatusResponse.timestamp",
    "WindowsContainerResources.affinity_cpus",
    "WindowsSandboxSecurityContext.namespace_options",
}

_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),  # open: any number may come
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
_OTHERS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: st.text(max_size=8),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
}


def struct_of(annotation: Any) -> type[msgspec.Struct]:
    annotations = get_args(annotation) or (annotation,)
    return next(each for each in annotations if isinstance(each, type) and issubclass(each, msgspec.Struct))


def is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def contents(descriptor: Any, value: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the arguments of a message: any of the fields that the value has, all that it requires."""
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    infos = {info.name: info for info in msgspec.structs.fields(value)}
    for field in descriptor.fields:
        if field.name in infos:
            info = infos[field.name]
            (required if info.required else optional)[field.name] = content(field, info.type)
    return st.fixed_dictionaries(required, optional=optional)


def content(field: Any, annotation: Any) -> st.SearchStrategy[Any]:
    if is_map(field):
        return st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
    if field.message_type:
        single: st.SearchStrategy[Any] = contents(field.message_type, struct_of(annotation))
    elif field.type in _INTEGERS:
        low, high = _INTEGERS[field.type]
        single = st.integers(low, high)
    else:
        single = _OTHERS[field.type]
    return st.lists(single, max_size=2) if field.is_repeated else single


@pytest.mark.parametrize(("message", "value"), PAIRS, ids=lambda each: each.__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_a_message_survives_the_way_there_and_back(
    message: type[Message], value: type[msgspec.Struct], data: st.DataObject
) -> None:
    sent = message(**data.draw(contents(message.DESCRIPTOR, value)))
    read = reader(message, value)(sent)
    assert writer(message)(read) == sent
    # Over the wire, too, where a field that is present and empty is easily lost.
    assert reader(message, value)(message.FromString(sent.SerializeToString())) == read


def test_values_have_every_field_but_those_listed_and_none_besides() -> None:
    left_out, unknown = set(), set()
    todo = [(message.DESCRIPTOR, value) for message, value in PAIRS]
    seen = set()
    while todo:
        descriptor, value = todo.pop()
        if (descriptor, value) in seen:
            continue
        seen.add((descriptor, value))
        infos = {info.name: info.type for info in msgspec.structs.fields(value)}
        names = {field.name for field in descriptor.fields}
        left_out |= {f"{descriptor.name}.{name}" for name in names - infos.keys()}
        unknown |= {f"{value.__name__}.{name}" for name in infos.keys() - names}
        todo += [
            (field.message_type, struct_of(infos[field.name]))
            for field in descriptor.fields
            if field.name in infos and field.message_type and not is_map(field)
        ]
    assert (left_out, unknown) == (LEFT_OUT, set())


def security(**fields: Any) -> request.LinuxContainerSecurityContext:
    config = pb.ContainerConfig(linux={"security_context": fields})
    context = request.container_security(reader(pb.ContainerConfig, request.ContainerRequest)(config))
    assert context
    return context


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param({}, None, id="not sent: nobody chose"),
        pytest.param({"seccomp": {}}, request.SecurityProfile(), id="sent, empty: RuntimeDefault"),
        pytest.param({"seccomp": {"profile_type": 1}}, request.SecurityProfile(profile_type=1), id="Unconfined"),
        pytest.param(
            {"seccomp": {"profile_type": 3}}, request.SecurityProfile(profile_type=3), id="a number of the future"
        ),
        pytest.param(
            {"seccomp": {"profile_type": 2, "localhost_ref": "/p.json"}},
            request.SecurityProfile(profile_type=2, localhost_ref="/p.json"),
            id="Localhost",
        ),
    ],
)
def test_presence_of_a_profile_is_kept(sent: dict[str, Any], expected: request.SecurityProfile | None) -> None:
    assert security(**sent).seccomp == expected


def test_what_is_absent_on_the_way_to_a_profile_is_absent_in_the_value() -> None:
    read = reader(pb.ContainerConfig, request.ContainerRequest)
    assert read(pb.ContainerConfig()) == request.ContainerRequest()
    assert read(pb.ContainerConfig(linux={})).linux == request.LinuxContainerConfig(security_context=None)


def test_an_environment_that_is_not_utf_8_survives() -> None:
    sent = pb.ContainerConfig(envs=[{"key": "K", "value": b"a\xff\xfeb"}, {"key": "E"}])
    read = reader(pb.ContainerConfig, request.ContainerRequest)(sent)
    assert [each.value for each in read.envs] == ["a\udcff\udcfeb", ""]
    assert writer(pb.ContainerConfig)(read) == sent


def test_maps_are_read_in_the_order_of_their_keys() -> None:
    labels = {f"key-{number}": "" for number in range(50)}
    read = reader(pb.PodSandboxConfig, request.SandboxRequest)(pb.PodSandboxConfig(labels=labels))
    assert list(read.labels) == sorted(labels)


def test_fields_of_a_newer_peer_are_skipped() -> None:
    newer = (
        pb.SecurityProfile(profile_type=pb.SecurityProfile.Unconfined).SerializeToString() + b"\x1a\x03abc"
    )  # number 3, length 3
    read = reader(pb.SecurityProfile, request.SecurityProfile)(pb.SecurityProfile.FromString(newer))
    assert read == request.SecurityProfile(profile_type=1)
