"""Changes that the package shows before the server has them, over a cut network."""

from __future__ import annotations

import pytest

from tests.helpers.chat_package import ChatPackage, Rejected
from tests.helpers.proxy import Proxy
from tests.helpers.world import World, name

MESSAGE = "clients[who].room(room_id).state.value.messages.find((m) => m.message_id === message_id)"
ROOM = "clients[who].room(room_id).state.value"


def port_of(url: str) -> int:
    """The port of a URL."""
    return int(url.rpartition(":")[2])


async def said(page: ChatPackage, who: str, bob: str) -> dict[str, str]:
    """A direct room with bob in which a message of this client is known, as names of its code."""
    found = await page.run(
        "const room = await clients[who].direct(bob); room.watch();"
        "room.send({ text: 'first' }); return room.room_id",
        who=who,
        bob=bob,
    )
    await page.until(
        "clients[who].room(room_id).state.value.messages[0]?.message_id", who=who, room_id=found
    )
    first = await page.run(
        "return clients[who].room(room_id).state.value.messages[0].message_id",
        who=who,
        room_id=found,
    )
    return {"room_id": found, "message_id": first}


async def test_changes_made_offline_are_shown_at_once_and_reach_the_others(world: World) -> None:
    """Edit, reaction, mute and hide: pending while the network is cut, then as all devices see."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page, Proxy(("127.0.0.1", port_of(world.urls[0]))) as network:
        token = world.token(alice)
        await page.connect("alice", f"http://127.0.0.1:{network.port}", token)
        await page.connect("phone", world.urls[0], token)
        await page.connect("bob", world.urls[0], world.token(bob))
        here = await said(page, "alice", bob)
        for who in ("phone", "bob"):
            await page.run("clients[who].room(room_id).watch()", who=who, **here)
            await page.until(f"{MESSAGE}?.text === 'first'", who=who, **here)
        network.leave()
        await page.until("clients.alice.connection.value.status !== 'online'")
        shown = await page.run(
            "const room = clients[who].room(room_id);"
            "kept.done = Promise.all([room.edit(message_id, { text: 'better' }),"
            " room.react(message_id, '👍'), room.mute(), room.hide()]);"
            f"const {{ text, reactions, pending }} = {MESSAGE};"
            "const rooms = (filter) => clients[who].rooms(filter).value.length;"
            "const { value } = room.state;"
            "return [text, reactions['👍'].count, pending,"
            " value.muted, value.hidden, value.pending, rooms(), rooms({ hidden: true })]",
            who="alice",
            **here,
        )
        assert shown == ["better", 1, ["edit", "react"], True, True, ["mute", "hide"], 0, 1]
        await network.listen()
        await page.run("await kept.done")
        for who in ("alice", "phone", "bob"):
            await page.until(
                f"{MESSAGE}.text === 'better' && {MESSAGE}.reactions['👍'].count === 1"
                f" && !{MESSAGE}.pending",
                who=who,
                **here,
            )
        for who in ("alice", "phone"):
            await page.until(f"{ROOM}.muted && {ROOM}.hidden && !{ROOM}.pending", who=who, **here)


async def test_a_deletion_made_offline_goes_behind_what_was_typed_before_it(world: World) -> None:
    """The other one hears a message that was typed before, and then that one is gone."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page, Proxy(("127.0.0.1", port_of(world.urls[0]))) as network:
        await page.connect("alice", f"http://127.0.0.1:{network.port}", world.token(alice))
        await page.connect("bob", world.urls[0], world.token(bob))
        here = await said(page, "alice", bob)
        await page.until("clients.bob.rooms().value.length === 1")
        await page.run(
            "kept.heard = [];"
            "for (const type of ['message.new', 'message.deleted'])"
            " clients.bob.on(type, ({ data }) => kept.heard.push(`${type} ${data.message.text}`));"
        )
        network.leave()
        await page.until("clients.alice.connection.value.status !== 'online'")
        await page.run(
            "const room = clients.alice.room(room_id); room.send({ text: 'second' });"
            "kept.done = room.delete(message_id)",
            **here,
        )
        assert await page.run(f"return Boolean({MESSAGE}.deleted_at)", who="alice", **here)
        await network.listen()
        await page.run("await kept.done")
        await page.until("kept.heard.length === 2")
        assert await page.run("return kept.heard") == ["message.new second", "message.deleted "]


async def test_a_refused_edit_is_taken_back(world: World) -> None:
    """Of another one's message: shown, then rolled back with the reason and the text."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        await page.connect("bob", world.urls[0], world.token(bob))
        here = await said(page, "alice", bob)
        await page.run("clients.bob.room(room_id).watch()", **here)
        await page.until(f"{MESSAGE}?.text === 'first'", who="bob", **here)
        with pytest.raises(Rejected) as refused:
            await page.run(
                "const edited = clients.bob.room(room_id).edit(message_id, { text: 'mine' });"
                f"kept.shown = {MESSAGE}.text; await edited",
                who="bob",
                **here,
            )
        assert refused.value.code == "forbidden"
        after = await page.run(
            f"const {{ text, refusedChange }} = {MESSAGE};"
            "return [kept.shown, text, refusedChange.kind, refusedChange.text,"
            " refusedChange.error.code]",
            who="bob",
            **here,
        )
        assert after == ["mine", "first", "edit", "mine", "forbidden"]
