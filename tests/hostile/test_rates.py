"""RTS_LIMITS=standard: commands above a rate are delayed, refused or dropped; others do not
notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from tests.helpers.raw import QUERY, Raw
from tests.helpers.rooms import group
from tests.helpers.waiting import PATIENCE, eventually, until
from tests.helpers.world import Process, World, free_port, name, ready


@pytest.fixture(scope="module")
def limited(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The number of another instance of the world, with limits."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    own = {"RTS_PORT": str(port), "RTS_LIMITS": "standard", "RTS_USER_CONNECTIONS": "3"}
    own |= {"RTS_ADDRESS_CONNECTIONS": "30", "RTS_PRESENCE_GRACE": "1"}
    slow = "operator=5/20,history=1/10,presence=0.01/1,typing=0.01/1,presence_ids=0.01/20"
    own |= {"RTS_RATES": slow, "RTS_PING_INTERVAL": "2", "RTS_PING_TIMEOUT": "1"}
    log = tmp_path_factory.mktemp("limited") / "web.log"
    process = Process("serve", world.stack.environment() | own, log)
    process.start()
    world.urls.append(url)
    try:
        until(lambda: ready(url))
        yield world.urls.index(url)
    finally:
        world.urls.remove(url)
        process.stop()


async def send_many(client: Raw, first: int, event: str, data: dict[str, Any], times: int) -> None:
    """Send a command many times without waiting; return when all are answered."""
    frames = []
    for n in range(first, first + times):
        more = {"client_msg_id": f"m{n}"} if event == "message.send" else {}
        frames.append(f"42/chat,{n}" + json.dumps([event, data | more]))
    client.send_together(*frames)
    await client.until(lambda: all(n in client.acks for n in range(first, first + times)))


def codes(client: Raw, first: int, times: int) -> list[str]:
    """`ok` or the code of each ack."""
    answers = [client.acks[n][0] for n in range(first, first + times)]
    return ["ok" if answer["ok"] else answer["error"]["code"] for answer in answers]


async def test_sends_are_delayed_and_nothing_is_lost(world: World, limited: int) -> None:
    """20 sends at once from one connection all arrive, in order, at 5/s behind a burst of 10."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b, world.raw(alice, limited) as fast:
        ready_ = fast.events[0]["data"]
        assert ready_["limits"]["rates"]["messages"] == {"per_second": 5.0, "burst": 10.0}
        assert a.events[0]["data"]["limits"]["rates"] == {}
        room_id = await group(a, [bob])
        await send_many(fast, 0, "message.send", {"room_id": room_id, "text": "x"}, 20)
        assert codes(fast, 0, 20) == ["ok"] * 20
        await b.until(lambda: len(b.of_type("message.new")) == 20)
        ids = [e["data"]["message"]["client_msg_id"] for e in b.of_type("message.new")]
        assert ids == [f"m{n}" for n in range(20)]


async def test_commands_above_the_rate_are_refused_with_a_time(world: World, limited: int) -> None:
    """The refusal is retryable with a time, after which the command is served."""
    alice = name("alice")
    async with world.raw(alice, limited) as fast:
        await send_many(fast, 0, "sync", {"cursors": {}}, 20)
        refused = [fast.acks[n][0]["error"] for n in range(20) if not fast.acks[n][0]["ok"]]
        assert 1 <= len(refused) <= 10  # the slower the machine, the fewer
        assert {(e["code"], e["retryable"]) for e in refused} == {("rate_limited", True)}
        await asyncio.sleep(max(e["retry_after_ms"] for e in refused) / 1000)
        await send_many(fast, 100, "sync", {"cursors": {}}, 1)
        assert codes(fast, 100, 1) == ["ok"]


