"""The workloads and their measurement: a round gives one figure per row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle, islice

from bench.connection import Connection, Seen
from bench.contender import Contender, Running, running
from bench.ground import AT_ONCE, Ground, User
from bench.load import Act, Plan, play

MICRO = 1e6
SENDERS = 16
"""Members of the room who write, so that no single connection's queue is measured."""
HOPELESS = 1.75
"""A rate that would need more cores than this, judged by the lower rate, is left out."""
WARM = 1.0
FIRST = 20
"""Connections opened first, which carry the costs a process has only once."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the workloads; rates are per second."""

    room: int
    pairs: int
    seconds: float
    room_rate: float
    burst: int
    pair_rate: float
    full_rate: float
    ack_rate: float


@dataclass(frozen=True)
class Row:
    """A row of the results. `wanted`: the target, at most so many times Node's figure."""

    name: str
    unit: str
    digits: int = 1
    wanted: str = ""


def rows(sizes: Sizes) -> dict[str, Row]:
    """Return the rows by key, in the order of the table."""
    room, pairs = f"room of {sizes.room:,}", f"{sizes.pairs} pairs on two instances"
    delivery, message = "µs CPU per delivery", "µs CPU per message"
    return {
        "room": Row(f"{room}, one instance, 1 message per tick", delivery, 1, "≤ 0.75"),
        "burst": Row(f"the same, {sizes.burst} messages per tick", delivery, 1, "≤ 0.35"),
        "room2": Row(f"{room}, two instances", delivery, 1, "≤ 0.7"),
        "pairs": Row(f"{pairs}, {sizes.pair_rate:,.0f}/s", message, 0, "≤ 0.5"),
        "pairs p50": Row("the same, latency p50", "ms"),
        "pairs p99": Row("the same, latency p99", "ms"),
        "full": Row(f"{pairs}, {sizes.full_rate:,.0f}/s", message, 0, "≤ 0.5"),
        "full p99": Row("the same, latency p99", "ms", 1, "≤ 20 ms"),
        "memory": Row("memory per idle connection, one room", "KiB", 1, "≤ 10 KiB"),
        "connect": Row("connect, token, join of one room", "µs CPU", 0, "≤ 500 µs"),
        "ack": Row("event and ack without a room", "µs CPU", 0, "≤ 40 µs"),
    }


@dataclass
class Measured:
    """Figures by row, costs beside the servers, and failures."""

    figures: dict[str, float]
    beside: dict[str, float]
    troubles: list[str]


@dataclass(frozen=True)
class Work:
    """Acts on a schedule; each is received by so many connections (0: acked only).

    The row counts deliveries, or acts (`per_act`).
    """

    key: str
    plan: Plan
    acts: Sequence[Act]
    heard_by: int
    per_act: bool = False


