"""rts-chat/server: what a back end in Node does, against a real server."""

from __future__ import annotations

from scripts.wire import rest
from tests.helpers.chat_package import ChatPackage
from tests.helpers.rest import ROUTES
from tests.helpers.world import World, name

CONNECT = """
kept.sign = (options) => backend.signToken(secret, options);
const operator = () => kept.sign({ sub: "backend", scope: "operator" });
kept.rest = new backend.RestClient(url, operator);
"""


async def test_a_back_end_signs_declares_and_writes(world: World) -> None:
    """Its tokens are taken, a room of a business key is declared, and its members hear it write."""
    alice, order = name("alice"), name("order")
    secret = world.stack.settings.jwt_secret
    async with ChatPackage() as page:
        await page.run(CONNECT, secret=secret, url=world.urls[0])
        token = await page.run("return kept.sign({ sub: alice, name: 'Alice' })", alice=alice)
        await page.connect("alice", world.urls[0], token)
        declared = await page.run(
            "return kept.rest.call('room.declare', { external_id: order, name: 'Order',"
            " members: [{ user_id: alice }] })",
            order=order,
            alice=alice,
        )
        room_id = declared["room"]["room_id"]
        assert declared["created"] is True
        await page.until("clients.alice.rooms().value[0]?.title === 'Order'")
        send = (
            "return kept.rest.call('message.send',"
            " { room_id, text: 'shipped', idempotency_key: 'one' })"
        )
        first = await page.run(send, room_id=room_id)
        again = await page.run(send, room_id=room_id)
        assert first["message_id"] == again["message_id"]
        await page.until("clients.alice.unread.value.total === 1")
        listed = await page.run(
            "const { messages } = await kept.rest.call('message.page', { room_id, limit: 1 });"
            "return messages.map(({ text }) => text)",
            room_id=room_id,
        )
        assert listed == ["shipped"]
        exported = await page.run(
            "const kinds = []; for await (const line of kept.rest.lines('personal.export',"
            " { user_id: alice })) kinds.push(line.kind); return kinds",
            alice=alice,
        )
        assert "membership" in exported


async def test_a_rest_refusal_has_the_servers_code_and_details(world: World) -> None:
    """A ChatError with the server's code, of a call and of a stream; with details of a field."""
    secret = world.stack.settings.jwt_secret
    refused = ".catch((error) => [error.code, Object.keys(error.details)])"
    async with ChatPackage() as page:
        await page.run(CONNECT, secret=secret, url=world.urls[0])
        absent = await page.run(f"return kept.rest.call('room.get', {{ room_id: 'x' }}){refused}")
        assert absent == ["not_found", []]
        wrong = await page.run(
            f"return kept.rest.call('queue.replay', {{ queue: 'x' }}){refused}",
        )
        assert wrong == ["invalid_param", ["queue"]]
        stranger = await page.run(
            "const rest = new backend.RestClient(url, await kept.sign({ sub: 'user' }));"
            f"return rest.lines('personal.export', {{ user_id: 'x' }}).next(){refused}",
            url=world.urls[0],
        )
        assert stranger == ["forbidden", ["scope"]]


def test_every_route_is_in_the_table() -> None:
    """The generated table has each route of the server, and no other."""
    written = rest.text()
    assert written.count("{ method: ") == len(ROUTES)
    assert [one.path for one in ROUTES if f'path: "{one.path}"' not in written] == []
