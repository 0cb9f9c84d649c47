"""A session handles packets in order and in short turns, and ends without a heartbeat."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
import pytest

from rts_server import metrics
from rts_server.engine import socket
from rts_server.engine.packets import ack_packet
from rts_server.engine.server import Server
from rts_server.engine.transport import MAX_FRAMES_PER_TURN
from tests.helpers.raw import QUERY, Raw
from tests.helpers.serving import serving
from tests.helpers.waiting import eventually

POLLING = QUERY.replace("websocket", "polling")
BOTH = "polling,websocket"
CONNECT = "40/chat,{}"


def command(number: int, name: str = "a") -> str:
    """A command with its ack id."""
    return f'42/chat,{number}["{name}"]'


def received_commands(server: Server) -> list[str]:
    """The names of the commands received in /chat, in order."""
    return [name for _, name in server.namespace_handlers["/chat"].heard]


async def test_commands_sent_with_a_connect_wait_for_it() -> None:
    """Commands in the same write as their CONNECT wait for the authentication."""
    async with serving() as (server, url), Raw(url) as client:
        client.send_together(CONNECT, command(1), command(2, "b"), "40/receipts,{}", command(3))
        await client.until(lambda: 3 in client.acks)
        assert [client.acks[n][0]["ok"] for n in (1, 2, 3)] == [1, 2, 3]
        assert received_commands(server) == ["a", "b", "a"]


async def test_a_burst_yields_to_other_clients() -> None:
    """Another client's command is answered long before the last of a thousand."""
    async with serving() as (server, url), Raw(url) as greedy, Raw(url) as other:
        for client in (greedy, other):
            await client.join("any", "/chat")
        greedy.send_together(*(command(n, f"{n:03}") for n in range(1_000)))
        other.send_together(command(1, "other"))
        await greedy.until(lambda: len(greedy.acks) == 1_000)
        names = received_commands(server)
        assert names.index("other") < 200
        names.remove("other")
        assert names == [f"{n:03}" for n in range(1_000)]
        assert list(greedy.acks) == list(range(1_000))


async def test_what_was_read_before_a_deferral_is_first_offered_to_who_deferred() -> None:
    """Until the connection is read again; only what they leave is handled."""
    offered: list[str] = []

    def refuse(text: str) -> bool:
        offered.append(text)
        return '"no"' in text

    async with serving() as (server, url), Raw(url) as client:
        await client.join("any", "/chat")
        (sid,) = server.eio.sockets
        server.defer_reading(sid, 0.0, refuse)
        server.eio.sockets[sid].text_received(command(1, "no"))
        server.eio.sockets[sid].text_received(command(2, "yes"))
        assert offered == [command(1, "no"), command(2, "yes")]
        await client.until(lambda: 2 in client.acks)
        client.send_together(command(3, "no"))
        await client.until(lambda: 3 in client.acks)
        assert received_commands(server) == ["yes", "no"]
        assert len(offered) == 2


async def test_messages_after_an_engine_io_close_are_not_handled() -> None:
    """Engine.IO CLOSE ends the session and its WebSocket."""
    async with serving() as (server, url), Raw(url) as client:
        client.send_together(CONNECT, command(1, "before"), "1", command(2, "behind"))
        await client.until(lambda: client.closed)
        assert received_commands(server) == ["before"]
        await eventually(lambda: not server.eio.sockets)


