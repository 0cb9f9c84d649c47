"""`python -m bench.presence`: the cost of presence and typing and their effect on messages (E5)."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path
from statistics import median

import click
import uvloop
from redis.asyncio import Redis

from bench.beside import Beside
from bench.connection import Connection, Seen
from bench.contender import Running, contenders, running
from bench.ground import AT_ONCE, Ground, User, ground, stack_in
from bench.load import Act, Plan, play
from bench.machine import allow_files, cores, described, pinned
from bench.workloads import percentile
from rts_server.tools.dev.stack import Stack

TIMES = (1, 10)
WATCHED = 500
ONE_ADDRESS = {"RTS_ADDRESS_CONNECTIONS": "10000", "RTS_RATES": "presence_ids=100000/100000"}
"""All clients share one address and watch repeatedly; the other limits are the defaults."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rounds", type=click.IntRange(1, 50), default=5)
@click.option("--seconds", type=click.FloatRange(1, 60), default=6.0, help="Of each measurement.")
@click.option("--pairs", type=click.IntRange(2, 500), default=100, help="That write.")
@click.option("--rate", type=click.FloatRange(1, 2_000), default=100, help="Messages/s.")
@click.option("--typing", type=click.FloatRange(1, 500), default=30, help="Starts/s, and × 10.")
@click.option("--limits", type=click.Choice(["standard", "relaxed"]), default="standard")
@click.option("--moves", type=click.FloatRange(0.1, 100), default=5, help="presence.set/s, × 10.")
def main(rounds: int, pairs: int, limits: str, **given: float) -> None:
    """Let pairs write, beside the nominal and ten times the load of typing and presence."""
    allow_files()
    gc.disable()
    _, generator, others = cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stack = stack_in(Path(folder), limits, **ONE_ADDRESS)
        with pinned(others):
            stack.start()
        try:
            with pinned(generator):
                uvloop.run(_run(stack, rounds, pairs, given))
        finally:
            stack.stop()


async def _run(stack: Stack, rounds: int, pairs: int, given: dict[str, float]) -> None:
    ours = contenders()[0]
    async with (
        ground(stack, ours, WATCHED + 1, 2 * pairs) as made,
        running(ours, 2, made.stack) as servers,
    ):
        click.echo(f"{described()}; {stack.settings.rate_limits} limits")
        await _watch(made, servers)
        await _messages(made, servers, rounds, given)


async def _connected(servers: Running, users: list[User], seen: Seen) -> list[Connection]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def connect(number: int, user: User) -> Connection:
        async with limit:
            port = servers.ports[number % len(servers.ports)]
            client = await Connection.open(port, user.token, seen)
            await client.join("/presence")
            return client

    return list(await asyncio.gather(*(connect(n, user) for n, user in enumerate(users))))


async def _watch(made: Ground, servers: Running) -> None:
    """Measure Redis for watches of 500 users."""
    clients = await _connected(servers, made.crowd, Seen())
    await asyncio.sleep(1.0)
    names = [user.user_id for user in made.crowd[1 : WATCHED + 1]]
    costs, took = [], []
    async with Redis.from_url(made.stack.settings.redis_url) as redis:
        for _ in range(9):
            await redis.config_resetstat()
            began = time.monotonic()
            answer = await clients[0].ask("presence.watch", {"user_ids": names})
            took.append((time.monotonic() - began) * 1000)
            assert all(one["state"] == "online" for one in answer["presences"])
            stats = await redis.info("commandstats")
            work = ("cmdstat_evalsha", "cmdstat_subscribe", "cmdstat_hgetall")
            costs.append(sum(stats[name]["usec"] for name in work if name in stats) / 1000)
            await clients[0].ask("presence.watch", {"user_ids": []})
    click.echo(
        f"watch of {WATCHED}: Redis works {median(costs):.2f} ms "
        f"({min(costs):.2f}-{max(costs):.2f}), answered in {median(took):.1f} ms"
    )
    for client in clients:
        client.close()


async def _messages(made: Ground, servers: Running, rounds: int, given: dict[str, float]) -> None:
    """Let half of the pairs write; a process of its own types for the others."""
    half = len(made.pairs) // 2
    writers, typists = made.pairs[:half], made.pairs[half:]
    seen, users = Seen(), list(chain.from_iterable(writers))
    clients = await _connected(servers, users, seen)
    says = [partial(c.send, user.rooms[0]) for c, user in zip(clients, users, strict=True)]
    found: dict[int, list[Round]] = {times: [] for times in TIMES}
    beside = await Beside.start(typists, servers.ports)
    try:
        for number in range(rounds + 1):  # the first warms up
            for times in TIMES[:: -1 if number % 2 else 1]:
                await made.quiet()  # what was written before is stored
                figures = await _round(says, seen, beside, given, times)
                if number:
                    found[times].append(figures)
    finally:
        await beside.end()
    for times, rows in found.items():
        click.echo(f"{times:2} ×: " + "; ".join(_figures(rows)))
    base, ten = (found[times] for times in TIMES)
    for what, percent in product(("heard", "acked"), (50, 99)):
        before, after = (percentile(_all(rows, what), percent) for rows in (base, ten))
        moved = (after / before - 1) * 100
        click.echo(f"ten times the load moves {what} p{percent} by {moved:+.1f} %")


@dataclass(frozen=True)
class Round:
    """Times in ns since a message was intended; `late`: p99 of the other load's delay in ms."""

    heard: list[int]
    acked: list[int]
    late: float


def _all(rows: list[Round], what: str) -> list[int]:
    return list(chain.from_iterable(getattr(row, what) for row in rows))


def _figures(rows: list[Round]) -> Iterator[str]:
    """Yield the figures of all rounds of a kind together, then of each."""
    for what in ("heard", "acked"):
        together = _all(rows, what)
        each = ", ".join(f"{percentile(getattr(row, what), 99):.1f}" for row in rows)
        p50, p99 = (percentile(together, percent) for percent in (50, 99))
        yield f"{what} p50 {p50:.2f} ms, p99 {p99:.2f} ms ({each})"
    yield f"made beside at most {max(row.late for row in rows):.0f} ms late (p99)"


async def _round(
    says: Sequence[Act], seen: Seen, beside: Beside, given: dict[str, float], times: int
) -> Round:
    seen.clear()
    plan = Plan(given["rate"], given["seconds"])
    load = {name: given[name] * times for name in ("typing", "moves")}
    made, _ = await asyncio.gather(beside.ask({**load, "seconds": plan.seconds}), play(plan, says))
    await seen.until(2 * plan.count, plan.count)
    assert (len(seen.acks), seen.refused) == (plan.count, 0)
    assert len(seen.deliveries) == 2 * plan.count
    return Round(seen.deliveries, seen.acks, made["late"])


if __name__ == "__main__":
    main()
