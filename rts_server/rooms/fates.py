"""Every append is followed until its fate is known: by notice, by asking, by repeating."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys, metrics
from rts_server.complaints import Complaints
from rts_server.config import Settings
from rts_server.loops import forever
from rts_server.persistence.archive import Archive, Check
from rts_server.persistence.scripts import Call
from rts_server.pipe import Pipe
from rts_server.rooms.append import Append, Appended, Op
from rts_server.rooms.appender import room_script
from rts_server.rooms.lag import StoredLag
from rts_server.rooms.log import Behind, RoomLog
from rts_server.rooms.pending import Fate, Lines, Pending
from rts_server.rooms.repeats import Missing, Repeats
from rts_server.tasks import Tasks

log = logging.getLogger(__name__)

_FATE = room_script("fate.lua")

ASK_AFTER = (0.25, 0.75, 2.0, 3.0)
"""Seconds between questions when the relay's notice is missing; the last repeats."""
STORED_AFTER = (0.03, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0)
"""Seconds between looks at the table for changes of rooms and members; the last repeats."""

PATIENCE = 900.0
"""Seconds after which a change that never shows in the table counts as failed."""

ELSEWHERE = 30.0
"""Seconds in which another instance makes again what it lost, if it is still there."""

PLACES: dict[Op, str] = {"join": "pos", "go": "pos", "role": "role_pos"}
"""Attribute of a member's item that holds the position of what was done to him last."""

_SECONDS = {fate: metrics.FATE_SECONDS.labels(fate) for fate in ("queued", "stored", "failed")}


