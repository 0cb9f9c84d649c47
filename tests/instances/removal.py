"""A member is removed again and again beside four writers and reconnects (A2)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from itertools import count

from rts_server.services import Services
from tests.helpers.commands import ok
from tests.helpers.ephemeral import publish
from tests.helpers.js_client import JsClient
from tests.helpers.raw import Raw
from tests.helpers.rooms import durable, group, send
from tests.helpers.world import World, name

Bounds = list[tuple[int, int]]
"""(offset of a removal, offset of the addition after it)"""


async def removal_loop(world: World, rounds: int) -> tuple[JsClient, str, list[JsClient]]:
    """The owner, the room, and the removed user's two devices, one of which reconnects."""
    alice, bob = name("alice"), name("bob")
    writers = [name("writer") for _ in range(4)]
    async with contextlib.AsyncExitStack() as clients:
        a = await clients.enter_async_context(world.js(alice))
        devices = []
        for instance in (1, 0):
            device = await clients.enter_async_context(JsClient())
            await device.connect(world.urls[instance], world.token(bob), cursors={}, follow=True)
            devices.append(device)
        room_id = await group(a, [bob, *writers])
        raws = [
            await clients.enter_async_context(world.raw(user, instance=i % 2))
            for i, user in enumerate(writers)
        ]
        services = await clients.enter_async_context(Services(world.stack.settings))
        writing = [asyncio.create_task(write_on(raw, room_id)) for raw in raws]
        marks = [0] * len(devices)
        for n in range(rounds):
            for device, mark in zip(devices, marks, strict=True):
                await device.until(lambda d=device, m=mark: received_room_added(d, m))  # type: ignore[misc]
            one = {"room_id": room_id, "user_ids": [bob]}
            removing = asyncio.create_task(ok(a, "member.remove", one))
            if n % 2:
                devices[0].drop()
            await removing
            probe = json.dumps({"type": "probe", "room_id": room_id, "data": {"round": n}})
            assert await publish(services.pipe, room_id, alice, "probe", probe)
            marks = [len(device.events) for device in devices]
            await ok(a, "member.add", one)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        await a.until(lambda: {e["data"]["round"] for e in a.of_type("probe")} == {*range(rounds)})
        last = await send(a, room_id, "last")
        await a.until(lambda: last["data"]["offset"] in offsets(a, room_id))
        return a, room_id, devices


async def write_on(client: Raw, room_id: str) -> None:
    """Send messages, one after the other, until cancelled."""
    for n in count():
        message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"m{n}"}
        assert (await client.ask(n, json.dumps(["message.send", message])))["ok"]


def received_room_added(client: JsClient, mark: int) -> bool:
    """Return whether the user received `room.added` since."""
    return any(e["type"] == "room.added" for e in client.events[mark:])


def offsets(client: JsClient, room_id: str) -> list[int]:
    """Return the offsets in order of arrival, of one epoch."""
    return [e["offset"] for e in durable(client, room_id)]


def bounds(owner: JsClient, room_id: str) -> Bounds:
    """Return the offsets between which the user was not a member, by the owner's log."""
    removed = [e["offset"] for e in durable(owner, room_id) if e["type"] == "member.removed"]
    added = [e["offset"] for e in durable(owner, room_id) if e["type"] == "member.added"]
    return list(zip(removed, [offset for offset in added if offset > removed[0]], strict=True))


def nothing_behind_a_removal(owner: JsClient, room_id: str, devices: list[JsClient]) -> None:
    """Nothing after a removal reached the member, and the owner missed nothing (A2)."""
    heard = offsets(owner, room_id)
    assert heard == list(range(heard[0], heard[0] + len(heard)))
    outside = bounds(owner, room_id)
    for device in devices:
        leaked = [
            offset
            for offset in offsets(device, room_id)
            if any(removed < offset < added for removed, added in outside)
        ]
        assert leaked == [], leaked
        assert device.of_type("probe") == []
