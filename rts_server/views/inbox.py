"""A user's inbox: their rooms by last activity, with unread counts, from Redis or the archive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import NamedTuple

from rts_server import errors
from rts_server.domain.position import Position
from rts_server.domain.unread import MemberUnread, totals
from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMember, StoredRoom
from rts_server.protocol import cursor
from rts_server.roomlog.drains import RoomDrains, queue_behind
from rts_server.roomlog.rehydrate import changed_at
from rts_server.types.answers import RoomsAnswer
from rts_server.types.objects import Room, Totals
from rts_server.views.inbox_row import InboxRow, activity_key, cold_row, sort_key, warm_row
from rts_server.views.snapshots import RoomSnapshot, SnapshotReader
from rts_server.views.user_memberships import UserMemberships

log = logging.getLogger(__name__)

DRAIN_WAIT_SECONDS, PARTIAL_DRAIN_WAIT_SECONDS = 3.0, 1.0
"""Seconds to wait until cold rooms are settled; the second one if they may be left out."""


@dataclass(frozen=True)
class Inbox:
    """All rooms of a user, newest activity first."""

    rows: list[InboxRow]

    @property
    def unread(self) -> Totals:
        """The totals, `{total, rooms}`, as in `session.ready`."""
        return totals(row.unread for row in self.rows)


class _Entry(NamedTuple):
    """What the order of the list and the totals need of a room; `key`: its `activity_key`."""

    key: tuple[int, str]
    hidden: bool
    unread: int


class InboxReader:
    """Reads inboxes: two round trips to Redis for warm rooms, batched archive reads for the others.

    `partly` (several methods): leave cold rooms out, instead of raising Unavailable, if the archive
    is unavailable or the queue is behind.
    """

    def __init__(
        self,
        archive: Archive,
        memberships: UserMemberships,
        snapshots: SnapshotReader,
        drains: RoomDrains,
    ) -> None:
        self._archive = archive
        self._memberships = memberships
        self._snapshots = snapshots
        self._drains = drains

    async def read(self, user_id: str, *, partly: bool = False) -> Inbox:
        """The whole inbox of the user. Raises Unavailable."""
        memberships = await self._memberships.current(user_id)
        return await self.read_rooms(user_id, [m.room_id for m in memberships], partly=partly)

    async def read_rooms(self, user_id: str, room_ids: list[str], *, partly: bool = False) -> Inbox:
        """Some rooms of the user; rooms they are not a member of are left out."""
        warm = await self._snapshots.read_many([(room_id, [user_id]) for room_id in room_ids])
        return await self.from_snapshots(user_id, room_ids, warm, partly=partly)

    async def unread_of(self, user_id: str, room_ids: list[str]) -> dict[str, MemberUnread]:
        """Unread messages of some rooms of the user; rooms that cannot be read are left out."""
        inbox = await self.read_rooms(user_id, room_ids, partly=True)
        return {row.room_id: row.member_unread for row in inbox.rows}

    async def read_room(
        self, user_id: str, room_id: str, load: Callable[[str], Awaitable[None]]
    ) -> Inbox:
        """One room at its current position; no row if the user is not a member. Raises Unavailable.

        A room that Redis lost is loaded by `load` rather than read from the archive: the archive
        may lack events that clients have received, while a new epoch is above all of them (D4).
        """
        asked = [(room_id, [user_id])]
        snapshots = await self._snapshots.read_many(asked)
        if snapshots[0] is None:
            await load(room_id)
            snapshots = await self._snapshots.read_many(asked)
        return await self.from_snapshots(user_id, [room_id], snapshots, partly=False)

    async def from_snapshots(
        self,
        user_id: str,
        room_ids: list[str],
        snapshots: list[RoomSnapshot | None],
        *,
        partly: bool,
    ) -> Inbox:
        """The rows of rooms whose snapshots were read already; None stands for a cold room."""
        rows = [
            warm_row(room_id, snapshot, view)
            for room_id, snapshot in zip(room_ids, snapshots, strict=True)
            if snapshot and (view := snapshot.members[user_id])
        ]
        cold = [r for r, snapshot in zip(room_ids, snapshots, strict=True) if not snapshot]
        if cold:
            try:
                rows += await self._drained_rows(user_id, cold, partly)
            except errors.Unavailable:
                if not partly:
                    raise
                log.warning("archive unavailable: cold rooms left out", extra={"rooms": len(cold)})
        return Inbox(sorted(rows, key=sort_key))

    async def page(
        self, user_id: str, limit: int, after: str | None, *, hidden: bool
    ) -> RoomsAnswer:
        """A page of the inbox after a cursor.

        Raises InvalidParam for a cursor that this server did not issue.
        """
        active_ms, last_id = cursor.decode(after, int, str) if after is not None else (0, "")
        entries, known = await self._entries(user_id)
        following = nsmallest(
            limit + 1,
            (
                one.key
                for one in entries
                if one.hidden == hidden
                and (after is None or one.key > activity_key(active_ms, last_id))
            ),
        )
        shown = [room_id for _, room_id in following[:limit]]
        warm = await self.read_rooms(user_id, [one for one in shown if one not in known])
        known |= {row.room_id: row for row in warm.rows}
        rows = [known[room_id] for room_id in shown if room_id in known]
        key, room_id = following[limit - 1] if len(following) > limit else (0, "")
        return {
            "rooms": await self.with_member_counts(
                [row for row in rows if row.room["hidden"] == hidden]
            ),
            "next_cursor": cursor.encode([-key, room_id]) if room_id else None,
            "unread": totals(one.unread for one in entries),
        }

    async def unread(self, user_id: str) -> Totals:
        """The totals of the user, `{total, rooms}`. Raises Unavailable."""
        return totals(one.unread for one in (await self._entries(user_id))[0])

    async def _entries(self, user_id: str) -> tuple[list[_Entry], dict[str, InboxRow]]:
        """Every room of the user, by three plain commands each; and the rows of cold rooms."""
        room_ids = [one.room_id for one in await self._memberships.current(user_id)]
        standings = await self._snapshots.members(user_id, dict.fromkeys(room_ids))
        active_ms = await self._snapshots.last_activity(standings)
        cold = await self.read_rooms(user_id, [r for r in room_ids if r not in active_ms])
        entries = [_Entry(sort_key(row), row.room["hidden"], row.unread) for row in cold.rows]
        for room_id, at in active_ms.items():
            one = standings[room_id].standing
            unread = one.unread if one.in_totals else 0
            entries.append(_Entry(activity_key(at, room_id), one.hidden, unread))
        return entries, {row.room_id: row for row in cold.rows}

    async def with_member_counts(self, rows: list[InboxRow]) -> list[Room]:
        """The rooms of some rows with `member_count`; members that are not counted are read.

        Their items may also raise the room's position.
        """
        if all(row.is_counted for row in rows):
            return [row.room for row in rows]
        return list(await asyncio.gather(*(self._with_member_count(row) for row in rows)))

    async def _with_member_count(self, row: InboxRow) -> Room:
        if row.is_counted:
            return row.room
        members = await self._archive.members(row.room_id)
        known = row.room["epoch"], row.room["offset"]
        epoch, offset = max([known, *map(changed_at, members)])
        count = sum(member.state == "in" for member in members)
        return {**row.room, "member_count": count, "epoch": epoch, "offset": offset}

    async def positions(
        self, rows: list[InboxRow], cursors: Mapping[str, Position]
    ) -> dict[str, Position]:
        """The positions of the rooms of some rows.

        Members that are not counted are read as well; not if the room is ahead of the client's
        cursor already.
        """
        found = {row.room_id: (row.room["epoch"], row.room["offset"]) for row in rows}
        uncertain = [
            row
            for row in rows
            if not row.is_counted and found[row.room_id] <= cursors.get(row.room_id, (0, 0))
        ]
        for room in await self.with_member_counts(uncertain):
            found[room["room_id"]] = room["epoch"], room["offset"]
        return found

    async def _drained_rows(self, user_id: str, cold: list[str], partly: bool) -> list[InboxRow]:
        """Rows of rooms that were cold, read after their queues were drained.

        Redis is asked once more after the drain: another instance may have loaded a room meanwhile,
        and its state in Redis is then newer than the archive (D9).
        """
        settled = await self._drains.settled(
            cold, PARTIAL_DRAIN_WAIT_SECONDS if partly else DRAIN_WAIT_SECONDS
        )
        if left := len(cold) - len(settled):
            if not partly:
                raise queue_behind()
            log.warning("queue behind: cold rooms left out", extra={"rooms": left})
        loaded = await self._snapshots.read_many([(room_id, [user_id]) for room_id in settled])
        warm = {r: one for r, one in zip(settled, loaded, strict=True) if one is not None}
        rows = [
            warm_row(room_id, one, view)
            for room_id, one in warm.items()
            if (view := one.members[user_id])
        ]
        return rows + await self._cold_rows(user_id, [r for r in settled if r not in warm])

    async def _cold_rows(self, user_id: str, room_ids: list[str]) -> list[InboxRow]:
        rooms = await self._archive.rooms(room_ids)
        members = await self._archive.memberships(user_id, rooms)
        pairs = [
            (stored, stored.room, member)
            for room_id, stored in rooms.items()
            if stored.room is not None
            and (member := members.get(room_id)) is not None
            and member.state == "in"
        ]
        counts = await asyncio.gather(*(self._uncounted(stored, one) for stored, _, one in pairs))
        return [
            cold_row(stored, room, member, uncounted)
            for (stored, room, member), uncounted in zip(pairs, counts, strict=True)
        ]

    async def _uncounted(self, stored: StoredRoom, member: StoredMember) -> int:
        """How many messages that never count as unread the member has not read."""
        if stored.seq <= member.read_seq:
            return 0
        return len(await self._archive.uncounted(stored.room_id, member.read_seq))
