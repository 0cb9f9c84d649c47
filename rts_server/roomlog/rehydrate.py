"""Loads a cold room into Redis: drain its queue, open a new epoch, read the archive, install.

The order keeps D1, D6 and A2. Drain before read: records in the message queue are not in the
archive yet. Epoch before read: the room queue has no order and is not drained; from then on the
Lambda refuses memberships of older epochs, so none can be written behind the read, and their
origins append them again. Install last, and only while the claim is still ours.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys, metrics
from rts_server.config import Settings, ms
from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMember, StoredRoom
from rts_server.redis_client.pipeline import CommandPipe, channels_of
from rts_server.roomlog.barriers import Barriers, barrier_record
from rts_server.roomlog.claim import release_claim, renew_claim
from rts_server.roomlog.script import IDS, LUA, room_script
from rts_server.roomlog.template import Slot, placeholder, text_template
from rts_server.runtime.deadline import within
from rts_server.runtime.tasks import cancelled

log = logging.getLogger(__name__)

_BARRIER = room_script(LUA / "barrier.lua")
_INSTALL = room_script(IDS, LUA / "install.lua")

CLAIM_RENEW_SECONDS = 1.0
"""Seconds between two renewals of a claim."""
LOAD_TIMEOUT_SECONDS = 60.0
"""Seconds until a loader gives up; the next append that finds the room cold claims it again."""


class RoomLoader:
    """The loads of this instance. A load outlives the command that began it."""

    def __init__(
        self, settings: Settings, origin: str, redis: Redis | CommandPipe, archive: Archive
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._redis = redis
        self._archive = archive
        self._barriers = Barriers(archive)
        self._loads: dict[str, asyncio.Task[None]] = {}

    async def load(self, room_id: str, nonce: str, *, create: bool) -> None:
        """Bring a room back under the claim `nonce`. Raises NotFound, Unavailable.

        `create`: a missing room is opened.
        """
        task = asyncio.create_task(self._load(room_id, nonce, create))
        self._loads[room_id] = task
        task.add_done_callback(lambda done: self._ended(room_id, done))
        await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel the loads; their claims end by themselves."""
        await cancelled(*self._loads.values())
        await self._barriers.close()

    def _ended(self, room_id: str, task: asyncio.Task[None]) -> None:
        if self._loads.get(room_id) is task:
            del self._loads[room_id]
        if task.cancelled():
            return
        error = task.exception()
        metrics.COLD_LOADS.labels(type(error).__name__ if error else "ok").inc()
        if error is None:
            log.info("room loaded", extra={"room_id": room_id})
        elif not isinstance(error, errors.Refusal):
            log.error("cold load failed", extra={"room_id": room_id}, exc_info=error)

    async def _load(self, room_id: str, nonce: str, create: bool) -> None:
        try:
            async with within(LOAD_TIMEOUT_SECONDS):
                found = await self._archive.room(room_id)
                if found and found.epoch:
                    await self._drain(room_id, nonce)
                elif not create:
                    raise errors.NotFound()
                # else no epoch was ever opened, so no record of the room can be on its way
                await self._open(room_id, nonce, create)
        except (TimeoutError, RedisError, OSError):
            raise errors.Unavailable() from None
        finally:
            await release_claim(self._redis, room_id, nonce)

    async def _drain(self, room_id: str, nonce: str) -> None:
        """Send a barrier and wait until it is stored: all queued before it is applied then."""
        ttl = ms(self._settings.claim_ttl)
        record = barrier_record(room_id, nonce)
        args: list[str | int] = [room_id, nonce, self._origin, record, ttl]
        if not await _BARRIER.evaluate(self._redis, self._keys(room_id), args):
            raise errors.Unavailable()
        passed = self._barriers.passed(room_id, nonce)
        try:
            while not (await asyncio.wait([passed], timeout=CLAIM_RENEW_SECONDS))[0]:
                if not await renew_claim(self._redis, room_id, nonce, ttl):
                    raise errors.Unavailable()
        finally:
            passed.cancel()

    async def _open(self, room_id: str, nonce: str, create: bool) -> None:
        """Open a new epoch, then read, then install.

        The epoch comes first: from then on the Lambda refuses memberships of older epochs, so the
        read misses none (A2). A room whose members were never stored does not exist yet, unless it
        was created without any: its origin replays the creation.
        """
        found = await self._archive.room(room_id)
        if not create and (found is None or found.room is None):
            raise errors.Unavailable()
        known, seq = (found.epoch, found.seq) if found else (0, 0)
        epoch = await self._archive.open_epoch(room_id, known, seq)
        stored = await self._archive.room(room_id)
        members = await self._members(room_id)
        if stored is None:
            raise errors.Unavailable()
        exists = stored.room is not None and (bool(members) or stored.empty)
        if not exists and not create:
            raise errors.Unavailable()
        uncounted = await self._uncounted(stored, members) if exists else []
        mode = "load" if exists else "new"
        prev = list(last_position(stored, members))
        log.info("epoch opened", extra={"room_id": room_id, "epoch": epoch, "prev": prev})
        await self._install(room_id, nonce, mode, stored, epoch, members, uncounted)

    async def _members(self, room_id: str) -> list[StoredMember]:
        return await self._archive.members(room_id)

    async def _uncounted(self, stored: StoredRoom, members: list[StoredMember]) -> list[int]:
        """The seqs that do not count for somebody: what all have read, nobody counts again."""
        read_by_all = min((m.read_seq for m in members if m.state == "in"), default=stored.seq)
        return await self._archive.uncounted(stored.room_id, read_by_all)

    async def _install(
        self,
        room_id: str,
        nonce: str,
        mode: str,
        stored: StoredRoom,
        epoch: int,
        members: list[StoredMember],
        uncounted: list[int],
    ) -> bytes:
        room: dict[str, object] = {
            "nonce": nonce,
            "mode": mode,
            "epoch": epoch,
            "seq": stored.seq,
            "starts": orjson.dumps(stored.starts).decode(),
            "channel": channels_of(self._redis).room(room_id),
            "members": [_member(m, stored.seq) for m in members if m.state == "in"],
            "hidden": " ".join(m.user_id for m in members if m.state == "in" and m.hidden),
            "uncounted": uncounted,
            "ttl": ms(self._settings.room_ttl),
            "idem_ttl": ms(self._settings.idempotency_ttl),
        }
        if stored.room is not None:
            room |= {
                "room": orjson.dumps(stored.room).decode(),
                "frozen": bool(stored.room.get("frozen")),
                "event": _epoch_event(room_id, epoch, last_position(stored, members)),
            }
        if stored.last:
            room |= {
                "last": orjson.dumps(stored.last).decode(),
                "last_ms": milliseconds(stored.last["created_at"]),
            }
        reply: bytes = await _INSTALL.evaluate(
            self._redis, self._keys(room_id), [orjson.dumps(room).decode()]
        )
        return reply

    @staticmethod
    def _keys(room_id: str) -> tuple[str, ...]:
        return keys.room(room_id).script_keys


