"""What could have become of "seccomp by default": the alternatives of KEP-2413, as kubelets that never shipped.

A policy decides where a pod says nothing, in the place of seccompDefault; everything else goes its usual way. No CRI
field is needed for it: a profile of the kubelet's arrives at the runtime as Localhost.

    KubernetesDefault   the kubelet brings a profile of its own, puts it below its profile root, and names that file
    profile-path        the kubelet is told a file; without one, what is unset is Unconfined
    combined            it is told KubernetesDefault, RuntimeDefault or a file, and looks at the file when it starts

Source: kubernetes/enhancements keps/sig-node/2413-seccomp-by-default (Alternatives). What refuses here does so in this
program's own words, because no kubelet ever had any.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Literal

import msgspec

from runtimes.decision import Step
from runtimes.errors import BadInput, Refused
from runtimes.files import FileFault
from runtimes.request import LOCALHOST, RUNTIME_DEFAULT, UNCONFINED, SecurityProfile

if TYPE_CHECKING:
    from runtimes.files import Files

Name = Literal["KubernetesDefault", "profile-path", "combined"]
NAMES: tuple[Name, ...] = ("KubernetesDefault", "profile-path", "combined")
OWN_PROFILE = "kubernetes-default.json"
_SOURCE = "KEP-2413 (Alternatives), in no release of Kubernetes"
_OWN, _RUNTIMES = "KubernetesDefault", "RuntimeDefault"


class Policy(msgspec.Struct, frozen=True):
    """A policy in effect. `profile` is what is sent where nothing is set; `path` the same as seccomp_profile_path.

    `places` is the file that the kubelet puts on the node, "" where it puts none.
    """

    name: Name
    profile: SecurityProfile
    path: str
    says: str
    places: str = ""

    @property
    def step(self) -> Step:
        """The reason, marked as what it is."""
        because = f"no seccompProfile is set: {self.says} (policy {self.name}: a kubelet like that never shipped)"
        return Step("kubelet", f"policy.{self.name}", because, _SOURCE, warns=True)


def settle(name: str, profile: str, root: str, files: Files | None) -> Policy:
    """Put a policy in effect. `profile` is what it is told, `root` the directory of Localhost profiles.

    Raises `BadInput` for what makes no sense, and `Refused` where the kubelet would not start.
    """
    if name not in NAMES:
        raise BadInput(f"{name!r} is no policy", field="policy", right=f"one of {', '.join(NAMES)}")
    policy: Name = name
    if policy == _OWN and profile:
        raise BadInput("KubernetesDefault brings its own profile", field="policyProfile", right="leave it out")
    if policy == _OWN or (policy == "combined" and profile in ("", _OWN)):
        place = posixpath.join(root, OWN_PROFILE)
        return _local(policy, place, f"the kubelet's own profile, which it placed at {place}", places=place)
    if policy == "combined" and profile == _RUNTIMES:
        return Policy(
            policy,
            SecurityProfile(profile_type=RUNTIME_DEFAULT),
            "runtime/default",
            "the kubelet is told RuntimeDefault",
        )
    if not profile:
        return Policy(
            policy, SecurityProfile(profile_type=UNCONFINED), "", "the kubelet is told no profile, so Unconfined"
        )
    place = posixpath.normpath(posixpath.join(root, profile))
    if policy == "combined":
        _check(place, files)
    return _local(policy, place, f"the kubelet is told the profile {place}")


def _local(name: Name, place: str, says: str, places: str = "") -> Policy:
    message = SecurityProfile(profile_type=LOCALHOST, localhost_ref=place)
    return Policy(name, message, f"localhost/{place}", says, places)


def _check(place: str, files: Files | None) -> None:
    """A combined kubelet looks at the file before it starts. Raises `Refused`."""
    if files is None:
        return
    try:
        found = msgspec.json.decode(files.read(place))
        error = "" if isinstance(found, dict) and found.get("defaultAction") else "it is no seccomp profile"
    except FileFault as fault:
        error = str(fault)
    except msgspec.DecodeError as fault:
        error = f"it is no JSON: {fault}"
    if error:
        message = f"the default seccomp profile {place} cannot be used: {error}"
        step = Step("kubelet", "policy.combined", f"the kubelet refuses to start: {message}", _SOURCE)
        raise Refused("FAILED_PRECONDITION", message, (step,), reason="StartupRefused", where="kubelet")
