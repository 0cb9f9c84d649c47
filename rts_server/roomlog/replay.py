"""Replay of an append that Redis lost: under its own id, without what was superseded since."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from redis.exceptions import RedisError

from rts_server import errors
from rts_server.persistence.archive import Archive
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.pending import Durability
from rts_server.roomlog.refusals import RoomExists, StaleVersion
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp
from rts_server.roomlog.superseded import Target, item_attributes, targets, without

log = logging.getLogger(__name__)

REPLAY_RETRY_SECONDS = 0.25

Position = tuple[int, int]
Replayed = tuple[AppendRequest, AppendResult]


class AppendReplay:
    """Replays appends that were accepted and lost (D2), whatever their actors may do by now."""

    def __init__(self, archive: Archive, appender: Appender) -> None:
        self._archive = archive
        self._appender = appender

    async def replay(self, request: AppendRequest, lost_at: Position) -> Replayed | Durability:
        """Append the request again, until it is in or can never be.

        What a later acknowledged command decided is left out (D8): by the archive, where it shows
        an epoch between the lost one and the present; by the script, which knows what was
        acknowledged in the present epoch.

        Args:
            lost_at: (epoch, offset) at which the append was lost.

        Returns:
            The request as it was appended and its result; or the durability, if nothing is left
            to append.
        """
        request = _as_replay(request, lost_at)
        while True:
            try:
                left = without(request, await self._superseded(request, lost_at))
                if left is None:
                    return final_durability(request)
                request = left
                result = await self._appender.append(request)
                if isinstance(result, NoOp):
                    return final_durability(request)
                return request, result
            except StaleVersion:
                rebuilt = await self._rebuild(request)
                if isinstance(rebuilt, str):
                    return rebuilt
                request = _as_replay(rebuilt, lost_at)
            except RoomExists as met:
                return "stored" if met.is_member else "failed"
            except errors.Refusal as refusal:
                if not refusal.retryable:
                    ids = {"room_id": request.room_id, "request_id": request.request_id}
                    log.error("a lost append is refused", extra=ids | {"why": refusal.code})
                    return "failed"
            await asyncio.sleep(REPLAY_RETRY_SECONDS)

    async def _superseded(self, request: AppendRequest, lost_at: Position) -> set[Target]:
        """Targets that somebody changed in an epoch between the lost and the present one.

        What the archive has of the present epoch may be a replay as well; the script ranks those.
        Raises Unavailable.
        """
        superseded = set()
        for target in targets(request):
            for attribute in item_attributes(target):
                if await self._changed_between(request.room_id, attribute, lost_at[0]):
                    superseded.add(target)
        return superseded

    async def _changed_between(
        self, room_id: str, attribute: tuple[str, str], lost_epoch: int
    ) -> bool:
        after = (room_id, *attribute, _position_prefix(lost_epoch + 1))
        present, later = await self._archive.look(room_id, [after])
        if not later or present <= lost_epoch + 1:
            return False
        return not await self._archive.stored([(room_id, *attribute, _position_prefix(present))])

    async def _rebuild(self, request: AppendRequest) -> AppendRequest | Durability:
        """The request built anew on the present state; its durability if nothing is left to do."""
        assert request.rebuild is not None
        try:
            rebuilt = await request.rebuild()
        except errors.Refusal as refusal:
            return request if refusal.retryable else "failed"
        except (RedisError, OSError):
            return request
        if rebuilt is None:
            return final_durability(request)
        return dataclasses.replace(rebuilt, rebuild=request.rebuild)


def final_durability(request: AppendRequest) -> Durability:
    """The durability of a request that has nothing left to do: `stored` for rooms and members."""
    return "stored" if targets(request) else "queued"


def _position_prefix(epoch: int) -> str:
    return f"{epoch:010d}#"


def _as_replay(request: AppendRequest, lost_at: Position) -> AppendRequest:
    return dataclasses.replace(request, roles=None, replay_of=lost_at)
