"""Keeps the clients of a cluster behind proxies, although its nodes say their own ports."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ADDRESS = re.compile(rb"(127\.0\.0\.1(?::|\r\n:))(\d+)(?=\r\n)")
"""In a reply: of CLUSTER SLOTS, where the port follows the host, and of MOVED and ASK."""


class NodePorts:
    """The port of a proxy for that of each node. Without any, replies pass as they are."""

    def __init__(self, instead: Mapping[int, int] | None = None) -> None:
        self._instead: dict[bytes, bytes] = {}
        for port, other in (instead or {}).items():
            self.add(port, other)

    def add(self, port: int, instead: int) -> None:
        """Say `instead` for the port of a node from now on."""
        self._instead[b"%d" % port] = b"%d" % instead

    def translated(self, reply: bytes) -> bytes:
        """Return a reply with the ports of the proxies."""
        if not self._instead:
            return reply
        return _ADDRESS.sub(lambda found: found[1] + self._instead.get(found[2], found[2]), reply)
