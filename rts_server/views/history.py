"""History: the archive by position and the hot log, merged by message id; one page at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.domain.reactions import shown
from rts_server.persistence.archive import Archive
from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.script import room_script
from rts_server.views.snapshots import Position

_PAGE = room_script(Path(__file__).with_name("page.lua"))
_CHANGED = room_script(Path(__file__).with_name("changed.lua"))
_MESSAGE = room_script(Path(__file__).with_name("message.lua"))

AS_OPERATOR = ""
Message = dict[str, Any]
Direction = Literal["newest", "oldest"]


@dataclass(frozen=True)
class Range:
    """Messages with low < seq < high; `direction` is the end that a page starts from."""

    low: int
    high: int | None
    limit: int
    direction: Direction


@dataclass(frozen=True)
class _Hot:
    """The hot log's part of a range, at the position where membership was checked.

    `top` is the room's seq there; `first` the lowest seq in the hot log, `top` + 1 for none.
    """

    top: int
    starts: list[Position]
    first: int
    messages: list[Message]


@dataclass(frozen=True)
class Current:
    """A message in its newest state, whole; the room's epoch when it was read (0: not warm), and
    whether that state still waits for the queue."""

    message: Message
    epoch: int
    waiting: bool


class History:
    """Reads of messages. Membership is checked at the position the page is bound by; an operator
    asks as nobody (`AS_OPERATOR`), for a room that is known to be there."""

    def __init__(
        self, settings: Settings, redis: Redis | RedisPipeline, archive: Archive, drains: RoomDrains
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._archive = archive
        self._drains = drains

    async def list_page(
        self, room_id: str, user_id: str, asked: dict[str, Any]
    ) -> tuple[list[Message], bool]:
        """The page of a `message.list`: by one of `around_seq`, `after_seq`, `before_seq`."""
        limit = asked["limit"]
        if "around_seq" in asked:
            return await self.around(room_id, user_id, asked["around_seq"], limit)
        if "after_seq" in asked:
            wanted = Range(asked["after_seq"], None, limit, "oldest")
        else:
            wanted = Range(0, asked.get("before_seq"), limit, "newest")
        return await self.page(room_id, user_id, wanted)

    async def page(self, room_id: str, user_id: str, wanted: Range) -> tuple[list[Message], bool]:
        """(messages ascending by seq, whether more lie beyond). Raises NotFound, Unavailable."""
        found = await self._read(room_id, user_id, wanted)
        found = [shown(message) for message in found[: wanted.limit + 1]]
        more = len(found) > wanted.limit
        kept = found[: wanted.limit]
        fitting = fit(kept, self._settings.limits.answer_bytes)
        more = more or len(fitting) < len(kept)
        return (fitting[::-1] if wanted.direction == "newest" else fitting), more

    async def around(
        self, room_id: str, user_id: str, seq: int, limit: int
    ) -> tuple[list[Message], bool]:
        """Half a page on either side of a seq, itself included; more: on either side."""
        before = limit // 2
        older, more_older = await self.page(
            room_id, user_id, Range(0, seq, max(before, 1), "newest")
        )
        newer, more_newer = await self.page(
            room_id, user_id, Range(seq - 1, None, limit - before, "oldest")
        )
        older = older[max(len(older) - before, 0) :]
        half = self._settings.limits.answer_bytes // 2
        kept = fit(older[::-1], half)[::-1] + fit(newer, half)
        cut = len(kept) < len(older) + len(newer)
        return kept, more_older or more_newer or cut

    async def message(self, room_id: str, user_id: str, message_id: str) -> Message:
        """One message in its newest state. Raises NotFound, Unavailable."""
        return shown((await self.current(room_id, user_id, message_id)).message)

    async def current(
        self,
        room_id: str,
        user_id: str,
        message_id: str,
        warm: Callable[[str], Awaitable[None]] | None = None,
    ) -> Current:
        """One message and how firm it is. Raises NotFound, Unavailable.

        `warm` loads a cold room: who is about to change a message decides on what Redis has.
        """
        answer = await self._hot_message(room_id, user_id, message_id)
        if answer[0] not in (b"warm", b"not_found"):
            await (warm or self._drains.settle)(room_id)
            answer = await self._hot_message(room_id, user_id, message_id)
        if answer[0] == b"not_found":
            raise errors.NotFound()
        if answer[0] != b"warm":
            if warm is not None:  # lost again meanwhile
                await self._drains.settle(room_id)
            await self._must_be_member(room_id, user_id)
        epoch = answer[1] if answer[0] == b"warm" else 0
        waiting = False
        if len(answer) > 2:
            found: Message = orjson.loads(answer[3])
            message = found["data"]["message"] if answer[2] == b"new" else found
            waiting = bool(answer[4])
        else:
            message = await self._stored(room_id, message_id)
        if message.get("failed"):
            raise errors.NotFound()
        return Current(message, epoch, waiting)

    async def _hot_message(self, room_id: str, user_id: str, message_id: str) -> Any:
        names = keys.room(room_id)
        return await _MESSAGE.run(
            self._redis, [*names[:9], names.idem(message_id)], [user_id, message_id]
        )

    async def _stored(self, room_id: str, message_id: str) -> Message:
        stored = await self._archive.message(room_id, message_id)
        if stored is None or stored.failed:
            raise errors.NotFound()
        return stored.message

    async def _read(self, room_id: str, user_id: str, wanted: Range) -> list[Message]:
        """At least limit + 1 messages from the wanted end, if there are as many."""
        hot = await self._hot(room_id, user_id, wanted)
        if hot is None:
            await self._drains.settle(room_id)
            hot = await self._hot(room_id, user_id, wanted)  # it may be warm by now
        if hot is None:
            await self._must_be_member(room_id, user_id)
            return await self._archived(room_id, wanted, None)
        found = hot.messages
        high = hot.first if wanted.high is None else min(wanted.high, hot.first)
        older = Range(wanted.low, high, wanted.limit, wanted.direction)
        if wanted.direction == "newest" and len(found) <= wanted.limit and high > 1:
            found = found + await self._archived(room_id, older, hot)
        elif wanted.direction == "oldest" and wanted.low + 1 < high:
            found = await self._archived(room_id, older, hot) + found
        return await self._overlay(room_id, found)

    async def _hot(self, room_id: str, user_id: str, wanted: Range) -> _Hot | None:
        high = "+inf" if wanted.high is None else wanted.high
        answer = await _PAGE.run(
            self._redis,
            keys.room(room_id)[:9],
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

    async def _archived(self, room_id: str, wanted: Range, hot: _Hot | None) -> list[Message]:
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
        """Each message once, in its newest state; what failed is left out."""
        unique = list({message["message_id"]: message for message in found}.values())
        if not unique:
            return []
        ids = [message["message_id"] for message in unique]
        answer = await _CHANGED.run(self._redis, keys.room(room_id)[:9], ids)
        if answer[0] != b"warm":
            return unique
        changed = [orjson.loads(text) if text else None for text in answer[1:]]
        return [
            new or old
            for old, new in zip(unique, changed, strict=True)
            if not (new and new.get("failed"))
        ]


def epoch_of(starts: list[Position], seq: int) -> int:
    """The epoch in which a seq was given: the last that began below it."""
    return max((epoch for epoch, start in starts if start < seq), default=0)


def fit(messages: list[Message], budget: int) -> list[Message]:
    """As many messages from the front as an answer of `budget` bytes holds, at least one."""
    size = 0
    for i, message in enumerate(messages):
        size += len(orjson.dumps(message)) + 1
        if size > budget and i:
            return messages[:i]
    return messages
