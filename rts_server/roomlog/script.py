"""append.lua: its source, its replies, and the connection on which it is called."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.persistence.scripts import IDENTITY, LuaFunction, Script, ScriptCall
from rts_server.redis_client.pipeline import CommandPipe, resolve
from rts_server.roomlog.append_call import append_call, instance_text
from rts_server.roomlog.claim import release_claim
from rts_server.roomlog.request import AppendRequest
from rts_server.runtime.tasks import Tasks

LUA = Path(__file__).with_name("lua")
FENCE = LUA / "fence.lua"
IDS = LUA / "ids.lua"
"""Goes before scripts that read or write the filter of message ids."""

RESULTS = LUA / "results.lua"
"""Goes before scripts that read or write idempotency keys."""

log = logging.getLogger(__name__)


def room_script(*files: Path) -> Script:
    """A script of a room: identity.lua and fence.lua go before its own files."""
    return Script(IDENTITY, FENCE, LUA / "keys.lua", *files)


_PARTS = (
    "request",
    "cold",
    "seldom",
    "idempotency",
    "guards",
    "text",
    "settings",
    "intents",
    "members",
    "messages",
    "commands",
    "write",
    "retention",
)
"""Files of lua/append, in an order in which each finds the functions it uses."""
APPEND = LuaFunction(
    "append",
    IDENTITY,
    FENCE,
    IDS,
    RESULTS,
    *(LUA / "append" / f"{name}.lua" for name in _PARTS),
    LUA / "append.lua",
)


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
    settings_rev: int = 0
    typing_ended: int = 0
    is_member: int = 0
    ids: bytes = b""
    """`known` or `unknown`: what the filters of message ids say."""
    filter: bytes = b""
    """Which filters these are: `ids` of the head."""
    wait: int = 0
    """Milliseconds until the room has room for the events."""
    intents: bytes = b"[]"
    """JSON: the superseded intents of a replay."""


_WRITTEN = ("epoch", "offset", "seq", "ts", "entries")
_REPLY_FIELDS: dict[str, tuple[str, ...]] = {
    "ok": (*_WRITTEN, "status", "typing_ended", "affected", "settings_rev"),
    "duplicate": (*_WRITTEN, "affected", "status", "nonce"),
    "nothing": ("epoch", "offset", "seq"),
    "behind": ("epoch",),
    "busy": ("wait",),
    "ask": ("filter", "ids", "seq"),
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
        pipe: CommandPipe,
        redis: Redis | CommandPipe,
        *,
        on_round_trip: Callable[[float, float], None] = lambda seconds, now: None,
    ) -> None:
        """`on_round_trip(seconds, now)` is called with how long Redis took to answer a call."""
        self._on_round_trip = on_round_trip
        self._instance = instance_text(settings, origin)
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
            self._instance,
            nonce=nonce,
            deadline_ms=self._redis_clock_ms(max_wait),
            archive_checked=archive_checked,
            max_epoch=max_epoch,
            channels=self._pipe.channels,
        )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[AppendReply] = loop.create_future()
        self._send(call, partial(self._on_reply, call, request.room_id, nonce, loop.time(), answer))
        return answer

    def _redis_clock_ms(self, seconds_from_now: float) -> int:
        """A moment on Redis' clock, which may differ from the host's by minutes (R9)."""
        return int((time.time() + seconds_from_now) * 1000) + self._redis_ahead_ms

    def _send(self, call: ScriptCall, on_reply: partial[None]) -> None:
        self._pipe.send(APPEND.for_channels(self._pipe.channels).command(*call), on_reply)

    def _on_reply(
        self,
        call: ScriptCall,
        room_id: str,
        nonce: str,
        sent_at: float,
        answer: asyncio.Future[AppendReply],
        reply: Any,
    ) -> None:
        if APPEND.is_missing(reply) and not answer.done():  # it did not run
            script = APPEND.for_channels(self._pipe.channels)
            self._pipe.send_beside(call[0][0], script.load_command, _on_loaded)
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
