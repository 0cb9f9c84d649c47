"""Scripts about users and instances."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rts_server.keys import external_room_id
from rts_server.tools.cli.instances import instances
from rts_server.tools.cli.notice import notice
from rts_server.tools.cli.presence import presence
from rts_server.tools.cli.rooms import rooms
from rts_server.tools.cli.unread import unread
from rts_server.tools.cli.user import user
from tests.helpers.commands import ok
from tests.helpers.operator import Operator, manifest, run_command
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import World, name


async def created_rooms(ops: Operator, folder: Path, *members: str, count: int = 1) -> list[str]:
    """Create rooms with these members; return their external ids."""
    found = [name("room") for _ in range(count)]
    declared: list[dict[str, Any]] = [
        {"external_id": key, "members": list(members)} for key in found
    ]
    await ops.rows(rooms, "apply", manifest(folder / "rooms.yaml", declared))
    return found


async def test_unread_counts_are_explained_and_recounted(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """explain shows the parts of a count, and recount finds the same number in the history."""
    alice, bob = name("alice"), name("bob")
    one, other = await created_rooms(ops, tmp_path, alice, bob, count=2)
    for n in range(3):
        await ops.rows(notice, f"m{n}", "--external-id", one)
    room_id = external_room_id(one)
    async with world.js(alice) as a:
        await a.join("/receipts")
        await ok(a, "receipt.read", {"room_id": room_id, "up_to_seq": 1})
        sent = await ok(a, "room.get", {"room_id": room_id})
        assert sent["room"]["unread"] == 2
    *rows, total = await ops.rows(unread, "explain", alice)
    (row,) = (row for row in rows if row["room_id"] == room_id)
    assert (row["seq"], row["read_seq"], row["uncounted"], row["unread"]) == (3, 1, 0, 2)
    assert (total["total"], total["rooms"]) == (2, 1)
    counted = {row["room_id"]: row["counted"] for row in await ops.rows(unread, "recount", alice)}
    assert counted == {room_id: 2, external_room_id(other): 0}


async def test_presence_is_explained(world: World, ops: Operator) -> None:
    """A connected user is online with their instances; an unknown user is offline."""
    alice = name("alice")
    async with world.js(alice) as a:
        await a.join("/presence")
        rows = await ops.rows(presence, alice)
        async with asyncio.timeout(PATIENCE):
            while (
                rows[0]["state"] != "online" or len(rows) < 2
            ):  # connections are published a moment later, in batches
                rows = await ops.rows(presence, alice)
    state, counted = rows
    assert state["state"] == "online"
    assert (counted["connections"], counted["alive"]) == (1, True)
    result = await ops.run(presence, name("nobody"))
    assert result.stdout.endswith(": offline\n")


async def test_a_users_data_are_exported_and_erased(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """export and erase list each membership and message, also of a room the user left."""
    alice, bob = name("alice"), name("bob")
    one, other = await created_rooms(ops, tmp_path, alice, bob, count=2)
    ids = {external_room_id(key) for key in (one, other)}
    async with world.js(alice) as a:
        for room_id in ids:
            text = {"client_msg_id": name("m"), "text": "mine"}
            await ok(a, "message.send", {"room_id": room_id, **text})
        await ok(a, "room.leave", {"room_id": external_room_id(other)})
    exported = await ops.rows(user, "export", alice)
    assert "mine" in str(exported)
    assert {r["message"]["room_id"] for r in exported if r["kind"] == "message"} == ids
    assert {
        r["membership"]["room_id"]: r["membership"]["state"]
        for r in exported
        if r["kind"] == "membership"
    } == {external_room_id(one): "in", external_room_id(other): "out"}
    *lines, total = await ops.rows(user, "erase", alice, "--yes")
    assert {line["room_id"] for line in lines if line["kind"] == "message"} == ids
    assert (total["memberships"], total["messages"]) == (1, 2)
    again = (await ops.run(user, "erase", alice, "--yes")).stdout.splitlines()[-1]
    assert again == "0 memberships and 0 messages removed."
    assert "mine" not in str(await ops.rows(user, "export", alice))
    refused = await ops.run(user, "erase", bob)
    assert (refused.exit_code, "Aborted" in refused.stderr) == (1, True)


async def test_a_user_is_renamed(ops: Operator, tmp_path: Path) -> None:
    """rename says in how many rooms the name changed."""
    alice = name("alice")
    await created_rooms(ops, tmp_path, alice, count=2)
    renamed = [(await ops.run(user, "rename", alice, "Alice B.")).stdout for _ in range(2)]
    assert renamed == ["Renamed in 2 rooms.\n", "Renamed in 0 rooms.\n"]


async def test_connections_are_closed(world: World, ops: Operator) -> None:
    """disconnect and revoke close the user's connections with their code."""
    for verb, code in (("disconnect", "banned"), ("revoke", "revoked")):
        who = name("eve")
        async with world.js(who) as e:
            await ops.rows(user, verb, who)
            closing = await e.wait_for(lambda e: bool(e["type"] == "session.closing"))
            assert closing["data"]["code"] == code


async def test_an_instance_is_listed_and_drained(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """A new instance is listed and drains; draining an unknown instance fails."""
    before = {row["instance_id"] for row in await ops.rows(instances, "list")}
    async with world.instance(tmp_path) as (_, url):
        token = world.token("ops", scope="operator")
        (new,) = {row["instance_id"] for row in await ops.rows(instances, "list")} - before
        result = await run_command(instances, "drain", new, RTS_URL=url, RTS_TOKEN=token)
        assert result.stdout == f"{new} drains.\n"
        assert (await ops.run(instances, "drain", "gone.1")).exit_code == 1
