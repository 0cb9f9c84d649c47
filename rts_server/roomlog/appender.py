"""Appends one request: calls the script, clears what is in the way, and calls again."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime
from typing import Literal

import orjson
from redis.exceptions import RedisError

from rts_server import errors, metrics
from rts_server.config import Settings
from rts_server.persistence.archive import Archive
from rts_server.roomlog.message_ids import MessageIds
from rts_server.roomlog.refusals import (
    EpochAdvanced,
    PartlySuperseded,
    RoomExists,
    StaleVersion,
    refusal,
)
from rts_server.roomlog.rehydrate import RoomLoader
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp
from rts_server.roomlog.script import AppendReply, AppendScript

_RETRY_SECONDS = {"loading": 0.02, "unknown": 0.05, "late": 0.05}
"""Seconds until the next call. `late`: nothing was appended, as the deadline had passed by the
clock of Redis; the reply has its time, from which the next deadline is computed."""


class Appender:
    """Appends requests, each until its outcome is known. It follows no durability.

    Every append is answered within `redis_deadline` seconds (D10).
    """

    def __init__(
        self,
        settings: Settings,
        script: AppendScript,
        archive: Archive,
        loader: RoomLoader,
        ids: MessageIds,
    ) -> None:
        self._settings = settings
        self._script = script
        self._archive = archive
        self._loader = loader
        self._ids = ids

    async def append(self, request: AppendRequest, max_epoch: int = 0) -> AppendResult | NoOp:
        """Append the request; a cold room is loaded first.

        Args:
            max_epoch: append nothing in a later epoch; 0 for any.

        Raises:
            Refusal: the script refused it, or its outcome is unknown at the deadline (Unavailable).
            RoomExists: a creation met the room.
            StaleVersion: the request was built on a state that is not the newest any more.
            EpochAdvanced: the room is in a later epoch than `max_epoch`.
            PartlySuperseded: only some of the intents of a replay are still to be appended.
        """
        try:
            async with asyncio.timeout(self._settings.redis_deadline):
                return await self._until_known(request, max_epoch)
        except TimeoutError:
            raise errors.Unavailable() from None

    async def _until_known(self, request: AppendRequest, max_epoch: int) -> AppendResult | NoOp:
        """Call the script until it answers, loading the room or asking the archive in between.

        A call of unknown outcome is repeated under the same request id, so it appends once.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.redis_deadline
        archive_checked = False
        nonce = secrets.token_hex(8)
        while True:
            try:
                reply = await self._script.append(
                    request,
                    nonce=nonce,
                    max_wait=deadline - loop.time(),
                    archive_checked=archive_checked,
                    max_epoch=max_epoch,
                )
            except (RedisError, OSError):
                reply = AppendReply("unknown")
            outcome = reply.outcome
            if outcome in ("ok", "duplicate"):
                return _result(reply, nonce)
            if outcome == "nothing":
                return NoOp(reply.epoch)
            if outcome in _RETRY_SECONDS:
                await asyncio.sleep(_RETRY_SECONDS[outcome])
            elif outcome == "cold":
                await self._load(request, nonce)
            elif outcome == "ask":
                # Before the message is looked up: it may be stored between the two reads.
                archive_checked = await self._archive_is_complete(request.room_id, reply)
                if stored := await self._look_up(request, reply):
                    return stored
                await asyncio.sleep(0 if archive_checked else _RETRY_SECONDS["late"])
            else:
                raise _refused(reply)

    async def _load(self, request: AppendRequest, nonce: str) -> None:
        """Load the room under the claim that the script gave to this command."""
        await self._loader.load(request.room_id, nonce, create=request.must_not_exist)

    async def _look_up(self, request: AppendRequest, reply: AppendReply) -> AppendResult | None:
        """The first result of a message whose id Redis may have forgotten; None for a new message.

        If the filter of message ids is incomplete, this begins to fill it in the background.
        """
        if reply.ids == b"unknown":
            self._ids.read_soon(request.room_id, reply.filter)
        return await self.stored(request)

    async def _archive_is_complete(self, room_id: str, reply: AppendReply) -> bool:
        """True if the archive has every message whose id Redis may have forgotten (D7).

        A room is stored in order, so it has them if it has the room's last message, or one that is
        younger than the idempotency window. Otherwise the queue is further behind than Redis
        remembers, and an id that is missing in the archive may still be in the queue.
        """
        if reply.ids == b"unknown":  # the room was loaded, and a load drains the queue
            return True
        newest = await self._archive.page(room_id, limit=1, newest_first=True)
        if not newest:
            return reply.seq == 0
        created_at = datetime.fromisoformat(newest[0]["created_at"]).timestamp()
        forgotten_before = reply.redis_ms / 1000 - self._settings.idempotency_ttl
        return bool(newest[0]["seq"] >= reply.seq or created_at > forgotten_before)

    async def stored(self, request: AppendRequest) -> AppendResult | None:
        """The first result of a message as the archive has it; None if it is not there.

        Raises:
            Conflict: another body is stored under this id.
            Unavailable: the archive cannot be read.
        """
        message = await self._archive.message(request.room_id, request.request_id)
        if message is None:
            return None
        if message.hash != request.hash:
            raise refusal("conflict")
        status: Literal["queued", "failed"] = "failed" if message.failed else "queued"
        return AppendResult(
            epoch=message.epoch,
            offset=message.offset,
            seq=message.seq,
            ts=str(message.message.get("created_at", "")),
            entries=frozenset(),
            affected={},
            status=status,
            duplicate=True,
        )


def _result(reply: AppendReply, nonce: str) -> AppendResult:
    """A command that meets its own append, whose reply was lost, is no duplicate."""
    own = reply.nonce == nonce[:8].encode()
    return AppendResult(
        epoch=reply.epoch,
        offset=reply.offset,
        seq=reply.seq,
        ts=reply.ts.decode(),
        entries=frozenset(reply.entries.decode().split()),
        affected={op: tuple(users) for op, users in orjson.loads(reply.affected).items()},
        status=reply.status.decode(),  # type: ignore[arg-type]
        duplicate=reply.outcome == "duplicate" and not own,
        settings_rev=reply.settings_rev,
        typing_ended=bool(reply.typing_ended),
    )


def _refused(reply: AppendReply) -> Exception:
    if reply.outcome == "exists":
        return RoomExists(bool(reply.is_member))
    if reply.outcome == "behind":
        return EpochAdvanced(reply.epoch)
    if reply.outcome == "busy":
        metrics.LIMITED.labels("room").inc()
        return errors.RateLimited(retry_after_ms=reply.wait)
    if reply.outcome == "moved":
        return StaleVersion()
    if reply.outcome == "superseded":
        return PartlySuperseded(frozenset(orjson.loads(reply.intents)))
    return refusal(reply.outcome)