async def test_typing_and_presence_above_the_rate_are_dropped_with_ok(
    world: World, limited: int
) -> None:
    """They are acked as if done and not delivered."""
    alice, bob = name("alice"), name("bob")
    async with world.raw(alice, limited) as a, world.js(bob) as b:
        at = {"room_id": await group(b, [alice])}
        await a.until(lambda: any(event["type"] == "room.added" for event in a.events))
        await a.join(world.token(alice), "/presence")
        many = {"user_ids": [f"u{n}" for n in range(20)]}
        states = [{"state": state} for state in ("away", "online", "away")]
        asked_ = [
            *(("typing.start", at) for _ in range(3)),
            *(("presence.set", state) for state in states),
            *(("presence.watch", many) for _ in range(2)),
        ]
        a.send_together(
            *(f"42/presence,{n}" + json.dumps(command) for n, command in enumerate(asked_))
        )
        await a.until(lambda: len(a.acks) == len(asked_))
        assert codes(a, 0, 8) == ["ok"] * 7 + ["rate_limited"]
        assert [a.acks[n][0]["data"] for n in range(3)] == [{}] * 3
        told = [a.acks[n][0]["data"]["presence"]["state"] for n in range(3, 6)]
        assert told == ["away"] * 3
        assert 0 < a.acks[7][0]["error"]["retry_after_ms"] <= 2_000_000


def refused(client: Raw) -> list[dict[str, Any]]:
    """The reason of its end."""
    return [event["data"] for event in client.events if event["type"] == "session.closing"]


async def test_the_newest_connection_beyond_the_cap_is_refused(world: World, limited: int) -> None:
    """Of four live connections, with a limit of three, the last is closed for a while."""
    alice = name("alice")
    async with (
        world.raw(alice, limited) as first,
        world.raw(alice, limited) as second,
        world.raw(alice, limited) as third,
        world.js(alice, limited) as fourth,
    ):
        closing = await fourth.wait_for(lambda e: bool(e["type"] == "session.closing"), PATIENCE)
        assert closing["data"]["code"] == "connection_limit"
        assert closing["data"]["reconnect"]
        assert 10_000 <= closing["data"]["retry_after_ms"] <= 20_000
        await fourth.until(lambda: fourth.lines[-1]["kind"] == "disconnect")
        assert [one.closed for one in (first, second, third)] == [False] * 3


async def test_silent_connections_make_room_for_a_new_one_on_any_instance(
    world: World, limited: int
) -> None:
    """Half-open connections are pinged and dropped; the old and the new device stay."""
    alice = name("alice")
    async with (
        world.raw(alice, limited) as desktop,
        world.raw(alice) as lost,
        world.raw(alice) as lost_too,
    ):
        lost.answers_pings = lost_too.answers_pings = False
        async with world.raw(alice, limited) as phone:
            await eventually(lambda: lost.closed and lost_too.closed)
            assert not refused(lost)
            async with world.raw(alice, limited) as third:
                for number in range(5):  # longer than a trial
                    await asyncio.sleep(1)
                    for one in (desktop, phone, third):
                        assert (await one.ask(number, '["room.list",{}]'))["ok"]
                assert not refused(desktop) + refused(phone) + refused(third)


async def test_the_connection_cap_holds_for_concurrent_connects(world: World, limited: int) -> None:
    """Of twenty opened together three are served, and no earlier device is closed."""
    alice = name("alice")
    connect = "40/chat," + json.dumps({"token": world.token(alice)})
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(world.raw(alice, limited))
        opening = (stack.enter_async_context(world.raw(None, limited)) for _ in range(20))
        crowd = await asyncio.gather(*opening)
        await asyncio.gather(*(one.send(connect) for one in crowd))
        await eventually(lambda: sum(one.closed for one in crowd) == 18)
        told = [one for client in crowd for one in refused(client)]
        assert {(one["code"], one["reconnect"]) for one in told} == {("connection_limit", True)}
        assert not first.closed
        served = [one for one in crowd if not one.closed]
        for one in (first, *served):
            assert (await one.ask(1, '["room.list",{}]'))["ok"]


async def test_connections_of_an_address_are_limited(world: World, limited: int) -> None:
    """The handshake above the limit is refused until another connection ends."""
    url = world.urls[limited]
    async with AsyncExitStack() as open_, aiohttp.ClientSession() as http:
        for _ in range(30):
            await open_.enter_async_context(Raw(url))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(url + QUERY)
        assert refused.value.status == 429
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) > 0
    async with world.raw(name("alice"), limited) as again:
        assert not again.closed


