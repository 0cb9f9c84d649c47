"""What every durable command does: an append, the user index before the ack, a fate to wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from redis.exceptions import RedisError

from rts_server.persistence.archive import Archive
from rts_server.persistence.user_rooms import Membership, State, UserRooms
from rts_server.rooms.append import Append, Appended, Nothing, Op
from rts_server.rooms.fates import Fates
from rts_server.rooms.log import Behind, Moved, RoomLog
from rts_server.rooms.pending import Pending
from rts_server.rooms.template import stamped

log = logging.getLogger(__name__)

AGAIN = 0.01

_STATES: dict[Op, State] = {"join": "in", "go": "out"}

S = TypeVar("S")


@dataclass(frozen=True)
class Done:
    """What was appended (None: nothing had to be) and what will become of it.

    `request_id`: a message's id; `pending`: where it is followed.
    """

    appended: Appended | None
    fate: asyncio.Future[str]
    request_id: str = ""
    pending: Pending | None = None

    @property
    def newest(self) -> Appended | None:
        """Where it is by now: what Redis lost was appended again, elsewhere."""
        return self.appended if self.pending is None else self.pending.appended

    def shown(self) -> dict[str, Any]:
        """A message's place as an ack says it, and whether it had been sent before."""
        newest = self.newest
        assert self.appended is not None
        assert newest is not None
        place = {
            "seq": newest.seq,
            "epoch": newest.epoch,
            "offset": newest.offset,
            "created_at": newest.ts,
        }
        return place | ({"duplicate": True} if self.appended.duplicate else {})

    def placed(self, room: dict[str, Any]) -> dict[str, Any]:
        """A room as it was shown behind the append, where that is by now."""
        newest = self.newest
        if newest is None or (newest.epoch, newest.offset) <= (room["epoch"], room["offset"]):
            return room
        change = self.pending.request.room_change if self.pending else None
        version = {"version": change["version"] + 1} if change else {}
        place = {"epoch": newest.epoch, "offset": newest.offset, "seq": newest.seq}
        return room | place | version

    def changed(self) -> dict[str, Any]:
        """A changed message as it became; what Redis lost was built anew on what was there."""
        if self.pending is None or not self.pending.request.after:
            return {}
        return {"message": stamped(self.pending.request.after, self.pending.appended.ts)}

    def tells(self) -> bool:
        """Whether it is this one that tells the sender of the fate; nobody does after him."""
        if self.pending is None or self.pending.told:
            return False
        self.pending.told = True
        return True

    def picked(self, op: Op) -> tuple[str, ...]:
        """The users to whom something was done."""
        return self.appended.picked.get(op, ()) if self.appended else ()


class Appends:
    """The log as commands use it. Every request is safe to repeat."""

    def __init__(
        self, room_log: RoomLog, fates: Fates, user_rooms: UserRooms, archive: Archive
    ) -> None:
        self._log = room_log
        self._fates = fates
        self._user_rooms = user_rooms
        self._archive = archive

    async def append(self, request: Append) -> Done:
        """Append and follow. Raises Refusal, Exists, Moved."""
        self._fates.check_room()
        appended = await self._in_order(request)
        if isinstance(appended, Nothing):
            return self.nothing(request)
        if request.joining or request.going or request.everybody:
            await self.index(request, appended)
        return self._followed(request, appended)

    async def _in_order(self, request: Append) -> Appended | Nothing:
        """Behind everything this instance appended to the room, also where Redis lost that."""
        while True:
            try:
                return await self._log.append(request, self._fates.since(request.room_id))
            except Behind as behind:
                await self._fates.catch_up(request.room_id, behind.epoch)

    def _followed(self, request: Append, appended: Appended) -> Done:
        pending = self._fates.follow(request, appended)
        return Done(appended, pending.done, request.request_id, pending)

    async def known(self, request: Append) -> Done | None:
        """What became of a message that is in the archive; None where it is not."""
        appended = await self._log.stored(request)
        if appended is None:
            return None
        return self._followed(request, appended)

    async def warm(self, room_id: str) -> None:
        """Load a cold room, all that was queued of it included. Raises Unavailable."""
        await self._log.warm(room_id)

    async def change(
        self,
        read: Callable[[], Awaitable[S]],
        make: Callable[[S], Append | None],
        remake: Callable[[], Awaitable[Append | None]],
    ) -> tuple[S, Append | None, Done | None]:
        """Read, decide, append; again from the start when somebody else was faster.

        The state it was decided on, and what was appended: None when nothing had to be. `remake`:
        the same for what was heard and lost, whoever its actor is by then.
        """

        while True:
            state = await read()
            request = make(state)
            if request is None:
                return state, None, None
            try:
                return state, request, await self.append(replace(request, remake=remake))
            except Moved:
                await asyncio.sleep(AGAIN)

    def agree(self, fate: str, holds: Callable[[], Awaitable[bool]] | None) -> Done:
        """Nothing to append: `fate` as soon as a condition holds (None: now)."""
        return Done(None, self._fates.agree(fate, holds))

    def nothing(self, request: Append) -> Done:
        """All is as it was asked for already; `stored` when the table says so too.

        Of a message its reader knows how firm its state is.
        """
        if request.change:
            return self.agree("queued", None)
        states = {one.user_id: "in" for one in request.joining} | dict.fromkeys(
            request.going, "out"
        )

        async def stored() -> bool:
            if request.settings:
                return await self._archive.set(request.room_id, request.actor, request.settings)
            return await self._archive.agrees(request.room_id, states, dict(request.giving))

        return self.agree("stored", stored)

    async def index(self, request: Append, appended: Appended) -> None:
        """Before the ack; the relay does it again, so a failure here is only late, never lost."""
        changes = [
            (user_id, Membership(request.room_id, appended.epoch, offset, _STATES[event.op]))
            for offset, event in appended.written(request)
            if event.op in _STATES and not event.takes_seq
            for user_id in appended.picked[event.op]
        ]
        if not changes:
            return
        try:
            await self._user_rooms.note_all(changes)
        except (RedisError, OSError):
            log.warning("user index is late", extra={"room_id": request.room_id})


class SystemAppends(Appends):
    """The same for operators: the system acts, nobody's membership is asked."""

    async def append(self, request: Append) -> Done:
        """Append and follow. Raises Refusal, Exists, Moved."""
        return await super().append(replace(request, roles=None))
