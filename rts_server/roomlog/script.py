"""The call of append.lua: what is sent, what is answered, and the link they travel on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import orjson
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.domain.roles import Role
from rts_server.persistence.scripts import IDENTITY, Script, ScriptCall
from rts_server.redis_client.pipeline import RedisPipeline, resolve
from rts_server.roomlog.claim import release_claim
from rts_server.roomlog.request import AppendRequest, EventTemplate, NewMember, Op
from rts_server.roomlog.template import Segments, Slot, placeholder, segments
from rts_server.runtime.tasks import Tasks

LUA = Path(__file__).with_name("lua")
FENCE = LUA / "fence.lua"
IDS = LUA / "ids.lua"
"""Goes before scripts that read or write the filter of message ids."""

log = logging.getLogger(__name__)


def room_script(*files: Path) -> Script:
    """A script of a room: identity.lua and fence.lua go before its own files."""
    return Script(IDENTITY, FENCE, *files)


APPEND = room_script(IDS, LUA / "append.lua")

_OPTIONAL = (
    "remove_everybody",
    "expiry",
    "change",
    "room_change",
    "settings",
    "allow_frozen",
    "replay_of",
    "intents",
)
"""Fields of a request that are sent only where they are set."""
_EVENT_OPTIONAL = (
    "allocates_seq",
    "sender",
    "last",
    "room",
    "frozen",
    "op",
    "changes",
    "fails",
)


def append_call(
    request: AppendRequest,
    settings: Settings,
    *,
    origin: str,
    nonce: str,
    deadline_ms: int,
    archive_checked: bool,
    max_epoch: int = 0,
) -> ScriptCall:
    """Keys and arguments of append.lua.

    Args:
        origin: the instance that the relay notifies once the append is queued.
        nonce: names the command; with it a command recognises its own lost answer.
        deadline_ms: Redis' clock; the script appends nothing after it.
        archive_checked: the archive was asked for the id and does not have it.
        max_epoch: the script appends nothing in a later epoch; 0 for any epoch.
    """
    room = keys.room(request.room_id)
    body: dict[str, object] = {
        "room_id": request.room_id,
        "channel": keys.room_channel(request.room_id),
        "request_id": request.request_id,
        "hash": request.hash,
        "actor": request.actor,
        "origin": origin,
        "nonce": nonce,
        "deadline": deadline_ms,
        "claim_ttl": ms(settings.claim_ttl),
        "outbox_cap": settings.outbox_cap,
        "member_limit": settings.limits.group_members,
        "log_floor": ms(settings.hot_log_floor),
        "log_events": settings.hot_log_events,
        "log_ttl": ms(settings.hot_log_ttl),
        "head_ttl": ms(settings.head_ttl),
        "idem_ttl": ms(settings.idempotency_ttl),
        "must_not_exist": request.must_not_exist,
        "group_only": request.group_only,
        "check_archive": request.check_archive and not archive_checked,
        "events": [_event(event, request.room_id) for event in request.events],
    }
    if max_epoch:
        body["max_epoch"] = max_epoch
    if request.roles is not None:
        body["roles"] = dict.fromkeys(request.roles, True)
    if members := _members(request):
        body["members"] = members
    for name in _OPTIONAL:
        if value := getattr(request, name):
            body[name] = value
    failed = [room.idem(request.fails)] if request.fails else []
    names = [*room.script_keys, room.idem(request.request_id), *failed]
    return names, [orjson.dumps(body).decode()]


def _event(event: EventTemplate, room_id: str) -> dict[str, object]:
    """An event as append.lua reads it; its text is the event on the wire."""
    text: dict[str, object] = {"type": event.type, "ts": placeholder(Slot.TS), "room_id": room_id}
    if event.actor_id is not None:
        text["actor_id"] = event.actor_id
    text |= {
        "epoch": placeholder(Slot.EPOCH),
        "offset": placeholder(Slot.OFFSET),
        "data": event.data,
    }
    body: dict[str, object] = {
        "type": event.type,
        "segments": segments(text),
        "queue": event.queue,
        "v": event.version,
    }
    if event.extra:
        body["extra"] = orjson.dumps(event.extra).decode()[1:-1] + ","
    if not event.counts:
        body["counts"] = False
    for name in _EVENT_OPTIONAL:
        if value := getattr(event, name):
            body[name] = value
    return body


class MemberOperation(TypedDict):
    """The changes of an append to a member, as append.lua reads them."""

    op: Op
    user_id: str
    role: NotRequired[Role]
    segments: NotRequired[Segments]
    stored: NotRequired[Segments]


def _members(request: AppendRequest) -> list[MemberOperation]:
    """Every user the request names, with what is to be done to them."""
    operations = [_new_member(member) for member in request.new_members]
    operations += [{"op": "role", "user_id": u, "role": role} for u, role in request.role_changes]
    operations += [{"op": "go", "user_id": user_id} for user_id in request.removals]
    return operations


def _new_member(member: NewMember) -> MemberOperation:
    """A member twice: as clients see them, and as the members hash keeps them."""
    stored = {"user_id": member.user_id, "role": member.role, "joined_at": placeholder(Slot.TS)}
    if member.name:
        stored["name"] = member.name
    seq = placeholder(Slot.SEQ)
    return {
        "op": "join",
        "user_id": member.user_id,
        "role": member.role,
        "segments": segments(stored | {"read_seq": seq, "delivered_seq": seq}),
        "stored": segments(stored),
    }


class AppendReply(NamedTuple):
    """The script's reply by name. Which fields an outcome has is in `_REPLY_FIELDS`."""

    outcome: str
    redis_ms: int = 0
    epoch: int = 0
    offset: int = 0
    seq: int = 0
    ts: bytes = b""
    entries: bytes = b""
    """Ids of outbox entries, separated by spaces."""
    affected: bytes = b"{}"
    """JSON: op → user ids."""
    status: bytes = b""
    nonce: bytes = b""
    """Begin of the nonce of the command that appended it first."""
    sender_read_advanced: int = 0
    settings_rev: int = 0
    unhidden_for: bytes = b""
    """User ids, separated by spaces."""
    typing_ended: int = 0
    state: bytes = b""
    """Of a room that is not warm: `cold` or `expired`."""
    is_member: int = 0
    ids: bytes = b""
    """`known` or `unknown`: what the filter of message ids says."""
    intents: bytes = b"[]"
    """JSON: the superseded intents of a replay."""