async def test_a_client_with_hundreds_of_errors_is_closed_for_good(
    world: World, limited: int
) -> None:
    """Invalid commands are refused or dropped, then the connection is closed; others do not
    notice."""
    async with world.raw(name("alice"), limited) as bad, world.raw(name("bob"), limited) as good:
        for n in range(120):
            await bad.send("43/chat,1[]" if n % 2 else f'42/chat,{n}["no.such",{{}}]')
        await bad.until(lambda: bad.closed)
        assert any(e["data"].get("code") == "too_many_errors" for e in bad.events)
        await send_many(good, 0, "sync", {"cursors": {}}, 1)
        assert codes(good, 0, 1) == ["ok"]


@pytest.mark.parametrize(
    "frames",
    [
        ("40/nosuch,",),
        ("40/chat,{}",),
        ("43/chat,1[]",),
        ('42/presence,["typing.stop",{}]',),
        ('40/receipts,{"token":"junk"}',),
        ("40/receipts,TOKEN", "41/receipts,"),
        ("41/receipts,",),
        ("41",),
        ("3",),
        ("5",),
        ("2",),
    ],
)
async def test_frames_that_are_no_commands_are_counted_too(
    world: World, limited: int, frames: tuple[str, ...]
) -> None:
    """Repeated CONNECTs, unsolicited acks and events of other namespaces end in the same way."""
    alice = name("alice")
    token = json.dumps({"token": world.token(alice)})
    async with world.raw(alice, limited) as bad:
        for _ in range(130):
            for frame in frames:
                await bad.send(frame.replace("TOKEN", token))
        await bad.until(lambda: bad.closed)
        assert any(e["data"].get("code") == "too_many_errors" for e in bad.events)


@pytest.mark.parametrize("frame", ["3", "5", "41", "41/chat,", "42[]", "40/nosuch,", "6", b""])
async def test_junk_before_connect_is_counted_too(
    world: World, limited: int, frame: str | bytes
) -> None:
    """An unauthenticated connection is closed as early, and nothing waits for it."""
    async with Raw(world.urls[limited]) as bad:
        for _ in range(130):
            await bad.send(frame)
        await bad.until(lambda: bad.closed)
        assert len([packet for packet in bad.packets if packet == "6"]) == 0


async def test_commands_dropped_with_ok_are_limited_too(world: World, limited: int) -> None:
    """Above 20 commands/s of a connection presence.set is refused like any other."""
    alice = name("alice")
    async with world.raw(alice, limited) as fast:
        await fast.join(world.token(alice), "/presence")
        fast.send_together(
            *(f'42/presence,{n}["presence.set",{{"state":"away"}}]' for n in range(120))
        )
        await fast.until(lambda: len(fast.acks) == 120)
        assert {"ok", "rate_limited"} == set(codes(fast, 0, 120))


async def test_reading_stops_while_eight_commands_wait(world: World, limited: int) -> None:
    """A burst of sends waits in TCP instead of the server, and a PONG behind unread bytes counts
    as there."""
    alice = name("alice")
    async with world.js(alice) as a, world.raw(alice, limited) as fast:
        at = {"room_id": await group(a, [])}
        await send_many(fast, 0, "message.send", at | {"text": "y" * 3000}, 40)
        assert set(codes(fast, 0, 40)) == {"ok"}


async def test_operators_are_rate_limited_too(world: World, limited: int) -> None:
    """Above the burst of 20 requests the answer has a time, after which they are served."""
    headers = {"Authorization": f"Bearer {world.token(name('op'), scope='operator')}"}
    url = f"{world.urls[limited]}/v1/rooms/none"
    async with aiohttp.ClientSession(headers=headers) as http:

        async def ask() -> tuple[int, dict[str, Any]]:
            async with http.get(url) as answer:
                return answer.status, await answer.json()

        answers = await asyncio.gather(*(ask() for _ in range(60)))
        refused = [body["error"] for status, body in answers if status == 429]
        assert 0 < len(refused) <= 40
        assert {error["code"] for error in refused} == {"rate_limited"}
        await asyncio.sleep(max(error["retry_after_ms"] for error in refused) / 1000)
        assert (await ask())[0] == 404
