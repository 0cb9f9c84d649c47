"""python-socketio's client manager: it tells a namespace when the CONNECT packet has gone out."""

from __future__ import annotations

import socketio


class Manager(socketio.AsyncManager):  # type: ignore[misc]
    """Nothing is emitted through rooms of the library: events leave by the room log alone."""

    async def connect(self, sid: str, namespace: str) -> str:
        """The hook behind the CONNECT packet: from here on the namespace may write."""
        connected: str = await super().connect(sid, namespace)
        self.server.namespace_handlers[namespace].connected(connected)
        return connected
