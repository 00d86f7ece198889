"""CreateContainer up to the decision: is there anything wrong with what was asked for?

Runtimes look at things in different orders, so that two things wrong at once get different answers. Each fault has the
name of its situation; the order is the persona's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import Refused
from runtimes.request import ContainerMetadata, ContainerRequest
from shim.engine.ground import refuse
from shim.engine.identities import AmbiguousError
from shim.engine.values import SANDBOX_READY

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.model import ImageFacts, SandboxPlace
    from runtimes.request import SandboxRequest
    from shim.engine.ground import Ground
    from shim.engine.images import Images
    from shim.engine.sandboxes import Sandboxes

    Named = Callable[[str, str], str | None]


class Checked(msgspec.Struct, frozen=True):
    """A request that nothing is wrong with, and what the checks found on the way: among it the entry of the node that
    its sandbox belongs to, and the name it reserves.
    """

    entry: str
    name: str
    request: ContainerRequest
    sandbox: SandboxRequest
    sandbox_place: SandboxPlace
    image: ImageFacts
    image_reference: str


def check(
    ground: Ground,
    sandboxes: Sandboxes,
    images: Images,
    named: Named,
    sandbox_id: str,
    config: ContainerRequest | None,
    sandbox_config: SandboxRequest | None,
) -> Checked | str:
    """Return what is needed to decide, or the id of the container that has the name, where the runtime answers so.

    `named(name, entry)` finds that container. Of the two requests for the sandbox the one that came with the container
    counts, as in both families; the sandbox's own is there for a caller who left it out. Raises `Refused`.
    """
    try:
        sandbox = sandboxes[sandboxes.ids.find(sandbox_id) or ""] if sandbox_id else None
    except (AmbiguousError, KeyError):
        sandbox = None
    persona = ground.persona(sandbox.entry if sandbox else None)
    request = config or ContainerRequest()
    name, taken = "", None
    if sandbox:
        made = sandboxes.made(sandbox.shown.id)
        pod = sandbox_config if sandbox_config and sandbox_config.metadata else made.request
        called = msgspec.structs.replace(request, metadata=request.metadata or ContainerMetadata())
        name = persona.container_name(called, pod, sandbox.shown.id)
        taken = named(name, sandbox.entry)
    image_name = request.image.image if request.image else ""
    image = images.resolve(image_name) if image_name else None

    faults: dict[str, dict[str, str] | None] = {
        "sandbox-missing": None if sandbox else {"id": sandbox_id},
        "sandbox-not-ready": {"id": sandbox.shown.id} if sandbox and sandbox.shown.state != SANDBOX_READY else None,
        "no-config": None if config else {},
        "no-metadata": None if request.metadata else {},
        "no-name": None if request.metadata and request.metadata.name else {},
        "name-reserved": {"name": name, "owner": taken} if taken else None,
        "no-image": None if image_name else {},
        "image-missing": None if image else {"image": image_name},
    }
    for fault in persona.create_order:
        details = faults[fault]
        if details is None:
            continue
        if fault == "sandbox-missing":
            ground.find("sandbox", sandboxes.ids, "CreateContainer", sandbox_id)  # raises for empty and ambiguous ones
        if fault == "name-reserved" and taken and persona.reserved_returns_owner:
            return taken
        refuse(persona, f"CreateContainer.{fault}", **details)
    if not sandbox or not image:
        raise Refused("NOT_FOUND", f"there is no {'image ' + image_name if sandbox else 'sandbox ' + sandbox_id}")
    return Checked(sandbox.entry, name, called, pod, made.place, *image)
