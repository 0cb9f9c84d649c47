"""How a session begins, and how it learns of rooms that come and go while it lives."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
from redis.exceptions import RedisError

from rts_server import errors
from rts_server.config import Settings
from rts_server.engine.packets import event_packet
from rts_server.namespaces.session import Session
from rts_server.persistence.user_rooms import Membership
from rts_server.protocol.event import ephemeral, now, rfc3339
from rts_server.rates import parse
from rts_server.realtime.listener import Listener
from rts_server.realtime.sequence import Position, parse_stored
from rts_server.realtime.subscriptions import Replay, Subscriptions
from rts_server.rooms.receipts import Cursors, ReceiptWriter
from rts_server.views.inbox import Inbox, InboxReader, InboxRow
from rts_server.views.unread import UnreadPublisher

log = logging.getLogger(__name__)

LONGEST_BACKOFF = 1.0


class SessionStart:
    """Order on the wire: session.ready, what was missed per room, then live events."""

    def __init__(
        self,
        settings: Settings,
        *,
        subscriptions: Subscriptions,
        inboxes: InboxReader,
        receipts: ReceiptWriter,
        unread: UnreadPublisher,
    ) -> None:
        self._receipts = receipts
        self._unread = unread
        self._settings = settings
        self._limits = _limits(settings)
        self._subscriptions = subscriptions
        self._inboxes = inboxes

    async def open(self, session: Session, listener: Listener) -> None:
        """Open until it works: CONNECT needs no Redis, temporary trouble only holds the session."""
        wait = 0.05
        while not session.closed:
            try:
                return await self._open(session, listener)
            except (RedisError, OSError, errors.Unavailable) as error:
                log.warning(
                    "session waits", extra={"error": type(error).__name__, **session.log_context}
                )
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_BACKOFF)
        return None

    async def _open(self, session: Session, listener: Listener) -> None:
        user_id = listener.user_id
        await self._subscriptions.add_listener(listener)
        memberships, version = await self._inboxes.index(user_id)
        self._subscriptions.note_index_version(user_id, version)
        rooms = [membership.room_id for membership in memberships]
        cursors = standing_cursors(session.cursors, memberships)
        replays = await self._subscriptions.join(listener, rooms, cursors)
        inside = {room_id: replay for room_id, replay in replays.items() if replay.start}
        snapshots = [replay.standing for replay in inside.values()]
        inbox = await self._inboxes.from_snapshots(user_id, list(inside), snapshots, partly=True)
        if ahead := ahead_of(inbox, session.receipts):
            await self._repeat(user_id, ahead)
            inbox = await self._inboxes.read_rooms(user_id, rooms, partly=True)
        if session.closed:
            self._subscriptions.remove_listener(listener)
            return
        limits = self._settings.limits
        heads = await self._inboxes.positions(inbox.rows, cursors)
        recovered = dict.fromkeys(session.cursors.keys() & set(rooms), False)
        for room_id, cursor in cursors.items():
            known = replays[room_id].recovered
            recovered[room_id] = heads.get(room_id) == cursor if known is None else known
        rows = [row for row in inbox.rows if session.cursors and row.room_id not in cursors]
        new, more = within(await self._inboxes.with_member_counts(rows), limits.answer_bytes)
        ready = self._ready(session, inbox.unread, recovered)
        _write(listener, "session.ready", ready | ({"more_rooms": True} if more else {}))
        for row in inbox.rows:
            if row.room_id in cursors and row.has_settings:
                state = {name: row.room[name] for name in ("muted", "hidden", "role")}
                _write(listener, "room.state", state, row.room_id)
        for room_id in session.cursors.keys() - inside.keys():
            _write(listener, "room.removed", {"reason": "removed"}, room_id)
        for shown in new:
            _write(listener, "room.added", {"room": shown}, shown["room_id"])
        for room_id, replay in replays.items():
            self._go_live(listener, room_id, replay, is_current=recovered.get(room_id, False))
        listener.ready.set()

    async def _repeat(self, user_id: str, ahead: dict[str, Cursors]) -> None:
        """The client knows better than Redis, which lost them: told as if moved now."""
        try:
            moved = await self._receipts.move(user_id, ahead)
        except errors.Unavailable:
            log.warning("cursors cannot be repeated", extra={"rooms": len(ahead)})
            return
        for room_id, cursors in moved.items():
            if cursors.read:
                self._unread.publish_soon(user_id, room_id)

    def _ready(
        self, session: Session, unread: dict[str, int], recovered: dict[str, bool]
    ) -> dict[str, Any]:
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
        self, listener: Listener, room_id: str, replay: Replay, *, is_current: bool = False
    ) -> None:
        """What was missed, then the stream. `stands`: he was told that his cursor holds; who was
        not reads anew, and his cursor is no place to go on from when a cold room wakes.
        """
        if replay.start is None:
            return
        if room_id not in listener.rooms:
            return
        for data in replay.events:
            heard = parse_stored(data)
            listener.write(event_packet("/chat", heard.type, heard.text))
        self._subscriptions.go_live(listener, room_id, replay.start, is_current=is_current)

    def leave(self, listener: Listener) -> None:
        """The session is gone."""
        self._subscriptions.remove_listener(listener)

    async def added(self, listener: Listener, room_id: str) -> None:
        """The user became a member: the room, then its stream. Tried until it works."""
        wait = 0.05
        while not listener.closed:
            try:
                return await self._added(listener, room_id)
            except (RedisError, OSError, errors.Unavailable) as error:
                log.warning("joining waits", extra={"error": type(error).__name__})
            self._subscriptions.leave(listener, room_id)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_BACKOFF)
        return None

    async def _added(self, listener: Listener, room_id: str) -> None:
        replays = await self._subscriptions.join(listener, [room_id], {})
        shown = await self._inboxes.read_rooms(listener.user_id, [room_id])
        if not shown.rows or listener.closed:
            self._subscriptions.leave(listener, room_id)
            return
        room = (await self._inboxes.with_member_counts(shown.rows))[0]
        _write(listener, "room.added", {"room": room}, room_id)
        await self._tell_unread(listener, room_id, shown.rows[0])
        self._go_live(listener, room_id, replays[room_id])

    async def removed(self, listener: Listener, room_id: str) -> None:
        """The user is no member any more: the room goes, and with it what was unread there."""
        _write(listener, "room.removed", {"reason": "removed"}, room_id)
        await self._tell_unread(listener, room_id, None)

    async def _tell_unread(self, listener: Listener, room_id: str, row: InboxRow | None) -> None:
        """A membership began or ended (None), and with it what counts in the totals."""
        if "/receipts" not in listener.namespaces:
            return
        try:
            rows = (await self._inboxes.read(listener.user_id, partly=True)).rows
        except (RedisError, OSError, errors.Unavailable) as error:
            log.warning("totals are not told", extra={"error": type(error).__name__})
            return
        own = [row] if row else []
        totals = Inbox(own + [other for other in rows if other.room_id != room_id]).unread
        seat = row.room if row else {"unread": 0, "read_seq": 0}
        changed = {"unread": seat["unread"], "read_seq": seat["read_seq"], **totals}
        text = ephemeral("unread.changed", changed, room_id)
        listener.write(event_packet("/receipts", "unread.changed", text))

    async def changed(self, user_id: str) -> None:
        """Something about the user may have been missed: compare his rooms with what is heard.

        Only a room he is known to have left is taken away: an index just rebuilt may lack one.
        """
        await self._inboxes.memberships(user_id)
        for listener in self._subscriptions.listeners_of(user_id):
            async with listener.changing:
                await self._compare(listener)

    async def _compare(self, listener: Listener) -> None:
        for membership in await self._inboxes.known_memberships(listener.user_id):
            room_id = membership.room_id
            if listener.closed:
                return
            if membership.state == "in" and room_id not in listener.rooms:
                await self.added(listener, room_id)
            elif membership.state == "out" and room_id in listener.rooms:
                self._subscriptions.leave(listener, room_id)
                await self.removed(listener, room_id)


def ahead_of(inbox: Inbox, given: dict[str, Cursors]) -> dict[str, Cursors]:
    """Of the cursors a client repeats, those that are further than what is known."""
    known = {row.room_id: row.room for row in inbox.rows}
    return {
        room_id: (read, delivered)
        for room_id, (read, delivered) in given.items()
        if room_id in known
        and (
            known[room_id]["read_seq"] < min(read, known[room_id]["seq"])
            or known[room_id]["delivered_seq"] < min(delivered, known[room_id]["seq"])
        )
    }


def within(rooms: list[dict[str, Any]], budget: int) -> tuple[list[dict[str, Any]], bool]:
    """As many rooms as fit into `budget` bytes; whether some did not (room.list has them)."""
    fitting: list[dict[str, Any]] = []
    for room in rooms:
        budget -= len(orjson.dumps(room))
        if budget < 0:
            return fitting, True
        fitting.append(room)
    return fitting, False


def standing_cursors(
    given: dict[str, Position], memberships: list[Membership]
) -> dict[str, Position]:
    """The cursors that still stand: who joined again since is told the room anew."""
    joined = {m.room_id: (m.epoch, m.offset) for m in memberships}
    return {r: cursor for r, cursor in given.items() if r in joined and cursor >= joined[r]}


def _write(listener: Listener, kind: str, data: dict[str, Any], room_id: str | None = None) -> None:
    listener.write(event_packet("/chat", kind, ephemeral(kind, data, room_id)))


def _limits(settings: Settings) -> orjson.Fragment:
    """`limits` of session.ready, the same for all."""
    limits = settings.limits
    rates = {name: rate._asdict() for name, rate in parse(settings.rates).items()}
    told = {
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
        "rates": rates if settings.limited else {},
    }
    return orjson.Fragment(orjson.dumps(told))
