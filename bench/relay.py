"""`python -m bench.relay`: messages per CPU-second of the relay, from the outbox into SQS.

SQS is a stub that accepts everything (`bench.queue_stub`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
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
from rts_server import keys
from rts_server.tools.dev.aws import CREDENTIALS
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.valkey import Valkey
from tests.helpers.world import free_port

COMMAND = (sys.executable, "-m", "rts_server", "relay")
ORIGIN_COUNT = 4
ENTRIES_PER_PIPELINE = 1_000
DRAIN_TIMEOUT_SECONDS = 120.0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--messages", type=click.IntRange(100, 1_000_000), default=20_000)
@click.option("--rooms", type=click.IntRange(1, 100_000), default=500)
@click.option("--text", type=click.IntRange(1, 4_000), default=200, help="Characters of each.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3)
def main(messages: int, rooms: int, text: int, rounds: int) -> None:
    """Fill the outbox while the relay is stopped, continue it, and measure."""
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
                took = [_measure_drain(valkey.url, relay, servers, records) for _ in range(rounds)]
        finally:
            stop_all([relay, valkey, queue], 2.0)
    cpu, seconds = median(cpu for cpu, _ in took), median(seconds for _, seconds in took)
    click.echo(
        f"{describe_machine()}. {messages:,} messages of {text} characters in {rooms:,} rooms, "
        f"median of {rounds}: {messages / cpu:,.0f} messages per CPU-second of the relay, "
        f"{cpu / messages * 1e6:.0f} µs each; the stub took {messages / seconds:,.0f}/s."
    )


def _records(messages: int, rooms: int, text: int) -> list[tuple[str, dict[str, str]]]:
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


def _measure_drain(
    url: str, relay: ManagedProcess, core: set[int], records: list[tuple[str, dict[str, str]]]
) -> tuple[float, float]:
    """Return (CPU seconds, seconds) of a running relay, from the first entry to the last."""
    with pinned(core):
        relay.start()
    try:
        return uvloop.run(_drain(url, relay, records))
    finally:
        stop_all([relay], 2.0)


async def _drain(
    url: str, relay: ManagedProcess, records: list[tuple[str, dict[str, str]]]
) -> tuple[float, float]:
    assert relay.pid is not None
    async with Redis.from_url(url) as redis:
        await _until(lambda: redis.zcard(keys.RELAYS), relay)
        await asyncio.sleep(1.0)  # it holds its leases
        before, began = cpu_seconds(relay.pid), time.monotonic()
        for at in range(0, len(records), ENTRIES_PER_PIPELINE):
            async with redis.pipeline(transaction=False) as pipe:
                for stream, entry in records[at : at + ENTRIES_PER_PIPELINE]:
                    pipe.xadd(stream, entry)  # type: ignore[arg-type]
                await pipe.execute()
        streams = sorted({stream for stream, _ in records})

        async def empty() -> bool:
            async with redis.pipeline(transaction=False) as pipe:
                for stream in streams:
                    pipe.xlen(stream)
                return not any(await pipe.execute())

        await _until(empty, relay)
        return cpu_seconds(relay.pid) - before, time.monotonic() - began


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
