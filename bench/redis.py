"""`python -m bench.redis`: what a message costs Redis, in commands, scripts and CPU.

Beside it stands a lean script (lean.lua), which does only what no log can do without.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import uvloop
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from bench.connection import PADDING
from bench.contender import contenders, running
from bench.machine import allow_files, cores, cpu_seconds, describe_machine, pinned
from bench.pair_load import PairLoad
from bench.primary_cost import SCRIPT_COMMANDS, PrimaryCost, calls_of, listed
from bench.testbed import QUEUES, Queue, running_testbed, unstarted_stack
from rts_server import keys
from rts_server.config import Settings
from rts_server.persistence.scripts import Script, ScriptCall
from rts_server.redis_client.connection import Command
from rts_server.roomlog.append_call import append_call, instance_text
from rts_server.roomlog.message_events import message_new
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.script import APPEND
from rts_server.tools.dev.valkey import Valkey
from tests.helpers.bench import Bench, group
from tests.helpers.world import free_port

ROOMS = 64
CALLS_PER_PIPELINE = 50
CALLS_PER_TURN = 500
DEADLINE = 2**52
LEAN = Script(Path(__file__).with_name("lean.lua"))


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--turns", type=click.IntRange(2, 100), default=12, help="Of each script alone.")
@click.option("--messages", type=click.IntRange(100, 100_000), default=1_000)
@click.option("--pairs", type=click.IntRange(2, 500), default=100)
@click.option("--rate", type=click.FloatRange(10, 10_000), default=250, help="Messages/s.")
@click.option("--queue", type=click.Choice(QUEUES), default="stub", help="Behind the relay.")
def main(turns: int, messages: int, pairs: int, rate: float, queue: Queue) -> None:
    """Measure the scripts alone in turns, then messages of pairs on two instances.

    The emulator is so slow that instances ask about the durability of messages, which costs
    Redis two scripts a message more; the stub accepts at once.
    """
    allow_files()
    click.echo(f"{describe_machine()}.\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        click.echo(_scripts_alone(Path(folder), turns))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stack = unstarted_stack(Path(folder))
        with pinned(cores()[2]):
            stack.start()
        try:
            with pinned(cores()[1]):
                click.echo(uvloop.run(_messages_of_pairs(stack, queue, messages, pairs, rate)))
        finally:
            stack.stop()


def _scripts_alone(folder: Path, turns: int) -> str:
    """Return the CPU of one call of append.lua and of lean.lua, on a Valkey of their own.

    In a trimmed room, or one that was loaded, append.lua also looks into the message-id filters.
    """
    valkey = Valkey(folder, free_port(), log=folder / "valkey.log")
    with pinned(cores()[0]):
        valkey.start_and_wait()
    try:
        room_ids = asyncio.run(_create_rooms(valkey.url, "g"))
        trimmed = asyncio.run(_create_rooms(valkey.url, "t"))
        with Redis.from_url(valkey.url) as redis:
            _create_lean_rooms(redis, room_ids)
            for room_id in trimmed:
                redis.hset(keys.room(room_id).head, "ids_until", 0)
            for script in (APPEND, LEAN):
                redis.execute_command(*script.load_command)
            each = (
                ("append", APPEND, _ours, room_ids),
                ("append, trimmed room", APPEND, _ours, trimmed),
                ("lean", LEAN, _lean, room_ids),
            )
            measured: dict[str, list[float]] = {name: [] for name, *_ in each}
            commands: dict[str, float] = {}
            for turn in range(turns):
                for name, script, made, rooms in each:
                    calls = [script.command(*made(r)) for r in _requests(rooms, turn)]
                    before, counts = cpu_seconds(valkey.pid or 0), calls_of(redis)
                    _send_all(redis, calls)
                    cpu = cpu_seconds(valkey.pid or 0) - before
                    measured[name].append(cpu / len(calls) * 1e6)
                    commands[name] = (calls_of(redis) - counts).total() / len(calls)
    finally:
        valkey.stop()
    least, middle = (
        {n: min(m) for n, m in measured.items()},
        {n: sorted(m)[len(m) // 2] for n, m in measured.items()},
    )
    lines = [
        f"One call, {CALLS_PER_PIPELINE} to a pipeline, least and median of {turns} turns:",
        "",
    ]
    lines += ["| script | µs CPU of Valkey | commands |", "| --- | ---: | ---: |"]
    lines += [f"| {n} | {least[n]:.0f}, {middle[n]:.0f} | {commands[n]:.1f} |" for n in measured]
    lines.append("")
    for name in list(measured)[:-1]:
        ratios = [values[name] / values["lean"] for values in (least, middle)]
        lines.append(f"{name} / lean: {ratios[0]:.2f}, {ratios[1]:.2f}")
    return "\n".join([*lines, ""])


async def _create_rooms(url: str, name: str) -> list[str]:
    async with AsyncRedis.from_url(url) as redis:
        rooms = Bench(redis)
        return [await rooms.open(group("a", "b", room=f"{name}{n}")) for n in range(ROOMS)]


def _create_lean_rooms(redis: Any, room_ids: Sequence[str]) -> None:
    fence = redis.info("replication")["master_replid"]
    for room_id in room_ids:
        head, members = _lean_keys(room_id, "")[:2]
        redis.hset(head, mapping={"epoch": 1, "offset": 0, "seq": 0, "fence": fence, "touched": 1})
        redis.hset(members, mapping={"a": "owner", "b": "member"})


def _requests(room_ids: Sequence[str], turn: int) -> list[AppendRequest]:
    """Return messages that are sent by both members of each room in turns."""
    return [
        message_new(
            room_ids[n % len(room_ids)],
            "ab"[(turn + n // len(room_ids)) % 2],
            {"client_msg_id": f"{turn}-{n}", "text": f"@{n};{PADDING}"},
        )
        for n in range(CALLS_PER_TURN)
    ]


def _ours(request: AppendRequest) -> ScriptCall:
    instance = instance_text(Settings(jwt_secret="x" * 32), "0123456789-origin")
    nonce = "0123456789abcdef"
    return append_call(request, instance, nonce=nonce, deadline_ms=DEADLINE, archive_checked=False)


def _lean_keys(room_id: str, message_id: str) -> list[str]:
    prefix = f"{keys.room(room_id).prefix}lean:"
    outbox = keys.outbox(keys.partition(room_id)) + ":lean"
    return [f"{prefix}head", f"{prefix}members", f"{prefix}log", outbox, f"{prefix}{message_id}"]


def _lean(request: AppendRequest) -> ScriptCall:
    """Return a call of lean.lua whose event is as long as that of append.lua."""
    text = "".join(map(str, _ours(request)[1][11:13]))
    pieces = text[: len(text) // 3], text[len(text) // 3 : -60], text[-60:]
    channel = keys.room_channel(request.room_id)
    args = [request.actor, request.room_id, channel, request.request_id, "0123456789-origin"]
    return _lean_keys(request.room_id, request.request_id), [*args, *pieces, 172_800_000]


def _send_all(redis: Any, calls: Sequence[Command]) -> None:
    """Send all calls; raise RuntimeError unless each appended, or its id was taken for known."""
    for at in range(0, len(calls), CALLS_PER_PIPELINE):
        with redis.pipeline(transaction=False) as pipe:
            for call in calls[at : at + CALLS_PER_PIPELINE]:
                pipe.execute_command(*call)
            for reply in pipe.execute():
                if reply[0] not in (b"ok", b"ask"):
                    raise RuntimeError(f"a script answered {reply[0]}")


async def _messages_of_pairs(
    stack: Any, queue: Queue, messages: int, pairs: int, rate: float
) -> str:
    """Return commands, scripts and CPU of Redis per message, the background subtracted."""
    async with (
        running_testbed(stack, contenders()[0], 2, pairs) as made,
        running(contenders()[0], 2, stack) as servers,
    ):
        await made.use_queue(queue)
        load = PairLoad(made, messages, rate)
        await load.connect(servers)
        quiet, _ = await _measured(stack.valkey, load.idle)
        busy, scripts = await _measured(stack.valkey, load.send)
        return _table(busy.without(quiet), scripts, load)


ScriptCosts = dict[str, tuple[int, int]]
"""(calls, µs) by script."""


async def _measured(
    valkey: Valkey, work: Callable[[], Awaitable[None]]
) -> tuple[PrimaryCost, ScriptCosts]:
    with Redis.from_url(valkey.url) as redis:
        redis.config_set("slowlog-max-len", 1_000_000)
        redis.config_set("slowlog-log-slower-than", 0)
        redis.slowlog_reset()
        before = PrimaryCost.so_far(valkey)
        await work()
        cost = PrimaryCost.so_far(valkey).since(before)
        redis.config_set("slowlog-log-slower-than", -1)
        scripts: ScriptCosts = {}
        for entry in redis.slowlog_get(1_000_000):
            command = entry["command"].split(b" ", 2)
            if command[0].decode().lower() in SCRIPT_COMMANDS:
                calls, micros = scripts.get(command[1].decode(), (0, 0))
                scripts[command[1].decode()] = calls + 1, micros + entry["duration"]
    return cost, scripts


def _table(cost: PrimaryCost, of_scripts: ScriptCosts, load: PairLoad) -> str:
    messages, seen = load.plan.count, load.seen
    lines = [
        f"{messages:,} messages of pairs on two instances: {cost.scripts / messages:.2f} scripts "
        f"and {cost.commands.total() / messages:.1f} commands per message, "
        f"{cost.cpu / messages * 1e6:.0f} µs CPU of Valkey; "
        f"{seen.refused} refused, {seen.accepted} acks said `accepted`.",
        "",
        "| script | calls per message | µs per call |",
        "| --- | ---: | ---: |",
    ]
    names = _script_names()
    by_use = sorted(of_scripts.items(), key=lambda item: -item[1][1])
    for digest, (calls, micros) in by_use[:12]:
        lines.append(
            f"| {names.get(digest, digest)} | {calls / messages:.3f} | {micros / calls:.0f} |"
        )
    return "\n".join([*lines, "", f"Commands per message: {listed(cost.commands, messages)}."])


def _script_names() -> dict[str, str]:
    """Return module and name of each script of the server, by its digest or library."""
    names = {APPEND.name: "append"}
    for module in [one for one in gc.get_objects() if isinstance(one, ModuleType)]:
        for name, value in list(vars(module).items()):
            if isinstance(value, Script) and value is not APPEND:
                names[value.sha] = f"{module.__name__.removeprefix('rts_server.')}{name.lower()}"
    return names


if __name__ == "__main__":
    main()