async def test_a_message_that_fails_is_logged_and_the_next_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error of the server ends neither the connection nor the queue behind it."""
    async with serving() as (server, url), Raw(url) as client:
        client.send_together(CONNECT, command(1, "bad"), command(2, "b"))
        await client.until(lambda: 2 in client.acks)
        client.send_together(command(3, "bad"), command(4, "d"))
        await client.until(lambda: 4 in client.acks)
        assert received_commands(server) == ["b", "d"]
        assert caplog.messages == ["a message could not be handled"] * 2


async def test_reading_stops_at_eight_unanswered_commands_and_keeps_their_order() -> None:
    """With eight unanswered commands the transport is not read and the heartbeat waits; each
    answer lets one more in."""
    async with (
        serving(rate_limits="standard", ping_interval=1.0, ping_timeout=0.1) as (server, url),
        Raw(url) as client,
    ):
        slow: Any = server.namespace_handlers["/chat"]
        await client.join("any", "/chat")
        (sid,) = server.eio.sockets
        transport = server.eio.sockets[sid]._transport._transport
        client.send_together(*[command(n, "slow") for n in range(9)], command(9, "last"))
        await eventually(lambda: len(slow.heard) == 8)
        assert not transport.is_reading()
        session = server.eio.sockets[sid]
        await eventually(lambda: session.last_ping is not None)
        await asyncio.sleep(0.5)  # five times as long as a client may be silent
        assert not client.closed
        slow.release()
        await eventually(lambda: len(slow.heard) == 9)
        assert not transport.is_reading()
        heartbeat = session._heartbeat
        slow.release()
        assert session._heartbeat is not heartbeat  # its PONG is only read now
        await client.until(lambda: 9 in client.acks)
        assert received_commands(server) == ["slow"] * 9 + ["last"]
        assert transport.is_reading()


async def test_commands_beyond_eight_are_not_parsed_while_they_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of sixty commands at once eight are parsed; the others wait for an answer."""
    looked: list[str] = []
    resume_reading = socket.Socket.resume_reading

    def counted(self: socket.Socket) -> None:
        looked.append(self.sid)
        resume_reading(self)

    monkeypatch.setattr(socket.Socket, "resume_reading", counted)
    async with serving(rate_limits="standard") as (server, url), Raw(url) as client:
        slow: Any = server.namespace_handlers["/chat"]
        await client.join("any", "/chat")
        client.send_together(*[command(n, "slow") for n in range(60)], command(60))
        await eventually(lambda: len(slow.heard) == 8)
        for _ in range(5):  # what has arrived is all held by now
            await asyncio.sleep(0)
        looked.clear()
        for _ in range(500):
            await asyncio.sleep(0)
        assert not looked
        for _ in range(60):
            slow.release()
        await client.until(lambda: 60 in client.acks)
        assert len(looked) <= 150


async def test_client_pings_are_counted_as_junk() -> None:
    """Each control frame is reported and answered by a PONG; a text packet is not reported."""
    junk: list[str] = []
    counting = partial(Server, on_protocol_error=junk.append)
    async with serving(server_class=counting) as (server, url), Raw(url) as client:
        await client.join("any", "/chat")
        junk.clear()
        for _ in range(5):
            await client.ping()
        await client.send(command(1))
        await client.until(lambda: 1 in client.acks)
        assert junk == list(server.eio.sockets) * 5


async def test_meaningless_packets_are_counted_as_junk_without_an_answer() -> None:
    """So are an unsolicited PONG and a DISCONNECT of a namespace that was not joined."""
    junk: list[str] = []
    counting = partial(Server, on_protocol_error=junk.append)
    async with serving(server_class=counting) as (server, url), Raw(url) as client:
        await client.join("any", "/chat")
        junk.clear()
        client.send_together("5", "3", "41/receipts,", "41", command(1))
        await client.until(lambda: 1 in client.acks)
        assert junk == list(server.eio.sockets) * 4
        assert len(client.packets) == 2  # OPEN and CONNECT


