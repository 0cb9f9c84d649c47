"""Follows every append until its durability is known: by notices, by polling, by replay."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import secrets
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from rts_server import errors, metrics
from rts_server.config import Settings
from rts_server.persistence.archive import Archive, Check
from rts_server.roomlog.late_appends import LateAppends
from rts_server.roomlog.membership_index import MembershipIndex
from rts_server.roomlog.notices import EarlyNotices, Notice, parse_notice
from rts_server.roomlog.pending import Durability, PendingAppend, PendingByRoom, Recorded
from rts_server.roomlog.persist_lag import PersistLag
from rts_server.roomlog.recorded import RecordedDurability
from rts_server.roomlog.refusals import EpochAdvanced
from rts_server.roomlog.replay import AppendReplay, TargetMissing
from rts_server.roomlog.request import AppendRequest, AppendResult
from rts_server.roomlog.stored_checks import final_durability, stored_checks
from rts_server.runtime.backoff import delay
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

POLL_DELAYS = (1.5, 1.5, 3.0, 5.0)
"""Seconds between polls of an append whose notice is missing; the last repeats. Where the queue is
slow the notice still comes, and a poll costs Redis a script: only what is late is asked for."""
POLL_TICK_SECONDS = 0.25
"""Time between two looks for appends that are late, while any is pending."""
LOOKS_PER_SECOND = 50_000
"""Pending appends at which one look is made a second: each takes the event loop about 0.1 µs."""
STORED_DELAYS = (0.03, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0)
"""Seconds between reads of the archive for a room or member change; the last repeats."""
STORED_TIMEOUT_SECONDS = 900.0
"""Seconds after which a change that the archive never shows has failed."""
TARGET_WAIT_SECONDS = 30.0
"""Seconds in which another instance may replay the message or room that an append is about."""

_SECONDS = {
    status: metrics.FATE_SECONDS.labels(status) for status in ("queued", "stored", "failed")
}


class DurabilityTracker:
    """The appends this instance answers for.

    Those that are late hold at most `pending_bytes`: beyond it new appends are refused, so that
    memory stays bounded while the queue is away (Q5).
    """

    def __init__(
        self,
        settings: Settings,
        recorded: RecordedDurability,
        archive: Archive,
        *,
        replay: AppendReplay,
        index: MembershipIndex,
    ) -> None:
        self.settings = settings
        self._recorded = recorded
        self._archive = archive
        self._replay = replay
        self._index = index
        self._pending: dict[tuple[str, str], PendingAppend] = {}
        self._by_room = PendingByRoom()
        self._room_replays: dict[str, asyncio.Task[None]] = {}
        self._early = EarlyNotices()
        self._late = LateAppends()
        self._lag = PersistLag(archive)
        self._tasks = Tasks()
        self._throttled_log = ThrottledLog(log)
        self._any_pending = asyncio.Event()

    def start(self) -> None:
        """Begin to poll for appends whose notice is missing."""
        self._tasks.keep(repeat_forever("durability", self._poll))

    async def close(self) -> None:
        """Stop. What is pending is in the outbox; its clients repeat what was not acknowledged."""
        await self._tasks.close()
        await self._lag.close()

    async def wait_until_none_pending(self) -> None:
        """Return when the durability of every append is known."""
        while self._pending:
            await asyncio.wait([pending.durability for pending in self._pending.values()])

    def check_capacity(self) -> None:
        """Raises Unavailable if no more appends can be tracked."""
        if self._late.held_bytes >= self.settings.pending_bytes:
            raise errors.Unavailable(
                "Too many writes are waiting for the queue.", retry_after_ms=1000
            )

    def track(self, request: AppendRequest, result: AppendResult) -> PendingAppend:
        """Follow an append. A repeated request shares the durability of the first."""
        key = (request.room_id, request.request_id)
        if tracked := self._pending.get(key):
            return tracked
        loop = asyncio.get_running_loop()
        pending = PendingAppend(request, result, loop.create_future(), set(), started=loop.time())
        pending.first_position = result.position
        pending.on_success = final_durability(request, result)
        if result.status == "failed":
            pending.durability.set_result("failed")
            return pending
        self._pending[key] = pending
        self._any_pending.set()
        metrics.PENDING.set(len(self._pending))
        self._await_notices(pending)
        return pending

    def verified_epoch(self, room_id: str) -> int:
        """See `PendingByRoom.verified_epoch`: the room's next append goes into no later epoch."""
        return self._by_room.verified_epoch(room_id)

    async def replay_lost(self, room_id: str, epoch: int) -> None:
        """Return when what the room lost before `epoch` is replayed, in its first order (D3).

        Raises:
            Unavailable: that takes longer than an append may.
        """
        try:
            async with asyncio.timeout(self.settings.redis_deadline):
                await asyncio.shield(self._start_room_replay(room_id))
        except TimeoutError:
            raise errors.Unavailable() from None
        # Only now: before, another append could pass the replayed ones.
        self._by_room.mark_verified(room_id, epoch)

    def resolve_when(
        self, durability: Durability, condition: Callable[[], Awaitable[bool]] | None
    ) -> asyncio.Future[Durability]:
        """A future of `durability` that resolves once `condition` holds (None: now).

        If the condition does not hold within about 6 s, the future stays unresolved: no ack waits
        that long.
        """
        resolved: asyncio.Future[Durability] = asyncio.get_running_loop().create_future()
        if condition is None:
            resolved.set_result(durability)
        else:
            self._tasks.keep(_resolve_when(resolved, durability, condition))
        return resolved

    def on_notice(self, data: bytes) -> None:
        """Take a message of the relay, as it comes on this instance's channel."""
        self.mark_queued(parse_notice(data))

    def poll_soon(self) -> None:
        """Ask for all appends at the next look: their notices may have been missed."""
        now = asyncio.get_running_loop().time()
        for pending in self._pending.values():
            pending.next_poll = now

    def mark_queued(self, notices: list[Notice]) -> None:
        """SQS has accepted these entries."""
        for room_id, request_id, entry in notices:
            pending = self._pending.get((room_id, request_id))
            if pending is None:
                self._early.keep((room_id, request_id, entry))
                continue
            pending.unqueued.discard(entry)
            if not pending.unqueued and not pending.durability.done():
                self._on_queued(pending)

    def _await_notices(self, pending: PendingAppend) -> None:
        """Wait until the entries of its last append are queued."""
        room_id, request_id = pending.key
        entries = () if pending.result.status == "queued" else pending.result.entries
        pending.unqueued = {e for e in entries if (room_id, request_id, e) not in self._early}
        pending.polls, pending.busy = 0, False
        self._schedule_poll(pending)
        if pending.unqueued:
            self._by_room.add(pending)
        else:
            self._on_queued(pending)

    def _on_queued(self, pending: PendingAppend) -> None:
        """A message is durable now; a change of a room or its members once the archive shows it."""
        self._by_room.discard(pending)
        checks = stored_checks(pending.request, pending.result)
        if checks:
            pending.busy = True
            self._tasks.keep(self._until_stored(pending, checks))
        else:
            self._resolve(pending, pending.on_success)

    def _resolve(self, pending: PendingAppend, durability: Durability) -> None:
        self._pending.pop(pending.key, None)
        self._by_room.discard(pending)
        self._late.resolved(pending)
        metrics.PENDING.set(len(self._pending))
        if not pending.durability.done():
            took = asyncio.get_running_loop().time() - pending.started
            _SECONDS.get(durability, _SECONDS["failed"]).observe(took)
            pending.durability.set_result(durability)
            if durability == "queued" and pending.request.check_archive:
                self._lag.offer(*pending.key, pending.started)

    # Polling: a notice may be lost, and a loss of Redis sends none.

    def _schedule_poll(self, pending: PendingAppend) -> None:
        wait = delay(POLL_DELAYS, pending.polls)
        pending.next_poll = asyncio.get_running_loop().time() + wait
        pending.polls += 1

    async def _poll(self) -> None:
        """Ask for all appends that are late, in two round trips at most."""
        if not self._pending:
            self._any_pending.clear()
            await self._any_pending.wait()
        await asyncio.sleep(max(POLL_TICK_SECONDS, len(self._pending) / LOOKS_PER_SECOND))
        due = self._late.due(self._pending.values(), asyncio.get_running_loop().time())
        for pending in due:
            self._schedule_poll(pending)
        for pending, recorded in zip(due, await self._recorded.read_late(due), strict=True):
            self._apply(pending, recorded)

    def _apply(self, pending: PendingAppend, recorded: Recorded) -> None:
        if pending.durability.done() or pending.busy:
            return
        if recorded == "queued":
            self._on_queued(pending)
        elif recorded == "failed":
            self._resolve(pending, "failed")
        elif recorded == "lost":
            self._start_room_replay(pending.request.room_id)

    # Replay: what Redis lost is appended again by its origin (D2, T6).

    def _start_room_replay(self, room_id: str) -> asyncio.Task[None]:
        """The room's replay; there is one at a time, so that it keeps the order."""
        running = self._room_replays.get(room_id)
        if running is None:
            running = self._room_replays[room_id] = self._tasks.keep(self._replay_room(room_id))
            running.add_done_callback(lambda _: self._room_replays.pop(room_id, None))
        return running

    async def _replay_room(self, room_id: str) -> None:
        """Replay the room's lost appends one by one: in parallel they could overtake each other."""
        while not await self._replay_in_order(room_id):
            continue

    async def _replay_in_order(self, room_id: str) -> bool:
        """Replay the lost appends of a room; False if Redis lost the room once more meanwhile.

        Then all starts again: a later append must not stand in front of one that was lost twice.
        """
        pendings, max_epoch = self._by_room.of(room_id), 0
        for pending in pendings:
            pending.busy = True
        try:
            recorded = await self._recorded.read_once_redis_answers(pendings)
            for pending, status in zip(pendings, recorded, strict=True):
                if pending.durability.done() or not pending.unqueued:
                    continue
                if status != "lost":
                    pending.busy = False
                    self._apply(pending, status)
                elif await self._replay_one(pending, pending.request, max_epoch):
                    max_epoch = pending.result.epoch
        except EpochAdvanced:
            return False
        except TargetMissing:
            return True  # the room itself: another instance may have it
        finally:
            for pending in self._by_room.of(room_id):
                pending.busy = False
        return True

    async def _replay_one(
        self, pending: PendingAppend, request: AppendRequest, max_epoch: int = 0
    ) -> bool:
        """Replay one lost append; True if it is in again.

        Otherwise its durability is known, or the message it is about is not there yet.

        Raises:
            TargetMissing: its room is not there.
            EpochAdvanced: see `AppendReplay.replay`.
        """
        if not pending.missing_since:
            metrics.LOST.inc()
            log.warning("append is repeated", extra=_log_fields(request, "lost with its Redis"))
        try:
            replayed = await self._replay.replay(request, pending, max_epoch)
        except TargetMissing as missing:
            self._on_target_missing(pending, missing)
            return False
        if isinstance(replayed, str):
            self._resolve(pending, replayed)
            return False
        self._pending.pop(pending.key, None)
        self._by_room.discard(pending)
        pending.request, pending.result = replayed
        pending.missing_since = 0.0
        self._pending[pending.key] = pending
        if pending.request.moves_members:
            # Before the durability can resolve, as before an ack (D9).
            await self._index.write(pending.request, pending.result)
        if pending.result.status == "failed":
            self._resolve(pending, "failed")
        else:
            self._await_notices(pending)
        return True

    def _on_target_missing(self, pending: PendingAppend, missing: TargetMissing) -> None:
        """Leave it pending for a while: another instance may replay what it is about."""
        now = asyncio.get_running_loop().time()
        pending.missing_since = pending.missing_since or now
        if now - pending.missing_since >= TARGET_WAIT_SECONDS:
            log.error(
                "a lost append has no target", extra=_log_fields(pending.request, "not found")
            )
            self._resolve(pending, "failed")
        elif missing.room:
            raise missing

    # Rooms and members: `stored`.

    async def _until_stored(self, pending: PendingAppend, checks: list[Check]) -> None:
        """Wait until the archive shows a change; replay a change that a Lambda refused as too old.

        A Lambda refuses memberships of an epoch older than the room's: a cold load may not have
        seen them (A2).
        """
        loop, reads = asyncio.get_running_loop(), 0
        started = loop.time()
        while loop.time() - started < STORED_TIMEOUT_SECONDS:
            await asyncio.sleep(delay(STORED_DELAYS, reads))
            reads += 1
            try:
                epoch, is_stored = await self._archive.read_epoch_and_check(
                    pending.request.room_id, checks
                )
                overtaken = epoch > pending.result.epoch
                # Read the change once more after the epoch: it may have come between both reads.
                if is_stored or (overtaken and await self._archive.all_stored(checks)):
                    return await self._on_stored(pending)
            except errors.Unavailable:
                continue
            except Exception as error:  # of any kind: a command waits for this durability
                self._throttled_log.exception("archive lookup failed", error)
                continue
            if overtaken:
                # A new id: the old one is remembered with the result that does not hold any more.
                renamed = f"again:{secrets.token_hex(16)}"
                request = dataclasses.replace(pending.request, request_id=renamed)
                with contextlib.suppress(TargetMissing):
                    await self._replay_one(pending, request)
                    return None
        why = "not in DynamoDB after 15 min: quarantined or lost"
        log.error("never stored", extra=_log_fields(pending.request, why))
        return self._resolve(pending, "failed")

    async def _on_stored(self, pending: PendingAppend) -> None:
        """Write the index once more: it may have been rebuilt from an archive that was behind."""
        await self._index.write(pending.request, pending.result)
        self._resolve(pending, "stored")


async def _resolve_when(
    resolved: asyncio.Future[Durability],
    durability: Durability,
    condition: Callable[[], Awaitable[bool]],
) -> None:
    for wait in (0.0, *STORED_DELAYS):
        await asyncio.sleep(wait)
        with contextlib.suppress(errors.Refusal, RedisError, OSError):
            if await condition():
                resolved.set_result(durability)
                return


def _log_fields(request: AppendRequest, why: str) -> dict[str, str]:
    return {"room_id": request.room_id, "request_id": request.request_id, "why": why}
