"""`python -m bench.redis`: what a message costs Redis, in commands, scripts and CPU.

Beside it stands a lean script (lean.lua), which does only what no log can do without.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import uvloop
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from bench.connection import PADDING, Connection, ReceivedCounts
from bench.contender import Running, contenders, running
from bench.load import LoadPlan, run_plan
from bench.machine import allow_files, cores, cpu_seconds, describe_machine, pinned
from bench.testbed import QUEUES, Queue, Testbed, running_testbed, unstarted_stack
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
SCRIPT_COMMANDS = ("evalsha", "fcall", "eval")


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
    """Return the CPU of one call of append.lua and of lean.lua, on a Valkey of their own."""
    valkey = Valkey(folder, free_port(), log=folder / "valkey.log")
    with pinned(cores()[0]):
        valkey.start_and_wait()
    try:
        room_ids = asyncio.run(_create_rooms(valkey.url))
        with Redis.from_url(valkey.url) as redis:
            _create_lean_rooms(redis, room_ids)
            for script in (APPEND, LEAN):
                redis.execute_command(*script.load_command)
            measured: dict[str, list[float]] = {"append": [], "lean": []}
            commands: dict[str, float] = {}
            for turn in range(turns):
                for name, script, made in (("append", APPEND, _ours), ("lean", LEAN, _lean)):
                    calls = [script.command(*made(r)) for r in _requests(room_ids, turn)]
                    before, counts = cpu_seconds(valkey.pid or 0), _commands(redis)
                    _send_all(redis, calls)
                    cpu = cpu_seconds(valkey.pid or 0) - before
                    measured[name].append(cpu / len(calls) * 1e6)
                    commands[name] = (_commands(redis) - counts).total() / len(calls)
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
    ratios = [values["append"] / values["lean"] for values in (least, middle)]
    return "\n".join([*lines, "", f"append / lean: {ratios[0]:.2f}, {ratios[1]:.2f}\n"])


async def _create_rooms(url: str) -> list[str]:
    async with AsyncRedis.from_url(url) as redis:
        rooms = Bench(redis)
        return [await rooms.open(group("a", "b", room=f"g{n}")) for n in range(ROOMS)]


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
    """Send all calls; raise RuntimeError unless each appended."""
    for at in range(0, len(calls), CALLS_PER_PIPELINE):
        with redis.pipeline(transaction=False) as pipe:
            for call in calls[at : at + CALLS_PER_PIPELINE]:
                pipe.execute_command(*call)
            for reply in pipe.execute():
                if reply[0] != b"ok":
                    raise RuntimeError(f"a script answered {reply[0]}")


def _commands(redis: Any) -> Counter[str]:
    """Return the calls of each command so far, those inside scripts included."""
    stats = redis.info("commandstats").items()
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats})


async def _messages_of_pairs(
    stack: Any, queue: Queue, messages: int, pairs: int, rate: float
) -> str:
    """Return commands, scripts and CPU of Redis per message, the background subtracted."""
    async with (
        running_testbed(stack, contenders()[0], 2, pairs) as made,
        running(contenders()[0], 2, stack) as servers,
    ):
        await made.use_queue(queue)
        with Redis.from_url(stack.valkey.url) as redis:
            seen = ReceivedCounts()
            actions = await _connected(made, servers, seen)
            plan = LoadPlan(rate, messages / rate)
            await run_plan(LoadPlan(rate, 1.0), actions)  # totals and scripts are read once
            await made.wait_until_idle()
            quiet = await _measured(redis, made, lambda: asyncio.sleep(messages / rate))
            seen.clear()
            busy = await _measured(redis, made, partial(_send_and_wait, plan, actions, seen))
            return _table(busy, quiet, plan.count, seen)


async def _connected(made: Testbed, servers: Running, seen: ReceivedCounts) -> list[Any]:
    """Connect both users of each pair, to different instances; return what sends."""
    actions = []
    for number, user in enumerate(chain.from_iterable(made.pairs)):
        client = await Connection.open(servers.ports[number % 2], user.token, seen)
        actions.append(partial(client.send, user.rooms[0]))
    await asyncio.sleep(0.5)  # subscriptions are not confirmed to the client
    return actions


async def _send_and_wait(plan: LoadPlan, actions: Any, seen: ReceivedCounts) -> None:
    await run_plan(plan, actions)
    await seen.wait_for(plan.count * 2, plan.count)
    await asyncio.sleep(1.0)  # what comes behind the acks


Measured = tuple[Counter[str], dict[str, tuple[int, int]], float, float]
"""Calls by command; (calls, µs) by script; CPU seconds of Valkey; seconds."""


async def _measured(redis: Any, made: Testbed, work: Callable[[], Any]) -> Measured:
    redis.config_set("slowlog-max-len", 1_000_000)
    redis.config_set("slowlog-log-slower-than", 0)
    redis.slowlog_reset()
    counts, cpu, began = _commands(redis), made.shared_cpu()["Valkey"], time.monotonic()
    await work()
    took, cpu = time.monotonic() - began, made.shared_cpu()["Valkey"] - cpu
    counts = _commands(redis) - counts
    redis.config_set("slowlog-log-slower-than", -1)
    scripts: dict[str, tuple[int, int]] = {}
    for entry in redis.slowlog_get(1_000_000):
        command = entry["command"].split(b" ", 2)
        if command[0].decode().lower() in SCRIPT_COMMANDS:
            calls, micros = scripts.get(command[1].decode(), (0, 0))
            scripts[command[1].decode()] = calls + 1, micros + entry["duration"]
    return counts, scripts, cpu, took


def _table(busy: Measured, quiet: Measured, messages: int, seen: ReceivedCounts) -> str:
    share = busy[3] / quiet[3]
    quiet_counts = Counter({name: calls * share for name, calls in quiet[0].items()})
    commands = {name: (n - quiet_counts[name]) / messages for name, n in busy[0].items()}
    scripts = sum(commands.get(name, 0.0) for name in SCRIPT_COMMANDS)
    cpu = (busy[2] - quiet[2] * share) / messages * 1e6
    lines = [
        f"{messages:,} messages of pairs on two instances: {scripts:.2f} scripts and "
        f"{sum(commands.values()):.1f} commands per message, {cpu:.0f} µs CPU of Valkey; "
        f"{seen.refused} refused, {seen.accepted} acks said `accepted`.",
        "",
        "| script | calls per message | µs per call |",
        "| --- | ---: | ---: |",
    ]
    names = _script_names()
    by_use = sorted(busy[1].items(), key=lambda item: -item[1][1])
    for digest, (calls, micros) in by_use[:12]:
        lines.append(
            f"| {names.get(digest, digest)} | {calls / messages:.3f} | {micros / calls:.0f} |"
        )
    most = sorted(commands.items(), key=lambda item: -item[1])
    rest = ", ".join(f"{name} {per:.2f}" for name, per in most if per >= 0.01)
    return "\n".join([*lines, "", f"Commands per message: {rest}."])


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
