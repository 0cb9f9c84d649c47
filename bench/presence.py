"""`python -m bench.presence`: what presence and typing cost, and whether messages notice (E5)."""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path
from statistics import median

import click
import uvloop
from redis.asyncio import Redis

from bench.connection import Connection, Seen
from bench.contender import Running, contenders, running
from bench.ground import AT_ONCE, Ground, User, ground, stack_in
from bench.load import Act, Plan, play
from bench.machine import allow_files, cores, described, pinned
from bench.workloads import percentile
from rts_server.dev.stack import Stack

TIMES = (1, 10)
WATCHED = 500
ONE_ADDRESS = {"RTS_ADDRESS_CONNECTIONS": "10000", "RTS_RATES": "presence_ids=100000/100000"}
"""All come from here, and watch again and again; the other limits are the protocol's."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rounds", type=click.IntRange(1, 50), default=5)
@click.option("--seconds", type=click.FloatRange(1, 60), default=6.0, help="Of each measurement.")
@click.option("--pairs", type=click.IntRange(2, 500), default=100)
@click.option("--rate", type=click.FloatRange(1, 2_000), default=100, help="Messages/s.")
@click.option("--typing", type=click.FloatRange(1, 500), default=30, help="Starts/s, and × 10.")
@click.option("--limits", type=click.Choice(["standard", "relaxed"]), default="standard")
@click.option("--moves", type=click.FloatRange(0.1, 100), default=5, help="presence.set/s, × 10.")
def main(rounds: int, pairs: int, limits: str, **given: float) -> None:
    """Pairs of two instances write; beside them everybody types and moves, once and ten times."""
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
        ground(stack, ours, WATCHED + 1, pairs) as made,
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
    """What Redis works for the watch of 500 users, all of them here."""
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
    seen = Seen()
    users = list(chain.from_iterable(made.pairs))
    clients = await _connected(servers, users, seen)
    for client, user in zip(clients, users, strict=True):
        friends = [other.user_id for pair in made.pairs if user in pair for other in pair]
        await client.ask("presence.watch", {"user_ids": friends})
    says = [partial(c.send, user.rooms[0]) for c, user in zip(clients, users, strict=True)]
    found: dict[int, list[tuple[float, float, float]]] = {times: [] for times in TIMES}
    for number in range(rounds + 1):  # the first warms up
        for times in TIMES:
            figures = await _round(clients, users, says, seen, given, times)
            if number:
                found[times].append(figures)
    for times, rows in found.items():
        p50, p99, acked = (median(row[n] for row in rows) for n in range(3))
        each = ", ".join(f"{row[1]:.1f}" for row in rows)
        click.echo(
            f"{times:2} ×: heard p50 {p50:.2f} ms, p99 {p99:.2f} ms ({each}); ack p99 {acked:.1f}"
        )
    for n, what in ((0, "heard p50"), (1, "heard p99"), (2, "ack p99")):
        base, ten = (median(row[n] for row in found[times]) for times in TIMES)
        click.echo(f"ten times the load moves {what} by {(ten / base - 1) * 100:+.0f} %")


async def _round(
    clients: list[Connection],
    users: list[User],
    says: Sequence[Act],
    seen: Seen,
    given: dict[str, float],
    times: int,
) -> tuple[float, float, float]:
    """p50 and p99 of what is heard, p99 of the acks, ms.

    An ack waits for relay and queue, which share a core with the load itself: what ten times the
    load costs there is the generator's too.
    """
    rooms = [json.dumps({"room_id": user.rooms[0]}) for user in users]
    turns = count()

    def types(client: Connection, body: str, due: int) -> None:
        client.say("/presence", "typing.start", body)

    def moves(client: Connection, due: int) -> None:
        state = "away" if next(turns) // len(clients) % 2 == 0 else "online"
        client.say("/presence", "presence.set", json.dumps({"state": state}))

    seen.clear()
    seconds = given["seconds"]
    plan = Plan(given["rate"], seconds)
    typing = [partial(types, c, body) for c, body in zip(clients, rooms, strict=True)]
    moving = [partial(moves, client) for client in clients]
    await asyncio.gather(
        play(plan, says),
        play(Plan(given["typing"] * times, seconds), typing),
        play(Plan(given["moves"] * times, seconds), moving),
    )
    await seen.until(2 * plan.count, plan.count)
    assert (len(seen.acks), seen.refused) == (plan.count, 0)
    heard, acked = seen.deliveries, seen.acks
    return percentile(heard, 50), percentile(heard, 99), percentile(acked, 99)


if __name__ == "__main__":
    main()
