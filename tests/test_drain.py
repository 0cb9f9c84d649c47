"""Draining an instance: clients are told and closed over time, commands answered."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rts_server import drain
from rts_server.config import Settings
from rts_server.drain import seconds_between
from rts_server.engine.server import CLOSED_AS
from tests.helpers.commands import ok
from tests.helpers.instance_metadata import instance_metadata
from tests.helpers.js_client import JsClient
from tests.helpers.raw import QUERY, Raw
from tests.helpers.rest import Rest, presence_when_online
from tests.helpers.rooms import group
from tests.helpers.waiting import PATIENCE, eventually, until
from tests.helpers.world import World, name, ready

SPREAD = 1.5


def fetch(url: str) -> tuple[int, str]:
    """Return status and body of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("count", "longest", "spread"),
    [
        (0, 240.0, 20.0),
        (1, 240.0, 20.0),
        (3, 240.0, 20.0),
        (1_001, 240.0, 20.0),
        (5_001, 240.0, 100.0),
        (10_001, 240.0, 200.0),
        (100_001, 240.0, 240.0),
        (10_001, 40.0, 40.0),
    ],
)
def test_closes_are_spread_by_the_number_of_users(
    count: int, longest: float, spread: float
) -> None:
    """50 a second, whatever the number; over 20 s at least and over the longest spread at most."""
    between = seconds_between(count, 50, 20.0, longest)
    assert between * max(1, count - 1) == pytest.approx(spread)
    assert count > 12_001 or longest < 240 or between >= 0.02


def test_without_a_least_spread_a_single_connection_is_closed_at_once() -> None:
    """And few are closed by the rate alone."""
    assert seconds_between(11, 50, 0.0, 240.0) == 0.02


class Sockets:
    """The sockets of a server, as far as a drain needs them."""

    def __init__(self, number: int) -> None:
        self.eio = SimpleNamespace(sockets={str(n): None for n in range(number)})
        self.environ: dict[str, Any] = {}
        self.aborted: list[str] = []

    def refuse_new_connections(self) -> None:
        """Nothing is refused here."""

    def close(self, eio_sid: str, code: str) -> None:
        """Close at once."""
        self.environ[eio_sid] = {CLOSED_AS: code}
        del self.eio.sockets[eio_sid]

    def abort(self, eio_sid: str) -> None:
        """Drop a connection."""
        self.aborted.append(eio_sid)


class Settled:
    """No append waits."""

    async def settled(self) -> None:
        """At once."""


