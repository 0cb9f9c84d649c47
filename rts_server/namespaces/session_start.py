"""The start of a `/chat` session, and the rooms that it joins or leaves later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import cast

import orjson
from redis.exceptions import RedisError

from rts_server import errors
from rts_server.config import Settings, ms
from rts_server.domain.byte_budget import fitting_items
from rts_server.domain.position import Position
from rts_server.domain.standing import Standing
from rts_server.domain.unread import totals
from rts_server.engine.packets import Encoded, event_packet
from rts_server.namespaces.session import Session
from rts_server.persistence.user_rooms import IndexedMembership
from rts_server.protocol.event import ephemeral, now, rfc3339
from rts_server.rates import parse
from rts_server.realtime.listener import Listener
from rts_server.realtime.replay import Replay
from rts_server.realtime.sequence import parse_stored
from rts_server.realtime.subscriptions import Subscriptions
from rts_server.roomlog.connected_rooms import ConnectedRooms
from rts_server.rooms.introductions import Introductions
from rts_server.rooms.receipt_script import Cursors
from rts_server.rooms.receipts import ReceiptWriter
from rts_server.runtime.backoff import backoff
from rts_server.types.events import RoomStateData, SessionReadyData
from rts_server.types.objects import Limits, Rate, Totals
from rts_server.views.inbox import Inbox, InboxReader
from rts_server.views.user_memberships import UserMemberships

log = logging.getLogger(__name__)

MAX_SHARED_EVENT_BYTES = 4096
MAX_SHARED_EVENTS = 512
"""Missed events whose packets are kept: who come back together missed the same ones."""


class SessionStart:
    """Starts sessions. On the wire: session.ready, then per room missed events, then live ones."""

    def __init__(
        self,
        settings: Settings,
        *,
        subscriptions: Subscriptions,
        inboxes: InboxReader,
        memberships: UserMemberships,
        receipts: ReceiptWriter,
        introductions: Introductions,
        connected_rooms: ConnectedRooms,
    ) -> None:
        self._receipts = receipts
        self._introductions = introductions
        self._connected_rooms = connected_rooms
        self._settings = settings
        self._limits = _limits(settings)
        self._subscriptions = subscriptions
        self._inboxes = inboxes
        self._memberships = memberships

    async def open(self, session: Session, listener: Listener) -> None:
        """Open a session, repeating until it works.

        CONNECT was answered already and needs no Redis: while Redis is away, commands wait.
        """
        failures = 0
        while not session.closed:
            try:
                return await self._open(session, listener)
            except (RedisError, OSError, errors.Unavailable) as error:
                log.warning(
                    "session cannot be opened yet",
                    extra={"error": type(error).__name__, **session.log_context},
                )
            failures += 1
            await asyncio.sleep(backoff(failures))
        return None

    async def _open(self, session: Session, listener: Listener) -> None:
        user_id = listener.user_id
        # Listen on the user's channel before reading the room index: a membership that changes
        # between the two is then in the index or on the channel, never in neither (D4).
        await self._subscriptions.add_listener(listener)
        memberships, version = await self._memberships.current_with_version(user_id)
        self._subscriptions.lost_memberships.began(user_id, version)
        rooms = [membership.room_id for membership in memberships]
        cursors = cursors_within_membership(session.cursors, memberships)
        # A client without any cursor lists its rooms itself, and is told of none here.
        whole = set(rooms) - cursors.keys() if session.cursors else ()
        replays = await self._subscriptions.join(listener, rooms, cursors, whole=whole)
        inbox = await self._inbox_at_start(user_id, replays, partly=True)
        standings = standings_at_start(replays, inbox)
        if ahead := ahead_of(standings, session.receipts):
            await self._apply_receipts(user_id, ahead)
            replays |= await self._join_again(listener, list(ahead), cursors, replays, whole)
            inbox = await self._inbox_at_start(user_id, replays, partly=True)
            standings = standings_at_start(replays, inbox)
        inside = joined_rooms(replays)
        if session.closed:
            self._subscriptions.remove_listener(listener)
            return
        recovered = await self._recovered(session, replays, cursors, inbox)
        rows = [row for row in inbox.rows if session.cursors and row.room_id not in cursors]
        candidates = await self._inboxes.with_member_counts(rows)
        answer_bytes = self._settings.limits.answer_bytes
        added = fitting_items(candidates, answer_bytes, first_always_fits=False)
        # From here on nothing awaits. session.ready comes first: it tells the client for which
        # rooms the events that follow complete what it has. Then each room's missed events, then
        # its live ones, in the order of its log (D3, D4).
        ready = self._ready(session, totals_of(standings), recovered)
        if len(added) < len(candidates):
            ready["more_rooms"] = True
        _write(listener, "session.ready", ready)
        for room_id, standing in standings.items():
            if room_id in cursors and standing.has_settings:
                _write(listener, "room.state", _state(standing), room_id)
        for room_id in session.cursors.keys() - inside.keys():
            _write(listener, "room.removed", {"reason": "removed"}, room_id)
        for room in added:
            _write(listener, "room.added", {"room": room}, room["room_id"])
        for room_id, replay in replays.items():
            is_current = recovered.get(room_id, False)
            self._go_live(listener, room_id, replay, standings, is_current=is_current)
            self._tell_if_read_elsewhere(listener, room_id, standings, session.receipts)
        listener.mark_ready()
        session.forget_cursors()
        self._introductions.begin(user_id, listener.name, set(rooms) - cursors.keys())
        self._connected_rooms.load_soon(row.room_id for row in inbox.rows if row.is_cold)

    async def _inbox_at_start(
        self, user_id: str, replays: dict[str, Replay], *, partly: bool
    ) -> Inbox:
        """Return the inbox of the snapshots at which the live streams begin.

        Rooms whose standing was read are not in it. It counts missed events and no live ones: a
        newer snapshot would count messages that the client receives live, and counts, once more.
        Raises Unavailable unless `partly`.
        """
        read = {
            room_id: one.snapshot
            for room_id, one in replays.items()
            if one.standing is None and one.start is not None
        }
        return await self._inboxes.from_snapshots(
            user_id, list(read), list(read.values()), partly=partly
        )

    async def _join_again(
        self,
        listener: Listener,
        room_ids: list[str],
        cursors: dict[str, Position],
        replays: dict[str, Replay],
        whole: Collection[str],
    ) -> dict[str, Replay]:
        """Begin the streams of some rooms anew, at the snapshots with the receipts just applied.

        Their missed events fit into what the other rooms leave of `answer_bytes`.
        """
        others = [replay for room_id, replay in replays.items() if room_id not in set(room_ids)]
        used = sum(len(event) for replay in others for event in replay.events)
        max_bytes = max(0, self._settings.limits.answer_bytes - used)
        return await self._subscriptions.join(
            listener, room_ids, cursors, max_bytes=max_bytes, whole=whole
        )

    async def _recovered(
        self,
        session: Session,
        replays: dict[str, Replay],
        cursors: dict[str, Position],
        inbox: Inbox,
    ) -> dict[str, bool]:
        """Return for each cursor whether what follows completes what the client has.

        A cold room has no hot log to replay; the client is current if it is at the room's head.
        """
        heads = await self._inboxes.positions(inbox.rows, cursors)
        recovered = dict.fromkeys(session.cursors.keys() & replays.keys(), False)
        for room_id, cursor in cursors.items():
            known = replays[room_id].recovered
            recovered[room_id] = heads.get(room_id) == cursor if known is None else known
        return recovered

    async def _apply_receipts(self, user_id: str, ahead: dict[str, Cursors]) -> None:
        """Apply receipts of the client that are ahead of Redis, which lost them (D4)."""
        try:
            await self._receipts.move(user_id, ahead)
        except errors.Unavailable:
            log.warning("receipts of the client cannot be applied", extra={"rooms": len(ahead)})

    def _ready(
        self, session: Session, unread: Totals, recovered: dict[str, bool]
    ) -> SessionReadyData:
        return {
            "user_id": session.user_id,
            "session_id": session.session_id,
            "expires_at": rfc3339(session.identity.expires_at),
            "server_time": now(),
            "limits": self._limits,
            "unread": unread,
            "recovered": recovered,
        }

    def _go_live(
        self,
        listener: Listener,
        room_id: str,
        replay: Replay,
        standings: Mapping[str, Standing],
        *,
        is_current: bool = False,
    ) -> None:
        """Write the missed events of a room, then begin its live stream.

        `is_current` repeats what `recovered` of session.ready said. A client that was not current
        reads the room anew, so its cursor is no point to continue from when a cold room wakes.
        """
        if replay.start is None:
            return
        if room_id not in listener.rooms:
            return
        for data in replay.events:
            shared = len(data) <= MAX_SHARED_EVENT_BYTES
            listener.write(_shared_packet(data) if shared else _missed_packet(data))
        standing = standings.get(room_id)
        self._subscriptions.go_live(
            listener, room_id, replay.start, standing, is_current=is_current
        )

    def _tell_if_read_elsewhere(
        self,
        listener: Listener,
        room_id: str,
        standings: Mapping[str, Standing],
        given: Mapping[str, Cursors],
    ) -> None:
        """Write `unread.changed` if another device read more than the client's cursor says."""
        known = standings.get(room_id)
        if known and room_id in given and known.read_seq > given[room_id][0]:
            self._subscriptions.unread_changed(listener, room_id)

    def leave(self, listener: Listener) -> None:
        """Unsubscribe a session that ended from everything."""
        self._subscriptions.remove_listener(listener)

    async def added(self, listener: Listener, room_id: str) -> None:
        """Write `room.added`, then begin the room's live stream; repeat until it works."""
        failures = 0
        while not listener.closed:
            try:
                return await self._added(listener, room_id)
            except (RedisError, OSError, errors.Unavailable) as error:
                log.warning("room cannot be added yet", extra={"error": type(error).__name__})
            self._subscriptions.leave(listener, room_id)
            failures += 1
            await asyncio.sleep(backoff(failures))
        return None

    async def _added(self, listener: Listener, room_id: str) -> None:
        replays = await self._subscriptions.join(listener, [room_id], {})
        inbox = await self._inbox_at_start(listener.user_id, replays, partly=False)
        if not inbox.rows or listener.closed:
            self._subscriptions.leave(listener, room_id)
            return
        room = (await self._inboxes.with_member_counts(inbox.rows))[0]
        _write(listener, "room.added", {"room": room}, room_id)
        self._go_live(listener, room_id, replays[room_id], standings_at_start(replays, inbox))
        self._subscriptions.unread_changed(listener, room_id)
        self._introductions.begin(listener.user_id, listener.name, [room_id])

    async def removed(self, listener: Listener, room_id: str) -> None:
        """Write `room.removed`, then the unread totals without the room."""
        _write(listener, "room.removed", {"reason": "removed"}, room_id)
        self._subscriptions.unread_changed(listener, room_id)

    async def changed(self, user_id: str) -> str:
        """Compare a user's rooms with the subscriptions: a change may have been missed (D5).

        Return the version of the index that was compared, or an older one. Only a room that the
        user is known to have left is removed: an index that was just rebuilt may lack one.
        """
        _, version = await self._memberships.current_with_version(user_id)
        for listener in self._subscriptions.listeners_of(user_id):
            async with listener.changing:
                await self._compare(listener)
        return version

    async def _compare(self, listener: Listener) -> None:
        for membership in await self._memberships.current_and_former(listener.user_id):
            room_id = membership.room_id
            if listener.closed:
                return
            if membership.state == "in" and room_id not in listener.rooms:
                await self.added(listener, room_id)
            elif membership.state == "out" and room_id in listener.rooms:
                self._subscriptions.leave(listener, room_id)
                await self.removed(listener, room_id)