class Fates:
    """What this instance still answers for: at most `pending_cap`, beyond it sends are refused."""

    def __init__(
        self, settings: Settings, redis: Redis | Pipe, archive: Archive, room_log: RoomLog
    ) -> None:
        self.settings = settings
        self._redis = redis
        self._archive = archive
        self._pending: dict[tuple[str, str], Pending] = {}
        self._lines = Lines()
        self._passes: dict[str, asyncio.Task[None]] = {}
        self._repeats = Repeats(archive, room_log)
        self._early: dict[tuple[str, str, str], None] = {}
        self._lag = StoredLag(archive)
        self._tasks = Tasks()
        self._complaints = Complaints(log)
        self.index: Callable[[Append, Appended], Awaitable[None]] | None = None

    def start(self) -> None:
        """Begin to ask for what no notice came."""
        self._tasks.keep(forever("fates", self._ask))

    async def close(self) -> None:
        """Stop asking; what is pending is in the outbox, and its client repeats."""
        await self._tasks.close()
        await self._lag.close()

    async def settled(self) -> None:
        """Return when nothing is pending."""
        while self._pending:
            await asyncio.wait([pending.done for pending in self._pending.values()])

    def check_room(self) -> None:
        """Refuse before anything is appended that could not be followed."""
        if len(self._pending) >= self.settings.pending_cap:
            raise errors.Unavailable("Too much is waiting for the queue.", retry_after_ms=1000)

    def follow(self, request: Append, appended: Appended) -> Pending:
        """An append on its way to its fate; the same as before where it is followed already."""
        key = (request.room_id, request.request_id)
        if known := self._pending.get(key):
            return known
        loop = asyncio.get_running_loop()
        pending = Pending(request, appended, loop.create_future(), set(), began=loop.time())
        pending.heard, pending.good = pending.place, good(request, appended)
        if appended.status == "failed":
            pending.done.set_result("failed")
            return pending
        self._pending[key] = pending
        metrics.PENDING.set(len(self._pending))
        self._wait(pending)
        return pending

    def _wait(self, pending: Pending) -> None:
        """Until its entries, as they are now, are queued."""
        room_id, request_id = pending.request.room_id, pending.request.request_id
        appended = pending.appended
        left = set() if appended.status == "queued" else set(appended.entries)
        pending.left = {one for one in left if (room_id, request_id, one) not in self._early}
        pending.asked, pending.held = 0, False
        self._schedule(pending)
        if pending.left:
            self._lines.add(pending)
        else:
            self._queued(pending)

    def since(self, room_id: str) -> int:
        """What the room's next append is to say: see `Lines.since`."""
        return self._lines.since(room_id)

    async def catch_up(self, room_id: str, epoch: int) -> None:
        """Return when what was lost before this epoch is in again, in the order it was heard in.

        Raises Unavailable when that takes longer than an append may.
        """
        try:
            async with asyncio.timeout(self.settings.redis_deadline):
                await asyncio.shield(self._pass(room_id))
        except TimeoutError:
            raise errors.Unavailable() from None
        self._lines.looked(room_id, epoch)

    def agree(
        self, fate: Fate, holds: Callable[[], Awaitable[bool]] | None
    ) -> asyncio.Future[Fate]:
        """`fate` as soon as a condition holds (None: now); an ack waits so long, nobody longer."""
        done: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()
        if holds is None:
            done.set_result(fate)
        else:
            self._tasks.keep(_until(done, fate, holds))
        return done

    def hear(self, data: bytes) -> None:
        """The relay's word as it comes, on this instance's channel."""
        self.notice(parse_notice(data))

    def notice(self, queued: list[tuple[str, str, str]]) -> None:
        """The relay's word that entries are in the queue: (room_id, request_id, entry)."""
        for room_id, request_id, entry in queued:
            pending = self._pending.get((room_id, request_id))
            if pending is None:
                self._remember_early((room_id, request_id, entry))
                continue
            pending.left.discard(entry)
            if not pending.left and not pending.done.done():
                self._queued(pending)

    def _remember_early(self, entry: tuple[str, str, str]) -> None:
        """A notice may overtake the answer of the very append it is about.

        Ids of entries are unique in a partition only: room and request belong to them.
        """
        self._early[entry] = None
        while len(self._early) > 4096:
            del self._early[next(iter(self._early))]

    def _queued(self, pending: Pending) -> None:
        self._lines.discard(pending)
        checks = stored_checks(pending.request, pending.appended)
        if checks:
            pending.held = True
            self._tasks.keep(self._until_stored(pending, checks))
        else:
            self._resolve(pending, pending.good)

    def _resolve(self, pending: Pending, fate: Fate) -> None:
        self._pending.pop((pending.request.room_id, pending.request.request_id), None)
        self._lines.discard(pending)
        metrics.PENDING.set(len(self._pending))
        if not pending.done.done():
            took = asyncio.get_running_loop().time() - pending.began
            _SECONDS.get(fate, _SECONDS["failed"]).observe(took)
            pending.done.set_result(fate)
            if fate == "queued" and pending.request.ask_archive:
                self._lag.offer(pending.request.room_id, pending.request.request_id, pending.began)

    def _schedule(self, pending: Pending) -> None:
        wait = ASK_AFTER[min(pending.asked, len(ASK_AFTER) - 1)]
        pending.due = asyncio.get_running_loop().time() + wait
        pending.asked += 1

    async def _ask(self) -> None:
        """One round trip for all that are due; Redis away only means asking again."""
        await asyncio.sleep(ASK_AFTER[0] / 2)
        now = asyncio.get_running_loop().time()
        due = [p for p in self._pending.values() if not p.held and p.due <= now]
        for pending in due:
            self._schedule(pending)
        for pending, fate in zip(due, await self._fates(due), strict=True):
            self._decide(pending, fate)

    async def _fates(self, pendings: Sequence[Pending]) -> list[str]:
        """What Redis knows of each: pending, queued, failed or lost. Raises RedisError."""
        calls: list[Call] = [
            ([*names[:9], names.idem(p.request.request_id)], [])
            for p in pendings
            for names in (keys.room(p.request.room_id),)
        ]
        return [fate.decode() for fate in await _FATE.many(self._redis, calls)]

    def _decide(self, pending: Pending, fate: str) -> None:
        if pending.done.done() or pending.held:
            return
        if fate == "queued":
            self._queued(pending)
        elif fate == "failed":
            self._resolve(pending, "failed")
        elif fate == "lost":
            self._pass(pending.request.room_id)

    def _pass(self, room_id: str) -> asyncio.Task[None]:
        """One at a time looks what a room has lost and makes it again."""
        running = self._passes.get(room_id)
        if running is None:
            running = self._passes[room_id] = self._tasks.keep(self._again(room_id))
            running.add_done_callback(lambda _: self._passes.pop(room_id, None))
        return running

    async def _again(self, room_id: str) -> None:
        """The room's lost appends one by one, so that none overtakes another."""
        while not await self._round(room_id):
            continue

    async def _round(self, room_id: str) -> bool:
        """Whether Redis still has what was made again: a later one would stand on nothing."""
        pendings, since = self._lines.of(room_id), 0
        for pending in pendings:
            pending.held = True
        try:
            for pending, fate in zip(pendings, await self._asked(pendings), strict=True):
                if pending.done.done() or not pending.left:
                    continue
                if fate != "lost":
                    pending.held = False
                    self._decide(pending, fate)
                    continue
                if await self._repeat(pending, pending.request, since):
                    since = pending.appended.epoch
        except Behind:
            return False
        except Missing:
            return True  # the room itself: another instance may have it
        finally:
            for pending in self._lines.of(room_id):
                pending.held = False
        return True

    async def _asked(self, pendings: Sequence[Pending]) -> list[str]:
        """As `_fates`, as soon as Redis is there."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                return await self._fates(pendings)
            await asyncio.sleep(ASK_AFTER[0])

    async def _repeat(self, pending: Pending, request: Append, since: int = 0) -> bool:
        """Whether a lost append is in again; else its fate is known, or the message it is about is
        not there yet. Raises Missing where the room is not, Behind: see `Repeats.repeat`.
        """
        if not pending.missing:
            metrics.LOST.inc()
            log.warning("append is repeated", extra=_told(request, "lost with its Redis"))
        try:
            again = await self._repeats.repeat(request, pending, since)
        except Missing as missing:
            self._missing(pending, missing)
            return False
        if isinstance(again, str):
            self._resolve(pending, again)
            return False
        self._pending.pop((pending.request.room_id, pending.request.request_id), None)
        self._lines.discard(pending)
        pending.request, pending.appended = again
        pending.missing = 0.0
        self._pending[pending.request.room_id, pending.request.request_id] = pending
        if self.index is not None and _moves_members(pending.request):
            await self.index(pending.request, pending.appended)
        if pending.appended.status == "failed":
            self._resolve(pending, "failed")
        else:
            self._wait(pending)
        return True

    def _missing(self, pending: Pending, missing: Missing) -> None:
        """It is tried again while somebody else may bring what it is about."""
        now = asyncio.get_running_loop().time()
        pending.missing = pending.missing or now
        if now - pending.missing >= ELSEWHERE:
            log.error("a lost append stands on nothing", extra=_told(pending.request, "not found"))
            self._resolve(pending, "failed")
        elif missing.room:
            raise missing

    async def _until_stored(self, pending: Pending, checks: list[Check]) -> None:
        """Rooms and members count when the table shows them; what it refused is repeated."""
        looks, began = 0, asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < PATIENCE:
            await asyncio.sleep(STORED_AFTER[min(looks, len(STORED_AFTER) - 1)])
            looks += 1
            try:
                epoch, stored = await self._archive.look(pending.request.room_id, checks)
                over = epoch > pending.appended.epoch
                # Looked for once more before it is repeated: the epoch may have been read last.
                if stored or (over and await self._archive.stored(checks)):
                    return await self._stored(pending)
            except errors.Unavailable:
                continue
            except Exception as error:  # whatever it is: somebody waits for this fate
                self._complaints.fault("cannot be looked for", error)
                continue
            if over:
                again = dataclasses.replace(
                    pending.request, request_id=f"again:{secrets.token_hex(16)}"
                )
                with contextlib.suppress(Missing):
                    await self._repeat(pending, again)
                    return None
        log.error("never stored", extra=_told(pending.request, "set aside or lost"))
        return self._resolve(pending, "failed")

    async def _stored(self, pending: Pending) -> None:
        """Into the index once more: it may have been rebuilt from a table that was behind."""
        if self.index is not None:
            await self.index(pending.request, pending.appended)
        self._resolve(pending, "stored")


async def _until(
    done: asyncio.Future[Fate], fate: Fate, holds: Callable[[], Awaitable[bool]]
) -> None:
    for wait in (0.0, *STORED_AFTER):
        await asyncio.sleep(wait)
        with contextlib.suppress(errors.Refusal, RedisError, OSError):
            if await holds():
                done.set_result(fate)
                return


def _moves_members(request: Append) -> bool:
    return bool(request.joining or request.going or request.everybody)


def _told(request: Append, why: str) -> dict[str, Any]:
    return {"room_id": request.room_id, "request_id": request.request_id, "why": why}


def stored_checks(request: Append, appended: Appended) -> list[Check]:
    """Which items an append of room and member events must leave, and at which position."""
    checks: list[Check] = []
    for offset, event in appended.written(request):
        position = f"{appended.epoch:010d}#{offset:010d}"
        if event.room is not None:
            checks.append((request.room_id, "ROOM", "pos", position))
        if event.op is not None and not event.takes_seq:
            checks += [
                (request.room_id, f"MEMBER#{user_id}", PLACES[event.op], position)
                for user_id in appended.picked[event.op]
            ]
    if request.settings and appended.rev:
        position = f"{appended.epoch:010d}#{appended.offset:010d}#{appended.rev:010d}"
        checks.append((request.room_id, f"MEMBER#{request.actor}", "settings_pos", position))
    return checks


def good(request: Append, appended: Appended) -> Fate:
    """How an append ends well: `stored` where the table shows it, else `queued`."""
    return "stored" if stored_checks(request, appended) else "queued"


def parse_notice(data: bytes) -> list[tuple[str, str, str]]:
    """The relay's notice on an instance's channel."""
    return [(room, request, entry) for room, request, entry in orjson.loads(data)["queued"]]