async def test_a_drain_that_takes_its_time_ends_in_time_once_it_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is left is spread over the time that SIGTERM leaves, and none is dropped (R6)."""
    monkeypatch.setattr(drain, "LONGEST_URGENT_SPREAD_SECONDS", 0.2)
    settings = replace(Settings(), drain_spread=0.0, drain_rate=5)
    server: Any = Sockets(101)
    slow = drain.Drain(settings, server, [], Settled())
    ended = slow.drain()
    await eventually(lambda: len(server.environ) > 1)
    slow.hurry()
    async with asyncio.timeout(PATIENCE / 4):
        await ended
    assert len(server.environ) == 101
    assert server.aborted == []
    slow.hurry()


async def test_all_clients_are_notified_and_closed_over_time(world: World, tmp_path: Path) -> None:
    """The balancer and new clients get 503, others `draining`; then the process ends (R6)."""
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD=str(SPREAD)) as (process, url),
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(JsClient()) for _ in range(4)]
        for client in clients:
            await client.connect(url, world.token(name("alice")), reconnection=False)
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        await clients[0].until(lambda: process.ended or closings(clients) != [])
        status, body = await asyncio.to_thread(fetch, url + "/health/ready")
        assert (status, "draining" in body) == (503, True)
        assert (await asyncio.to_thread(fetch, url + "/health/live"))[0] == 200
        status, body = await asyncio.to_thread(fetch, url + QUERY)
        assert (status, "draining" in body) == (503, True)
        gone = []
        for client in clients:
            await client.until(lambda c=client: ended(c) is not None)  # type: ignore[misc]
            gone.append(ended(client))
        assert gone == ["transport close"] * 4
        assert time.monotonic() - began >= SPREAD
        assert [data["code"] for data in closings(clients)] == ["draining"] * 4
        delays = {data["retry_after_ms"] for data in closings(clients)}
        assert len(delays) > 1
        assert min(delays) > 0
        await asyncio.to_thread(until, lambda: process.ended)
        assert process.stop() == 0
        (drained,) = process.log_lines("drained")
        assert drained["closed"] == 4
        assert SPREAD <= drained["last_close"] <= drained["seconds"] + 0.1


async def test_the_supervisors_signal_does_not_cut_an_operators_drain(
    world: World, tmp_path: Path
) -> None:
    """SIGTERM during it changes nothing: the closes are spread as before, then the process ends."""
    ops = world.token("ops", scope="operator")
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD=str(SPREAD)) as (process, url),
        AsyncExitStack() as stack,
        Rest(url, ops) as operator,
    ):
        user = name("alice")
        clients = [await stack.enter_async_context(JsClient()) for _ in range(3)]
        for client in clients:
            await client.connect(url, world.token(user), reconnection=False)
        presence = await presence_when_online(operator, user)
        (instance,) = {one["instance_id"] for one in presence["connections"]}
        await operator.ok("POST", f"/v1/instances/{instance}:drain")
        await clients[0].until(lambda: closings(clients) != [])
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: process.ended)
        assert process.stop() == 0
        (drained,) = process.log_lines("drained")
        assert (drained["closed"], drained["last_close"] >= SPREAD) == (3, True)


async def test_a_drain_closes_by_the_rate(world: World, tmp_path: Path) -> None:
    """Two a second: four clients in 1.5 s, and the spread is no limit."""
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD="0", RTS_DRAIN_RATE="2") as (process, url),
        AsyncExitStack() as stack,
    ):
        for _ in range(4):
            client = await stack.enter_async_context(JsClient())
            await client.connect(url, world.token(name("alice")), reconnection=False)
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: process.ended)
        (drained,) = process.log_lines("drained")
        assert (drained["closed"], drained["last_close"] >= 1.5) == (4, True)


async def test_an_instance_drains_before_auto_scaling_terminates_it(
    world: World, tmp_path: Path
) -> None:
    """Its clients are told while the balancer still carries them; the end comes with SIGTERM."""
    async with (
        instance_metadata() as service,
        world.instance(tmp_path, RTS_INSTANCE_METADATA=service.url) as (process, url),
        JsClient() as client,
    ):
        await client.connect(url, world.token(name("alice")), reconnection=False)
        await eventually(lambda: service.asked)
        service.state = "Terminated"
        await client.until(lambda: ended(client) is not None)
        assert [data["code"] for data in closings([client])] == ["draining"]
        status, body = await asyncio.to_thread(fetch, url + "/health/ready")
        assert (status, "draining" in body) == (503, True)
        assert not process.ended
        assert process.log_lines("instance is about to be terminated")
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: process.ended)
        assert process.stop() == 0


async def test_a_slow_first_close_does_not_shorten_the_spread(world: World, tmp_path: Path) -> None:
    """The spread begins at the first close, not at the signal."""
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD=str(SPREAD)) as (process, url),
        Raw(url) as one,
        Raw(url) as other,
    ):
        for client in (one, other):
            await client.connect(world.token(name("alice")))
            await client.ask(1, json.dumps(["room.create", created(name("bob"))]))
        world.relay.signal(signal.SIGSTOP)
        try:
            for client in (one, other):
                room_id = client.acks[1][0]["data"]["room"]["room_id"]
                sent = {"room_id": room_id, "client_msg_id": "m", "text": "hi"}
                await client.send(f"42/chat,2{json.dumps(['message.send', sent])}")
                await client.until(lambda c=client: len(news(c)) == 1)
            process.signal(signal.SIGTERM)
            await asyncio.sleep(SPREAD / 3)
        finally:
            world.relay.signal(signal.SIGCONT)
        await asyncio.to_thread(until, lambda: process.ended)
        (drained,) = process.log_lines("drained")
        assert drained["closed"] == 2
        assert drained["first_close"] >= SPREAD / 3
        assert drained["last_close"] - drained["first_close"] >= SPREAD * 0.99


def created(other: str) -> dict[str, Any]:
    """Return the payload of a `room.create` with another user."""
    return {"type": "direct", "members": [other]}


def closings(clients: list[JsClient]) -> list[dict[str, Any]]:
    """Return the data of all `session.closing` events so far."""
    return [event["data"] for c in clients for event in c.of_type("session.closing")]


def ended(client: JsClient) -> str | None:
    """Return the reason for which the connection ended."""
    reasons = [line["reason"] for line in client.lines if line["kind"] == "disconnect"]
    return reasons[0] if reasons else None


async def refused(client: Raw) -> dict[str, Any]:
    """Return the error of the first refused command, once readiness says draining."""
    for number in range(20, 120):
        answer = await client.ask(number, '["room.list",{}]')
        if not answer["ok"]:
            error: dict[str, Any] = answer["error"]
            return error
        await asyncio.sleep(0.01)
    raise AssertionError("commands are still taken")


async def test_commands_in_flight_are_answered(world: World, tmp_path: Path) -> None:
    """Commands sent before SIGTERM are acked before the close, even while SQS is away."""
    alice, bob = name("alice"), name("bob")
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD="0") as (process, url),
        Raw(url) as client,
    ):
        await client.connect(world.token(alice))
        asked = json.dumps(["room.create", created(bob)])
        room_id = (await client.ask(1, asked))["data"]["room"]["room_id"]
        world.relay.signal(signal.SIGSTOP)
        try:
            for n in range(5):
                sent = {"room_id": room_id, "client_msg_id": f"m{n}", "text": "hi"}
                await client.send(f"42/chat,{10 + n}{json.dumps(['message.send', sent])}")
            await client.until(lambda: len(news(client)) == 5)
            process.signal(signal.SIGTERM)
            until(lambda: not ready(url))
            error = await refused(client)
        finally:
            world.relay.signal(signal.SIGCONT)
        await client.until(lambda: client.closed)
        assert error == error | {"code": "unavailable", "retryable": True}
        statuses = [client.acks[10 + n][0]["data"]["status"] for n in range(5)]
        assert statuses == ["queued"] * 5
        await asyncio.to_thread(until, lambda: process.ended)
        assert process.stop() == 0


async def test_commands_that_wait_for_their_rate_are_answered_or_not_read(
    world: World, tmp_path: Path
) -> None:
    """Of 40 sends at once each stored one was acked; the others were refused or never read."""
    alice = name("alice")
    async with (
        world.js(alice) as a,
        world.instance(tmp_path, RTS_DRAIN_SPREAD="0", RTS_LIMITS="standard") as (_, url),
        Raw(url) as client,
        Rest(url, world.token("ops", scope="operator")) as operator,
    ):
        room_id = await group(a, [])
        await client.connect(world.token(alice))
        at = (await operator.ok("GET", "/v1/instances"))["instances"]
        newest = max(at, key=lambda one: str(one["started_at"]))["instance_id"]
        for n in range(40):
            sent = {"room_id": room_id, "client_msg_id": f"m{n}", "text": "hi"}
            await client.send(f"42/chat,{n}{json.dumps(['message.send', sent])}")
        await client.until(lambda: len(news(client)) > 4)
        await operator.ok("POST", f"/v1/instances/{newest}:drain")
        await client.until(lambda: client.closed)
        answers = {n: answer for n, (answer,) in client.acks.items()}
        taken = {f"m{n}" for n, answer in answers.items() if answer["ok"]}
        assert {
            (answer["error"]["code"], answer["error"]["retryable"])
            for answer in answers.values()
            if not answer["ok"]
        } <= {("unavailable", True)}
        listed = (await ok(a, "message.list", {"room_id": room_id, "limit": 100}))["messages"]
        assert {one["client_msg_id"] for one in listed if one["type"] == "text"} == taken
        assert 4 < len(taken) < 40
    async with Rest(world.urls[0], world.token("ops", scope="operator")) as operator:
        living = (await operator.ok("GET", "/v1/instances"))["instances"]
        assert newest not in [one["instance_id"] for one in living]


def news(client: Raw) -> list[dict[str, Any]]:
    """Return the messages that a client received."""
    return [event for event in client.events if event["type"] == "message.new"]


async def test_unresponsive_clients_do_not_delay_the_end(world: World, tmp_path: Path) -> None:
    """A stopped client and one that does not read are dropped; the exit code is 0."""
    asked = {"type": "group", "client_room_id": "big", "metadata": {"x": "x" * 4000}}
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD="0") as (process, url),
        JsClient() as sleeper,
        Raw(url) as deaf,
    ):
        await sleeper.connect(url, world.token(name("alice")))
        await deaf.connect(world.token(name("bob")))
        created = await deaf.ask(1, json.dumps(["room.create", asked | {"members": []}]))
        room = {"room_id": created["data"]["room"]["room_id"]}
        deaf.reads.clear()
        for n in range(900):
            await deaf.send(f"42/chat,{10 + n}{json.dumps(['room.get', room])}")
        sleeper.signal(signal.SIGSTOP)
        try:
            process.signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: process.ended)
            assert process.stop() == 0
        finally:
            sleeper.signal(signal.SIGCONT)


async def test_a_process_that_hangs_is_ended_by_the_kernel(world: World, tmp_path: Path) -> None:
    """A kernel timer set at SIGTERM ends a process whose loop is stuck."""
    async with world.instance(tmp_path, "hang_at_end") as (process, _):
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: process.ended)
        assert process.stop() == -signal.SIGALRM


async def test_a_second_signal_ends_the_spread(world: World, tmp_path: Path) -> None:
    """A second SIGTERM ends the process without waiting."""
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD="40") as (process, url),
        Raw(url) as one,
        Raw(url) as other,
    ):
        await one.connect(world.token(name("alice")))
        await other.connect(world.token(name("bob")))
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: not ready(url))
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: process.ended)
