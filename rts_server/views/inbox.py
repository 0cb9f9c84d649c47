"""The rooms of a user: which, how they stand, in order of activity; warm or from the archive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rts_server import errors
from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMember, StoredRoom
from rts_server.persistence.user_rooms import Index, Membership, State, UserRooms
from rts_server.protocol import cursor
from rts_server.roomlog.drains import RoomDrains, behind
from rts_server.roomlog.rehydrate import changed_at, last_position, milliseconds
from rts_server.views.snapshots import MemberView, Position, RoomSnapshot, SnapshotReader, personal

log = logging.getLogger(__name__)

STRANGERS = 50
"""Users of whom the archive is asked at once."""
SLICE = 500
"""Rooms asked for in one round trip, where those of many users are."""
PATIENCE, PARTLY = 3.0, 1.0
"""Seconds that a list waits for the queue of cold rooms; where some may be left out."""
NOBODY = " "
"""No user's id: what the archive is asked where its answer does not matter."""


@dataclass(frozen=True)
class InboxRow:
    """One room of the list: what sorts it, and what is shown.

    `uncounted`: messages behind read_seq that count for nobody; `settled`: the user once muted or
    hid it; `unsure`: the position is that of the archive, without what was done to other members.
    """

    active_ms: int
    room_id: str
    room: dict[str, Any]
    counts: bool
    uncounted: int
    settled: bool = False
    unsure: bool = False

    @property
    def unread(self) -> int:
        """Unread messages that count in the totals."""
        return int(self.room["unread"]) if self.counts else 0


@dataclass(frozen=True)
class Inbox:
    """All rooms of a user, newest activity first."""

    rows: list[InboxRow]

    @property
    def unread(self) -> dict[str, int]:
        """`{total, rooms}` as in `session.ready`."""
        counts = [row.unread for row in self.rows if row.unread > 0]
        return {"total": sum(counts), "rooms": len(counts)}

    def after(self, cursor: tuple[int, str] | None, *, hidden: bool) -> list[InboxRow]:
        """Rows behind a cursor (active_ms, room_id): those he has hidden, or the others."""
        return [
            row
            for row in self.rows
            if row.room["hidden"] == hidden and (cursor is None or sort_key(row) > _key(*cursor))
        ]


def sort_key(row: InboxRow) -> tuple[int, str]:
    """Newest first, ties by id."""
    return _key(row.active_ms, row.room_id)


def _key(active_ms: int, room_id: str) -> tuple[int, str]:
    return -active_ms, room_id


