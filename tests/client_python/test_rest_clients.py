"""What a back end in Python does, against a real server, blocking and as coroutines."""

from __future__ import annotations

import inspect

import pytest

from rts_chat import AsyncRestClient, ChatError, RestClient, sign_token
from rts_chat.route import ROUTES
from tests.client_python.clients import Asynchronous, Blocking, Both
from tests.helpers.rest import ROUTES as SERVED
from tests.helpers.world import World, name

pytestmark = pytest.mark.parametrize("kind", [Blocking, Asynchronous])


def secret(world: World) -> str:
    """RTS_JWT_SECRET of the server."""
    return world.stack.settings.jwt_secret


def operator(world: World) -> str:
    """A token for the routes of REST."""
    return sign_token(secret(world), sub="backend", scope="operator")


async def test_a_back_end_signs_declares_and_writes(world: World, kind: Both) -> None:
    """Its tokens are taken, a room of a business key is declared, and its members hear it write."""
    alice, order = name("alice"), name("order")
    token = sign_token(secret(world), sub=alice, name="Alice")
    async with kind(world.urls[0], lambda: operator(world)) as rest, world.js(alice) as client:
        declared = await rest.ask(
            "room_declare", order, name="Order", members=[{"user_id": alice, "role": "owner"}]
        )
        room_id = declared["room"]["room_id"]
        assert (declared["created"], declared["room"]["external_id"]) == (True, order)
        sent = await rest.ask("message_send", room_id, text="shipped", idempotency_key="one")
        again = await rest.ask("message_send", room_id, text="shipped", idempotency_key="one")
        assert sent["message_id"] == again["message_id"]
        await client.wait_for(
            lambda event: (
                event["type"] == "message.new" and event["data"]["message"]["text"] == "shipped"
            )
        )
        page = await rest.ask("message_page", room_id, limit=1)
        assert [message["text"] for message in page["messages"]] == ["shipped"]
        await rest.ask("message_send", room_id, text="thanks", on_behalf_of=alice)
        unread = await rest.ask("user_unread", alice, explain=True)
        assert unread["rooms"] == [
            {"room_id": room_id, "seq": 2, "read_seq": 2, "uncounted": 0, "unread": 0}
            | {"counts": True}
        ]
        lines = await rest.all_lines("personal_export", alice)
        assert {"membership", "message"} <= {line["kind"] for line in lines}
        assert "end" not in {line["kind"] for line in lines}
        assert (await rest.ask("room_delete", room_id))["removed"] == [alice]
    async with kind(world.urls[0], token) as user:
        with pytest.raises(ChatError, match="forbidden"):
            await user.ask("instance_all")


async def test_what_is_refused_says_why(world: World, kind: Both) -> None:
    """A ChatError with the server's code, of a call and of a stream; with details of a field."""
    async with kind(world.urls[0], operator(world)) as rest:
        with pytest.raises(ChatError) as absent:
            await rest.ask("room_get", "x")
        assert (absent.value.code, absent.value.retryable) == ("not_found", False)
        with pytest.raises(ChatError) as wrong:
            await rest.ask("queue_replay", queue="x")
        assert (wrong.value.code, list(wrong.value.details)) == ("invalid_param", ["queue"])
    async with kind(world.urls[0], sign_token(secret(world), sub="user")) as stranger:
        with pytest.raises(ChatError) as refused:
            await stranger.all_lines("personal_export", "x")
        assert refused.value.code == "forbidden"


def test_every_route_is_a_method(kind: Both) -> None:
    """Named after its operationId, with a docstring; no other routes than the server's."""
    client = RestClient if kind is Blocking else AsyncRestClient
    served = {(route.method, route.path) for route in SERVED}
    assert {(route.method, route.path) for route in ROUTES.values()} == served
    for operation in ROUTES:
        method = getattr(client, operation.replace(".", "_"))
        assert inspect.getdoc(method), operation