def joined_rooms(replays: dict[str, Replay]) -> dict[str, Replay]:
    """Return the replays of the rooms that the user is a member of."""
    return {room_id: replay for room_id, replay in replays.items() if replay.start is not None}


def standings_at_start(replays: Mapping[str, Replay], inbox: Inbox) -> dict[str, Standing]:
    """Return how the user stands in each room where its stream begins."""
    found = {r: replay.standing for r, replay in replays.items() if replay.standing is not None}
    for row in inbox.rows:
        found[row.room_id] = row.standing
    return found


def totals_of(standings: Mapping[str, Standing]) -> Totals:
    """Return the totals of unread messages."""
    return totals(one.unread for one in standings.values() if one.in_totals)


def ahead_of(standings: Mapping[str, Standing], given: Mapping[str, Cursors]) -> dict[str, Cursors]:
    """Return those of a client's receipts that are ahead of what Redis knows."""
    return {
        room_id: (read, delivered)
        for room_id, (read, delivered) in given.items()
        if (known := standings.get(room_id))
        and (
            known.read_seq < min(read, known.seq) or known.delivered_seq < min(delivered, known.seq)
        )
    }


def cursors_within_membership(
    given: dict[str, Position], memberships: list[IndexedMembership]
) -> dict[str, Position]:
    """Return the cursors that are not older than the user's membership.

    A user who left and joined again must not get the events in between (A1): the room begins anew.
    """
    joined = {m.room_id: (m.epoch, m.offset) for m in memberships}
    return {r: cursor for r, cursor in given.items() if r in joined and cursor >= joined[r]}


