"""Lists of members: what they cost depends on the members they name, counted in commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rts_server.errors import NotFound
from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMember
from rts_server.roomlog.drains import RoomDrains
from rts_server.views.member_list import MemberList
from tests.helpers.bench import Bench
from tests.helpers.deployed import Deployed
from tests.helpers.world import name
from tests.views.inboxes import NO_ARCHIVE

FEW, MANY = 5, 300
NAMED = ["user-003", "user-001", "nobody"]


def users(number: int) -> list[str]:
    """Return user ids, in their order."""
    return [f"user-{n:03}" for n in range(number)]


Read = Callable[[MemberList, str], Awaitable[Any]]
READS: dict[str, Read] = {
    "some": lambda m, r: m.named(r, NAMED, "alice"),
    "a page": lambda m, r: m.page(r, "user-001", 2, "alice"),
    "all": lambda m, r: m.all(r, "alice"),
}


async def commands(bench: Bench, read: Read, room_id: str) -> int:
    """Return how many commands Redis runs for a read, those inside scripts included."""
    drains = RoomDrains(bench.settings, "origin", bench.redis, NO_ARCHIVE)
    members = MemberList(bench.redis, NO_ARCHIVE, drains)
    await read(members, room_id)  # scripts are loaded now

    async def total() -> int:
        stats: Any = await bench.redis.info("commandstats")
        return sum(one["calls"] for kind, one in stats.items() if kind != "cmdstat_info")

    before = await total()
    await read(members, room_id)
    return await total() - before


@pytest.mark.parametrize("read", READS)
async def test_a_read_costs_the_same_commands_in_a_large_room(bench: Bench, read: str) -> None:
    """Members are read together, 250 in a script: there is no command for each of them."""
    few = await bench.group("alice", *users(FEW), room="small")
    many = await bench.group("alice", *users(MANY), room="large")
    cost = await commands(bench, READS[read], few)
    again = await commands(bench, READS[read], many)
    assert again <= cost * (1 if read != "all" else 1.6)


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
async def test_some_a_page_and_all_members(deployed: Deployed, warm: bool) -> None:
    """In order of user id, each member once over all pages; strangers are refused (A4)."""
    members = deployed.services.members
    room_id = await deployed.group("alice", *users(7))
    await deployed.services.memberships.remove(room_id, "alice", ["user-002", "user-005"])
    await deployed.store()
    if not warm:
        await deployed.expire(room_id)
    everybody = await members.all(room_id, "alice")
    here = ["alice", "user-000", "user-001", "user-003", "user-004", "user-006"]
    assert [one["user_id"] for one in everybody] == here
    assert await members.named(room_id, [*NAMED, "user-002"]) == everybody[2:4]
    assert await members.named(room_id, [], "alice") == []
    found, after = await members.page(room_id, "", 4, "alice")
    assert (found, after) == (everybody[:4], "user-003")
    found, after = await members.page(room_id, "user-003", 2)
    assert (found, after) == (everybody[4:], None)
    assert await members.page(room_id, "user-006", 4) == ([], None)
    for stranger in ("nobody", "user-002"):
        for read in (
            members.named(room_id, ["alice"], stranger),
            members.page(room_id, "", 4, stranger),
            members.all(room_id, stranger),
        ):
            with pytest.raises(NotFound):
                await read


async def test_a_cold_room_is_asked_for_the_named_members_and_the_page_alone(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive is never asked for all members of it, nor to count them."""
    reader = name("reader")  # who is in no room of another test
    room_id = await deployed.group(reader, *users(9))
    await deployed.services.memberships.remove(room_id, reader, ["user-008"])
    await deployed.store()
    await deployed.expire(room_id)

    async def refused(self: Archive, room_id: str) -> list[StoredMember]:
        raise AssertionError("all members are read")

    monkeypatch.setattr(Archive, "members", refused)
    services = deployed.services
    await services.members.named(room_id, NAMED, reader)
    await services.members.page(room_id, "", 5, reader)
    assert (await services.system_rooms.public(room_id))["member_count"] == 9
    page = await services.inboxes.page(reader, 10, None, hidden=False)
    assert [room["member_count"] for room in page["rooms"]] == [9]
