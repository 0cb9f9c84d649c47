"""Requests, results and fakes of the collaborators of the durability tracker and of replays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from rts_server.config import Settings
from rts_server.persistence.archive import Archive, Check
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.durability import DurabilityTracker
from rts_server.roomlog.membership_index import MembershipIndex
from rts_server.roomlog.pending import Durability, PendingAppend, Recorded
from rts_server.roomlog.recorded import RecordedDurability
from rts_server.roomlog.replay import AppendReplay
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp


def request(request_id: str, room_id: str = "room", **more: Any) -> AppendRequest:
    """An append without events."""
    return AppendRequest(room_id, request_id, (), **more)


def result(epoch: int, offset: int, *entries: str, settings_rev: int = 0) -> AppendResult:
    """The result of an append at a position, with these outbox entries."""
    ids = frozenset(entries)
    return AppendResult(epoch, offset, 0, "", ids, {}, "pending", settings_rev=settings_rev)


def pending_append(asked: AppendRequest, epoch: int, offset: int, *entries: str) -> PendingAppend:
    """An append as it is tracked."""
    appended = result(epoch, offset, *entries)
    durability: asyncio.Future[Durability] = asyncio.get_running_loop().create_future()
    pending = PendingAppend(asked, appended, durability, set(entries))
    pending.first_position = appended.position
    return pending


class FakeRecorded:
    """What Redis has of each append, by request id; `lost` unless told otherwise."""

    def __init__(self) -> None:
        self.known: dict[str, Recorded] = {}

    async def read(self, pendings: Sequence[PendingAppend]) -> list[Recorded]:
        """As RecordedDurability.read."""
        return [self.known.get(one.request.request_id, "lost") for one in pendings]

    read_late = read_once_redis_answers = read


class FakeReplay:
    """Replays by a function; notes the request ids in their order."""

    def __init__(self, replay: Callable[[AppendRequest, int], Any]) -> None:
        self._replay = replay
        self.replayed: list[str] = []

    async def replay(self, asked: AppendRequest, pending: PendingAppend, max_epoch: int) -> Any:
        """As AppendReplay.replay; an exception is raised."""
        self.replayed.append(asked.request_id)
        answer = self._replay(asked, max_epoch)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeIndex:
    """Notes the ids of the requests that were written."""

    def __init__(self) -> None:
        self.written: list[str] = []

    async def write(self, asked: AppendRequest, appended: AppendResult) -> None:
        """As MembershipIndex.write."""
        self.written.append(asked.request_id)


class FakeArchive:
    """Answers each read with the next of a list; the last one stays."""

    def __init__(self, *looks: tuple[int, bool]) -> None:
        self._looks = list(looks)
        self.messages: set[str] = set()

    async def read_epoch_and_check(self, room_id: str, checks: Sequence[Check]) -> tuple[int, bool]:
        """As Archive.read_epoch_and_check."""
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    async def all_stored(self, checks: Sequence[Check]) -> bool:
        """As Archive.all_stored: nothing is."""
        return False

    async def message(self, room_id: str, message_id: str) -> Any:
        """As Archive.message: some object for a stored message."""
        return object() if message_id in self.messages else None


class FakeAppender:
    """Answers each append with the next of a list, an exception is raised; notes the requests."""

    def __init__(self, *answers: AppendResult | NoOp | Exception) -> None:
        self._answers = list(answers)
        self.appended: list[AppendRequest] = []

    async def append(self, asked: AppendRequest, max_epoch: int = 0) -> AppendResult | NoOp:
        """As Appender.append."""
        self.appended.append(asked)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def replay_with(appender: FakeAppender, archive: FakeArchive | None = None) -> AppendReplay:
    """A replay with fake collaborators."""
    kept = archive or FakeArchive((0, False))
    return AppendReplay(cast("Archive", kept), cast("Appender", appender))


def tracker_with(
    replay: Callable[[AppendRequest, int], Any] = lambda asked, max_epoch: "failed",
    archive: FakeArchive | None = None,
    **settings: Any,
) -> tuple[DurabilityTracker, FakeRecorded, FakeReplay, FakeIndex]:
    """A tracker with fake collaborators; it polls only when it was started."""
    recorded, replays, index = FakeRecorded(), FakeReplay(replay), FakeIndex()
    tracker = DurabilityTracker(
        Settings(jwt_secret="x", **settings),
        cast("RecordedDurability", recorded),
        cast("Archive", archive or FakeArchive((0, True))),
        replay=cast("AppendReplay", replays),
        index=cast("MembershipIndex", index),
    )
    return tracker, recorded, replays, index
