"""`python -m bench.relay`: what a message costs the relay, from the outbox into SQS.

SQS is a stub that accepts everything (`bench.queue_stub`). The outbox is filled at once, or with
`--rate` one message after the other.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import orjson
import uvloop
from redis.asyncio import Redis

from bench.machine import cores, cpu_seconds, describe_machine, pinned
from bench.queue_stub import QueueStub
from bench.testbed import without_settings
from bench.workloads import percentile
from rts_server import keys
from rts_server.tools.dev.aws import CREDENTIALS
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.valkey import Valkey
from tests.helpers.world import free_port

COMMAND = (sys.executable, "-m", "rts_server", "relay")
ORIGIN_COUNT = 4
ENTRIES_PER_PIPELINE = 1_000
DRAIN_TIMEOUT_SECONDS = 300.0

Record = tuple[str, dict[str, str]]
"""A stream and an entry for it."""


@dataclass(frozen=True)
class Measured:
    """CPU seconds of the relay, seconds, and the ns from each append to its notice."""

    cpu: float
    seconds: float
    waits_ns: list[int]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--messages", type=click.IntRange(100, 1_000_000), default=20_000)
@click.option("--rooms", type=click.IntRange(1, 100_000), default=500)
@click.option("--text", type=click.IntRange(1, 4_000), default=200, help="Characters of each.")
@click.option("--rate", type=click.FloatRange(0, 5_000), default=0.0, help="Messages/s; 0: all.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3)
def main(messages: int, rooms: int, text: int, rate: float, rounds: int) -> None:
    """Append messages to the outbox, and measure the CPU of the relay until it has sent them."""
    servers, generator, others = cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = Path(folder)
        valkey = Valkey(data, free_port(), log=data / "valkey.log")
        queue = QueueStub(data / "queue.log")
        with pinned(others):
            valkey.start_and_wait()
            queue.start_and_wait()
        environment = without_settings(dict(os.environ)) | CREDENTIALS
        environment |= {
            "RTS_REDIS_URL": valkey.url,
            "AWS_ENDPOINT_URL": queue.url,
            "RTS_JWT_SECRET": secrets.token_hex(32),
        }
        relay = ManagedProcess("relay", COMMAND, log=data / "relay.log", environment=environment)
        try:
            with pinned(generator):
                records = _records(messages, rooms, text)
                took = [_measure(valkey.url, relay, servers, records, rate) for _ in range(rounds)]
        finally:
            stop_all([relay, valkey, queue], 2.0)
    cpu, seconds = median(one.cpu for one in took), median(one.seconds for one in took)
    waits = [median(percentile(one.waits_ns, percent) for one in took) for percent in (50, 99)]
    click.echo(
        f"{describe_machine()}. {messages:,} messages of {text} characters in {rooms:,} rooms, "
        f"median of {rounds}: {messages / cpu:,.0f} messages per CPU-second of the relay, "
        f"{cpu / messages * 1e6:.0f} µs each; the stub took {messages / seconds:,.0f}/s; from "
        f"append to notice p50 {waits[0]:,.1f} ms, p99 {waits[1]:,.1f} ms. "
        f"Load average {os.getloadavg()[0]:.1f}."
    )


def _records(messages: int, rooms: int, text: int) -> list[Record]:
    """Return (stream, entry) as append.lua writes them."""
    made = []
    for n in range(messages):
        room_id, offset = f"room-{n % rooms}", n // rooms + 1
        message = {
            "message_id": f"{n:032x}",
            "client_msg_id": f"client-{n:024x}",
            "room_id": room_id,
            "seq": offset,
            "epoch": 1,
            "sender_id": "alice",
            "type": "text",
            "text": "x" * text,
            "attachments": [],
            "mentions": [],
            "reactions": {},
            "metadata": {},
            "version": 1,
            "created_at": "2026-11-25T10:00:00.000Z",
        }
        event = {"type": "message.new", "room_id": room_id, "data": {"message": message}}
        record = orjson.dumps({"v": 1, "hash": f"{n:064x}", "event": event}).decode()
        entry = {"q": "m", "r": room_id, "e": f"1:{offset}", "k": f"{n:032x}", "d": record}
        entry["o"] = f"origin-{n % ORIGIN_COUNT}"
        made.append((keys.outbox(keys.partition(room_id)), entry))
    return made


def _measure(
    url: str, relay: ManagedProcess, core: set[int], records: list[Record], rate: float
) -> Measured:
    with pinned(core):
        relay.start()
    try:
        return uvloop.run(_relayed(url, relay, records, rate))
    finally:
        stop_all([relay], 2.0)


async def _relayed(url: str, relay: ManagedProcess, records: list[Record], rate: float) -> Measured:
    """Return what a running relay took from the first record to the last notice."""
    assert relay.pid is not None
    async with Redis.from_url(url) as redis, redis.pubsub() as notices:
        origins = (keys.instance_channel(f"origin-{n}") for n in range(ORIGIN_COUNT))
        await notices.subscribe(*origins)
        await _until(lambda: redis.zcard(keys.RELAYS), relay)
        await asyncio.sleep(1.0)  # it holds its leases
        before, began = cpu_seconds(relay.pid), time.monotonic()
        appended: dict[str, int] = {}
        adding = asyncio.create_task(_add(redis, records, rate, appended))
        waits: list[int] = []
        async with asyncio.timeout(DRAIN_TIMEOUT_SECONDS):
            while len(waits) < len(records):
                word = await notices.get_message(ignore_subscribe_messages=True, timeout=1.0)
                now = time.monotonic_ns()
                for _, request_id, _ in orjson.loads(word["data"])["queued"] if word else ():
                    waits.append(now - appended[request_id])
        await adding
        return Measured(cpu_seconds(relay.pid) - before, time.monotonic() - began, waits)


async def _add(redis: Redis, records: list[Record], rate: float, appended: dict[str, int]) -> None:
    """Append the records, and note when each one left."""
    started, size = time.monotonic(), 1 if rate else ENTRIES_PER_PIPELINE
    for at in range(0, len(records), size):
        if rate and (early := started + at / rate - time.monotonic()) > 0:
            await asyncio.sleep(early)
        async with redis.pipeline(transaction=False) as pipe:
            for stream, entry in records[at : at + size]:
                appended[entry["k"]] = time.monotonic_ns()
                pipe.xadd(stream, entry)  # type: ignore[arg-type]
                pipe.publish(stream, "")
            await pipe.execute()


async def _until(holds: Callable[[], Awaitable[Any]], relay: ManagedProcess) -> None:
    deadline = time.monotonic() + DRAIN_TIMEOUT_SECONDS
    while True:
        if await holds():
            return
        if not relay.alive or time.monotonic() > deadline:
            raise RuntimeError(f"The relay does not drain the outbox: {relay.last_log_line()}")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()
