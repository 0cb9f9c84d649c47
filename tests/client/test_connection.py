"""What the package says of its connection, its token and its storage, to the page and the log."""

from __future__ import annotations

import pytest

from tests.helpers.chat_package import ChatPackage, Rejected
from tests.helpers.proxy import Proxy
from tests.helpers.world import World, name

TOLD = "{ logger: { warn: (...args) => (kept.told ??= []).push(args.map(String).join(' ')) } }"
"""Options: what the logger is told, into `kept.told`."""


async def test_a_lost_connection_says_why_and_the_log_once(world: World) -> None:
    """First that it was lost, then that nobody answers at the url; when it is back, neither."""
    alice = name("alice")
    async with (
        ChatPackage() as page,
        Proxy(("127.0.0.1", int(world.urls[0].rpartition(":")[2]))) as network,
    ):
        url = f"http://127.0.0.1:{network.port}"
        await page.run("kept.seen = []")
        await page.connect("alice", url, world.token(alice), TOLD)
        await page.run(
            "clients.alice.connection.subscribe(({ status, code, message }) =>"
            " status === 'offline' && kept.seen.push([code, message]))"
        )
        network.leave()
        await page.until("kept.seen.length >= 3")
        lost, *attempts = await page.run("return kept.seen")
        assert lost == ["unreachable", "The connection was lost."]
        for code, message in attempts:
            assert code == "unreachable"
            assert url in message
        assert len(await page.run("return kept.told")) == 1
        await network.listen()
        await page.until("clients.alice.connection.value.status === 'online'")
        assert await page.run("return clients.alice.connection.value") == {"status": "online"}


async def test_a_get_token_with_nothing_fresher_is_told_once(world: World) -> None:
    """The log says so while the session lives, and the session ends with its token."""
    async with ChatPackage() as page:
        token = world.token(name("alice"), lifetime=6)
        await page.connect("alice", world.urls[0], token, TOLD)
        await page.until("clients.alice.connection.value.code === 'token_expired'")
        told = await page.run("return kept.told.filter((one) => /no later than/.test(one))")
    assert len(told) == 1


async def test_a_refusal_that_a_call_rejects_with_is_not_logged(world: World) -> None:
    """Of a room that cannot be made, a change and a command."""
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(name("alice")), TOLD)
        for call in (
            "group({ name: ' ' })",
            "direct('has space')",
            "room('unknown').mute()",
            "room('unknown').update({ name: 'Team' })",
        ):
            with pytest.raises(Rejected):
                await page.run(f"await clients.alice.{call}")
        assert await page.run("return kept.told ?? []") == []


async def test_a_full_storage_is_told_once(world: World) -> None:
    """However many messages and drafts it does not take; they are sent all the same."""
    alice, bob = name("alice"), name("bob")
    full = (
        "{ storage: { delete: () => undefined, entries: () => [],"
        " set: (key) => { throw new Error(`Setting '${key}' exceeded the quota.`); } } }"
    )
    async with ChatPackage() as page:
        more = f"Object.assign({TOLD}, {full})"
        await page.connect("alice", world.urls[0], world.token(alice), more)
        room_id = await page.run(
            "const room = await clients.alice.direct(bob); room.watch();"
            "for (const text of ['one', 'two', 'three']) {"
            " room.draft.set(text); room.send({ text }); }"
            "return room.room_id",
            bob=bob,
        )
        messages = "clients.alice.room(room_id).state.value.messages"
        await page.until(f"{messages}.filter(({{ seq }}) => seq).length === 3", room_id=room_id)
        told = await page.run("return kept.told")
    assert [line.split(".")[0] for line in told] == ["What is unsent cannot be stored"]
