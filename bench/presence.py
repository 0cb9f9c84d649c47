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

from bench.background_load import BackgroundLoad
from bench.connection import Connection, ReceivedCounts
from bench.contender import Running, contenders, running
from bench.load import Action, LoadPlan, run_plan
from bench.machine import allow_files, cores, describe_machine, pinned
from bench.testbed import CONCURRENCY, Testbed, User, running_testbed, unstarted_stack
from bench.workloads import percentile
from rts_server.tools.dev.stack import Stack

LOAD_FACTORS = (1, 10)
WATCHED_USERS = 500
SETTINGS = {
    "RTS_ADDRESS_CONNECTIONS": "10000",
    "RTS_RATES": "presence_ids=100000/100000,handshakes=100000/100000",
}
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
        stack = unstarted_stack(Path(folder), limits, **SETTINGS)
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
        running_testbed(stack, ours, WATCHED_USERS + 1, 2 * pairs) as made,
        running(ours, 2, made.stack) as servers,
    ):
        await made.use_queue("stub")
        click.echo(f"{describe_machine()}; {stack.settings.rate_limits} limits")
        await _watch(made, servers)
        await _messages(made, servers, rounds, given)


async def _connected(servers: Running, users: list[User], seen: ReceivedCounts) -> list[Connection]:
    limit = asyncio.Semaphore(CONCURRENCY)

    async def connect(number: int, user: User) -> Connection:
        async with limit:
            port = servers.ports[number % len(servers.ports)]
            client = await Connection.open(port, user.token, seen)
            await client.join("/presence")
            return client

    return list(await asyncio.gather(*(connect(n, user) for n, user in enumerate(users))))


async def _watch(made: Testbed, servers: Running) -> None:
    """Measure Redis for watches of 500 users."""
    clients = await _connected(servers, made.crowd, ReceivedCounts())
    await asyncio.sleep(1.0)
    names = [user.user_id for user in made.crowd[1 : WATCHED_USERS + 1]]
    costs, took = [], []
    async with Redis.from_url(made.stack.settings.redis_url) as redis:
        for _ in range(9):
            await redis.config_resetstat()
            began = time.monotonic()
            answer = await clients[0].request("presence.watch", {"user_ids": names})
            took.append((time.monotonic() - began) * 1000)
            assert all(one["state"] == "online" for one in answer["presences"])
            stats = await redis.info("commandstats")
            work = ("cmdstat_evalsha", "cmdstat_subscribe", "cmdstat_hgetall")
            costs.append(sum(stats[name]["usec"] for name in work if name in stats) / 1000)
            await clients[0].request("presence.watch", {"user_ids": []})
    click.echo(
        f"watch of {WATCHED_USERS}: Redis works {median(costs):.2f} ms "
        f"({min(costs):.2f}-{max(costs):.2f}), answered in {median(took):.1f} ms"
    )
    for client in clients:
        client.close()


async def _messages(made: Testbed, servers: Running, rounds: int, given: dict[str, float]) -> None:
    """Let half of the pairs write; a process of its own types for the others."""
    half = len(made.pairs) // 2
    writers, typists = made.pairs[:half], made.pairs[half:]
    seen, users = ReceivedCounts(), list(chain.from_iterable(writers))
    clients = await _connected(servers, users, seen)
    send_actions = [partial(c.send, user.rooms[0]) for c, user in zip(clients, users, strict=True)]
    found: dict[int, list[PresenceRound]] = {times: [] for times in LOAD_FACTORS}
    background = await BackgroundLoad.start(typists, servers.ports)
    try:
        for number in range(rounds + 1):  # the first warms up
            for times in LOAD_FACTORS[:: -1 if number % 2 else 1]:
                await made.wait_until_idle()  # what was written before is stored
                figures = await _round(send_actions, seen, background, given, times)
                if number:
                    found[times].append(figures)
    finally:
        await background.stop()
    for times, rows in found.items():
        click.echo(f"{times:2} ×: " + "; ".join(_figures(rows)))
    base, ten = (found[times] for times in LOAD_FACTORS)
    for what, percent in product(("received", "acked"), (50, 99)):
        before, after = (percentile(_all(rows, what), percent) for rows in (base, ten))
        moved = (after / before - 1) * 100
        click.echo(f"ten times the load moves {what} p{percent} by {moved:+.1f} %")


@dataclass(frozen=True)
class PresenceRound:
    """Times in ns since a message was intended; `late`: p99 of the other load's delay in ms."""

    received: list[int]
    acked: list[int]
    late: float


def _all(rows: list[PresenceRound], what: str) -> list[int]:
    return list(chain.from_iterable(getattr(row, what) for row in rows))


def _figures(rows: list[PresenceRound]) -> Iterator[str]:
    """Yield the figures of all rounds of a kind together, then of each."""
    for what in ("received", "acked"):
        together = _all(rows, what)
        each = ", ".join(f"{percentile(getattr(row, what), 99):.1f}" for row in rows)
        p50, p99 = (percentile(together, percent) for percent in (50, 99))
        yield f"{what} p50 {p50:.2f} ms, p99 {p99:.2f} ms ({each})"
    yield f"made beside at most {max(row.late for row in rows):.0f} ms late (p99)"


async def _round(
    send_actions: Sequence[Action],
    seen: ReceivedCounts,
    background: BackgroundLoad,
    given: dict[str, float],
    times: int,
) -> PresenceRound:
    seen.clear()
    plan = LoadPlan(given["rate"], given["seconds"])
    load = {name: given[name] * times for name in ("typing", "moves")}
    made, _ = await asyncio.gather(
        background.request({**load, "seconds": plan.seconds}), run_plan(plan, send_actions)
    )
    await seen.wait_for(2 * plan.count, plan.count)
    assert (len(seen.acks), seen.refused) == (plan.count, 0)
    assert len(seen.deliveries) == 2 * plan.count
    return PresenceRound(seen.deliveries, seen.acks, made["late"])


if __name__ == "__main__":
    main()
