"""Refuses writes in overload before they are parsed or queued.

A refusal must cost far less than the command, or refusals alone would fill a core (R4).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial

from rts_server.engine.frames import Frame
from rts_server.engine.packets import Encoded
from rts_server.engine.server import Server
from rts_server.namespaces.ack_writer import AckWriter
from rts_server.namespaces.charges import commands
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.session import Session

READS = frozenset(
    {
        "auth.refresh",
        "member.list",
        "message.get",
        "message.list",
        "presence.query",
        "receipt.list",
        "room.get",
        "room.list",
        "sync",
        "unread.explain",
        "unread.get",
        "upload.url",
    }
)
"""Commands that are served in overload, too: they append nothing, and are what a client needs to
show what it has (R4)."""

PAUSE_SECONDS = 0.05
"""How long a connection is not read after a refusal: what it sends meanwhile is refused in one read
and one write, and still within 0.1 s (R4)."""


class OverloadRefusals:
    """Refuses the writes of the sessions of one namespace.

    What a connection sent behind a refused write is refused by the beginning of its text, as long
    as it is in the same read: it would have waited behind the first.
    """

    def __init__(
        self,
        namespace: str,
        command_names: Collection[str],
        *,
        server: Server,
        connections: Connections,
        acks: AckWriter,
    ) -> None:
        self._server = server
        self._connections = connections
        self._admission = connections.admission
        self._acks = acks
        self._writes = frozenset(command_names) - READS
        names = "|".join(map(re.escape, sorted(self._writes)))
        # An Engine.IO MESSAGE with a Socket.IO EVENT; an ack id that may be too large is not read.
        head = rf'42{re.escape(namespace)},(\d{{1,9}})\["({names})"'
        self._match_write = re.compile(head, re.ASCII).match
        self._uncounted: Counter[str] = Counter()

    def refuse(self, session: Session, frame: Frame, now: float) -> bool:
        """Refuse a command that arrived now (loop time); return False if it is to be handled."""
        data = frame.data
        name = data[0] if isinstance(data, list) and data else None
        if not isinstance(name, str) or name not in self._writes:
            return False
        if self._connections.limited and self._is_above_rate(session, now):
            return False
        retry_after_ms = self._admission.refuse()
        self._acks.refuse_overloaded(session, name, frame.ack_id, retry_after_ms)
        behind = partial(self._refuse_text, session, self._acks.overloaded_ack(retry_after_ms))
        self._server.defer_reading(session.eio_sid, PAUSE_SECONDS, behind)
        return True

    def _refuse_text(self, session: Session, ack: Callable[[str], Encoded], text: str) -> bool:
        match = self._match_write(text)
        if match is None or session.closed:
            return False
        now = asyncio.get_running_loop().time()
        if self._connections.limited and self._is_above_rate(session, now):
            return False
        ack_id, name = match.groups()
        if not self._uncounted:  # counted once for all that is refused in this turn of the loop
            asyncio.get_running_loop().call_soon(self._count)
        self._uncounted[name] += 1
        session.out.write(ack(ack_id))
        return True

    def _count(self) -> None:
        counted, self._uncounted = self._uncounted, Counter()
        self._admission.note_refused(counted.total())
        for name, count in counted.items():
            self._acks.count_overloaded(name, count)

    def _is_above_rate(self, session: Session, now: float) -> bool:
        """Charge a command; above its rate it is refused as rate_limited."""
        rate, key, cost, _ = commands(session)
        return bool(self._connections.buckets.take(rate, key, now, cost))