def _state(standing: Standing) -> RoomStateData:
    return {"muted": standing.muted, "hidden": standing.hidden, "role": standing.role}


def _missed_packet(data: bytes) -> Encoded:
    event = parse_stored(data)
    return event_packet("/chat", event.type, event.text)


_shared_packet = lru_cache(MAX_SHARED_EVENTS)(_missed_packet)


def _write(
    listener: Listener, kind: str, data: Mapping[str, object], room_id: str | None = None
) -> None:
    listener.write(event_packet("/chat", kind, ephemeral(kind, data, room_id)))


def _limits(settings: Settings) -> Limits:
    """Return `limits` of session.ready, serialised once because it is the same for all.

    A fragment is written as the object it was made of, and takes its type.
    """
    limits = settings.limits
    rates: dict[str, Rate] = {
        name: {"per_second": rate.per_second, "burst": rate.burst}
        for name, rate in parse(settings.rates).items()
    }
    values: Limits = {
        "text": limits.text_points,
        "text_bytes": limits.text_bytes,
        "metadata_bytes": limits.metadata_bytes,
        "metadata_depth": limits.metadata_depth,
        "metadata_keys": limits.metadata_keys,
        "room_name": limits.room_name,
        "status_text": limits.status_text,
        "group_members": limits.group_members,
        "user_rooms": limits.user_rooms,
        "ids_per_call": limits.ids_per_call,
        "watched": limits.watched,
        "mentions": limits.mentions,
        "attachments": limits.attachments,
        "attachment_bytes": limits.attachment_bytes,
        "file_name": limits.file_name,
        "emoji": limits.emoji,
        "reactions": limits.reactions,
        "frame_bytes": limits.frame_bytes,
        "report_interval_ms": ms(settings.report_interval),
        "rates": rates if settings.limited else {},
    }
    return cast(Limits, orjson.Fragment(orjson.dumps(values)))
