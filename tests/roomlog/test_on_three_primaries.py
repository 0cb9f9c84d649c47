"""The room log on a cluster: what a room goes through, and what one primary takes with it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.redis_client.slots import slot_of
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey
from tests.helpers.deployed import Deployed
from tests.helpers.valkey import ask
from tests.helpers.waiting import PATIENCE, eventually


class Sharded(Deployed):
    """One process of the room log on a cluster."""

    def __init__(self, cluster: ValkeyCluster, **settings: Any) -> None:
        super().__init__(
            Settings(redis_url=cluster.url, redis_cluster=1, **settings), cast(Any, None)
        )
        self.nodes = list(cluster.primaries)

    async def outbox(self) -> list[tuple[str, Any, dict[bytes, bytes]]]:
        """Return the entries of all partitions on the primaries that are there."""
        waiting = []
        for node in self.nodes:
            for stream in sorted(ask(node, "KEYS", keys.EVERY_OUTBOX)):
                entries = ask(node, "XRANGE", stream, "-", "+")
                waiting += [(stream.decode(), entry, fields) for entry, fields in entries]
        return waiting

    async def _delete(self, stream: str, entry: bytes) -> None:
        await self.services.pipe.execute_command("XDEL", stream, entry)

    async def rooms(self, *members: str) -> list[str]:
        """Create a group on each primary; return their ids in the order of the primaries."""
        found: dict[int, str] = {}
        for _ in range(1_000):
            key = secrets.token_hex(8)  # tests share the tables
            at = share_of(keys.client_room_id("alice", key))
            if at not in found:
                found[at] = await self.group("alice", *members, key=key)
            if len(found) == 3:
                break
        return [found[at] for at in range(3)]

    async def write(self, room_id: str, client_msg_id: str) -> tuple[int, int]:
        """Send a message until it is accepted, as clients do; return its position."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(errors.Unavailable):
                    return (await self.send(room_id, "alice", client_msg_id)).appended.position

    async def history(self, room_id: str) -> list[tuple[int, str]]:
        """Return seq and client_msg_id of each message."""
        found, _ = await self.services.history.list_page(
            room_id, "alice", cast(Any, {"limit": 100})
        )
        return sorted((one["seq"], one["client_msg_id"]) for one in found)


def share_of(room_id: str) -> int:
    """Return the place of the primary that an undisturbed cluster of three has for a room."""
    return slot_of(keys.room(room_id).head) * 3 // 16384


@pytest.fixture
async def sharded(cluster: ValkeyCluster, tables: None) -> AsyncIterator[Sharded]:
    """On three empty primaries."""
    for node in cluster.primaries:
        ask(node, "FLUSHALL")
    async with Sharded(cluster) as made:
        yield made


@pytest.fixture
async def pairs(tmp_path: Path) -> AsyncIterator[ValkeyCluster]:
    """Three primaries, each with a replica."""
    with valkey.running_cluster(tmp_path, 3, 1) as running:
        yield running


async def test_a_room_lives_on_any_primary(sharded: Sharded) -> None:
    """Each script finds its keys there, and the archive gets what happened."""
    services = sharded.services
    rooms = await sharded.rooms("bob", "carol")
    for room_id in rooms:
        for n in range(3):
            assert await sharded.write(room_id, f"m{n}") == (1, 3 + n)
        assert await sharded.write(room_id, "m0") == (1, 3)
        newest = (await services.history.list_page(room_id, "alice", {"limit": 1}))[0]
        newest_id = newest[0]["message_id"]
        await services.messages.edit(room_id, "alice", newest_id, {"text": "edited"})
        await services.messages.react(room_id, "bob", newest_id, "👍", on=True)
        await services.rooms.change_settings(room_id, "bob", {"muted": True})
        await services.memberships.set_role(room_id, "alice", "bob", "admin")
        services.typing.set_typing(room_id, "bob", on=True)
    moved = await services.receipts.move("bob", dict.fromkeys(rooms, (2, 3)))
    assert len(moved) == len(rooms)
    rows = {row.room_id: row for row in (await services.inboxes.read("bob")).rows}
    assert {room_id: rows[room_id].standing.read_seq for room_id in rooms} == dict.fromkeys(
        rooms, 2
    )
    await services.memberships.remove(rooms[0], "alice", ["carol"])
    assert {one.room_id for one in (await services.user_rooms.all("carol")).rooms
            if one.state == "in"} == set(rooms[1:])  # fmt: skip
    assert await services.user_rooms.shared("bob", ["alice", "carol", "eve"]) == {
        "alice": True, "carol": True, "eve": None,
    }  # fmt: skip
    await sharded.store()
    assert await sharded.outbox() == []
    for room_id in rooms:
        stored = await services.archive.room(room_id)
        snapshot = await services.snapshots.read(room_id, ["alice"])
        assert stored is not None
        assert snapshot is not None
        assert stored.position == snapshot.position


