"""The process of a container: its user, its arguments, its environment.

The image's own file system is not there to be looked at: a user is looked up as in an image without /etc/passwd, but
for the image's own, whose number the node knows.
Source: server/container_create.go setupContainerUser, server/utils.go mergeEnvs; SpecSetProcessArgs in
internal/factory/container/container.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runtimes.errors import Refused

if TYPE_CHECKING:
    from runtimes.crio.layout import Layout
    from runtimes.model import ImageFacts
    from runtimes.request import ContainerRequest, LinuxContainerSecurityContext

Json = dict[str, Any]

BASE_ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm")
_MAX_ID = (1 << 31) - 1
_UINT32 = (1 << 32) - 1
_NUMBER = re.compile(r"-?[0-9]+")


def arguments(request: ContainerRequest, image: ImageFacts) -> list[str]:
    """Return the command line: the request's, and the image's for what it leaves out. Raises `Refused`."""
    command, args = list(request.command), list(request.args)
    if not command:
        args = args or list(image.cmd)
        command = list(image.entrypoint)
    if not command and not args:
        raise Refused("UNKNOWN", "no command specified")
    return command + args


def user(layout: Layout, security: LinuxContainerSecurityContext | None, image: ImageFacts) -> Json:
    """Return the user, its group and its additional groups. Raises `Refused`."""
    if security and security.run_as_group and not security.run_as_user and not security.run_as_username:
        raise Refused("UNKNOWN", "user group is specified without user or username")
    asked = ""
    if security:
        asked = security.run_as_username or (str(security.run_as_user.value) if security.run_as_user else "")
    elif layout.facts.has("inserts-security-context"):
        asked = "0"
    uid, gid = _looked_up(layout, asked or image.user, image)
    if security and security.run_as_group:
        gid = security.run_as_group.value & _UINT32
    groups = [gid] if layout.facts.has("primary-group-is-additional") else []
    groups += [group & _UINT32 for group in (security.supplemental_groups if security else ())]
    found: Json = {"uid": uid, "gid": gid}
    return found | ({"additionalGids": list(dict.fromkeys(groups))} if groups else {})


def _looked_up(layout: Layout, name: str, image: ImageFacts) -> tuple[int, int]:
    """Look a user up as in an image without /etc/passwd, but for the image's own user, which the node knows."""
    own, _, group = name.partition(":")
    prefix = layout.value("user-error-prefix")
    numbers = [int(each) for each in (own, group) if _NUMBER.fullmatch(each)]
    if any(not 0 <= each <= _MAX_ID for each in numbers):
        raise Refused("UNKNOWN", f"{prefix}uids and gids must be in range 0-{_MAX_ID}")
    gid = numbers[-1] if _NUMBER.fullmatch(group) else 0
    if not own:
        return 0, gid
    if _NUMBER.fullmatch(own):
        return numbers[0], gid
    number = image.number(own)
    if number is not None:
        return number, gid
    raise Refused("UNKNOWN", f"{prefix}unable to find user {own}: no matching entries in passwd file")


def environment(layout: Layout, request: ContainerRequest, image: ImageFacts, hostname: str) -> list[str]:
    """Return the environment. What runtime-tools starts with stays in front, and nothing replaces it."""
    given = [f"{each.key}={each.value}" for each in request.envs if each.key]
    taken = {each.key for each in request.envs}
    own = [each for each in image.env if each.partition("=")[1] and each.partition("=")[0] not in taken]
    added: dict[str, str] = {"TERM": "xterm"} if request.tty else {}
    added["HOSTNAME"] = hostname
    for each in (*(layout.config.runtime["default_env"] or ()), *given, *own):
        key, _, value = each.partition("=")
        added[key] = value
    return [*BASE_ENVIRONMENT, *(f"{key}={value}" for key, value in added.items())]
