"""The addresses of pods: one each, from a range, given back when a pod stops."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from runtimes.errors import BadInput, CapacityExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_RANGE = "10.88.0.0/16"  # what the bridge configuration that CRI-O installs has (contrib/cni)
_RESERVED = 2  # the network itself and the bridge's own address


class Addresses:
    """A range and the addresses in use, which may also come from an earlier range.

    They are given out in turn, not lowest first, so that the address of a stopped pod is not at once another's.
    """

    def __init__(self, text: str, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self.use(text)

    def use(self, text: str) -> None:
        """Take new addresses from another range, "10.1.0.0/24"; of two ("10.1.0.0/24,fd00::/64") from the first.

        Raises `BadInput` where it is none, or too small for a pod.
        """
        try:
            network = ipaddress.ip_network(text.partition(",")[0].strip(), strict=False)
        except ValueError as error:
            raise BadInput(f"{error}", where="pod_cidr", right="a range of addresses, as in 10.88.0.0/16") from error
        last = network.num_addresses - (network.version == 4)  # noqa: PLR2004  only IPv4 has a broadcast address
        if last <= _RESERVED:
            raise BadInput(f"{text} has no room for a pod", where="pod_cidr", right="a larger range, /29 for instance")
        self._network, self._count, self._turn = network, last - _RESERVED, 0

    def next(self) -> str:
        """Return an address that is not in use; it is the caller's only after `take`."""
        for step in range(min(self._count, len(self._taken) + 1)):
            place = (self._turn + step) % self._count
            address = str(self._network[_RESERVED + place])
            if address not in self._taken:
                self._turn = place + 1
                return address
        raise CapacityExceeded(f"no free pod address in {self._network}: stop a pod or set another range")

    def take(self, address: str) -> None:
        """Mark an address as in use. An empty one, of a pod on the host's network, is none."""
        if address:
            self._taken.add(address)

    def free(self, address: str) -> None:
        """Give an address back."""
        self._taken.discard(address)
