"""The last step of the relay: accepted entries leave the outbox, and their origins are notified."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Literal

import orjson
from redis.exceptions import RedisError, ResponseError

from rts_server import keys, metrics
from rts_server.persistence.message_status import queued_status
from rts_server.persistence.outbox import Entry
from rts_server.persistence.user_rooms import IndexedMembership, UserRooms
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import CommandPipe, publications, replies_to
from rts_server.runtime.backoff import MAX_BACKOFF_SECONDS, backoff
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)


class AckProcessor:
    """Processes accepted entries of one shard until Redis has deleted them.

    `on_deleted`: called with each entry that was deleted. `on_indexed`: with each whose memberships
    are in the user index. `was_acked_accepted`: whether an entry is so old that its sender was
    answered `accepted`.

    The origin of an entry, if it has one, is notified that it is `queued`. If no instance receives
    the notice, the origin has ended, and nobody else would notify the senders that were answered
    `accepted`; then it is done here. Entries of cursors, which older
    releases wrote, have no origin.

    The indexes of users, and the channels of origins, may be on other shards than the entries. What
    is away there delays the entries that need it, and no others.
    """

    def __init__(
        self,
        pipe: CommandPipe,
        users: UserRooms,
        on_deleted: Callable[[Entry], None],
        was_acked_accepted: Callable[[Entry], bool],
        on_indexed: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        self._pipe, self._users = pipe, users
        self._on_indexed = on_indexed
        self._on_deleted, self._was_acked_accepted = on_deleted, was_acked_accepted
        self._accepted: asyncio.Queue[list[Entry]] = asyncio.Queue()
        self._throttled_log = ThrottledLog(log)

    def add(self, entries: list[Entry]) -> None:
        """Process entries that SQS accepted. Never blocks."""
        self._accepted.put_nowait(entries)

    async def wait_idle(self) -> None:
        """Return when every entry that was added has been processed."""
        await self._accepted.join()

    async def run_forever(self) -> None:
        """Process until cancelled. Each entry is tried until Redis confirms it."""
        while True:
            batches = [await self._accepted.get()]
            while not self._accepted.empty():
                batches.append(self._accepted.get_nowait())
            entries = [entry for batch in batches for entry in batch]
            postponed = await self._process_until_done(entries)
            if postponed:
                asyncio.get_running_loop().call_later(MAX_BACKOFF_SECONDS, self.add, postponed)
            for _ in batches:
                self._accepted.task_done()

    async def _process_until_done(self, entries: list[Entry]) -> list[Entry]:
        failures = 0
        while True:
            try:
                return await self._process(entries)
            except Exception as error:  # an entry that is not deleted would be sent again for ever
                failures += 1
                metrics.LOOP_FAILURES.labels("outbox deletion").inc()
                self._throttled_log.warning("outbox cannot be cleared", error)
                await asyncio.sleep(backoff(failures))

    async def _process(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries that must stay, because the user index refused them for now.

        The order is: SQS accepted, user index, deletion. The entry is the only durable note
        that the index must change, so it is deleted after the index was updated (T4). A crash in
        between sends the record a second time, which is harmless (Q2, D8); the other order would
        lose the index entry, or the record itself (D1).
        """
        members = [entry for entry in entries if entry.users]
        updated = await asyncio.gather(*map(self._update_user_index, members))
        postponed = [entry for entry, is_done in zip(members, updated, strict=True) if not is_done]
        staying = {entry.key for entry in postponed}
        await self._delete([entry for entry in entries if entry.key not in staying])
        return postponed

    async def _update_user_index(self, entry: Entry) -> bool:
        epoch, _, offset = entry.position.partition(":")
        changes = [
            (user, IndexedMembership(entry.room_id, int(epoch), int(offset), _state(state)))
            for user, state in entry.users
        ]
        try:
            await self._users.note_all(changes)
        except (RedisError, OSError) as error:
            what = "refuses" if isinstance(error, ResponseError) else "does not answer"
            self._throttled_log.warning(f"user index {what}", error)
            return False
        self._on_indexed(entry)
        return True

    async def _delete(self, entries: list[Entry]) -> None:
        """Delete entries and notify their origins in one round trip.

        SQS has the records, so `queued` is true (T8), whichever of both is first: on a cluster the
        channel of an origin may be on another shard. An origin that does not get its notice asks.
        """
        by_partition: dict[int, list[str]] = defaultdict(list)
        by_origin: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_partition[entry.partition].append(entry.entry_id)
            if entry.origin:
                by_origin[entry.origin].append(entry)
        deletions: list[Command] = [
            ("XDEL", keys.outbox(partition), *ids) for partition, ids in by_partition.items()
        ]
        notices: list[Command] = [
            self._pipe.channels.publication(keys.instance_channel(origin), _notice(queued))
            for origin, queued in by_origin.items()
        ]
        replies = await replies_to(self._pipe, [*deletions, *notices])
        for reply in replies[: len(deletions)]:
            if isinstance(reply, Exception):
                raise reply
        for queued, subscribers in zip(by_origin.values(), replies[len(deletions) :], strict=True):
            if isinstance(subscribers, Exception):
                self._throttled_log.warning("an origin cannot be notified", subscribers)
            elif not subscribers:
                await self._notify_senders(queued)
        for entry in entries:
            self._on_deleted(entry)

    async def _notify_senders(self, entries: list[Entry]) -> None:
        """Publish what the origin would publish if it were still running."""
        channels = self._pipe.channels
        statuses = [
            queued_status(entry, channels) for entry in entries if self._was_acked_accepted(entry)
        ]
        for reply in await publications(self._pipe, [one for one in statuses if one]):
            if isinstance(reply, Exception):
                self._throttled_log.warning("senders cannot be notified", reply)


def _notice(queued: list[Entry]) -> bytes:
    """Return the notice that entries are queued, as `parse_notice` reads it."""
    return orjson.dumps(
        {"queued": [(entry.room_id, entry.request_id, entry.entry_id) for entry in queued]}
    )


def _state(state: str) -> Literal["in", "out"]:
    return "in" if state == "in" else "out"