def last_position(stored: StoredRoom, members: list[StoredMember]) -> tuple[int, int]:
    """The highest (epoch, offset) the archive knows: a client that is there has missed nothing."""
    return max([stored.position, *map(changed_at, members)])


def changed_at(member: StoredMember) -> tuple[int, int]:
    """The position of the last change of a member."""
    return max((member.epoch, member.offset), member.role_position)


def _member(member: StoredMember, seq: int) -> dict[str, object]:
    kept: dict[str, str] = {
        "user_id": member.user_id,
        "role": member.role,
        "joined_at": member.joined_at,
    }
    if member.name:
        kept["name"] = member.name
    return {
        "user_id": member.user_id,
        "stored": f"{member.role} {orjson.dumps(kept).decode()}",
        "read_seq": min(member.read_seq, seq),
        "delivered_seq": min(member.delivered_seq, seq),
        **({"settings": settings} if (settings := _settings(member)) else {}),
    }


def _settings(member: StoredMember) -> str:
    """As append.lua keeps them; nothing for who never set any."""
    if not member.settings_rev:
        return ""
    return f"{member.settings_rev} {member.muted:d} {member.hidden:d}"


def _epoch_event(room_id: str, epoch: int, prev: tuple[int, int]) -> list[str]:
    """`room.epoch` in two halves, around the time that only Redis knows."""
    event = {
        "type": "room.epoch",
        "ts": placeholder(Slot.TS),
        "room_id": room_id,
        "epoch": epoch,
        "offset": 1,
        "data": {"prev": list(prev)},
    }
    return text_template(event).split(f"\x01{int(Slot.TS)}")


def milliseconds(time: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)
