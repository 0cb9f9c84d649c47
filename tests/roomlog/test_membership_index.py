"""The memberships that an append writes into the user index."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from rts_server.persistence.user_rooms import IndexedMembership, State, UserRooms
from rts_server.roomlog import member_events
from rts_server.roomlog.membership_index import MembershipIndex
from rts_server.roomlog.request import AppendRequest, AppendResult, Op


class NotedRooms(UserRooms):
    """A user index that keeps what is noted, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.noted: list[tuple[str, IndexedMembership]] = []
        self.calls = 0
        self._error = error

    async def note_all(self, changes: list[tuple[str, IndexedMembership]]) -> None:
        """Keep the changes of one round trip."""
        self.calls += 1
        if self._error is not None:
            raise self._error
        self.noted += changes


def result(offset: int, **affected: tuple[str, ...]) -> AppendResult:
    """The result of an append whose last event has this offset."""
    ops: dict[Op, tuple[str, ...]] = {}
    for op in ("join", "go", "role"):
        if op in affected:
            ops[op] = affected[op]
    return AppendResult(2, offset, 7, "", frozenset(), ops, "pending")


async def noted(request: AppendRequest, done: AppendResult) -> list[tuple[str, int, State]]:
    """(user, offset, state) of the memberships that an append notes in room `r`."""
    rooms = NotedRooms()
    await MembershipIndex(rooms).write(request, done)
    assert {(one.room_id, one.epoch) for _, one in rooms.noted} <= {("r", 2)}
    assert rooms.calls == bool(rooms.noted)
    return [(user_id, one.offset, one.state) for user_id, one in rooms.noted]


async def test_new_members_are_noted_at_the_offset_of_their_event() -> None:
    """A system message follows the event of the members; it has the last offset."""
    request = member_events.member_added("r", "alice", ["bob", "carol"], "member")
    done = result(10, join=("bob", "carol"))
    assert await noted(request, done) == [("bob", 9, "in"), ("carol", 9, "in")]


async def test_only_affected_users_are_noted() -> None:
    """Somebody named who was no member is not removed."""
    request = member_events.member_removed("r", "alice", ["bob", "eve"])
    assert await noted(request, result(10, go=("bob",))) == [("bob", 9, "out")]


async def test_a_change_of_role_is_not_noted() -> None:
    """A last owner who leaves makes another one an owner: only the leaving is noted."""
    request = member_events.member_left("r", "alice", "bob")
    done = result(10, role=("bob",), go=("alice",))
    assert await noted(request, done) == [("alice", 9, "out")]


async def test_an_append_without_members_costs_no_round_trip() -> None:
    """Messages are the most frequent appends."""
    rooms = NotedRooms()
    request = replace(member_events.member_removed("r", "alice", ["eve"]), events=())
    await MembershipIndex(rooms).write(request, result(10))
    assert rooms.calls == 0


@pytest.mark.parametrize("error", [RedisConnectionError(), OSError()], ids=["Redis", "socket"])
async def test_a_late_index_fails_no_append(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The relay notes it once more (T4)."""
    request = member_events.member_added("r", "alice", ["bob"], "member")
    with caplog.at_level(logging.WARNING):
        await MembershipIndex(NotedRooms(error)).write(request, result(10, join=("bob",)))
    assert [record.message for record in caplog.records] == ["user index is late"]
