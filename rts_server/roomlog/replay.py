"""One lost append made again: under its own id, without what a newer wish was answered about."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from redis.exceptions import RedisError

from rts_server import errors
from rts_server.persistence.archive import Archive
from rts_server.roomlog.log import RoomExists, RoomLog, StaleVersion
from rts_server.roomlog.pending import Durability
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp
from rts_server.roomlog.superseded import Target, places, targets, without

log = logging.getLogger(__name__)

AGAIN = 0.25
"""Seconds between two tries."""

Place = tuple[int, int]
Made = tuple[AppendRequest, AppendResult]


class AppendReplay:
    """Appends that were heard and lost; they come back whatever their actors are by now."""

    def __init__(self, archive: Archive, room_log: RoomLog) -> None:
        self._archive = archive
        self._log = room_log

    async def repeat(self, request: AppendRequest, place: Place) -> Made | Durability:
        """What was appended, by which request; or the fate where nothing more is to be done.

        `place`: (epoch, offset) where it was lost. What a newer wish was answered about is left
        out: by the table here, where it shows an epoch between, and by the script, which knows
        what was answered in the present one. Tried until it is in or can never be.
        """
        again = _as_heard(request, place)
        while True:
            try:
                left = without(again, await self._newer(again, place))
                if left is None:
                    return good(again)
                again = left
                appended = await self._log.append(again)
                return good(again) if isinstance(appended, NoOp) else (again, appended)
            except StaleVersion:
                made = await self._remade(again)
                if isinstance(made, str):
                    return made
                again = _as_heard(made, place)
            except RoomExists as met:
                return "stored" if met.is_member else "failed"
            except errors.Refusal as refusal:
                if not refusal.retryable:
                    told = {"room_id": again.room_id, "request_id": again.request_id}
                    log.error("a lost append is refused", extra=told | {"why": refusal.code})
                    return "failed"
            await asyncio.sleep(AGAIN)

    async def _newer(self, request: AppendRequest, place: Place) -> set[Target]:
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

    async def _remade(self, request: AppendRequest) -> AppendRequest | Durability:
        """The same wish, built on what is there now; the fate when that is its end."""
        assert request.remake is not None
        try:
            made = await request.remake()
        except errors.Refusal as refusal:
            return request if refusal.retryable else "failed"
        except (RedisError, OSError):
            return request
        if made is None:
            return good(request)
        return dataclasses.replace(made, remake=request.remake)


def good(request: AppendRequest) -> Durability:
    """How well it ends when nothing is left to do: rooms and members are `stored`."""
    return "stored" if targets(request) else "queued"


def _from(epoch: int) -> str:
    return f"{epoch:010d}#"


def _as_heard(request: AppendRequest, place: Place) -> AppendRequest:
    return dataclasses.replace(request, roles=None, again=place)
