"""Writes `unread.changed`: a user's count in one room, with the totals over all their rooms."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from rts_server.domain.unread import MemberUnread, totals
from rts_server.engine.packets import event_packet
from rts_server.protocol.event import ephemeral
from rts_server.realtime.listener import Listener
from rts_server.realtime.room_feed import RoomFeed
from rts_server.realtime.unread_count import Certainty
from rts_server.runtime.tasks import Tasks

WRITE_DELAY_SECONDS = 0.02
"""Seconds for which changes of a user are gathered: a message that brings a hidden room back is
published just after the setting that it changes."""
MAX_READS = 4
"""Reads of a user's doubtful counts until they are written as they are."""

ReadUnread = Callable[[str, list[str]], Awaitable[Mapping[str, MemberUnread]]]
"""The counts of a user in some rooms; a room that cannot be read is left out."""

log = logging.getLogger(__name__)


class UnreadChanges:
    """Writes what this instance knows: it read all rooms of its users, and hears of each since.

    So a message costs Redis nothing for the totals. Only counts in doubt are read, one script for
    each such room, and not again. `rooms` and `listeners` (by user id) are the live mappings of
    the subscriptions.
    """

    def __init__(
        self,
        rooms: Mapping[str, RoomFeed],
        listeners: Mapping[str, Collection[Listener]],
        read: ReadUnread,
    ) -> None:
        self._rooms, self._listeners, self._read = rooms, listeners, read
        self._due: dict[str, dict[tuple[Listener, str], None]] = {}
        self._tasks = Tasks()

    async def close(self) -> None:
        """Stop. Changes that were not written are part of the user's next `unread.changed`."""
        await self._tasks.close()

    def write_soon(self, listener: Listener, room_id: str) -> None:
        """Write the listener's count in a room, as it will be in a moment."""
        user_id = listener.user_id
        due = self._due.get(user_id)
        if due is None:
            due = self._due[user_id] = {}
            asyncio.get_running_loop().call_later(WRITE_DELAY_SECONDS, self._write_due, user_id)
        due[listener, room_id] = None

    def receipts_joined(self, user_id: str) -> None:
        """Write what changed before a connection of the user joined `/receipts`."""
        for listener in self._listeners.get(user_id, ()):
            if listener.unwritten and "/receipts" in listener.namespaces:
                room_ids, listener.unwritten = listener.unwritten, None
                for room_id in room_ids:
                    self.write_soon(listener, room_id)

    def _write_due(self, user_id: str) -> None:
        if self._doubtful(user_id):
            self._tasks.keep(self._read_and_write(user_id))
        else:
            self._write(user_id)

    async def _read_and_write(self, user_id: str) -> None:
        """Read the doubtful counts first. If that fails, the next event has the right totals."""
        try:
            for _ in range(MAX_READS):
                doubtful = self._doubtful(user_id)
                if not doubtful or not await self._read_again(user_id, doubtful):
                    break
        except Exception as error:  # of any kind: what stays due holds back all that follows
            log.warning("unread.changed is not written", extra={"error": type(error).__name__})
            del self._due[user_id]
        else:
            self._write(user_id)

    async def _read_again(self, user_id: str, room_ids: list[str]) -> bool:
        """Return whether anything could be read; the rest stays in doubt."""
        asked = [
            (room_id, listener, listener.rooms[room_id])
            for room_id in room_ids
            for listener in self._listeners.get(user_id, ())
            if room_id in listener.rooms
        ]
        for _, _, count in asked:
            count.certainty = Certainty.READING
        found: Mapping[str, MemberUnread] = {}
        try:
            found = await self._read(user_id, room_ids)
        finally:
            for room_id, listener, count in asked:
                is_same = listener.rooms.get(room_id) is count  # it may have left, or joined again
                if room_id in found and is_same:
                    self._rooms[room_id].learn(listener, found[room_id])
                else:
                    count.doubt()
        return bool(found)

    def _doubtful(self, user_id: str) -> list[str]:
        """Return the rooms of which a count of the user is in doubt."""
        found: dict[str, None] = {}
        for listener in self._listeners.get(user_id, ()):
            for room_id, count in listener.rooms.items():
                if count.certainty is Certainty.DOUBTFUL and self._rooms[room_id].is_live(listener):
                    found[room_id] = None
        return list(found)

    def _write(self, user_id: str) -> None:
        for listener, room_id in self._due.pop(user_id):
            if listener.closed:
                continue
            if "/receipts" in listener.namespaces:
                self._write_to(listener, room_id)
            else:
                listener.unwritten = {room_id, *(listener.unwritten or ())}

    def _write_to(self, listener: Listener, room_id: str) -> None:
        unread, read_seq, counts = 0, 0, []
        for one, count in listener.rooms.items():
            room = self._rooms[one]
            if not room.is_live(listener):
                continue
            if count.in_totals:
                counts.append(room.unread(listener))
            if one == room_id:
                unread, read_seq = room.unread(listener), count.read_seq
        data = {"unread": unread, "read_seq": read_seq, **totals(counts)}
        text = ephemeral("unread.changed", data, room_id)
        listener.write(event_packet("/receipts", "unread.changed", text))
