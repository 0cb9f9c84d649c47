"""The room log as commands use it: append, index the memberships, follow the durability."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from rts_server import errors
from rts_server.persistence.archive import Archive
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.durability import DurabilityTracker
from rts_server.roomlog.membership_index import MembershipIndex
from rts_server.roomlog.pending import Durability
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.refusals import EpochAdvanced, StaleVersion
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp, Rebuild
from rts_server.roomlog.room_events import empty_append

STALE_RETRY_SECONDS = 0.01
"""Seconds until a change is built anew on what somebody else changed first."""

S = TypeVar("S")


class RoomLog:
    """The only way into the logs of rooms. Every request is safe to repeat (D7)."""

    def __init__(
        self,
        appender: Appender,
        tracker: DurabilityTracker,
        index: MembershipIndex,
        archive: Archive,
    ) -> None:
        self._appender = appender
        self._tracker = tracker
        self._index = index
        self._archive = archive

    async def append(self, request: AppendRequest) -> PendingWrite:
        """Append the request and follow its durability.

        Raises:
            Refusal: the room log refused it.
            RoomExists, StaleVersion: see `Appender.append`.
        """
        # First: what cannot be tracked must not be appended.
        self._tracker.check_capacity()
        result = await self._append_after_replay(request)
        if isinstance(result, NoOp):
            return self.no_op(request)
        if request.moves_members:
            # Before the ack: the user's next room.list, on any instance, has the room (D9).
            await self._index.write(request, result)
        return self._tracked(request, result)

    async def _append_after_replay(self, request: AppendRequest) -> AppendResult | NoOp:
        """Append behind everything this instance appended to the room before.

        A new epoch may have lost some of that: it is replayed first, or a later message of the
        same sender would overtake it (D3).
        """
        while True:
            try:
                max_epoch = self._tracker.verified_epoch(request.room_id)
                return await self._appender.append(request, max_epoch)
            except EpochAdvanced as advanced:
                await self._tracker.replay_lost(request.room_id, advanced.epoch)

    def _tracked(self, request: AppendRequest, result: AppendResult) -> PendingWrite:
        pending = self._tracker.track(request, result)
        return PendingWrite(result, pending.durability, request.request_id, pending)

    async def find(self, request: AppendRequest) -> PendingWrite | None:
        """The first result of a message that is in the archive; None if it is not.

        Raises:
            Conflict, Unavailable: see `Appender.stored`.
        """
        result = await self._appender.stored(request)
        return None if result is None else self._tracked(request, result)

    async def load_if_cold(self, room_id: str) -> None:
        """Load a cold room, with everything that was queued for it; a missing room stays missing.

        Raises:
            Unavailable: it could not be loaded in time.
        """
        with contextlib.suppress(errors.NotFound):  # a deleted room says so too, once it is loaded
            await self._appender.append(empty_append(room_id))

    async def change(
        self,
        read: Callable[[], Awaitable[S]],
        build: Callable[[S], AppendRequest | None],
        rebuild: Rebuild,
    ) -> tuple[S, AppendRequest | None, PendingWrite | None]:
        """Read a state, build a request on it, and append; start again if the state was stale.

        Args:
            rebuild: see `AppendRequest`; it does not check again what the actor may do.

        Returns:
            The state, the request built on it, and the append; None for both where `build` found
            nothing to do.
        """

        while True:
            state = await read()
            request = build(state)
            if request is None:
                return state, None, None
            try:
                return state, request, await self.append(replace(request, rebuild=rebuild))
            except StaleVersion:
                await asyncio.sleep(STALE_RETRY_SECONDS)

    def resolve_when(
        self, durability: Durability, condition: Callable[[], Awaitable[bool]] | None
    ) -> PendingWrite:
        """A write that appended nothing; it has `durability` once `condition` holds (None: now)."""
        return PendingWrite(None, self._tracker.resolve_when(durability, condition))

    def no_op(self, request: AppendRequest) -> PendingWrite:
        """A write of what was so already: `stored` once the archive shows the same.

        For a message it is `queued` at once: `Messages` waits for the state that it read.
        """
        if request.change:
            return self.resolve_when("queued", None)
        members = {one.user_id: "in" for one in request.new_members}
        members |= dict.fromkeys(request.removals, "out")

        async def is_stored() -> bool:
            if request.room_change:
                stored = await self._archive.room(request.room_id)
                version = request.room_change["version"]
                return bool(stored and stored.room and stored.room["version"] >= version)
            if request.settings:
                return await self._archive.settings_match(
                    request.room_id, request.actor, request.settings
                )
            roles = dict(request.role_changes)
            return await self._archive.memberships_match(request.room_id, members, roles)

        return self.resolve_when("stored", is_stored)


class SystemRoomLog(RoomLog):
    """The room log for operators: the system acts, so no membership or role is checked."""

    async def append(self, request: AppendRequest) -> PendingWrite:
        """See `RoomLog.append`."""
        return await super().append(replace(request, roles=None))
