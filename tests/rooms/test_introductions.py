"""Who has no name in a room brings the one of their token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from rts_server import errors, keys
from rts_server.roomlog.member_events import member_renamed
from rts_server.rooms.introductions import MOST_MEMBERS, USERS_AT_ONCE, Introductions
from tests.helpers.bench import Bench
from tests.helpers.waiting import Changes


@dataclass
class Names:
    """Notes names, as (room, actor, user, name), instead of appending; `refuse` once."""

    changes: Changes = field(default_factory=Changes)
    given: list[tuple[str, str, str, str]] = field(default_factory=list)
    refuse: errors.Refusal | None = None

    async def rename_in(self, *call: str) -> None:
        """Note, then refuse if wanted."""
        self.given.append(cast(Any, call))
        self.changes.notify()
        refusal, self.refuse = self.refuse, None
        if refusal:
            raise refusal


@pytest.fixture
def names() -> Names:
    """What was given."""
    return Names()


@pytest.fixture
async def introductions(bench: Bench, names: Names) -> AsyncIterator[Introductions]:
    """Introductions in the rooms of the bench."""
    made = Introductions(bench.redis, cast(Any, names))
    yield made
    await made.close()


async def test_a_name_is_given_where_there_is_none(
    bench: Bench, names: Names, introductions: Introductions
) -> None:
    """Not where there is another, in a large room, or in one that is not warm or not theirs."""
    weird = 'a ,"name":"b'
    named, bare, full = [await bench.group("alice", weird, room=room) for room in ("a", "b", "c")]
    await bench.append(member_renamed(named, "ops", weird, "Theirs"))
    many = [f"u{number}" for number in range(MOST_MEMBERS - 1)]
    large = await bench.group("alice", weird, *many, room="large")
    foreign = await bench.group("alice", "carol", room="foreign")
    broken = await bench.group("alice", weird, room="broken")
    await bench.redis.delete(keys.room(broken).members)
    await bench.redis.set(keys.room(broken).members, "no hash")
    rooms = [named, bare, large, foreign, broken, "cold", full]
    introductions.begin(weird, None, rooms)
    introductions.begin(weird, "Weird", [])
    introductions.begin(weird, "Weird", rooms)
    await names.changes.until(lambda: len(names.given) == 2)
    assert names.given == [(room, weird, weird, "Weird") for room in (bare, full)]


async def test_a_refusal_ends_only_its_own_introduction(
    bench: Bench, names: Names, introductions: Introductions, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis or the archive is away: the user is introduced by a later session."""
    rooms = [await bench.group("alice", "bob", room=room) for room in ("a", "b")]
    names.refuse = errors.Unavailable()
    for _ in range(USERS_AT_ONCE + 1):
        introductions.begin("bob", "Bob", rooms)
    await names.changes.until(lambda: len(names.given) == 1 + 2 * USERS_AT_ONCE)
    assert [record.message for record in caplog.records] == ["a name is not written"]