async def test_waiting_messages_of_a_dropped_connection_are_not_handled() -> None:
    """After the transport is dropped, the rest of a burst is not handled."""
    async with serving() as (server, url), Raw(url) as client:
        await client.join("any", "/chat")
        client.send_together(*[command(n) for n in range(10)], command(10, "quit"), *["4?"] * 900)
        dropped = metrics.DROPPED.labels("packet")._value.get()
        await client.until(lambda: client.closed)
        await eventually(lambda: not server.eio.sockets)
        assert received_commands(server) == ["a"] * 10 + ["quit"]
        for _ in range(900 // MAX_FRAMES_PER_TURN + 2):
            await asyncio.sleep(0)
        looked_at = metrics.DROPPED.labels("packet")._value.get() - dropped
        assert looked_at <= 6 * MAX_FRAMES_PER_TURN  # the turns until his end is known


async def test_a_connection_without_pong_is_closed() -> None:
    """A PONG before its PING does not count."""
    async with (
        serving(ping_interval=1.0, ping_timeout=1.0) as (_, url),
        Raw(url) as silent,
        Raw(url) as awake,
    ):
        silent.answers_pings = False
        for client in (silent, awake):
            await client.join("any", "/chat")
        await silent.send("3")
        await silent.until(lambda: silent.closed)
        await awake.send(command(1))
        await awake.until(lambda: 1 in awake.acks)


async def session(http: aiohttp.ClientSession, url: str) -> str:
    """The id of a polling session."""
    async with http.get(url + POLLING) as answer:
        return (await answer.text()).split('"')[3]


def upgrade(url: str, sid: str) -> str:
    """The address of its WebSocket."""
    return f"{url}{QUERY}&sid={sid}"


async def upgraded(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Probe and upgrade."""
    await ws.send_str("2probe")
    assert (await ws.receive()).data == "3probe"
    await ws.send_str("5")


async def next_packet(ws: aiohttp.ClientWebSocketResponse) -> str:
    """The next packet other than a NOOP."""
    while (text := (await ws.receive()).data) == "6":
        pass
    assert isinstance(text, str)
    return text


async def test_a_probe_that_does_not_end_is_dropped_and_polling_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After its time the session goes on polling, and a second probe may succeed."""
    monkeypatch.setattr(socket, "UPGRADE_SECONDS", 0.05)
    async with serving(transports=BOTH) as (server, url), aiohttp.ClientSession() as h:
        sid = await session(h, url)
        async with h.ws_connect(upgrade(url, sid)) as probe:
            assert (await probe.receive()).type is aiohttp.WSMsgType.CLOSED
        async with h.post(f"{url}{POLLING}&sid={sid}", data=CONNECT) as posted:
            assert posted.status == 200
        async with h.get(f"{url}{POLLING}&sid={sid}") as polled:
            assert (await polled.text()).startswith("40/chat,")
        monkeypatch.undo()
        async with h.ws_connect(upgrade(url, sid)) as second:
            await upgraded(second)
            await second.send_str(command(1))
            assert (await next_packet(second)).startswith("43/chat,1[")
        await eventually(lambda: not server.eio.sockets)


async def test_packets_that_wait_during_an_upgrade_leave_by_the_websocket_in_order() -> None:
    """Packets written during an upgrade are neither lost, doubled nor reordered."""
    async with serving(transports=BOTH) as (server, url), aiohttp.ClientSession() as h:
        sid = await session(h, url)
        async with h.post(f"{url}{POLLING}&sid={sid}", data=CONNECT):
            pass
        async with h.get(f"{url}{POLLING}&sid={sid}") as polled:
            assert (await polled.text()).startswith("40/chat,")
        async with h.ws_connect(upgrade(url, sid)) as ws:
            out = server.outgoing(sid)
            out.write(ack_packet("/chat", 1, {}))
            await upgraded(ws)
            out.write(ack_packet("/chat", 2, {}))
            await ws.send_str(command(3))
            texts = [await next_packet(ws) for _ in range(3)]
        assert [text[:9] for text in texts] == ["43/chat,1", "43/chat,2", "43/chat,3"]


async def test_a_session_has_one_websocket() -> None:
    """A second is closed as soon as it opens; the first is not affected."""
    async with serving() as (server, url), Raw(url) as client, aiohttp.ClientSession() as http:
        await client.join("any", "/chat")
        (sid,) = server.eio.sockets
        async with http.ws_connect(upgrade(url, sid)) as second:
            assert (await second.receive()).type is aiohttp.WSMsgType.CLOSE
        await client.send(command(1))
        await client.until(lambda: 1 in client.acks)


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"Upgrade": "websocket", "Connection": "keep-alive", "Sec-WebSocket-Version": "13"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "99"},
        {},
    ],
    ids=["no version", "no upgrade of the connection", "another version", "plain"],
)
async def test_an_invalid_handshake_opens_no_session(headers: dict[str, str]) -> None:
    """It is answered 400, and neither a session nor a connection is counted."""
    async with serving() as (server, url), aiohttp.ClientSession() as http:
        async with http.get(url + QUERY, headers=headers) as answer:
            assert answer.status == 400
        assert (server.eio.sockets, server.environ) == ({}, {})


async def test_a_failed_probe_does_not_delay_polling_or_another_upgrade() -> None:
    """While its WebSocket is closing the client polls, and upgrades by another."""
    async with serving(transports=BOTH) as (server, url), aiohttp.ClientSession() as h:
        sid = await session(h, url)
        async with h.ws_connect(upgrade(url, sid), autoclose=False) as broken:
            await broken.send_str("nonsense")
            assert (await broken.receive()).type is aiohttp.WSMsgType.CLOSE
            async with h.post(f"{url}{POLLING}&sid={sid}", data=CONNECT):
                pass
            async with h.get(f"{url}{POLLING}&sid={sid}") as polled:
                assert (await polled.text()).startswith("40/chat,")
            async with h.ws_connect(upgrade(url, sid)) as second:
                await upgraded(second)
                await broken.close()
                await second.send_str(command(1))
                assert (await next_packet(second)).startswith("43/chat,1[")
                assert list(server.eio.sockets) == [sid]
