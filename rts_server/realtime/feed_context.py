"""What the feeds of an instance share: their reads, callbacks and typing indicators."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rts_server.domain.position import Position
from rts_server.realtime.listener import Listener
from rts_server.realtime.typing_countdown import TypingCountdown


class Snapshot(Protocol):
    """The snapshot of a warm room; `members` by requested user, None for non-members."""

    @property
    def position(self) -> Position: ...
    @property
    def members(self) -> Mapping[str, object]: ...


class Missed(Protocol):
    """The events after a position; `events` is None when they are not all available."""

    @property
    def position(self) -> Position | None: ...
    @property
    def events(self) -> list[bytes] | None: ...
    @property
    def is_member(self) -> bool: ...
    @property
    def reaches_head(self) -> bool: ...


class Reads(Protocol):
    """The reads of the room log that a feed needs; None stands for a room that is not in Redis."""

    async def read_many(
        self, asked: Sequence[tuple[str, Sequence[str]]]
    ) -> Sequence[Snapshot | None]: ...
    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str = "", budget: int = ...
    ) -> Sequence[Missed]: ...


@dataclass(frozen=True, slots=True)
class FeedContext:
    """The collaborators of all feeds, in one object: a process has 100,000 feeds.

    Attributes:
        start_task: Starts a coroutine in the background.
        evicted: Called with each listener whose user was removed, and the room's id.
        left: Called with the users who were removed from a room, whether they have a listener or
            not.
        typing_interval: Seconds between two `typing.changed` of a room, at least.
        listeners_of: The listeners of a user on this instance.
        unread_changed: Called with a listener whose count in a room (by id) moved by more than
            others' messages, and must be told.
        typing: The users who are typing, by room id; only of rooms in which somebody is.
    """

    reads: Reads
    start_task: Callable[[Any], Any]
    evicted: Callable[[Listener, str], None] = lambda listener, room_id: None
    left: Callable[[set[str]], None] = lambda user_ids: None
    typing_interval: float = 1.0
    listeners_of: Callable[[str], Collection[Listener]] = lambda user_id: ()
    unread_changed: Callable[[Listener, str], None] = lambda listener, room_id: None
    typing: dict[str, TypingCountdown] = field(default_factory=dict)
