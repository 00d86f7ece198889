"""Who a container runs as.

The images of a simulated node have no root file system to look names up in. Each is taken to know one user and one
group, root, and whom it says that it runs as; a number that /etc/passwd does not know is allowed, a name that it does
not know is not.
Source: oci/spec_opts.go (WithUser, WithUserID, WithUsername, WithAdditionalGIDs), pkg/cri/opts/spec_linux.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtimes.containerd.objection import Objection
from runtimes.containerd.spec import Spec, groups
from runtimes.gojson import quote

if TYPE_CHECKING:
    from runtimes.containerd.known import Known
    from runtimes.model import ImageFacts
    from runtimes.request import Int64Value

MERGE, STRICT = 0, 1  # SupplementalGroupsPolicy
_HIGHEST = 2**31 - 1
_NUMBER = re.compile(r"[+-]?[0-9]+")


class NotInImageError(Objection):
    """The image's files do not have such a user or group (see `ImageFacts.number`)."""


def user_text(name: str, user: Int64Value | None, group: Int64Value | None) -> str:
    """Return what a request says about the user as one text, "" for nothing. Raises `Objection`."""
    text = name or (str(user.value) if user else "")
    if not group:
        return text
    if not text:
        raise Objection(f'failed to generate user string: user group "{group.value}" is specified without user')
    return f"{text}:{group.value}"


def set_user(spec: Spec, text: str, image: ImageFacts, known: Known) -> None:
    """Set user and group by such a text. Raises `Objection`."""
    user = spec["process"]["user"]
    name, colon, group = text.partition(":")
    if ":" in group:
        raise Objection(f"invalid USER value {text}")
    user["uid"] = _number(name, text, "uid", image, known)
    user["gid"] = _number(group, text, "gid", image, known) if colon else 0
    if known.has("primary-group-listed"):
        user["additionalGids"] = [user["gid"]]


def check_policy(policy: int, known: Known) -> None:
    """Refuse a policy that is none. Raises `Objection`."""
    if known.has("supplemental-groups-policy") and policy not in (MERGE, STRICT):
        raise Objection(f"not implemented in this containerd release: SupplementalGroupsPolicy={policy}")


def set_groups(spec: Spec, supplemental: tuple[int, ...], policy: int, known: Known) -> None:
    """Set the additional groups, after the user."""
    if not (known.has("supplemental-groups-policy") and policy == STRICT) and known.has("primary-group-listed"):
        groups(spec, [spec["process"]["user"]["gid"]])
    if known.has("supplemental-groups-added-last"):
        groups(spec, supplemental)


def _number(part: str, text: str, kind: str, image: ImageFacts, known: Known) -> int:
    if _NUMBER.fullmatch(part):
        number = int(part)
        if 0 <= number <= _HIGHEST:
            return number
        if known.has("user-range-checked"):
            raise Objection(f"invalid USER value {quote(text)}: {kind} out of range")
    found = image.number(part, group=kind == "gid")
    if found is not None:
        return found
    raise NotInImageError("no users found" if kind == "uid" else "no groups found")