class InboxReader:
    """Reads: two round trips to Redis for warm rooms, batches of the archive for the others."""

    def __init__(
        self, archive: Archive, user_rooms: UserRooms, standings: SnapshotReader, drains: RoomDrains
    ) -> None:
        self._archive = archive
        self._user_rooms = user_rooms
        self._snapshots = standings
        self._drains = drains

    async def memberships(self, user_id: str) -> list[Membership]:
        """The rooms a user is in."""
        return (await self.index(user_id))[0]

    async def index(self, user_id: str) -> tuple[list[Membership], str]:
        """The rooms a user is in and their version; what is not complete is rebuilt first."""
        index = await self._whole(user_id, await self._user_rooms.all(user_id))
        return _in(index), index.version

    async def _whole(self, user_id: str, index: Index) -> Index:
        if index.complete:
            return index
        stored = await self._archive.rooms_of(user_id)
        await self._user_rooms.note_all([(user_id, _membership(one)) for one in stored])
        await self._user_rooms.complete(user_id)
        return await self._user_rooms.all(user_id)

    async def known_memberships(self, user_id: str) -> list[Membership]:
        """What the index says, rooms left included."""
        return (await self._user_rooms.all(user_id)).rooms

    async def is_member(self, user_id: str, room_id: str) -> bool:
        """By the index alone, at one cost for every room there is or is not."""
        state = await self._user_rooms.state(user_id, room_id)
        if state is None and not (await self._user_rooms.all(user_id)).complete:
            return any(m.room_id == room_id for m in await self.memberships(user_id))
        return state == "in"

    async def share_room(self, user_id: str, others: list[str]) -> set[str]:
        """Those of `others` with whom the user shares a room; himself always.

        For everybody else the archive is asked, whether the index knows them or not, and of whom
        it does not need to be, of nobody: a stranger costs the time of somebody who never was,
        in however many rooms he is. Raises Unavailable.
        """
        await self.memberships(user_id)
        shared = await self._user_rooms.shared(user_id, others)
        met = {other for other in others if shared[other] or other == user_id}
        strangers = [other for other in others if other not in met]
        for i in range(0, len(strangers), STRANGERS):
            part = strangers[i : i + STRANGERS]
            asked = [other if shared[other] is None else NOBODY for other in part]
            stored = await asyncio.gather(*map(self._archive.rooms_of, asked))
            unknown = dict(zip(part, stored, strict=True))
            met |= await self._meeting(
                user_id, {other: unknown[other] for other in part if shared[other] is None}
            )
        return met

    async def _meeting(self, user_id: str, others: dict[str, list[StoredMember]]) -> set[str]:
        mine = {one.room_id for one in await self.memberships(user_id)} if others else set()
        return {
            other
            for other, rooms in others.items()
            if any(one.state == "in" and one.room_id in mine for one in rooms)
        }

    async def read(self, user_id: str, *, partly: bool = False) -> Inbox:
        """Every room of the user. `partly`: cold rooms are left out while the archive is away or
        the queue behind."""
        memberships = await self.memberships(user_id)
        return await self.read_rooms(user_id, [m.room_id for m in memberships], partly=partly)

    async def read_many(self, user_ids: Collection[str]) -> dict[str, Inbox]:
        """Every room of several users, in as many round trips as that of one while all is warm.

        An archive that is away is left out, with the users whose rooms only it knows.
        """
        indexes = await self._user_rooms.all_of(list(user_ids))
        rooms: dict[str, list[str]] = {}
        for user_id, index in zip(user_ids, indexes, strict=True):
            try:
                rooms[user_id] = [m.room_id for m in _in(await self._whole(user_id, index))]
            except errors.Unavailable:
                log.warning("archive away: a user is left out", extra={"user_id": user_id})
        asked = [(room_id, [user_id]) for user_id, ids in rooms.items() for room_id in ids]
        warm: list[RoomSnapshot | None] = []
        for i in range(0, len(asked), SLICE):  # whoever has a thousand rooms holds nobody up
            warm += await self._snapshots.read_many(asked[i : i + SLICE])
        found = iter(warm)
        return {
            user_id: await self.from_snapshots(
                user_id, ids, list(islice(found, len(ids))), partly=True
            )
            for user_id, ids in rooms.items()
        }

    async def read_rooms(self, user_id: str, room_ids: list[str], *, partly: bool = False) -> Inbox:
        """Some rooms of the user, those he is not in left out."""
        warm = await self._snapshots.read_many([(room_id, [user_id]) for room_id in room_ids])
        return await self.from_snapshots(user_id, room_ids, warm, partly=partly)

    async def read_room(
        self, user_id: str, room_id: str, warm: Callable[[str], Awaitable[None]]
    ) -> Inbox:
        """One room, where it stands now. What Redis lost is loaded by `warm`: a new epoch is above
        all that was told of it, while the archive may lack events that were heard and lost.
        """
        asked = [(room_id, [user_id])]
        standings = await self._snapshots.read_many(asked)
        if standings[0] is None and not await self._drains.is_quiet(room_id):
            await warm(room_id)
            standings = await self._snapshots.read_many(asked)
        return await self.from_snapshots(user_id, [room_id], standings, partly=False)

    async def from_snapshots(
        self, user_id: str, room_ids: list[str], warm: list[RoomSnapshot | None], *, partly: bool
    ) -> Inbox:
        """The same of rooms that were read already; None for one that is cold."""
        rows = [
            _warm_row(room_id, standing, user_id)
            for room_id, standing in zip(room_ids, warm, strict=True)
            if standing and standing.members[user_id]
        ]
        cold = [room_id for room_id, standing in zip(room_ids, warm, strict=True) if not standing]
        if cold:
            try:
                rows += await self._drained_rows(user_id, cold, partly)
            except errors.Unavailable:
                if not partly:
                    raise
                log.warning("archive away: cold rooms left out", extra={"rooms": len(cold)})
        return Inbox(sorted(rows, key=sort_key))

    async def page(
        self, user_id: str, limit: int, after: str | None, *, hidden: bool
    ) -> dict[str, Any]:
        """A page of the list by last activity, `after` a cursor, and the user's totals."""
        behind = cursor.decode(after, int, str) if after is not None else None
        inbox = await self.read(user_id)
        rows = inbox.after((behind[0], behind[1]) if behind else None, hidden=hidden)
        page = rows[:limit]
        last = page[-1] if len(rows) > len(page) else None
        return {
            "rooms": await self.with_member_counts(page),
            "next_cursor": cursor.encode([last.active_ms, last.room_id]) if last else None,
            "unread": inbox.unread,
        }

    async def with_member_counts(self, rows: list[InboxRow]) -> list[dict[str, Any]]:
        """The rooms of some rows, complete: a cold room's members are counted in the archive.

        With them comes the room's position, which may be that of what was done to another member.
        """
        if all("member_count" in row.room for row in rows):
            return [row.room for row in rows]
        return list(await asyncio.gather(*(self._counted(row) for row in rows)))

    async def _counted(self, row: InboxRow) -> dict[str, Any]:
        if "member_count" in row.room:
            return row.room
        members = await self._archive.members(row.room_id)
        told = row.room["epoch"], row.room["offset"]
        epoch, offset = max([told, *map(changed_at, members)])
        count = sum(member.state == "in" for member in members)
        return row.room | {"member_count": count, "epoch": epoch, "offset": offset}

    async def positions(
        self, rows: list[InboxRow], cursors: Mapping[str, Position]
    ) -> dict[str, Position]:
        """Where the rooms of some rows stand. Of a cold room the members are asked as well, unless
        it is ahead of the cursor given anyhow: what was done to another is in his item alone.
        """
        found = {row.room_id: (row.room["epoch"], row.room["offset"]) for row in rows}
        unsure = [
            row
            for row in rows
            if row.unsure and found[row.room_id] <= cursors.get(row.room_id, (0, 0))
        ]
        for shown in await self.with_member_counts(unsure):
            found[shown["room_id"]] = shown["epoch"], shown["offset"]
        return found

    async def _drained_rows(self, user_id: str, cold: list[str], partly: bool) -> list[InboxRow]:
        """Rows of rooms that were cold; one that was loaded meanwhile stands where Redis says."""
        heads = await self._drains.settled(cold, PARTLY if partly else PATIENCE)
        if len(heads) < len(cold):
            if not partly:
                raise behind()
            left = len(cold) - len(heads)
            log.warning("queue behind: cold rooms left out", extra={"rooms": left})
        loaded = await self._snapshots.read_many([(room_id, [user_id]) for room_id in heads])
        warm = {r: one for r, one in zip(heads, loaded, strict=True) if one is not None}
        rows = [_warm_row(r, one, user_id) for r, one in warm.items() if one.members[user_id]]
        still = {r: head for r, head in heads.items() if r not in warm}
        return rows + await self._cold_rows(user_id, still)

    async def _cold_rows(
        self, user_id: str, heads: Mapping[str, Position | None]
    ) -> list[InboxRow]:
        rooms = await self._archive.rooms(heads)
        members = await self._archive.memberships(user_id, rooms)
        rows = []
        for room_id, stored in rooms.items():
            member = members.get(room_id)
            if stored.room is None or member is None or member.state != "in":
                continue
            skipped = 0
            if stored.seq > member.read_seq:
                uncounted = await self._archive.uncounted(room_id)
                skipped = sum(seq > member.read_seq for seq in uncounted)
            rows.append(_cold_row(stored, member, skipped, heads[room_id]))
        return rows


