"""When a user's rooms are compared: only if a word about them may have been lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from rts_server.persistence.user_rooms import RECHECK_MS
from rts_server.realtime import lost_memberships
from rts_server.realtime.listener import Listener
from rts_server.realtime.lost_memberships import YOUNG_SECONDS, LostMemberships
from rts_server.runtime.tasks import Tasks
from tests.helpers.waiting import eventually


class Index:
    """The versions of users' indexes, and who was compared."""

    def __init__(self) -> None:
        self.version = "5 complete"
        self.compared: list[str] = []
        self.failures = 0
        self.during: Callable[[], None] = lambda: None
        self.listeners: dict[str, set[Listener]] = {}
        self.tasks = Tasks()
        self.memberships = LostMemberships(self.listeners, self._compare, self.tasks.keep)

    def listen(self, user_id: str, *, ready: bool = True) -> Listener:
        """Add a listener."""
        listener = Listener(user_id, lambda packet: None, lambda packet: None)
        self.listeners.setdefault(user_id, set()).add(listener)
        if ready:
            listener.ready.trigger()
        return listener

    async def _compare(self, user_id: str) -> str:
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        self.compared.append(user_id)
        during, self.during = self.during, lambda: None
        during()
        return self.version


@pytest.fixture
async def index(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Index]:
    """One user, who listens since version 3."""
    monkeypatch.setattr(lost_memberships, "backoff", lambda failures: 0.0)
    made = Index()
    made.listen("alice")
    made.memberships.began("alice", "3 complete")
    yield made
    made.memberships.close()
    await made.tasks.close()


async def settled(index: Index) -> None:
    """Return when nothing is being compared."""
    await eventually(lambda: not index.memberships._requests)


async def test_who_heard_every_change_is_not_compared(index: Index) -> None:
    """The version that the relay publishes at the end is known."""
    index.memberships.note_change("alice", 4)
    index.memberships.note_change("alice", 5)
    index.memberships.compare_if_behind("alice", 5)
    await settled(index)
    assert index.compared == []


@pytest.mark.parametrize("heard", [[], [5], [4]], ids=["all", "the one before", "the last"])
async def test_who_missed_a_change_is_compared_once(index: Index, heard: list[int]) -> None:
    """Whether the last one was lost or one before."""
    for version in heard:
        index.memberships.note_change("alice", version)
    index.memberships.compare_if_behind("alice", 5)
    await settled(index)
    index.memberships.compare_if_behind("alice", 5)
    await settled(index)
    assert index.compared == ["alice"]


async def test_a_comparison_that_fails_is_repeated(index: Index) -> None:
    """Nothing else would notice the loss."""
    index.failures = 3
    index.memberships.compare_if_behind("alice", 5)
    await settled(index)
    assert index.compared == ["alice"]


async def test_who_is_compared_already_is_compared_once_more_if_asked(index: Index) -> None:
    """What is being read may be older than the reason to compare."""
    index.memberships.compare_if_behind("alice", 5)
    index.during = lambda: index.memberships.compare("alice")
    await settled(index)
    assert index.compared == ["alice"] * 2


async def test_a_session_that_opens_with_the_version_is_not_compared(index: Index) -> None:
    """A comparison waits for it, and then finds that it read everything."""
    bob = index.listen("bob", ready=False)
    index.memberships.compare_if_behind("bob", 5)
    index.memberships.compare("alice")
    await eventually(lambda: index.compared == ["alice"])
    index.memberships.began("bob", "5 complete")
    bob.ready.trigger()
    await settled(index)
    assert index.compared == ["alice"]


async def test_after_a_loss_all_are_compared(index: Index) -> None:
    """Their indexes are rebuilt by that; who has left meanwhile is forgotten."""
    index.listen("bob")
    index.memberships.compare_all()
    del index.listeners["bob"]
    index.memberships.forget("bob")
    await settled(index)
    assert index.compared == ["alice"]
    assert index.memberships._versions == {"alice": 5}


async def test_a_young_index_is_compared_once_more(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it was rebuilt, records may have been in the queue."""
    assert YOUNG_SECONDS * 1000 > RECHECK_MS
    monkeypatch.setattr(lost_memberships, "YOUNG_SECONDS", 0.02)
    index.version = "5 young"
    index.memberships.compare("alice")
    await eventually(lambda: len(index.compared) == 1)
    index.version = "6 complete"
    await eventually(lambda: len(index.compared) == 2)
    await asyncio.sleep(0.05)  # the time itself is what is tested
    assert index.compared == ["alice"] * 2
