"""The package `client/` against a real server: what an application sees."""

from __future__ import annotations

from tests.helpers.chat_package import ChatPackage
from tests.helpers.world import World, name

TEXTS = "clients[who].room(room_id).state.value.messages.map((m) => m.text).join()"


async def test_two_people_chat(world: World) -> None:
    """List, room, send, unread, receipts and typing of two clients agree."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        await page.connect("bob", world.urls[0], world.token(bob))
        room_id = await page.run(
            "const room = await clients.alice.direct(bob); room.watch();"
            "room.send({text: 'one'}); room.send({text: 'two'}); return room.room_id",
            bob=bob,
        )
        await page.until("clients.bob.unread.value.total === 2")
        await page.until(
            "clients.bob.rooms().value[0].title === alice"
            " && clients.bob.rooms().value[0].last_message.preview === 'two'",
            alice=alice,
        )
        await page.run("clients.bob.room(room_id).watch()", room_id=room_id)
        for who in ("alice", "bob"):
            await page.until(f"{TEXTS} === 'one,two'", who=who, room_id=room_id)
        statuses = "clients.alice.room(room_id).state.value.messages.map((m) => m.status).join()"
        await page.until(f"{statuses} === 'delivered,delivered'", room_id=room_id)
        await page.run("clients.bob.room(room_id).markVisible(1)", room_id=room_id)
        await page.until(f"{statuses} === 'read,delivered'", room_id=room_id)
        await page.until("clients.bob.unread.value.total === 1")
        await page.run("clients.bob.room(room_id).typing()", room_id=room_id)
        typing = "clients.alice.room(room_id).state.value.typing.join()"
        await page.until(f"{typing} === bob", room_id=room_id, bob=bob)
        await page.run("clients.bob.room(room_id).send({text: 'three'})", room_id=room_id)
        await page.until(f"{typing} === ''", room_id=room_id)
        await page.until("clients.bob.unread.value.total === 0")
        await page.until(f"{TEXTS} === 'one,two,three'", who="alice", room_id=room_id)
