"""--set: the short names of settings, the values that a list of them is, and what is said of a wrong one."""

import pytest

from runtimes.errors import BadInput
from shim.nodefile import BadDocument, Document
from shim.skew.matrix.axes import Axis, axes

BOTH = ("containerd", "cri-o")


@pytest.mark.parametrize(
    ("word", "axis"),
    [
        ("seccompDefault=true,false", Axis("seccompDefault", "kubelet.seccompDefault", ("true", "false"))),
        (
            "kubelet.seccompDefault=true,,true",
            Axis("kubelet.seccompDefault", "kubelet.seccompDefault", ("true", "")),
        ),
        (
            "featureGates.SeccompDefault=true, false ,",
            Axis("featureGates.SeccompDefault", "kubelet.featureGates.SeccompDefault", ("true", "false", "")),
        ),
        ("arch=amd64,arm64", Axis("arch", "host.arch", ("amd64", "arm64"))),
        ("host.seccomp=true,false", Axis("host.seccomp", "host.seccomp", ("true", "false"))),
        (
            "unset_seccomp_profile=,runtime/default",
            Axis(
                "unset_seccomp_profile",
                "runtime.settings.unset_seccomp_profile",
                ("", "runtime/default"),
                ("containerd",),
            ),
        ),
        (
            "default_capabilities=[CHOWN, KILL],[],",
            Axis(
                "default_capabilities",
                "runtime.settings.default_capabilities",
                ("[CHOWN, KILL]", "[]", ""),
                ("cri-o",),
            ),
        ),
        (
            "device_ownership_from_security_context=true",
            Axis(
                "device_ownership_from_security_context",
                "runtime.settings.device_ownership_from_security_context",
                ("true",),
                BOTH,
            ),
        ),
        (
            "runtime.settings.seccomp_profile=/p.json",
            Axis("runtime.settings.seccomp_profile", "runtime.settings.seccomp_profile", ("/p.json",), ("cri-o",)),
        ),
        ("runtime.handler=runc,", Axis("runtime.handler", "runtime.handler", ("runc", ""))),
    ],
)
def test_a_setting_goes_by_the_name_that_people_use(word: str, axis: Axis) -> None:
    assert axes([word], BOTH, Document()) == (axis,)


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("seccompDefault", "'seccompDefault' is no KEY=VALUE,VALUE... (as in seccompDefault=true,false)"),
        ("=true", "'=true' is no KEY=VALUE,VALUE... (as in seccompDefault=true,false)"),
        ("seccompDefualt=true", "there is no setting seccompDefualt (did you mean seccompDefault?)"),
        ("unset_secomp_profile=", "there is no setting unset_secomp_profile (did you mean unset_seccomp_profile?)"),
        ("config=/a", "config is a setting of kubelet and of runtime (kubelet.config or runtime.config)"),
        ("kubelet.version=1.20", "kubelet.version is varied by another option (--kubelet)"),
        ("runtime.version=1", "runtime.version is varied by another option (--runtime NAME@RELEASES)"),
        ("kubelet.nothing=1", "kubelet.nothing: there is no such setting (did you mean kubelet.config?)"),
        ("seccompDefault=true,maybe", 'kubelet.seccompDefault: is text "maybe", not true or false'),
        ("arch=vax", 'host.arch: "vax" is not one of the values it may have'),
    ],
)
def test_what_is_no_setting_is_told(word: str, answer: str) -> None:
    with pytest.raises(BadInput) as raised:
        axes([word], BOTH, Document())
    assert str(raised.value).startswith(f"--set: {answer}")


def test_a_setting_of_a_family_that_is_not_there_is_told() -> None:
    with pytest.raises(BadInput, match="seccomp_profile is a setting of cri-o, and the matrix has only containerd"):
        axes(["seccomp_profile=/p.json"], ("containerd",), Document())


def test_everything_is_told_at_once() -> None:
    with pytest.raises(BadDocument) as raised:
        axes(["a=1", "seccompDefault=x,y", "arch=amd64", "host.arch=arm64"], BOTH, Document())
    assert [str(fault) for fault in raised.value.faults] == [
        "--set: there is no setting a",
        '--set: kubelet.seccompDefault: is text "x", not true or false',
        '--set: kubelet.seccompDefault: is text "y", not true or false',
        "--set: host.arch is there twice (one --set with all its values)",
    ]


def test_only_what_is_the_kubelets_alone_is_varied_without_the_runtime() -> None:
    """A policy's file is there for runtimes to read, and the machine is everybody's."""
    keys = ["seccompDefault=", "kubelet.policy=", "kubelet.policyProfile=", "arch=", "seccomp_profile="]
    assert [axis.of_kubelet for axis in axes(keys, BOTH, Document())] == [True, False, False, False, False]
