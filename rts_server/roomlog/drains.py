"""Whether the archive has all of a cold room: drained once per memory of Redis, then remembered."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.config import Settings, ms
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import IDENTITY, Script, ScriptCall
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.barriers import Barriers
from rts_server.roomlog.script import FENCE, LUA

_GENERATION = IDENTITY.with_name("generation.lua")
_SETTLED = Script(IDENTITY, FENCE, _GENERATION, LUA / "settled.lua")

Position = tuple[int, int]

ASK_AGAIN = 0.5
"""Seconds between two questions to Redis: another may have loaded a room meanwhile."""
LOADING = 0.05
"""The same while somebody loads a room."""
ANOTHER_BARRIER = 60.0
"""Seconds after which a barrier that was not seen is sent once more: another may have hidden it."""


def behind() -> errors.Unavailable:
    """The refusal of a read that would miss what is queued."""
    return errors.Unavailable("The queue is behind.", retry_after_ms=1000)


@dataclass(frozen=True)
class Unsettled:
    """A room whose queue is not known to be empty; `nonce`: of the barrier on its way, if any."""

    state: str
    nonce: str = ""


class RoomDrains:
    """Asked before a room is read from the archive: records of it may still be in the queue.

    They are only where Redis lost the room or is another: a room that expired did so long after
    its last record. Then a barrier goes through the room's queue, one for all who read it.
    """

    def __init__(
        self, settings: Settings, origin: str, redis: Redis | RedisPipeline, archive: Archive
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._redis = redis
        self._archive = archive
        self._barriers = Barriers(archive)

    async def close(self) -> None:
        """Wait for nothing any more."""
        await self._barriers.close()

    async def settle(self, room_id: str) -> None:
        """Return when the archive has all of the room. Raises Unavailable when that takes long."""
        if room_id not in await self.settled([room_id], self._settings.redis_deadline):
            raise behind()

    async def is_expired(self, room_id: str) -> bool:
        """Whether the room expired on time, and its head still tells where it stands."""
        try:
            answers = await self._ask({room_id: ""})
        except (RedisError, OSError):
            raise errors.Unavailable() from None
        return bool(answers[room_id][0] == b"expired")

    async def settled(
        self, room_ids: Collection[str], patience: float
    ) -> dict[str, Position | None]:
        """Those of the rooms that can be read from the archive within `patience` seconds.

        Per room the position its head tells, None where no head is left. Raises Unavailable when
        Redis or the archive is away.
        """
        try:
            return await self._settled(room_ids, patience)
        except (RedisError, OSError):
            raise errors.Unavailable() from None

    async def _settled(
        self, room_ids: Collection[str], patience: float
    ) -> dict[str, Position | None]:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        found, waiting = _sorted(await self._ask(dict.fromkeys(room_ids, "")))
        if unknown := [r for r, one in waiting.items() if one.state == "unknown"]:
            stored = await self._archive.rooms(unknown)
            opened = [r for r in unknown if r in stored and stored[r].epoch]
            # no epoch was ever opened: no record of such a room can be on its way
            found |= dict.fromkeys(set(unknown) - set(opened))
            waiting |= await self._more(found, dict.fromkeys(opened, ""))
        waiting = {r: one for r, one in waiting.items() if r not in found}
        while waiting and (left := until - loop.time()) > 0:
            passed = await self._passed(waiting, left)
            waiting = await self._more(found, passed)
        return found

    async def _more(
        self, found: dict[str, Position | None], passed: Mapping[str, str]
    ) -> dict[str, Unsettled]:
        """Ask of some rooms: those settled are added to `found`, the others returned."""
        settled, waiting = _sorted(await self._ask(passed, send=True))
        found |= settled
        return waiting

    async def _passed(self, waiting: Mapping[str, Unsettled], left: float) -> dict[str, str]:
        """Wait a moment; per room the nonce of its barrier when that is stored, else ''."""
        looks = {r: self._barriers.passed(r, one.nonce) for r, one in waiting.items() if one.nonce}
        again = ASK_AGAIN if len(looks) == len(waiting) else LOADING
        try:
            if looks:
                await asyncio.wait(looks.values(), timeout=min(again, left))
            else:
                await asyncio.sleep(min(again, left))
            seen = {r for r, look in looks.items() if look.done()}
        finally:
            for look in looks.values():
                look.cancel()
        return {r: one.nonce if r in seen else "" for r, one in waiting.items()}

    async def _ask(self, passed: Mapping[str, str], *, send: bool = False) -> dict[str, list[Any]]:
        """What Redis says per room; `send`: a barrier goes where none is on its way."""
        calls = [self._call(room_id, nonce, send) for room_id, nonce in passed.items()]
        return dict(zip(passed, await _SETTLED.evaluate_many(self._redis, calls), strict=True))

    def _call(self, room_id: str, passed: str, send: bool) -> ScriptCall:
        names = keys.room(room_id)
        nonce = secrets.token_hex(8)
        barrier = {"v": 1, "barrier": {"room_id": room_id, "nonce": nonce}}
        record = orjson.dumps(barrier).decode() if send else ""
        generation = keys.generation(keys.partition(room_id))
        times = (ms(ANOTHER_BARRIER), ms(self._settings.head_ttl))
        args: list[str | int] = [room_id, self._origin, nonce, record, passed, *times]
        return [*names.script_keys, names.settled, generation], args


def _sorted(
    answers: Mapping[str, list[Any]],
) -> tuple[dict[str, Position | None], dict[str, Unsettled]]:
    """(settled rooms with what their heads tell, the others)."""
    found: dict[str, Position | None] = {}
    waiting: dict[str, Unsettled] = {}
    for room_id, (state, *more) in answers.items():
        if state == b"expired":
            found[room_id] = more[0], more[1]
        elif state in (b"warm", b"settled"):
            found[room_id] = None
        else:
            waiting[room_id] = Unsettled(state.decode(), more[0].decode() if more else "")
    return found, waiting
