"""Calling an engine in this process as if it were behind a socket: the same services, messages and refusals, no gRPC.

What a rehearsal needs: it makes thousands of calls, and keeps its own time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message_factory import GetMessageClass

from shim.cri.calls import snake_case
from shim.cri.client import Spoken, described, message
from shim.cri.errors import failure
from shim.cri.gate import ReleaseGate
from shim.cri.image_service import ImageService
from shim.cri.node_service import NodeService
from shim.cri.runtime_service import RuntimeService
from shim.kubelet.handshake import Fault

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from shim.engine.engine import Engine


class Direct:
    """A connection to an engine. It is closed with the engine."""

    def __init__(self, engine: Engine) -> None:
        self._services: dict[tuple[Spoken, str], Any] = {("node", ""): NodeService(engine)}
        self._gates = {api: ReleaseGate(engine, f"runtime.{api}") for api in ("v1", "v1alpha2")}
        for api in self._gates:
            self._services["runtime", api] = RuntimeService(engine, api)
            self._services["image", api] = ImageService(engine)

    def call(self, service: Spoken, api: str, method: str, request: Message | dict[str, Any] | None = None) -> Any:
        """Return the answer of a call, or the `Fault` that came instead. Fields may be given as a dict."""
        description = described(service, method)
        servicer = self._services[service, "" if service == "node" else api]
        try:
            if service != "node":
                self._gates[api].require(method)
            answer = getattr(servicer, snake_case(method))(message(description, request))
        except Exception as error:  # noqa: BLE001  whatever it is, a caller behind a socket would get a status
            ended = failure(error, f"{description.containing_service.full_name}/{method}")
            return Fault(ended.code.name, ended.text)
        return GetMessageClass(description.output_type).FromString(answer) if isinstance(answer, bytes) else answer
