"""The last step of the relay: what SQS accepted is noted, deleted from the outbox, and told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from itertools import groupby
from typing import Literal

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from rts_server import keys
from rts_server.persistence import message_status as statuses
from rts_server.persistence.outbox import Entry
from rts_server.persistence.user_rooms import Membership, UserRooms
from rts_server.runtime.loops import LONGEST_BACKOFF, backoff
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)


class AckProcessor:
    """Accepted entries, until Redis has forgotten them. `cleared` hears of each that is gone.

    Where nobody hears the notice to an origin, the origin is gone: then the senders of what is
    older than an ack waits are told here.
    """

    def __init__(
        self, redis: Redis, cleared: Callable[[Entry], None], late: Callable[[Entry], bool]
    ) -> None:
        """`late`: whether an entry is so old that it was acked `accepted`."""
        self._redis, self._cleared, self._late = redis, cleared, late
        self._users = UserRooms(redis)
        self._accepted: asyncio.Queue[list[Entry]] = asyncio.Queue()
        self._complaints = ThrottledLog(log)

    def add(self, entries: list[Entry]) -> None:
        """SQS has accepted these."""
        self._accepted.put_nowait(entries)

    async def done(self) -> None:
        """Until nothing waits here."""
        await self._accepted.join()

    async def run(self) -> None:
        """Clear until cancelled; each entry is tried until Redis agrees."""
        while True:
            batches = [await self._accepted.get()]
            while not self._accepted.empty():
                batches.append(self._accepted.get_nowait())
            entries = [entry for batch in batches for entry in batch]
            failures = 0
            while True:
                try:
                    later = await self._clear(entries)
                    break
                except Exception as error:  # they are cleared or come again, whatever it is
                    failures += 1
                    self._complaints.say("outbox cannot be cleared", error)
                    await asyncio.sleep(backoff(failures))
            if later:
                asyncio.get_running_loop().call_later(LONGEST_BACKOFF, self.add, later)
            for _ in batches:
                self._accepted.task_done()

    async def _clear(self, entries: list[Entry]) -> list[Entry]:
        """Answers the entries that must stay, because their users could not be noted yet.

        The user index comes before the deletion: a crash between leaves the entry to be sent again.
        """
        noted = [entry for entry in entries if not entry.users or await self._noted(entry)]
        await self._delete(noted)
        return [entry for entry in entries if entry not in noted]

    async def _noted(self, entry: Entry) -> bool:
        epoch, _, offset = entry.position.partition(":")
        changes = [
            (user, Membership(entry.room_id, int(epoch), int(offset), _state(state)))
            for user, state in entry.users
        ]
        try:
            await self._users.note_all(changes)
        except ResponseError as error:
            self._complaints.say("user index refuses", error)
            return False
        return True

    async def _delete(self, entries: list[Entry]) -> None:
        by_origin = [
            (origin, list(group))
            for origin, group in groupby(sorted(entries, key=_origin), key=_origin)
        ]
        async with self._redis.pipeline(transaction=False) as pipe:
            for part, group in groupby(sorted(entries, key=_part), key=_part):
                pipe.xdel(keys.outbox(part), *(entry.entry_id for entry in group))
            for origin, told in by_origin:
                queued = [[entry.room_id, entry.request_id, entry.entry_id] for entry in told]
                pipe.publish(keys.instance_channel(origin), json.dumps({"queued": queued}))
            heard = (await pipe.execute())[-len(by_origin) :]
        for (_, told), ears in zip(by_origin, heard, strict=True):
            if not ears:
                await self._tell_senders(told)
        for entry in entries:
            self._cleared(entry)

    async def _tell_senders(self, entries: list[Entry]) -> None:
        """What their origin would tell, if it were still there."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for entry in filter(self._late, entries):
                if said := statuses.of(entry):
                    pipe.publish(*said)
            await pipe.execute()


def _part(entry: Entry) -> int:
    return entry.part


def _origin(entry: Entry) -> str:
    return entry.origin


def _state(state: str) -> Literal["in", "out"]:
    return "in" if state == "in" else "out"