def _in(index: Index) -> list[Membership]:
    return [one for one in index.rooms if one.state == "in"]


def _membership(stored: StoredMember) -> Membership:
    state: State = "in" if stored.state == "in" else "out"
    return Membership(stored.room_id, stored.epoch, stored.offset, state)


def _warm_row(room_id: str, standing: RoomSnapshot, user_id: str) -> InboxRow:
    active = standing.last_ms or milliseconds(standing.room["created_at"])
    shown, seat = standing.for_member(user_id), standing.members[user_id]
    assert seat is not None
    return InboxRow(active, room_id, shown, counts(shown), seat.uncounted, seat.settled)


def _cold_row(
    stored: StoredRoom, member: StoredMember, skipped: int, head: Position | None
) -> InboxRow:
    assert stored.room is not None
    epoch, offset = head or last_position(stored, [member])
    unread = max(0, stored.seq - member.read_seq - skipped)
    seat = MemberView(
        member.role,
        min(member.read_seq, stored.seq),
        min(member.delivered_seq, stored.seq),
        unread,
        member.muted,
        member.hidden,
    )
    shown = stored.room | {
        "seq": stored.seq,
        "epoch": epoch,
        "offset": offset,
    }
    if stored.last:
        shown["last_message"] = stored.last
    created = stored.last["created_at"] if stored.last else stored.room["created_at"]
    whole = shown | personal(seat)
    return InboxRow(
        milliseconds(created),
        stored.room_id,
        whole,
        counts(whole),
        skipped,
        member.settings_rev > 0,
        unsure=head is None,
    )


def counts(room: dict[str, Any]) -> bool:
    """Whether a room's unread messages are part of the totals."""
    return not (room["muted"] or room["hidden"])
