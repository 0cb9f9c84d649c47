"""python-socketio's client manager with an index of its own: every operation is O(1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import socketio


class ClientManager(socketio.AsyncManager):  # type: ignore[misc]
    """Maps connections to sessions. It has no rooms: events are delivered by `RoomFeed`.

    A session that is being authenticated (`pending`) or disconnected (`leaving`) is not connected.
    """

    def __init__(self) -> None:
        super().__init__()
        self._eio: dict[str, dict[str, str]] = {}
        self._sids: dict[tuple[str, str], str] = {}
        self._pending: set[str] = set()
        self._leaving: set[str] = set()

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Return a sid for a connection that is not authenticated yet; None if it has one."""
        if (namespace, eio_sid) in self._sids:
            return None
        sid: str = self.server.eio.generate_id()
        self._eio.setdefault(namespace, {})[sid] = eio_sid
        self._sids[namespace, eio_sid] = sid
        self._pending.add(sid)
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        """Open the session: called after the CONNECT packet, so the namespace may write now."""
        self._pending.discard(sid)
        self.server.namespace_handlers[namespace].connected(sid)
        return sid

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Keep the session for the disconnect handler, but accept no more packets of it."""
        self._leaving.add(sid)
        return self.eio_sid_from_sid(sid, namespace)

    async def disconnect(self, sid: str, namespace: str, **_: Any) -> None:
        """Forget a session."""
        eio_sid = self._eio.get(namespace, {}).pop(sid, None)
        if eio_sid is not None:
            self._sids.pop((namespace, eio_sid), None)
        self._pending.discard(sid)
        self._leaving.discard(sid)

    def is_connected(self, sid: str | None, namespace: str) -> bool:
        """Return whether packets of a session are accepted."""
        if sid is None or sid in self._pending or sid in self._leaving:
            return False
        return sid in self._eio.get(namespace, {})

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Return whether a session is being authenticated."""
        return sid in self._pending

    def get_namespaces(self) -> Iterable[str]:
        """Return the namespaces somebody has connected to."""
        return list(self._eio)

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """Return the session of a connection in a namespace."""
        return self._sids.get((namespace, eio_sid))

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Return the connection of a session."""
        return self._eio.get(namespace, {}).get(sid)

    async def emit(self, *_: Any, **__: Any) -> None:
        """Refuse: an event that is not from a room's log would have no place in the order (D3)."""
        raise RuntimeError("events are delivered by the room log")
