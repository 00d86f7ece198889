"""What the API server does to a pod before a kubelet sees it: warnings, refusals, annotations and fields."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import Refused
from runtimes.request import LOCALHOST, RUNTIME_DEFAULT, UNCONFINED, SecurityProfile, container_security
from shim.kubelet import goprint, manifest
from shim.kubelet.api import Source
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.plan import PodRequests
from shim.kubelet.releases import releases

POD = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER = "container.seccomp.security.alpha.kubernetes.io/c"
DEFAULT, OPEN = SecurityProfile(), SecurityProfile(profile_type=UNCONFINED)
FILE = SecurityProfile(profile_type=LOCALHOST, localhost_ref="/var/lib/kubelet/seccomp/a.json")
FILE_PATH = "localhost//var/lib/kubelet/seccomp/a.json"


def plan(version: str, thing: dict[str, Any], source: Source = "api", *, on: bool = False) -> PodRequests:
    (pod,) = manifest.pods(msgspec.json.encode(thing), "p.json")
    gates = {"SeccompDefault": True} if on and version < "1.25" else {}
    kubelet = Kubelet.start(version, seccomp_default=on, feature_gates=gates)
    return kubelet.requests(pod, source=source)


def pod(
    annotations: dict[str, str] | None = None,
    container: dict[str, Any] | None = None,
    own: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    def context(profile: dict[str, Any] | None) -> dict[str, Any]:
        return {"securityContext": {"seccompProfile": profile}} if profile else {}

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": annotations or {}},
        "spec": {"containers": [{"name": "c", "image": "i", **context(container)}], **context(own), **spec},
    }


def deployment(annotations: dict[str, str], **spec: Any) -> dict[str, Any]:
    inner = pod(annotations, **spec)
    template = {"metadata": {"annotations": annotations}, "spec": inner["spec"]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": template}}


# Release, source, annotations, container field, pod field: what is sent for the container, setting off and on.
# Derived by hand from the rules of each boundary: which of field, annotation and default counts for which of the two.
SENT: list[tuple[str, Source, dict[str, str], Any, Any, tuple[Any, str], tuple[Any, str] | None]] = [
    # nothing but an annotation of the pod
    ("1.18.20", "api", {POD: "localhost/a.json"}, None, None, (None, FILE_PATH), None),
    ("1.18.20", "static", {POD: "localhost/a.json"}, None, None, (None, FILE_PATH), None),
    ("1.19.16", "api", {POD: "localhost/a.json"}, None, None, (None, FILE_PATH), None),
    ("1.21.14", "api", {POD: "localhost/a.json"}, None, None, (FILE, FILE_PATH), None),
    ("1.21.14", "static", {POD: "localhost/a.json"}, None, None, (OPEN, FILE_PATH), None),
    ("1.22.0", "static", {POD: "unconfined"}, None, None, (OPEN, "unconfined"), (DEFAULT, "unconfined")),
    ("1.24.17", "api", {POD: "unconfined"}, None, None, (OPEN, "unconfined"), (OPEN, "unconfined")),
    ("1.24.17", "static", {POD: "docker/default"}, None, None, (OPEN, "docker/default"), (DEFAULT, "docker/default")),
    ("1.24.17", "api", {POD: "docker/default"}, None, None, (DEFAULT, "runtime/default"), (DEFAULT, "runtime/default")),
    ("1.25.0", "api", {POD: "localhost/a.json"}, None, None, (FILE, FILE_PATH), (FILE, FILE_PATH)),
    ("1.25.0", "static", {POD: "localhost/a.json"}, None, None, (OPEN, ""), (DEFAULT, "runtime/default")),
    ("1.26.15", "api", {POD: "unconfined"}, None, None, (OPEN, "unconfined"), (OPEN, "unconfined")),
    ("1.27.0", "api", {POD: "unconfined"}, None, None, (OPEN, ""), (DEFAULT, "runtime/default")),
    ("1.36.3", "api", {POD: "runtime/default"}, None, None, (OPEN, ""), (DEFAULT, "")),
    # an annotation of the container
    ("1.19.16", "api", {CONTAINER: "runtime/default"}, None, None, (None, "runtime/default"), None),
    (
        "1.24.17",
        "api",
        {CONTAINER: "runtime/default"},
        None,
        None,
        (DEFAULT, "runtime/default"),
        (DEFAULT, "runtime/default"),
    ),
    ("1.24.17", "static", {CONTAINER: "localhost/a.json"}, None, None, (OPEN, FILE_PATH), (DEFAULT, FILE_PATH)),
    ("1.26.15", "static", {CONTAINER: "localhost/a.json"}, None, None, (OPEN, ""), (DEFAULT, "runtime/default")),
    # an annotation of the container beside a field of the pod
    ("1.20.0", "static", {CONTAINER: "unconfined"}, None, {"type": "RuntimeDefault"}, (DEFAULT, "unconfined"), None),
    ("1.20.0", "api", {CONTAINER: "unconfined"}, None, {"type": "RuntimeDefault"}, (OPEN, "unconfined"), None),
    ("1.19.0", "static", {CONTAINER: "unconfined"}, None, {"type": "RuntimeDefault"}, (None, "unconfined"), None),
    (
        "1.25.0",
        "static",
        {CONTAINER: "unconfined"},
        None,
        {"type": "RuntimeDefault"},
        (DEFAULT, "runtime/default"),
        (DEFAULT, "runtime/default"),
    ),
    # both kinds on the same level, and a field of the container over one of the pod
    ("1.24.17", "api", {POD: "unconfined"}, None, {"type": "Unconfined"}, (OPEN, "unconfined"), (OPEN, "unconfined")),
    ("1.18.0", "api", {POD: "unconfined"}, {"type": "RuntimeDefault"}, None, (None, "unconfined"), None),
    ("1.19.0", "api", {}, {"type": "Unconfined"}, {"type": "RuntimeDefault"}, (None, "unconfined"), None),
    (
        "1.27.16",
        "api",
        {},
        {"type": "Unconfined"},
        {"type": "RuntimeDefault"},
        (OPEN, "unconfined"),
        (OPEN, "unconfined"),
    ),
    ("1.36.3", "api", {}, {"type": "RuntimeDefault"}, {"type": "Unconfined"}, (DEFAULT, ""), (DEFAULT, "")),
    ("1.36.3", "api", {}, None, {"type": "Localhost", "localhostProfile": "a.json"}, (FILE, ""), (FILE, "")),
]


@pytest.mark.parametrize(
    ("version", "source", "annotations", "container", "own", "off", "on"),
    SENT,
    ids=[f"{row[0]} {row[1]} {'+'.join([*row[2].values(), str(row[3]), str(row[4])])}" for row in SENT],
)
def test_what_is_sent_for_annotations_and_fields(
    version: str,
    source: Source,
    annotations: dict[str, str],
    container: Any,
    own: Any,
    off: tuple[Any, str],
    on: tuple[Any, str] | None,
) -> None:
    thing = pod(annotations, container, own)
    assert _sent(plan(version, thing, source)) == off
    if on is not None:
        assert _sent(plan(version, thing, source, on=True)) == on


@pytest.mark.parametrize("version", ["1.19.0", "1.24.17", "1.25.0"])
def test_the_api_server_writes_annotations_for_fields_while_old_kubelets_may_need_them(version: str) -> None:
    planned = plan(
        version, pod(container={"type": "RuntimeDefault"}, own={"type": "Localhost", "localhostProfile": "a"})
    )
    assert planned.sandbox is not None
    written = {key: word for key, word in planned.sandbox.annotations.items() if "seccomp" in key}
    assert written == ({} if version == "1.25.0" else {POD: "localhost/a", CONTAINER: "runtime/default"})


@pytest.mark.parametrize(
    ("version", "of_pod", "of_template"),
    [
        ("1.18.0", None, None),
        ("1.21.14", None, None),
        ("1.22.0", None, "deprecated since v1.19; use the"),
        ("1.23.0", None, "deprecated since v1.19, non-functional in v1.25+; use the"),
        ("1.24.17", None, "deprecated since v1.19, non-functional in v1.25+; use the"),
        ("1.25.0", None, "deprecated since v1.19, non-functional in a future release; use the"),
        ("1.26.15", None, "deprecated since v1.19, non-functional in a future release; use the"),
        ("1.27.0", "non-functional in v1.27+; use the", "non-functional in v1.27+; use the"),
        ("1.36.3", "non-functional in v1.27+; use the", "non-functional in v1.27+; use the"),
    ],
)
def test_annotations_without_their_field_are_warned_of(
    version: str, of_pod: str | None, of_template: str | None
) -> None:
    words = {POD: "runtime/default", CONTAINER: "unconfined"}
    for thing, expected, base in ((pod(words), of_pod, ""), (deployment(words), of_template, "spec.template.")):
        planned = plan(version, thing)
        said = [step.because for step in planned.containers[0].steps if step.rule == "annotation-warning"]
        tail = f'{expected} "seccompProfile" field instead'
        keys = (POD, CONTAINER) if expected else ()
        assert said == [f"{base}metadata.annotations[{key}]: {tail}" for key in keys]


def test_a_value_that_no_field_can_have_is_warned_of_even_while_others_are_copied() -> None:
    # "localhost/" passes validation, and becomes no field.
    planned = plan("1.26.0", pod({POD: "localhost/"}))
    assert [step.rule for step in planned.sandbox_steps if step.layer == "api"] == ["annotation-warning"]


@pytest.mark.parametrize("source", ["api", "static"])
def test_a_release_without_the_field_drops_it_and_says_so_here(source: Source) -> None:
    planned = plan("1.18.20", pod(container={"type": "Nonsense"}, own={"type": "RuntimeDefault"}), source)
    assert planned.refused is None
    assert _sent(planned) == (None, "")
    assert sum(step.warns for step in planned.containers[0].steps) == 2


WINDOWS = {"capabilities": {}, "privileged": False, "allowPrivilegeEscalation": True}
PROFILE = "spec.containers[0].securityContext.seccompProfile"
TYPES = 'supported values: "Localhost", "RuntimeDefault", "Unconfined"'
REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "a field without a type",
        "1.36.3",
        pod(container={"localhostProfile": None, "type": ""}),
        f"{PROFILE}.type: Required value: type is required when seccompProfile is set",
    ),
    (
        "an unknown type",
        "1.19.0",
        pod(own={"type": "runtime/default"}),
        f'spec.securityContext.seccompProfile.type: Unsupported value: "runtime/default": {TYPES}',
    ),
    (
        "Localhost without a profile",
        "1.36.3",
        pod(container={"type": "Localhost"}),
        f"{PROFILE}.localhostProfile: Required value: must be set when seccomp type is Localhost",
    ),
    (
        "an absolute profile",
        "1.36.3",
        pod(container={"type": "Localhost", "localhostProfile": "/a"}),
        f'{PROFILE}.localhostProfile: Invalid value: "/a": must be a relative path',
    ),
    (
        "a profile above the root",
        "1.36.3",
        pod(container={"type": "Localhost", "localhostProfile": "a/../../x"}),
        f"{PROFILE}.localhostProfile: Invalid value: \"a/../../x\": must not contain '..'",
    ),
    (
        "both",
        "1.25.0",
        pod(container={"type": "Localhost", "localhostProfile": "/../x"}),
        (
            f'[{PROFILE}.localhostProfile: Invalid value: "/../x": must be a relative path, '
            f"{PROFILE}.localhostProfile: Invalid value: \"/../x\": must not contain '..']"
        ),
    ),
    (
        "a profile beside another type, as Go prints it",
        "1.33.0",
        pod(container={"type": "RuntimeDefault", "localhostProfile": "x"}),
        (
            f'{PROFILE}.localhostProfile: Invalid value: core.SeccompProfile{{Type:"RuntimeDefault", '
            f"LocalhostProfile:(*string)({goprint.ADDRESS})}}: can only be set when seccomp type is Localhost"
        ),
    ),
    (
        "a profile beside another type, as JSON",
        "1.34.0",
        pod(container={"type": "RuntimeDefault", "localhostProfile": "x"}),
        (
            f'{PROFILE}.localhostProfile: Invalid value: {{"Type":"RuntimeDefault","LocalhostProfile":"x"}}: '
            "can only be set when seccomp type is Localhost"
        ),
    ),
    (
        "a type that needs quoting",
        "1.36.3",
        pod(container={"type": 'a"\n\u0001é\u200b'}),
        f'{PROFILE}.type: Unsupported value: "a\\"\\n\\x01é\\u200b": {TYPES}',
    ),
    (
        "an annotation that is none",
        "1.18.0",
        pod({POD: "default", CONTAINER: "localhost//x"}),
        (
            f'[metadata.annotations.{POD}: Invalid value: "default": must be a valid seccomp profile, '
            f'metadata.annotations.{CONTAINER}: Invalid value: "/x": must be a relative path]'
        ),
    ),
    (
        "an annotation and a field that differ",
        "1.36.3",
        pod({POD: "localhost/a"}, own={"type": "Localhost", "localhostProfile": "b"}),
        (
            "spec.securityContext.seccompProfile.localhostProfile: Forbidden: "
            "seccomp profile in annotation and field must match"
        ),
    ),
    ("no containers", "1.36.3", pod(containers=[]), "spec.containers: Required value"),
    (
        "names and images",
        "1.36.3",
        pod(containers=[{"name": "c"}, {"name": "c", "image": "i"}], initContainers=[{"image": "i"}]),
        (
            '[spec.containers[0].image: Required value, spec.containers[1].name: Duplicate value: "c", '
            "spec.initContainers[0].name: Required value]"
        ),
    ),
    (
        "an unmasked /proc without a user namespace",
        "1.36.3",
        pod(containers=[{"name": "c", "image": "i", "securityContext": {"procMount": "Unmasked"}}]),
        (
            'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": '
            "`hostUsers` must be false to use `Unmasked`"
        ),
    ),
    (
        "an unknown kind of /proc",
        "1.36.3",
        pod(containers=[{"name": "c", "image": "i", "securityContext": {"procMount": "x"}}]),
        'spec.containers[0].securityContext.procMount: Unsupported value: "x": supported values: "Default", "Unmasked"',
    ),
    (
        "an annotation of another type than its field",
        "1.22.0",
        pod({CONTAINER: "unconfined"}, {"type": "Localhost", "localhostProfile": "b"}),
        f"{PROFILE}.type: Forbidden: seccomp type in annotation and field must match",
    ),
    (
        "privileges for Windows",
        "1.36.3",
        pod(containers=[{"name": "c", "image": "i", "securityContext": WINDOWS}], os={"name": "windows"}),
        (
            "[spec.containers[0].securityContext.capabilities: Forbidden: cannot be set for a windows pod, "
            "spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod, "
            "spec.containers[0].securityContext.allowPrivilegeEscalation: Forbidden: cannot be set for a windows pod]"
        ),
    ),
    (
        "a profile for Windows",
        "1.24.0",
        pod(own={"type": "RuntimeDefault"}, container={"type": "RuntimeDefault"}, os={"name": "windows"}),
        (
            "[spec.securityContext.seccompProfile: Forbidden: cannot be set for a windows pod, "
            f"{PROFILE}: Forbidden: cannot be set for a windows pod]"
        ),
    ),
]


@pytest.mark.parametrize(("why", "version", "thing", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_the_api_server_refuses_in_its_own_words(why: str, version: str, thing: dict[str, Any], words: str) -> None:
    planned = plan(version, thing)
    refused = planned.refused
    assert refused is not None, why
    assert refused.message == f'Pod "p" is invalid: {words}'
    assert (refused.where, refused.reason) == ("api", "Invalid")
    assert (planned.sandbox, planned.containers) == (None, ())
    static = plan(version, thing, "static").refused
    assert static is not None
    assert static.where == "kubelet"
    assert static.message.startswith("invalid pod: [")


def test_a_static_pods_errors_are_printed_as_go_prints_a_list() -> None:
    refused = plan("1.30.0", pod(containers=[{"name": "c"}, {"name": "d"}]), "static").refused
    assert refused is not None
    expected = "[spec.containers[0].image: Required value spec.containers[1].image: Required value]"
    assert refused.message == f"invalid pod: {expected}"


def test_a_workload_is_refused_under_its_own_name() -> None:
    refused = plan("1.36.3", deployment({POD: "x"}, own={"type": "y"})).refused
    assert refused is not None
    assert refused.message == (
        f'Deployment.apps "d" is invalid: [spec.template.annotations.{POD}: Invalid value: "x": must be a valid '
        f'seccomp profile, spec.template.spec.securityContext.seccompProfile.type: Unsupported value: "y": {TYPES}]'
    )


def test_a_pod_without_a_name() -> None:
    thing = {**pod(), "metadata": {}}
    refused = plan("1.36.3", thing).refused
    assert refused is not None
    assert refused.message == 'Pod "" is invalid: metadata.name: Required value: name or generateName is required'
    assert plan("1.36.3", {**pod(), "metadata": {"generateName": "p-"}}).refused is None


ESCALATION = {"allowPrivilegeEscalation": False, "privileged": True, "capabilities": {"add": ["CAP_SYS_ADMIN"]}}


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        (
            "1.29.0",
            (
                "core.SecurityContext{Capabilities:(*core.Capabilities)(0xc000000000), "
                "Privileged:(*bool)(0xc000000000), SELinuxOptions:(*core.SELinuxOptions)(nil), "
                "WindowsOptions:(*core.WindowsSecurityContextOptions)(nil), "
                "RunAsUser:(*int64)(nil), RunAsGroup:(*int64)(nil), RunAsNonRoot:(*bool)(nil), "
                "ReadOnlyRootFilesystem:(*bool)(nil), AllowPrivilegeEscalation:(*bool)(0xc000000000), "
                "ProcMount:(*core.ProcMountType)(0xc000000000), SeccompProfile:(*core.SeccompProfile)(nil)}"
            ),
        ),
        (
            "1.36.0",
            (
                '{"Capabilities":{"Add":["CAP_SYS_ADMIN"],"Drop":null},"Privileged":true,"SELinuxOptions":null,'
                '"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,'
                '"AllowPrivilegeEscalation":false,"ProcMount":"Default","SeccompProfile":null,"AppArmorProfile":null}'
            ),
        ),
    ],
)
def test_privileges_that_contradict_each_other(version: str, shown: str) -> None:
    refused = plan(version, pod(containers=[{"name": "c", "image": "i", "securityContext": ESCALATION}])).refused
    assert refused is not None
    place = (
        f"spec.containers[0].securityContext: Invalid value: {shown}: cannot set `allowPrivilegeEscalation` to false"
    )
    assert refused.message == (
        f'Pod "p" is invalid: [{place} and `privileged` to true, {place} and `capabilities.Add` CAP_SYS_ADMIN]'
    )


def test_only_one_spelling_of_sys_admin_is_noticed() -> None:
    own = {"allowPrivilegeEscalation": False, "capabilities": {"add": ["SYS_ADMIN"]}}
    assert plan("1.36.0", pod(containers=[{"name": "c", "image": "i", "securityContext": own}])).refused is None


@pytest.mark.parametrize(
    "profile", [{"type": "RuntimeDefault"}, {"type": "Unconfined"}, {"type": "Localhost", "localhostProfile": "a"}]
)
@pytest.mark.parametrize("version", ["1.22.0", "1.24.17", "1.26.0", "1.28.0", "1.36.3"])
@pytest.mark.parametrize("level", ["container", "own"])
def test_the_default_never_changes_what_a_pod_says(version: str, profile: dict[str, Any], level: str) -> None:
    thing = pod(**{level: profile})
    assert _sent(plan(version, thing)) == _sent(plan(version, thing, on=True))


@pytest.mark.parametrize("version", ["1.20.0", "1.22.0", "1.25.0", "1.28.0", "1.36.3"])
@pytest.mark.parametrize("annotations", [{}, {POD: "unconfined"}, {CONTAINER: "localhost/a"}])
@pytest.mark.parametrize("field", [None, {"type": "Unconfined"}])
@pytest.mark.parametrize("source", ["api", "static"])
def test_a_kubelet_that_knows_the_message_always_sends_it(
    version: str, annotations: dict[str, str], field: Any, source: Source
) -> None:
    planned = plan(version, pod(annotations, None, None if POD not in annotations else field), source)
    message, _ = _sent(planned)
    assert message is not None
    assert message.profile_type in (RUNTIME_DEFAULT, UNCONFINED, LOCALHOST)


fields = st.none() | st.sampled_from(
    [
        {"type": "RuntimeDefault"},
        {"type": "Unconfined"},
        {"type": "Localhost", "localhostProfile": "a"},
        {"type": "Localhost", "localhostProfile": "b/c.json"},
    ]
)
versions = st.sampled_from([known.release.upstream for known in releases() if known.release.branch >= (1, 19)])


@given(versions, fields.filter(bool), fields, fields, st.booleans())
def test_a_containers_field_hides_the_pods(version: str, container: Any, own: Any, other: Any, on: bool) -> None:
    on = on and version >= "1.22"
    first, second = (_sent(plan(version, pod(None, container, each), on=on)) for each in (own, other))
    assert first == second


def _sent(planned: PodRequests) -> tuple[SecurityProfile | None, str]:
    found = planned.containers[0].request
    assert not isinstance(found, Refused), found
    context = container_security(found)
    assert context is not None
    return context.seccomp, context.seccomp_profile_path
