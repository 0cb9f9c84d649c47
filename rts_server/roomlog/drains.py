"""Drains the queues of cold rooms before they are read from the archive, once per loss of Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.config import Settings, ms
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import IDENTITY, ScriptCall
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.barriers import Barriers, barrier_record
from rts_server.roomlog.script import LUA, room_script

_GENERATION = IDENTITY.with_name("generation.lua")
_SETTLED = room_script(_GENERATION, LUA / "settled.lua")


ASK_INTERVAL_SECONDS = 0.5
"""Seconds until Redis is asked again: another instance may have loaded a room meanwhile."""
LOADING_INTERVAL_SECONDS = 0.05
"""Seconds until Redis is asked again while another instance loads a room."""
BARRIER_RESEND_SECONDS = 60.0
"""Seconds after which another barrier is sent: the room's item may show a later barrier instead."""


def queue_behind() -> errors.Unavailable:
    """A new exception for a read that would miss what is still queued."""
    return errors.Unavailable("The queue is behind.", retry_after_ms=1000)


@dataclass(frozen=True)
class UnsettledRoom:
    """A room whose queue is not known to be drained.

    `state`: as settled.lua replies. `nonce`: of the barrier on its way, if any.
    """

    state: str
    nonce: str = ""


class RoomDrains:
    """Waits until cold rooms are settled; whoever reads a room from the archive must wait first.

    Records may still be queued only where Redis lost the room, or is another Redis: a room that
    expired did so long after its last record. A lost room is drained by one barrier for all who
    read it, and is then settled until the next loss.
    """

    def __init__(
        self, settings: Settings, origin: str, redis: Redis | CommandPipe, archive: Archive
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._redis = redis
        self._archive = archive
        self._barriers = Barriers(archive)

    async def close(self) -> None:
        """Stop waiting for barriers."""
        await self._barriers.close()

    async def wait_settled(self, room_id: str) -> None:
        """Return when the archive has all messages that were queued for the room, or it is warm.

        Raises Unavailable if that takes longer than `redis_deadline`.
        """
        if not await self.settled([room_id], self._settings.redis_deadline):
            raise queue_behind()

    async def settled(self, room_ids: Collection[str], max_wait: float) -> list[str]:
        """The rooms that are settled, or warm, within `max_wait` seconds; the others are left out.

        Raises Unavailable if Redis or the archive is away.
        """
        try:
            done = await self._settled(room_ids, max_wait)
        except (RedisError, OSError):
            raise errors.Unavailable() from None
        return [room_id for room_id in room_ids if room_id in done]

    async def _settled(self, room_ids: Collection[str], max_wait: float) -> set[str]:
        loop = asyncio.get_running_loop()
        until = loop.time() + max_wait
        done, waiting = _by_state(await self._ask(dict.fromkeys(room_ids, "")))
        if unknown := [r for r, room in waiting.items() if room.state == "unknown"]:
            stored = await self._archive.rooms(unknown)
            opened = [r for r in unknown if r in stored and stored[r].epoch]
            # No epoch was ever opened: no record of such a room can be on its way.
            done |= set(unknown) - set(opened)
            waiting |= await self._send_barriers(done, dict.fromkeys(opened, ""))
        waiting = {r: room for r, room in waiting.items() if r not in done}
        while waiting and (left := until - loop.time()) > 0:
            passed = await self._wait_for_barriers(waiting, left)
            waiting = await self._send_barriers(done, passed)
        return done

    async def _send_barriers(
        self, done: set[str], passed: Mapping[str, str]
    ) -> dict[str, UnsettledRoom]:
        """Send a barrier to each room without one; add settled rooms to `done`.

        `passed`: per room the nonce of the barrier that was found stored, '' for none. Returns the
        rooms that are not settled.
        """
        settled, waiting = _by_state(await self._ask(passed, send=True))
        done |= settled
        return waiting

    async def _wait_for_barriers(
        self, waiting: Mapping[str, UnsettledRoom], left: float
    ) -> dict[str, str]:
        """Wait for the first barrier, `left` seconds at most, or until Redis is to be asked again.

        Returns per room the nonce of its barrier if that is stored, else ''.
        """
        polls = {r: self._barriers.passed(r, one.nonce) for r, one in waiting.items() if one.nonce}
        all_sent = len(polls) == len(waiting)
        interval = ASK_INTERVAL_SECONDS if all_sent else LOADING_INTERVAL_SECONDS
        try:
            if polls:
                await asyncio.wait(polls.values(), timeout=min(interval, left))
            else:
                await asyncio.sleep(min(interval, left))
            stored = {r for r, poll in polls.items() if poll.done()}
        finally:
            for poll in polls.values():
                poll.cancel()
        return {r: one.nonce if r in stored else "" for r, one in waiting.items()}

    async def _ask(self, passed: Mapping[str, str], *, send: bool = False) -> dict[str, list[Any]]:
        """The reply of settled.lua per room; `send`: send a barrier where none is on its way."""
        calls = [self._script_call(room_id, nonce, send) for room_id, nonce in passed.items()]
        return dict(zip(passed, await _SETTLED.evaluate_many(self._redis, calls), strict=True))

    def _script_call(self, room_id: str, passed: str, send: bool) -> ScriptCall:
        names = keys.room(room_id)
        nonce = secrets.token_hex(8)
        record = barrier_record(room_id, nonce) if send else ""
        generation = keys.generation(keys.partition(room_id))
        times = (ms(BARRIER_RESEND_SECONDS), ms(self._settings.room_ttl))
        args: list[str | int] = [room_id, self._origin, nonce, record, passed, *times]
        return [*names.script_keys, names.settled, generation], args


def _by_state(replies: Mapping[str, list[Any]]) -> tuple[set[str], dict[str, UnsettledRoom]]:
    """(settled and warm rooms, the other rooms)."""
    done: set[str] = set()
    waiting: dict[str, UnsettledRoom] = {}
    for room_id, (state, *more) in replies.items():
        if state in (b"warm", b"settled"):
            done.add(room_id)
        else:
            waiting[room_id] = UnsettledRoom(state.decode(), more[0].decode() if more else "")
    return done, waiting
