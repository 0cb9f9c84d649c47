"""Message history: pages merged from the archive and the hot log by message id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import orjson
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.domain.byte_budget import fitting_items
from rts_server.domain.position import Position
from rts_server.domain.reactions import shown
from rts_server.persistence.archive import Archive
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.script import RESULTS, room_script
from rts_server.types.objects import Message

_PAGE = room_script(Path(__file__).with_name("page.lua"))
_CHANGED = room_script(Path(__file__).with_name("changed.lua"))
_MESSAGE = room_script(RESULTS, Path(__file__).with_name("message.lua"))

AS_OPERATOR = ""
"""Instead of a user id: membership is not checked. The room must be known to exist."""
Direction = Literal["newest", "oldest"]


class PageQuery(TypedDict):
    """The page that a `message.list` asks for: `limit`, and at most one of the bounds."""

    before_seq: NotRequired[int]
    after_seq: NotRequired[int]
    around_seq: NotRequired[int]
    limit: int


@dataclass(frozen=True)
class SeqRange:
    """Messages with low < seq < high, at most `limit`, counted from the `direction` end."""

    low: int
    high: int | None
    limit: int
    direction: Direction


@dataclass(frozen=True)
class _Hot:
    """The part of a range that the hot log has, read in the same step as the membership.

    `top`: the room's seq. `first`: the lowest seq in the hot log, `top` + 1 if it holds none.
    `starts`: (epoch, seq before its first message) of each epoch.
    """

    top: int
    starts: list[Position]
    first: int
    messages: list[Message]


@dataclass(frozen=True)
class MessageState:
    """A message in its newest state, with all users of its reactions.

    `epoch`: the room's epoch when it was read, 0 if the room is not warm. `waiting`: this state is
    still in the outbox, not yet queued.
    """

    message: Message
    epoch: int
    waiting: bool


class History:
    """Reads messages of a room for one of its members, or for an operator (`AS_OPERATOR`).

    Membership is checked in the step that reads the hot log (A1). All methods raise NotFound for
    users who are not members, and Unavailable if the archive or the queue is.
    """

    def __init__(
        self, settings: Settings, redis: Redis | CommandPipe, archive: Archive, drains: RoomDrains
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._archive = archive
        self._drains = drains

    async def list_page(
        self, room_id: str, user_id: str, query: PageQuery
    ) -> tuple[list[Message], bool]:
        """The page of a `message.list`.

        Returns (messages ascending by seq, whether there are more).
        """
        limit = query["limit"]
        if "around_seq" in query:
            return await self.around(room_id, user_id, query["around_seq"], limit)
        if "after_seq" in query:
            wanted = SeqRange(query["after_seq"], None, limit, "oldest")
        else:
            wanted = SeqRange(0, query.get("before_seq"), limit, "newest")
        return await self.page(room_id, user_id, wanted)

    async def page(
        self, room_id: str, user_id: str, wanted: SeqRange
    ) -> tuple[list[Message], bool]:
        """Returns (messages ascending by seq, whether the range holds more)."""
        found = await self._read(room_id, user_id, wanted)
        found = [shown(message) for message in found[: wanted.limit + 1]]
        more = len(found) > wanted.limit
        kept = found[: wanted.limit]
        fitting = fitting_items(kept, self._settings.limits.answer_bytes)
        more = more or len(fitting) < len(kept)
        return (fitting[::-1] if wanted.direction == "newest" else fitting), more

    async def around(
        self, room_id: str, user_id: str, seq: int, limit: int
    ) -> tuple[list[Message], bool]:
        """Half a page on either side of a seq, which is included.

        Returns (messages ascending by seq, whether there are more on either side).
        """
        before = limit // 2
        older, more_older = await self.page(
            room_id, user_id, SeqRange(0, seq, max(before, 1), "newest")
        )
        newer, more_newer = await self.page(
            room_id, user_id, SeqRange(seq - 1, None, limit - before, "oldest")
        )
        older = older[max(len(older) - before, 0) :]
        half = self._settings.limits.answer_bytes // 2
        kept = fitting_items(older[::-1], half)[::-1] + fitting_items(newer, half)
        cut = len(kept) < len(older) + len(newer)
        return kept, more_older or more_newer or cut

    async def message(self, room_id: str, user_id: str, message_id: str) -> Message:
        """One message in its newest state, as clients see it."""
        return shown((await self.current(room_id, user_id, message_id)).message)

    async def current(
        self,
        room_id: str,
        user_id: str,
        message_id: str,
        warm: Callable[[str], Awaitable[None]] | None = None,
    ) -> MessageState:
        """One message in its newest state, with what a change needs to know.

        `warm`: loads a cold room before the read, for callers that are about to change the message:
        a change must be decided on the state Redis has, not on an older one in the archive.
        """
        answer = await self._hot_message(room_id, user_id, message_id)
        if answer[0] not in (b"warm", b"not_found"):
            await (warm or self._drains.wait_settled)(room_id)
            answer = await self._hot_message(room_id, user_id, message_id)
        if answer[0] == b"not_found":
            raise errors.NotFound()
        if answer[0] != b"warm":
            if warm is not None:  # the room became cold again meanwhile
                await self._drains.wait_settled(room_id)
            await self._must_be_member(room_id, user_id)
        epoch = answer[1] if answer[0] == b"warm" else 0
        waiting = False
        if len(answer) > 2:
            found = orjson.loads(answer[3])
            message: Message = found["data"]["message"] if answer[2] == b"new" else found
            waiting = bool(answer[4])
        else:
            message = await self._stored(room_id, message_id)
        if message.get("failed"):
            raise errors.NotFound()
        return MessageState(message, epoch, waiting)

    async def _hot_message(self, room_id: str, user_id: str, message_id: str) -> Any:
        names = keys.room(room_id)
        return await _MESSAGE.evaluate(
            self._redis, [*names.script_keys, names.idem(message_id)], [user_id, message_id]
        )

    async def _stored(self, room_id: str, message_id: str) -> Message:
        stored = await self._archive.message(room_id, message_id)
        if stored is None or stored.failed:
            raise errors.NotFound()
        return stored.message

    async def _read(self, room_id: str, user_id: str, wanted: SeqRange) -> list[Message]:
        """At least limit + 1 messages from the wanted end, if there are as many.

        The order of the reads keeps D9: the hot log first, then the archive, then changed states.
        What leaves the hot log between the first two is in the archive, as it was queued before.
        """
        hot = await self._hot(room_id, user_id, wanted)
        if hot is None:
            await self._drains.wait_settled(room_id)
            hot = await self._hot(
                room_id, user_id, wanted
            )  # another instance may have loaded it meanwhile
        if hot is None:
            await self._must_be_member(room_id, user_id)
            return await self._archived(room_id, wanted, None)
        found = hot.messages
        high = hot.first if wanted.high is None else min(wanted.high, hot.first)
        older = SeqRange(wanted.low, high, wanted.limit, wanted.direction)
        if wanted.direction == "newest" and len(found) <= wanted.limit and high > 1:
            found = found + await self._archived(room_id, older, hot)
        elif wanted.direction == "oldest" and wanted.low + 1 < high:
            found = await self._archived(room_id, older, hot) + found
        return await self._overlay(room_id, found)

    async def _hot(self, room_id: str, user_id: str, wanted: SeqRange) -> _Hot | None:
        high = "+inf" if wanted.high is None else wanted.high
        answer = await _PAGE.evaluate(
            self._redis,
            keys.room(room_id).script_keys,
            [user_id, wanted.low, high, wanted.limit + 1, wanted.direction],
        )
        if answer[0] == b"not_found":
            raise errors.NotFound()
        if answer[0] != b"warm":
            return None
        _, _, top, starts, first, *texts = answer
        messages = [orjson.loads(text)["data"]["message"] for text in texts]
        return _Hot(top, [(e, s) for e, s in orjson.loads(starts)], first or top + 1, messages)

    async def _must_be_member(self, room_id: str, user_id: str) -> None:
        if user_id == AS_OPERATOR:
            return
        member = await self._archive.member(room_id, user_id)
        if member is None or member.state != "in":
            raise errors.NotFound()

    async def _archived(self, room_id: str, wanted: SeqRange, hot: _Hot | None) -> list[Message]:
        starts = hot.starts if hot else await self._starts(room_id)
        low, high = wanted.low, wanted.high
        return await self._archive.page(
            room_id,
            low=(epoch_of(starts, low), low) if low else None,
            high=None if high is None else (epoch_of(starts, high - 1), high),
            limit=wanted.limit + 1,
            newest_first=wanted.direction == "newest",
        )

    async def _starts(self, room_id: str) -> list[Position]:
        stored = await self._archive.room(room_id)
        return stored.starts if stored else []

    async def _overlay(self, room_id: str, found: list[Message]) -> list[Message]:
        """Each message once, in its newest state; messages that failed are left out."""
        unique = list({message["message_id"]: message for message in found}.values())
        if not unique:
            return []
        ids = [message["message_id"] for message in unique]
        answer = await _CHANGED.evaluate(self._redis, keys.room(room_id).script_keys, ids)
        if answer[0] != b"warm":
            return unique
        changed = [orjson.loads(text) if text else None for text in answer[1:]]
        return [
            new or old
            for old, new in zip(unique, changed, strict=True)
            if not (new and new.get("failed"))
        ]


def epoch_of(starts: list[Position], seq: int) -> int:
    """The epoch in which a seq was allocated: the last one that began below it."""
    return max((epoch for epoch, start in starts if start < seq), default=0)
