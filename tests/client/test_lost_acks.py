"""Acks that are lost on their way: what everybody heard is asked about until it is durable."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.helpers.chat_package import ChatPackage
from tests.helpers.proxy import Proxy
from tests.helpers.world import World, name

MESSAGES = "clients[who].room(room_id).state.value.messages"


async def test_what_everybody_heard_is_queued_though_its_ack_was_lost(world: World) -> None:
    """Five acks are lost with the link: each message comes once and is queued, and none is kept."""
    alice, bob = name("alice"), name("bob")
    there = urlsplit(world.urls[0])
    async with ChatPackage() as page, Proxy(("127.0.0.1", there.port or 0)) as network:
        url = f"http://127.0.0.1:{network.port}"
        await page.run("kept.storage = chat.memoryStorage()")
        await page.connect("alice", url, world.token(alice), "{ storage: kept.storage }")
        await page.connect("bob", world.urls[0], world.token(bob))
        room_id = await page.run("return (await clients.alice.direct(bob)).room_id", bob=bob)
        for who in ("alice", "bob"):
            await page.run("clients[who].room(room_id).watch()", who=who, room_id=room_id)
        await page.run(
            "kept.sessions = 0; clients.alice.on('session.ready', () => (kept.sessions += 1))"
        )
        texts = [f"lost ack {n}" for n in range(5)]
        for number, text in enumerate(texts):
            await page.until("kept.sessions === number", number=number)
            network.mute()
            await page.run("clients.alice.room(room_id).send({ text })", room_id=room_id, text=text)
            heard = f"{MESSAGES}.some((m) => m.text === text)"
            await page.until(heard, who="bob", room_id=room_id, text=text)
            network.kill()
            network.heal()
        safe = "['queued', 'delivered', 'read'].includes"
        await page.until(
            f"{MESSAGES}.length === 5 && {MESSAGES}.every((m) => {safe}(m.status))",
            who="alice",
            room_id=room_id,
        )
        await page.until("kept.storage.entries('').length === 0")
        for who in ("alice", "bob"):
            shown = await page.run(
                f"return {MESSAGES}.map((m) => m.text)", who=who, room_id=room_id
            )
            assert shown == texts
