"""Replay of an append that Redis lost: under its own id, without what was superseded since."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging

from redis.exceptions import RedisError

from rts_server import errors
from rts_server.domain.position import Position
from rts_server.persistence.archive import Archive
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.pending import Durability, PendingAppend
from rts_server.roomlog.refusals import PartlySuperseded, RoomExists, StaleVersion
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp
from rts_server.roomlog.room_events import empty_append
from rts_server.roomlog.superseded import (
    Target,
    item_attributes,
    only_lines,
    only_new_members,
    system_messages,
    targets,
    with_first_names,
    with_lines_of,
    without,
    without_intents,
)

log = logging.getLogger(__name__)

REPLAY_RETRY_SECONDS = 0.25

Replayed = tuple[AppendRequest, AppendResult]


class TargetMissing(Exception):
    """The message or room of a lost append is not there: its origin may still replay it.

    `room`: the room itself is missing, so nothing else can be appended to it either.
    """

    def __init__(self, *, room: bool) -> None:
        super().__init__("the target of a lost append is missing")
        self.room = room


class AppendReplay:
    """Replays appends that were accepted and lost (D2), whatever their actors may do by now."""

    def __init__(self, archive: Archive, appender: Appender) -> None:
        self._archive = archive
        self._appender = appender

    async def replay(
        self, request: AppendRequest, pending: PendingAppend, max_epoch: int = 0
    ) -> Replayed | Durability:
        """Append the request again, until it is in or can never be.

        What a later acknowledged command decided is left out (D8): by the archive, where it shows
        an epoch between the lost one and the present; by the script, which knows what was
        acknowledged in the present epoch. The script leaves out single fields. The archive has one
        position per item, so there a later change of one field leaves out all fields of the item.

        Args:
            pending: the lost append; `first_position` ranks it.
            max_epoch: append nothing in a later epoch; 0 for any.

        Returns:
            The request as it was appended and its result; or the durability, if nothing is left
            to append.

        Raises:
            TargetMissing: the message or the room it is about is not there.
            EpochAdvanced: the room is in a later epoch than `max_epoch`.
        """
        request = _as_replay(request, pending.first_position)
        request = with_first_names(request, pending.result.affected)
        while True:
            try:
                return await self._append(request, pending, max_epoch)
            except (StaleVersion, PartlySuperseded) as stale:
                superseded = stale.intents if isinstance(stale, PartlySuperseded) else frozenset()
                rebuilt = await self._rebuild(request, superseded, pending.on_success)
                if isinstance(rebuilt, str):
                    return rebuilt
                request = _as_replay(rebuilt, pending.first_position)
            except RoomExists:  # the half of it that was queued, or somebody's creation since
                members = only_new_members(request)
                if members is None:
                    return pending.on_success
                request = members
            except errors.NotFound:
                raise TargetMissing(room=True) from None
            except errors.Refusal as refusal:
                if not refusal.retryable:
                    ids = {"room_id": request.room_id, "request_id": request.request_id}
                    log.error("a lost append is refused", extra=ids | {"why": refusal.code})
                    return "failed"
            await asyncio.sleep(REPLAY_RETRY_SECONDS)

    async def _append(
        self, request: AppendRequest, pending: PendingAppend, max_epoch: int
    ) -> Replayed | Durability:
        """Append what is missing of a request: half of it may have been queued before the loss."""
        request = await self._without_stored_lines(request)
        left = without(request, await self._superseded(request, pending.result.position))
        if left is not None:
            result = await self._appender.append(left, max_epoch)
            if not isinstance(result, NoOp):
                return left, result
        lines = only_lines(request)
        if lines is None:
            return pending.on_success
        result = await self._appender.append(lines, max_epoch)
        return pending.on_success if isinstance(result, NoOp) else (lines, result)

    async def _without_stored_lines(self, request: AppendRequest) -> AppendRequest:
        """Leave out the system messages that the archive has.

        The room is loaded first: only then does the archive have all that was queued.
        """
        lines = system_messages(request)
        if not lines:
            return request
        with contextlib.suppress(errors.NotFound):
            await self._appender.append(empty_append(request.room_id))
        ids = [line.message["message_id"] for line in lines]
        found = await asyncio.gather(*(self._archive.message(request.room_id, one) for one in ids))
        stored = [line for line, item in zip(lines, found, strict=True) if item is not None]
        kept = tuple(event for event in request.events if event not in stored)
        return dataclasses.replace(request, events=kept)

    async def _superseded(self, request: AppendRequest, first_position: Position) -> set[Target]:
        """Targets that somebody changed in an epoch between the lost and the present one.

        What the archive has of the present epoch may be a replay as well; the script ranks those.
        Raises Unavailable.
        """
        superseded = set()
        for target in targets(request):
            for attribute in item_attributes(target):
                if await self._changed_between(request.room_id, attribute, first_position[0]):
                    superseded.add(target)
        return superseded

    async def _changed_between(
        self, room_id: str, attribute: tuple[str, str], lost_epoch: int
    ) -> bool:
        after = (room_id, *attribute, _position_prefix(lost_epoch + 1))
        present, later = await self._archive.read_epoch_and_check(room_id, [after])
        if not later or present <= lost_epoch + 1:
            return False
        return not await self._archive.all_stored(
            [(room_id, *attribute, _position_prefix(present))]
        )

    async def _rebuild(
        self, request: AppendRequest, superseded: frozenset[str], on_success: Durability
    ) -> AppendRequest | Durability:
        """The request without superseded intents, built anew on the present state.

        Its durability if nothing is left to do. If the state cannot be read, it is the request with
        all its intents: the script refuses it once more.
        """
        if request.rebuild is None:
            return without_intents(request, superseded)
        try:
            left = [intent for intent in request.intents if intent not in superseded]
            rebuilt = await request.rebuild(left)
        except errors.NotFound:
            raise TargetMissing(room=request.change is None) from None
        except errors.Refusal as refusal:
            return request if refusal.retryable else "failed"
        except (RedisError, OSError):
            return request
        if rebuilt is None:
            return on_success
        return dataclasses.replace(with_lines_of(rebuilt, request), rebuild=request.rebuild)


def _position_prefix(epoch: int) -> str:
    return f"{epoch:010d}#"


def _as_replay(request: AppendRequest, first_position: Position) -> AppendRequest:
    return dataclasses.replace(request, roles=None, replay_of=first_position)
