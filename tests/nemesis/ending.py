"""After the faults: quiescence, convergence, and the final state on every instance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.nemesis.cluster import Cluster
from tests.nemesis.device import Device
from tests.nemesis.recorder import Final, Json, Violation

CONVERGE_WITHIN = 20.0
LOOK_WITHIN = 120.0
Observe = Callable[[str, int], Device]
"""Creates a new device of a user on an instance."""


async def rest(cluster: Cluster) -> list[Violation]:
    """Wait for quiescence; return a violation if it is not reached."""
    try:
        await cluster.settle()
    except TimeoutError as error:
        return [Violation("R7/R8", "", f"no rest after the faults: {error}")]
    return []


async def look(
    final: Final, cluster: Cluster, devices: Sequence[Device], rooms: Sequence[str], new: Observe
) -> list[Violation]:
    """Read the final state from every instance and the devices; return violations if one fails."""
    try:
        async with asyncio.timeout(LOOK_WITHIN):
            for device in devices:
                await _repeat_cursors(device)
            with suppress(TimeoutError):
                async with asyncio.timeout(CONVERGE_WITHIN):
                    await _converge(devices, rooms)
            for user in sorted({device.user for device in devices}):
                for instance in range(len(cluster.doors)):
                    await _tells(final, new(user, instance), rooms, devices[0].user)
    except TimeoutError:
        return [Violation("R7", "", f"no final answers within {LOOK_WITHIN:g} s")]
    for device in devices:
        for room_id, held in device.rooms.items():
            final.held[device.name, room_id] = (held.cursor, dict(held.messages))
    for room_id in rooms:
        items = await asyncio.to_thread(cluster.messages, room_id)
        final.stored[room_id] = [item["message_id"] for item in items if "position" in item]
    return []


async def _repeat_cursors(device: Device) -> None:
    """Repeat the cursors as a client does at connect: Redis may have lost them."""
    await device.fresh()
    for room_id, (read, _) in sorted(device.receipts.items()):
        if room_id in device.rooms:
            await device.do("receipt.read", {"room_id": room_id, "up_to_seq": read})


async def _converge(devices: Sequence[Device], rooms: Sequence[str]) -> None:
    """Wait until every device received all events, without asking for them."""
    while not await _at_heads(devices, rooms):  # noqa: ASYNC110
        await asyncio.sleep(0.2)


async def _at_heads(devices: Sequence[Device], rooms: Sequence[str]) -> bool:
    for room_id in rooms:
        told = (await devices[0].do("room.get", {"room_id": room_id})).ok
        if told is None:
            return False
        head = (told["room"]["epoch"], told["room"]["offset"])
        for device in devices:
            await device.fresh()
            if room_id in device.rooms and device.rooms[room_id].cursor != head:
                return False
    return True


async def _tells(final: Final, observer: Device, rooms: Sequence[str], owner: str) -> None:
    """Read one user's view on one instance; for the owner also histories and members."""
    instance = observer.instance
    for room_id in rooms:
        told = (await observer.do("room.get", {"room_id": room_id})).ok
        if told is None:
            continue
        final.rooms[room_id, observer.user, instance] = told["room"]
        if observer.user == owner:
            final.histories[room_id, instance] = await _history(observer, room_id)
            members = (await observer.do("member.list", {"room_id": room_id})).ok or {}
            final.members[room_id] = {m["user_id"] for m in members.get("members", ())}
    await observer.close()


async def _history(device: Device, room_id: str) -> list[Json]:
    messages: list[Json] = []
    while True:
        after = messages[-1]["seq"] if messages else 0
        page = (await device.do("message.list", {"room_id": room_id, "after_seq": after})).ok
        messages += page["messages"] if page else []
        if not page or not page["has_more"]:
            return messages
