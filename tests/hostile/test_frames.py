"""Frames that no correct client sends: one clear error, one ack, and others do not notice."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import aiohttp
import pytest

from rts_server.engine import websocket
from tests.helpers.raw import QUERY, Raw
from tests.helpers.waiting import until
from tests.helpers.world import World, name

CASES = {
    "reserved name connect": ('["connect",{"auth":{}}]', "bad_request"),
    "reserved name disconnect": ('["disconnect","x"]', "bad_request"),
    "unknown name": ('["message.sent",{}]', "bad_request"),
    "method of the class": ('["on_message_send",{}]', "bad_request"),
    "dunder": ('["__class__",{}]', "bad_request"),
    "empty name": ('["",{}]', "bad_request"),
    "empty list": ("[]", "bad_request"),
    "number for a name": ("[1,{}]", "bad_request"),
    "null for a name": ("[null,{}]", "bad_request"),
    "object for a name": ("[{},{}]", "bad_request"),
    "list for a name": ('[["message.send"],{}]', "bad_request"),
    "data is an object": ('{"a":1}', "bad_request"),
    "payload is a list": ('["message.send",[]]', "bad_request"),
    "payload is null": ('["message.send",null]', "bad_request"),
    "two payloads": ('["message.send",{},{}]', "bad_request"),
    "NaN": ('["message.send",{"room_id":"r","client_msg_id":"m","text":NaN}]', "bad_request"),
    "Infinity": ('["room.list",{"limit":Infinity}]', "bad_request"),
    "overflow": ('["room.list",{"limit":1e400}]', "bad_request"),
    "lone surrogate": (
        '["message.send",{"room_id":"r","client_msg_id":"m","text":"\\ud800"}]',
        "bad_request",
    ),
    "depth": ('["message.send",' + '{"a":' * 2000 + "1" + "}" * 2000 + "]", "bad_request"),
    "no payload": ('["message.send"]', "invalid_param"),
    "boolean for a number": ('["room.list",{"limit":true}]', "invalid_param"),
    "float for a number": ('["room.list",{"limit":1.0}]', "invalid_param"),
    "text for a number": ('["room.list",{"limit":"1"}]', "invalid_param"),
    "number out of range": ('["room.list",{"limit":51}]', "invalid_param"),
    "number for an id": ('["room.get",{"room_id":5}]', "invalid_param"),
    "list for an id": ('["room.get",{"room_id":["x"]}]', "invalid_param"),
    "key characters in an id": ('["room.get",{"room_id":"a:{b}*"}]', "invalid_param"),
    "newline behind an id": ('["room.get",{"room_id":"abc\\n"}]', "invalid_param"),
    "id too long": ('["room.get",{"room_id":"' + "x" * 65 + '"}]', "invalid_param"),
    "foreign room": ('["room.get",{"room_id":"x"}]', "not_found"),
}


def send(text: str = "hi", **more: object) -> str:
    """A message.send to a room that does not exist."""
    payload = {"room_id": "r", "client_msg_id": "m", "text": text} | more
    return json.dumps(["message.send", payload], ensure_ascii=False)


SIZES = {
    "text of 4,001 code points": (send("x" * 4001), "message_too_large"),
    "text of 16 KiB and more": (send("😀" * 4000 + "x"), "message_too_large"),
    "text of 4,000 code points": (send("x" * 4000), "not_found"),
    "text of 16,000 bytes": (send("😀" * 4000), "not_found"),
    "text empty": (send(""), "invalid_param"),
    "text of spaces": (send(" \n"), "invalid_param"),
    "text with NUL": (send("a\x00b"), "invalid_param"),
    "metadata too large": (send(metadata={"a": "x" * 4096}), "message_too_large"),
    "metadata too deep": (
        send(metadata={"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}),
        "not_found",
    ),
    "metadata deeper": (
        send(metadata={"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {}}}}}}}}}),
        "invalid_param",
    ),
    "metadata of 65 keys": (send(metadata={str(n): 1 for n in range(65)}), "invalid_param"),
    "metadata with a prototype": (send(metadata={"__proto__": 1}), "invalid_param"),
    "51 mentions": (send(mentions=["u"] * 51), "invalid_param"),
    "101 ids": (
        json.dumps(["member.add", {"room_id": "r", "user_ids": ["u"] * 101}]),
        "invalid_param",
    ),
    "name of 201": (
        json.dumps(
            [
                "room.create",
                {"type": "group", "client_room_id": "g", "members": [], "name": "n" * 201},
            ]
        ),
        "invalid_param",
    ),
    "user id with space": (
        json.dumps(["room.create", {"type": "direct", "members": ["a b"]}]),
        "invalid_param",
    ),
    "user id of 129": (
        json.dumps(["room.create", {"type": "direct", "members": ["u" * 129]}]),
        "invalid_param",
    ),
}


@pytest.mark.parametrize(("text", "code"), [*CASES.values(), *SIZES.values()], ids=[*CASES, *SIZES])
async def test_bad_command_gets_one_clear_error(world: World, text: str, code: str) -> None:
    """A bad command is refused with its code, once, and the connection goes on."""
    async with world.raw(name("mallory")) as m:
        answer = await m.ask(7, text)
        assert answer["ok"] is False
        assert answer["error"]["code"] == code, answer
        good = await m.ask(8, '["room.list",{}]')
        assert good == {
            "ok": True,
            "data": {"rooms": [], "next_cursor": None, "unread": {"total": 0, "rooms": 0}},
        }
        assert len(m.acks[7]) == 1


async def test_details_name_the_field(world: World) -> None:
    """`details` has the field and the reason."""
    async with world.raw(name("mallory")) as m:
        answer = await m.ask(1, send("x" * 4001))
        assert answer["error"]["details"] == {"text": ["Longer than maximum length 4000."]}


async def test_unknown_fields_are_ignored(world: World) -> None:
    """An unknown field is neither refused nor stored."""
    async with world.raw(name("alice")) as a:
        group = {"type": "group", "client_room_id": "g", "members": [], "color": "red"}
        answer = await a.ask(1, json.dumps(["room.create", group | {"created_by": "somebody"}]))
        assert answer["ok"], answer
        assert "color" not in answer["data"]["room"]
        assert answer["data"]["room"]["created_by"] != "somebody"


DROPPED = {
    "event before CONNECT of a namespace": '42/other,1["message.send",{}]',
    "event without namespace": '421["room.list",{}]',
    "ack out of the blue": "43/chat,5[]",
    "CONNECT_ERROR from a client": '44/chat,{"message":"x"}',
    "CONNECT twice": '40/chat,{"token":"x"}',
    "pong nobody asked for": "3",
    "upgrade of what is a WebSocket": "5",
    "DISCONNECT of a namespace one is not in": "41/receipts,",
}


@pytest.mark.parametrize("frame", DROPPED.values(), ids=DROPPED.keys())
async def test_unanswerable_packet_is_dropped(world: World, frame: str) -> None:
    """A packet without an ack id is dropped and counted; the connection goes on."""
    async with world.raw(name("mallory")) as m:
        before = list(m.packets)
        await m.send(frame)
        assert (await m.ask(9, '["room.list",{}]'))["ok"]
        assert m.packets == before


BROKEN = {
    "ack id of 20 digits": '42/chat,12345678901234567890["room.list",{}]',
    "ack id of letters": '42/chat,abc["room.list",{}]',
    "packet type 9": "49",
    "superscript digit": "42/chat,²[]",
    "an object for an event": "42/chat,{}",
    "an event that is no JSON": "42/chat,[1,",
    "no event": "42/chat",
    "no packet": "4abc",
}


@pytest.mark.parametrize("frame", BROKEN.values(), ids=BROKEN.keys())
async def test_a_malformed_packet_closes_at_once(world: World, frame: str) -> None:
    """An invalid packet ends the connection, as an invalid frame does."""
    async with world.raw(name("mallory")) as m:
        await m.send(frame)
        await m.until(lambda: m.closed)


async def test_binary_packet_is_refused(world: World) -> None:
    """A binary event is unsupported; its attachments are dropped."""
    async with world.raw(name("mallory")) as m:
        await m.send('451-/chat,5["message.send",{"_placeholder":true,"num":0}]')
        await m.until(lambda: 5 in m.acks)
        assert m.acks[5][0]["error"]["code"] == "unsupported_type"
        await m.send(b"\x00\x01")
        assert (await m.ask(6, '["room.list",{}]'))["ok"]


@pytest.mark.parametrize("frame", ["x", "", "²"])
async def test_broken_engine_frame_closes_at_once(world: World, frame: str) -> None:
    """A frame that is no Engine.IO packet ends the connection."""
    async with world.raw(name("mallory")) as m:
        await m.send(frame)
        await m.until(lambda: m.closed)


@pytest.mark.parametrize("frame", ["b!!!", "9", "6"])
async def test_useless_engine_frame_is_ignored(world: World, frame: str) -> None:
    """An Engine.IO packet without a meaning is dropped; the connection goes on."""
    async with world.raw(name("mallory")) as m:
        await m.send(frame)
        assert (await m.ask(1, '["room.list",{}]'))["ok"]


async def test_frame_beyond_the_limit_closes(world: World) -> None:
    """A frame above 1 MiB is not read: the reason is sent, then close code 1009."""
    async with world.raw(name("mallory")) as m:
        await m.send("42/chat,1" + send("x" * 1_100_000))
        await m.until(lambda: m.closed)
        assert m._ws is not None
        assert m._ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert [e["data"]["code"] for e in m.events[1:]] == ["frame_too_large"]


LARGE = {
    "a text": ("42/chat,1" + send("x" * 78_000), "message_too_large"),
    "no JSON": ("42/chat,1[" + "x" * 78_000, "message_too_large"),
    "binary": ("451-/chat,1[" + "x" * 78_000, "unsupported_type"),
}


@pytest.mark.parametrize(("frame", "code"), LARGE.values(), ids=LARGE.keys())
async def test_command_beyond_the_frame_is_answered(world: World, frame: str, code: str) -> None:
    """A command above 64 KiB is read to its end and refused in its turn; the connection goes on."""
    async with world.raw(name("mallory")) as m:
        m.send_together('42/chat,0["room.list",{}]', frame, '42/chat,2["room.list",{}]')
        await m.until(lambda: 2 in m.acks)
        assert [m.acks[n][0]["ok"] for n in m.acks] == [True, False, True]
        assert m.acks[1][0]["error"]["code"] == code


@pytest.mark.parametrize(
    "frame", ["42/chat,", "43/chat,1", "40/chat,", "2", "41/chat,"], ids=lambda text: text
)
async def test_a_large_frame_without_an_ack_id_closes_the_connection(
    world: World, frame: str
) -> None:
    """Without an ack id the connection is closed with a reason."""
    async with world.raw(name("mallory")) as m:
        await m.send(frame + '["' + "x" * 70_000 + '"]')
        await m.until(lambda: m.closed)
        assert [e["data"]["code"] for e in m.events[1:]] == ["frame_too_large"]


async def test_the_stock_client_gets_an_ack_for_a_text_too_large(world: World) -> None:
    """By the ack of the command; above 1 MiB by a final close, and it does not reconnect."""
    async with world.js(name("alice")) as a:
        payload = {"room_id": "r", "client_msg_id": "m", "text": "x" * 78_000}
        answer = await a.emit("message.send", payload)
        assert answer["error"]["code"] == "message_too_large"
        assert (await a.emit("room.list", {}))["ok"]
        with pytest.raises(TimeoutError, match="disconnected"):
            await a.emit("message.send", payload | {"text": "x" * 1_100_000})
        closing = await a.wait_for(lambda e: bool(e["type"] == "session.closing"))
        assert (closing["data"]["code"], closing["data"]["reconnect"]) == ("frame_too_large", False)
        ends = [line["reason"] for line in a.lines if line["kind"] == "disconnect"]
        assert ends == ["io server disconnect"]


async def test_an_unmasked_frame_closes_the_connection(world: World) -> None:
    """RFC 6455, 5.1: 1002."""
    async with world.raw(name("mallory")) as m:
        assert m._ws is not None
        transport: Any = m._ws._writer.transport
        transport.write(websocket.text('42/chat,1["room.list",{}]'))
        await m.until(lambda: m.closed)
        assert (m._ws.close_code, m.acks) == (aiohttp.WSCloseCode.PROTOCOL_ERROR, {})


async def test_polling_is_refused_with_the_reason(world: World) -> None:
    """A polling request is answered 400 with the reason."""
    address = world.urls[0] + "/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        assert answer.status == 400
        assert "transport" in (await answer.text()).lower()


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ({}, "unauthorized"),
        ({"token": ""}, "unauthorized"),
        ({"token": 5}, "unauthorized"),
        ({"token": "x" * 5000}, "unauthorized"),
        ({"token": "a.b.c"}, "unauthorized"),
    ],
)
async def test_a_connect_without_a_valid_token_is_refused(
    world: World, auth: object, code: str
) -> None:
    """CONNECT_ERROR has message and code; no session opens."""
    async with Raw(world.urls[0]) as m:
        await m.send("40/chat," + json.dumps(auth))
        await m.until(lambda: len(m.packets) == 2)
        assert m.packets[1].startswith("44/chat,")
        error = json.loads(m.packets[1].removeprefix("44/chat,"))
        assert error["data"] == {"code": code}
        assert not m.events


async def test_expired_token(world: World) -> None:
    """A token past exp and leeway is token_expired; the log says since when."""
    async with Raw(world.urls[0]) as m:
        token = world.token("alice", lifetime=-31)
        await m.send("40/chat," + json.dumps({"token": token}))
        await m.until(lambda: len(m.packets) == 2)
        assert '"code":"token_expired"' in m.packets[1]
        assert "exp: Expired at " in m.packets[1]  # as under `dev` only
    refused = partial(world.webs[0].log_lines, "token refused")
    until(lambda: any(line["claim"] == "exp" for line in refused()))


async def test_unknown_namespace(world: World) -> None:
    """CONNECT to a namespace that does not exist is not_found."""
    async with Raw(world.urls[0]) as m:
        await m.send("40/nothing,{}")
        await m.until(lambda: len(m.packets) == 2)
        assert '"code":"not_found"' in m.packets[1]


async def test_no_deflate_is_offered(world: World) -> None:
    """permessage-deflate is not negotiated even when the client offers it."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(world.urls[0] + QUERY, compress=15) as ws,
    ):
        assert ws.compress == 0
