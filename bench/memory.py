"""`python -m bench.memory`: what a message per second of daily average costs Redis in memory.

All times are shortened by one factor, and messages come as much faster: Redis holds what it would
hold after days, within a minute or two. The archive has every message at once.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from redis.asyncio import Redis

from bench.machine import describe_machine
from rts_server import keys
from rts_server.config import Settings
from rts_server.domain.position import Position
from rts_server.roomlog import trims
from rts_server.roomlog.append_call import append_call, instance_text
from rts_server.roomlog.message_events import message_new
from rts_server.roomlog.script import APPEND
from rts_server.tools.dev.valkey import Valkey
from tests.helpers.bench import FAR, Bench, group
from tests.helpers.world import free_port

DAY_SECONDS = 86_400.0
TURN_SECONDS = 0.05
SHORTEST_PAUSE_SECONDS = 0.02
TEXT = "x" * 200
CATEGORIES = {
    "log": "hot log",
    "seqs": "hot log",
    "changed": "hot log",
    "idem": "idempotency keys",
    "ids": "message-id filters",
    "outbox": "outbox",
    "trims": "rooms to trim",
}
"""What grows with messages, by the part of a key behind the room id; all else grows with rooms."""
ROOMS = "rooms (head, members, cursors)"


@dataclass(frozen=True)
class Load:
    """Messages of a second and of a room in a day, both at the times of production."""

    speed: float
    rate: float
    per_room: float

    @property
    def daily_average(self) -> float:
        """Messages/s of production that these are."""
        return self.rate / self.speed

    @property
    def rooms(self) -> int:
        """Rooms with a message in a day."""
        return max(1, round(self.daily_average * DAY_SECONDS / self.per_room))


class StoresAtOnce:
    """An archive that has each message as soon as it is appended."""

    async def message_heads(self, room_ids: Iterable[str]) -> dict[str, Position]:
        """Return a position behind all others."""
        return dict.fromkeys(room_ids, (FAR, 0))


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--speed", type=click.FloatRange(1), default=2_880.0, help="Times are shortened by.")
@click.option("--rate", type=click.FloatRange(1), default=700.0, help="Messages/s written here.")
@click.option("--days", type=click.FloatRange(0.1), default=3.0, help="Until it is measured.")
@click.option("--per-room", type=click.FloatRange(1), multiple=True, default=(50.0, 1_000.0),
              help="Messages of a room in a day; may be repeated.")  # fmt: skip
def main(speed: float, rate: float, days: float, per_room: tuple[float, ...]) -> None:
    """Write for some shortened days, and print the memory by category for each kind of room."""
    click.echo(f"{describe_machine()}.\n")
    for one in per_room:
        load = Load(speed, rate, one)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            valkey = Valkey(Path(folder), free_port(), log=Path(folder) / "valkey.log")
            valkey.start_and_wait()
            try:
                click.echo(asyncio.run(_measured(valkey.url, load, days)))
            finally:
                valkey.stop()


def shortened(load: Load) -> Settings:
    """Return the settings of production with all times shortened."""
    given = Settings(jwt_secret="x" * 32, rate_limits="relaxed")
    return replace(
        given,
        hot_log_floor=given.hot_log_floor / load.speed,
        hot_log_age=given.hot_log_age / load.speed,
        room_ttl=given.room_ttl / load.speed,
        idempotency_ttl=given.idempotency_ttl / load.speed,
    )


async def _measured(url: str, load: Load, days: float) -> str:
    async with Redis.from_url(url) as redis:
        settings = shortened(load)
        bench = Bench(redis, settings)
        empty = await _used(redis)
        room_ids = [await bench.open(group("a", "b", room=f"g{n}")) for n in range(load.rooms)]
        with_rooms = await _used(redis)
        began = time.monotonic()
        done = asyncio.Event()
        held = sorted({keys.partition(room_id) for room_id in room_ids})
        trimming = asyncio.create_task(_trim(redis, settings, load.speed, held, done))
        written = await _write(redis, settings, load, room_ids, days)
        took = time.monotonic() - began
        done.set()
        await trimming
        really = replace(load, rate=written / took)
        return await _table(redis, really, len(room_ids), empty, with_rooms)


async def _write(
    redis: Redis, settings: Settings, load: Load, room_ids: list[str], days: float
) -> int:
    """Send messages to all rooms in turns; return how many. The outbox is emptied as by a relay."""
    instance = instance_text(settings, "0123456789-origin")
    ends, written = time.monotonic() + days * DAY_SECONDS / load.speed, 0
    turn = round(load.rate * TURN_SECONDS)
    held = {keys.partition(room_id) for room_id in room_ids}
    await redis.function_load(APPEND.source, replace=True)
    while (began := time.monotonic()) < ends:
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(written, written + turn):
                room_id = room_ids[number % len(room_ids)]
                draft: Any = {"client_msg_id": f"{number}", "text": TEXT}
                call = append_call(
                    message_new(room_id, "ab"[number % 2], draft),
                    instance,
                    nonce="0123456789abcdef",
                    deadline_ms=FAR,
                    archive_checked=True,
                )
                pipe.execute_command(*APPEND.command(*call))
            written += turn
            for partition in held:
                pipe.xtrim(keys.outbox(partition), maxlen=0, approximate=False)
            refused = [r for r in await pipe.execute() if isinstance(r, list) and r[0] != b"ok"]
        if refused:
            raise RuntimeError(f"a script answered {refused[0]}")
        await asyncio.sleep(max(0.0, began + TURN_SECONDS - time.monotonic()))
    return written


async def _trim(
    redis: Redis, settings: Settings, speed: float, held: list[int], done: asyncio.Event
) -> None:
    archive: Any = StoresAtOnce()
    loop = trims.HotLogTrims(settings, redis, archive, lambda: held)
    while not done.is_set():
        await asyncio.sleep(max(SHORTEST_PAUSE_SECONDS, trims.ROUND_SECONDS / speed))
        await loop.trim(held)


async def _used(redis: Redis) -> int:
    info: Any = await redis.info("memory")
    return int(info["used_memory_dataset"])


async def _by_category(redis: Redis) -> Counter[str]:
    """Return the bytes of all keys by category."""
    found: Counter[str] = Counter()
    names = [name async for name in redis.scan_iter(count=1000)]
    for at in range(0, len(names), 1000):
        async with redis.pipeline(transaction=False) as pipe:
            for name in names[at : at + 1000]:
                pipe.memory_usage(name, samples=0)
            for name, size in zip(names[at : at + 1000], await pipe.execute(), strict=True):
                found[_category(name.decode())] += size or 0
    return found


def _category(name: str) -> str:
    parts = name.split(":")
    part = parts[3] if parts[1] == "room" and len(parts) > 3 else parts[1]
    return CATEGORIES.get(part, ROOMS)


async def _table(redis: Redis, load: Load, rooms: int, empty: int, with_rooms: int) -> str:
    used = await _used(redis)
    found = await _by_category(redis)
    per = 1 / load.daily_average / 1e6
    lines = [
        f"{load.per_room:,.0f} messages of a room in a day, {rooms:,} rooms, as if"
        f" {load.daily_average:.2f} messages/s:",
        "",
        "| category | MB per message/s of daily average |",
        "| --- | ---: |",
    ]
    of_messages = sum(size for name, size in found.items() if name != ROOMS)
    for name in dict.fromkeys(CATEGORIES.values()):
        lines.append(f"| {name} | {found[name] * per:.2f} |")
    lines.append(f"| **all that grows with messages** | **{of_messages * per:.2f}** |")
    lines.append(f"| {ROOMS}: {found[ROOMS] / rooms:,.0f} bytes each | {found[ROOMS] * per:.2f} |")
    lines.append(
        f"\nRedis itself counts {(used - empty) / 1e6:.1f} MB for the dataset, of which"
        f" {(with_rooms - empty) / 1e6:.1f} MB were there before the first message.\n"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