class Round:
    """One round of all workloads on one contender."""

    def __init__(self, contender: Contender, ground: Ground, sizes: Sizes) -> None:
        self._contender = contender
        self._ground = ground
        self._sizes = sizes
        self._seen = Seen()
        self._measured = Measured({}, {}, [])

    async def run(self) -> Measured:
        """Run all workloads, on new processes."""
        if not self._contender.only_together:
            async with running(self._contender, 1, self._ground.stack) as servers:
                await self._one_instance(servers)
        async with running(self._contender, 2, self._ground.stack) as servers:
            await self._two_instances(servers)
        await self._ground.quiet()
        return self._measured

    async def _one_instance(self, servers: Running) -> None:
        sizes, figures = self._sizes, self._measured.figures
        first, rest = self._ground.crowd[:FIRST], self._ground.crowd[FIRST:]
        clients = await self._connected(servers, first)
        memory, cpu = await servers.memory(), servers.cpu()
        clients += await self._connected(servers, rest)
        figures["connect"] = (servers.cpu() - cpu) / len(rest) * MICRO
        figures["memory"] = (await servers.memory() - memory) / len(rest) / 1024
        says, heard_by = _says(clients, self._ground.room_id), len(clients)
        plan = Plan(sizes.room_rate, sizes.seconds)
        await self._measure(servers, Work("room", plan, says, heard_by))
        plan = Plan(sizes.room_rate, sizes.seconds, sizes.burst)
        await self._measure(servers, Work("burst", plan, says, heard_by))
        touches = [client.touch for client in clients[:SENDERS]]
        plan = Plan(sizes.ack_rate, sizes.seconds)
        await self._measure(servers, Work("ack", plan, touches, 0, per_act=True))
        _close(clients)

    async def _two_instances(self, servers: Running) -> None:
        sizes, figures = self._sizes, self._measured.figures
        clients = await self._connected(servers, self._ground.crowd)
        says = _says(clients, self._ground.room_id)
        plan = Plan(sizes.room_rate, sizes.seconds)
        await self._measure(servers, Work("room2", plan, says, len(clients)))
        _close(clients)
        users = list(chain.from_iterable(self._ground.pairs))
        clients = await self._connected(servers, users)
        says = [partial(c.send, user.rooms[0]) for c, user in zip(clients, users, strict=True)]
        plan = Plan(sizes.pair_rate, sizes.seconds)
        beside = await self._measure(servers, Work("pairs", plan, says, 2, per_act=True))
        self._measured.beside |= beside
        if figures["pairs"] * sizes.full_rate < HOPELESS * MICRO:
            plan = Plan(sizes.full_rate, sizes.seconds)
            await self._measure(servers, Work("full", plan, says, 2, per_act=True))
        _close(clients)

    async def _measure(self, servers: Running, work: Work) -> dict[str, float]:
        """Fill the rows of a work; return its cost beside the servers in µs of CPU per act.

        The time ends with the last delivery and the last ack.
        """
        await self._warm(work)
        plan, seen = work.plan, self._seen
        cpu, beside = servers.cpu(), self._ground.beside()
        await play(plan, work.acts)
        await seen.until(plan.count * work.heard_by, plan.count)
        await asyncio.sleep(0.05)
        counted = plan.count if work.per_act else plan.count * work.heard_by
        figures = self._measured.figures
        figures[work.key] = (servers.cpu() - cpu) / counted * MICRO
        for percent in (50, 99):
            figures[f"{work.key} p{percent}"] = percentile(seen.deliveries, percent)
        self._judge(work)
        after = self._ground.beside()
        return {name: (after[name] - beside[name]) / plan.count * MICRO for name in after}

    async def _warm(self, work: Work) -> None:
        """Run the work as fast as possible, so that just-in-time compilers have compiled it."""
        self._seen.clear()
        heard_by = work.heard_by
        turns, sent, end = cycle(work.acts), 0, time.monotonic() + WARM
        while time.monotonic() < end:
            for act in islice(turns, AT_ONCE):
                act(time.monotonic_ns())
            sent += AT_ONCE
            await self._seen.until(sent * heard_by, 0 if heard_by else sent)
        await self._seen.until(sent * heard_by, sent)
        await self._ground.quiet()
        self._seen.clear()

    def _judge(self, work: Work) -> None:
        seen, acts, wanted = self._seen, work.plan.count, work.plan.count * work.heard_by
        where = f"{self._contender.name}, {work.key}"
        if len(seen.deliveries) != wanted or len(seen.acks) != acts or seen.refused:
            self._measured.troubles.append(
                f"{where}: {len(seen.deliveries):,} of {wanted:,} deliveries, "
                f"{len(seen.acks):,} of {acts:,} acks, {seen.refused} refused"
            )
        if seen.accepted:
            self._measured.troubles.append(f"{where}: {seen.accepted} acks said `accepted`")

    async def _connected(self, servers: Running, users: Iterable[User]) -> list[Connection]:
        """Connect each user, spread over the instances in turn."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def connect(number: int, user: User) -> Connection:
            async with limit:
                port = servers.ports[number % len(servers.ports)]
                return await Connection.open(port, user.token, self._seen)

        opened = (connect(number, user) for number, user in enumerate(users))
        clients = list(await asyncio.gather(*opened))
        await asyncio.sleep(0.3)  # subscriptions that nobody confirms to the client
        return clients


def _says(clients: list[Connection], room_id: str) -> list[Act]:
    return [partial(client.send, room_id) for client in clients[:SENDERS]]


def _close(clients: Iterable[Connection]) -> None:
    for client in clients:
        client.close()


def percentile(values: list[int], percent: int) -> float:
    """Return a percentile in ms; nan without values."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)] / 1e6