async def test_a_primary_that_loses_its_data_takes_its_own_rooms(
    sharded: Sharded, cluster: ValkeyCluster
) -> None:
    """They go on under a new epoch, with all that was stored; the others do not notice (D1, D6)."""
    rooms = await sharded.rooms("bob")
    for room_id in rooms:
        await sharded.write(room_id, "before")
    await sharded.store()
    ask(cluster.primaries[1], "FLUSHALL")
    async with sharded.relaying():
        found = [(await sharded.write(room_id, "after"))[0] for room_id in rooms]
    assert found == [1, 2, 1]
    for room_id in rooms:
        assert await sharded.history(room_id) == [(1, "before"), (2, "after")]


async def test_a_room_that_comes_back_while_it_is_loaded_elsewhere_is_not_taken_for_warm(
    sharded: Sharded, cluster: ValkeyCluster
) -> None:
    """The load ends its epoch, so nothing may be appended under it where it was warm (D1, D6)."""
    room_id, *_ = await sharded.rooms("bob")
    await sharded.write(room_id, "before")
    await sharded.store()
    here, there, _ = cluster.primaries
    slot = slot_of(keys.room(room_id).head)
    await valkey.give_slot(cluster, slot, there)
    try:
        with pytest.raises(errors.Unavailable):  # the load waits for a relay
            await sharded.send(room_id, "alice", "elsewhere")
    finally:
        await valkey.give_slot(cluster, slot, here)
    began = asyncio.ensure_future(sharded.write(room_id, "here again"))
    async with sharded.relaying():
        assert await began == (2, 2)
        assert await sharded.write(room_id, "behind") == (2, 3)
    await sharded.store()
    ask(here, "FLUSHALL")
    async with sharded.relaying():
        await sharded.write(room_id, "last")
    wanted = ["before", "here again", "behind", "last"]
    assert await sharded.history(room_id) == list(enumerate(wanted, 1))


async def test_a_slot_that_nobody_serves_makes_its_rooms_unavailable(
    sharded: Sharded, cluster: ValkeyCluster
) -> None:
    """And no others; it is retryable."""
    one, other, _ = await sharded.rooms("bob")
    slot = slot_of(keys.room(one).head)
    for node in cluster.primaries:
        ask(node, "CLUSTER DELSLOTS", slot)
    try:
        with pytest.raises(errors.Unavailable):
            await sharded.send(one, "alice", "m")
        assert (await sharded.send(other, "alice", "m")).appended.epoch == 1
    finally:
        ask(cluster.primaries[0], "CLUSTER ADDSLOTS", slot)
        await eventually(lambda: all(_is_owned(node, slot) for node in cluster.primaries))
    async with sharded.relaying():
        await sharded.write(one, "m")


def _is_owned(node: Valkey, slot: int) -> bool:
    return any(low <= slot <= high for low, high, *_ in ask(node, "CLUSTER SLOTS"))


async def test_a_replica_that_takes_over_loses_nothing_that_was_acked(
    pairs: ValkeyCluster, tables: None
) -> None:
    """Its rooms are written again as soon as it is there, under a new epoch; meanwhile the rooms
    of the other primaries go on (D1, D3)."""
    async with Sharded(pairs) as sharded:
        rooms = await sharded.rooms("bob")
        acked: dict[str, list[str]] = {room_id: [] for room_id in rooms}
        dead, *living = pairs.primaries
        replica = pairs.replicas[0][0]

        async def write(room_id: str, name: str) -> tuple[int, int]:
            position = await sharded.write(room_id, name)
            acked[room_id].append(name)
            return position

        for room_id in rooms:
            for n in range(5):
                await write(room_id, f"m{n}")
        await sharded.store()
        await eventually(lambda: ask(replica, "INFO", "replication")["slave_repl_offset"]
                         == ask(dead, "INFO", "replication")["master_repl_offset"])  # fmt: skip
        dead.kill()
        sharded.nodes = living
        for room_id in rooms[1:]:
            assert (await write(room_id, "meanwhile"))[0] == 1
        await eventually(lambda: ask(replica, "INFO", "replication")["role"] == "master")
        sharded.nodes = [replica, *living]
        async with sharded.relaying():
            assert (await write(rooms[0], "again"))[0] == 2
        for room_id in rooms:
            expected = list(enumerate(acked[room_id], 1))
            assert await sharded.history(room_id) == expected