_WRITTEN = ("epoch", "offset", "seq", "ts", "entries", "affected", "status")
_REPLY_FIELDS: dict[str, tuple[str, ...]] = {
    "ok": (*_WRITTEN, "sender_read_advanced", "settings_rev", "unhidden_for", "typing_ended"),
    "duplicate": (*_WRITTEN, "nonce"),
    "nothing": ("epoch", "offset", "seq"),
    "behind": ("epoch",),
    "cold": ("state",),
    "ask": ("epoch", "ids", "seq"),
    "exists": ("is_member",),
    "superseded": ("intents",),
}
"""Names of what follows the outcome and Redis' time, in the order in which append.lua answers."""
_INTEGERS = frozenset({"epoch", "offset", "seq", "settings_rev"})


def parse_reply(reply: Sequence[Any]) -> AppendReply:
    """The reply of append.lua by name."""
    outcome = reply[0].decode()
    named = dict(zip(_REPLY_FIELDS.get(outcome, ()), reply[2:], strict=False))
    for name in _INTEGERS & named.keys():
        named[name] = int(named[name])  # a duplicate's are texts, out of the idempotency key
    return AppendReply(outcome, int(reply[1]), **named)


class AppendScript:
    """Calls append.lua on a connection of its own, so that nothing else delays an append.

    Calls run in Redis in the order in which they were made.
    """

    def __init__(
        self,
        settings: Settings,
        origin: str,
        pipe: RedisPipeline,
        redis: Redis,
        *,
        on_round_trip: Callable[[float, float], None] = lambda seconds, now: None,
    ) -> None:
        """`on_round_trip(seconds, now)` is called with how long Redis took to answer a call."""
        self._on_round_trip = on_round_trip
        self._settings = settings
        self._origin = origin
        self._pipe = pipe
        self._redis = redis
        self._tasks = Tasks()
        self._redis_ahead_ms = 0

    async def close(self) -> None:
        """Close the connection. Appends without an answer end as of unknown outcome."""
        await self._pipe.close()
        await self._tasks.close()

    def append(
        self,
        request: AppendRequest,
        *,
        nonce: str,
        max_wait: float,
        archive_checked: bool = False,
        max_epoch: int = 0,
    ) -> asyncio.Future[AppendReply]:
        """One call of the script, and its reply.

        Args:
            max_wait: seconds after which the script must not append any more.
            nonce, archive_checked, max_epoch: as in `append_call`.

        Raises:
            RedisError: it is unknown whether the script ran.
        """
        call = append_call(
            request,
            self._settings,
            origin=self._origin,
            nonce=nonce,
            deadline_ms=self._redis_clock_ms(max_wait),
            archive_checked=archive_checked,
            max_epoch=max_epoch,
        )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[AppendReply] = loop.create_future()
        self._send(call, partial(self._on_reply, call, request.room_id, nonce, loop.time(), answer))
        return answer

    def _redis_clock_ms(self, seconds_from_now: float) -> int:
        """A moment on Redis' clock, which may differ from the host's by minutes (R9)."""
        return int((time.time() + seconds_from_now) * 1000) + self._redis_ahead_ms

    def _send(self, call: ScriptCall, on_reply: partial[None]) -> None:
        names, args = call
        self._pipe.send(("EVALSHA", APPEND.sha, len(names), *names, *args), on_reply)

    def _on_reply(
        self,
        call: ScriptCall,
        room_id: str,
        nonce: str,
        sent_at: float,
        answer: asyncio.Future[AppendReply],
        reply: Any,
    ) -> None:
        if isinstance(reply, NoScriptError) and not answer.done():  # the script did not run
            self._pipe.send(("SCRIPT", "LOAD", APPEND.source), _on_loaded)
            self._send(call, partial(self._on_reply, call, room_id, nonce, sent_at, answer))
            return
        if isinstance(reply, list):
            now = asyncio.get_running_loop().time()
            self._on_round_trip(now - sent_at, now)
            reply = parse_reply(reply)
            self._redis_ahead_ms = reply.redis_ms - int(time.time() * 1000)
            if answer.done() and reply.outcome == "cold":
                # The command was cancelled and its claim granted: release the claim, or the room
                # stays unloaded, and everybody waits, until it ends.
                self._tasks.keep(release_claim(self._redis, room_id, nonce))
        resolve(answer, reply)


def _on_loaded(reply: Any) -> None:
    if isinstance(reply, Exception):
        log.warning("append.lua cannot be loaded", extra={"error": type(reply).__name__})
