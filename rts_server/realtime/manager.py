"""python-socketio's client manager with an index of its own: every step costs O(1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import socketio


class ClientManager(socketio.AsyncManager):  # type: ignore[misc]
    """Which connection is which session. Rooms are the room log's: nothing is emitted here.

    A session still being authenticated (`pending`) or going (`leaving`) is not connected.
    """

    def __init__(self) -> None:
        super().__init__()
        self._eio: dict[str, dict[str, str]] = {}
        self._sids: dict[tuple[str, str], str] = {}
        self._pending: set[str] = set()
        self._leaving: set[str] = set()

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """A sid for a connection that is not authenticated yet; None when it has one."""
        if (namespace, eio_sid) in self._sids:
            return None
        sid: str = self.server.eio.generate_id()
        self._eio.setdefault(namespace, {})[sid] = eio_sid
        self._sids[namespace, eio_sid] = sid
        self._pending.add(sid)
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        """The hook behind the CONNECT packet: from here on the namespace may write."""
        self._pending.discard(sid)
        self.server.namespace_handlers[namespace].connected(sid)
        return sid

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Still here for the disconnect handler, but not connected any more."""
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
        """Whether a session may be heard."""
        if sid is None or sid in self._pending or sid in self._leaving:
            return False
        return sid in self._eio.get(namespace, {})

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Whether a session is still being authenticated."""
        return sid in self._pending

    def get_namespaces(self) -> Iterable[str]:
        """Namespaces somebody has connected to."""
        return list(self._eio)

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The session of a connection in a namespace."""
        return self._sids.get((namespace, eio_sid))

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """The connection of a session."""
        return self._eio.get(namespace, {}).get(sid)

    async def emit(self, *_: Any, **__: Any) -> None:
        """Refused: an event that did not come out of the log has no place in anybody's order."""
        raise RuntimeError("events leave by the room log")
