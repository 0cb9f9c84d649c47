"""One lost append made again: under its own id, without what a newer wish was answered about."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from redis.exceptions import RedisError

from rts_server import errors
from rts_server.persistence.archive import Archive
from rts_server.rooms.append import Append, Appended, Nothing
from rts_server.rooms.log import Exists, Moved, RoomLog
from rts_server.rooms.overtaken import (
    Target,
    as_said,
    is_line,
    only_lines,
    only_members,
    places,
    targets,
    without,
)
from rts_server.rooms.pending import Fate, Pending

log = logging.getLogger(__name__)

AGAIN = 0.25
"""Seconds between two tries."""

Place = tuple[int, int]
Made = tuple[Append, Appended]


class Missing(Exception):
    """What it is about is not there: perhaps another instance lost it, and makes it again.

    `room`: the room is not; nothing else can be appended to it either.
    """

    def __init__(self, *, room: bool) -> None:
        super().__init__("what it is about is not there")
        self.room = room


class Repeats:
    """Appends that were heard and lost; they come back whatever their actors are by now."""

    def __init__(self, archive: Archive, room_log: RoomLog) -> None:
        self._archive = archive
        self._log = room_log

    async def repeat(self, request: Append, pending: Pending, since: int = 0) -> Made | Fate:
        """What was appended, by which request; or the fate where nothing more is to be done.

        What a newer wish was answered about is left out: by the table here, where it shows an epoch
        between, and by the script, which knows what was answered in the present one. Tried until it
        is in or can never be. Raises Missing; Behind in a later epoch than `since` (0: in none).
        """
        again = as_said(_as_heard(request, pending.heard), pending.appended.picked)
        while True:
            try:
                return await self._once(again, pending, since)
            except Moved:
                made = await self._remade(again, pending.good)
                if isinstance(made, str):
                    return made
                again = _as_heard(made, pending.heard)
            except Exists:  # the half of it that was queued, or somebody's creation since
                members = only_members(again)
                if members is None:
                    return pending.good
                again = members
            except errors.NotFound:
                raise Missing(room=True) from None
            except errors.Refusal as refusal:
                if not refusal.retryable:
                    told = {"room_id": again.room_id, "request_id": again.request_id}
                    log.error("a lost append is refused", extra=told | {"why": refusal.code})
                    return "failed"
            await asyncio.sleep(AGAIN)

    async def _once(self, again: Append, pending: Pending, since: int) -> Made | Fate:
        """Half of it may have been queued: its lines are appended unless the archive has them."""
        again = await self._unsaid(again)
        left = without(again, await self._newer(again, pending.place))
        if left is not None:
            appended = await self._log.append(left, since)
            if not isinstance(appended, Nothing):
                return left, appended
        lines = only_lines(again)
        if lines is None:
            return pending.good
        appended = await self._log.append(lines, since)
        return pending.good if isinstance(appended, Nothing) else (lines, appended)

    async def _unsaid(self, request: Append) -> Append:
        """Without the lines about members that the archive has, once all that was queued is in."""
        lines = [event for event in request.events if is_line(event)]
        if not lines:
            return request
        await self._log.warm(request.room_id)
        ids = [event.data["message"]["message_id"] for event in lines]
        found = await asyncio.gather(*(self._archive.message(request.room_id, one) for one in ids))
        said = [line for line, stored in zip(lines, found, strict=True) if stored is not None]
        return dataclasses.replace(
            request, events=tuple(e for e in request.events if e not in said)
        )

    async def _newer(self, request: Append, place: Place) -> set[Target]:
        """What the table has of an epoch between, by whomever. Raises Unavailable.

        What it has of the present epoch may be a repetition too; the script knows those ranks.
        """
        newer = set()
        for target in targets(request):
            for where in places(target):
                if await self._is_between(request.room_id, where, place[0]):
                    newer.add(target)
        return newer

    async def _is_between(self, room_id: str, where: tuple[str, str], lost: int) -> bool:
        present, later = await self._archive.look(room_id, [(room_id, *where, _from(lost + 1))])
        if not later or present <= lost + 1:
            return False
        return not await self._archive.stored([(room_id, *where, _from(present))])

    async def _remade(self, request: Append, good: Fate) -> Append | Fate:
        """The same wish, built on what is there now; the fate when that is its end."""
        assert request.remake is not None
        try:
            made = await request.remake()
        except errors.NotFound:
            raise Missing(room=request.change is None) from None
        except errors.Refusal as refusal:
            return request if refusal.retryable else "failed"
        except (RedisError, OSError):
            return request
        if made is None:
            return good
        return dataclasses.replace(made, remake=request.remake)


def _from(epoch: int) -> str:
    return f"{epoch:010d}#"


def _as_heard(request: Append, place: Place) -> Append:
    return dataclasses.replace(request, roles=None, again=place)
