"""The workloads and their measurement: a round gives one figure per row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle, islice

from bench.connection import Connection, ReceivedCounts
from bench.contender import Contender, Running, running
from bench.load import Action, LoadPlan, run_plan
from bench.testbed import CONCURRENCY, Testbed, User

MICROSECONDS = 1e6
SENDERS = 16
"""Members of the room who write, so that no single connection's queue is measured."""
MAX_CORES = 1.75
"""A rate that would need more cores than this, judged by the lower rate, is left out."""
WARM_UP_SECONDS = 1.0
FIRST_CONNECTIONS = 20
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
    """A row of the results. `wanted`: a bound, or two, the ratios to Node and to Bun."""

    name: str
    unit: str
    digits: int = 1
    wanted: str = ""


def rows(sizes: Sizes) -> dict[str, Row]:
    """Return the rows by key, in the order of the table."""
    room, pairs = f"room of {sizes.room:,}", f"{sizes.pairs} pairs on two instances"
    delivery, message = "µs CPU per delivery", "µs CPU per message"
    return {
        "room": Row(f"{room}, one instance, 1 message per tick", delivery, 1, "≤ 0.5 / 0.75"),
        "burst": Row(f"the same, {sizes.burst} messages per tick", delivery, 1, "≤ 0.2 / 0.3"),
        "room2": Row(f"{room}, two instances", delivery, 1, "≤ 0.65 / 0.85"),
        "pairs": Row(f"{pairs}, {sizes.pair_rate:,.0f}/s", message, 0, "≤ 0.75 / 0.95"),
        "pairs p50": Row("the same, heard p50", "ms"),
        "pairs p99": Row("the same, heard p99", "ms"),
        "pairs ack p99": Row("the same, ack p99", "ms"),
        "full": Row(f"{pairs}, {sizes.full_rate:,.0f}/s", message, 0, "≤ 0.75 / 0.95"),
        "full p99": Row("the same, heard p99", "ms", 1, "≤ 20 ms"),
        "full ack p99": Row("the same, ack p99", "ms", 1, "≤ 50 ms"),
        "emulator": Row(
            f"{pairs}, {sizes.pair_rate:,.0f}/s, the queue is the local AWS emulator", message, 0
        ),
        "emulator ack p99": Row("the same, ack p99", "ms"),
        "memory": Row("memory per idle connection, one room", "KiB", 1, "≤ 7 KiB"),
        "connect": Row("connect, token, join of one room", "µs CPU", 0, "≤ 0.5 / 1.4"),
        "ack": Row("event and ack without a room", "µs CPU", 0, "≤ 0.8 / 1.3"),
    }


@dataclass
class RoundResult:
    """Figures by row, costs beside the servers, and failures."""

    figures: dict[str, float]
    shared_cpu: dict[str, float]
    failures: list[str]


@dataclass(frozen=True)
class Workload:
    """Acts on a schedule; each is received by so many connections (0: acked only).

    The row counts deliveries, or actions (`per_act`).
    """

    key: str
    plan: LoadPlan
    actions: Sequence[Action]
    receivers: int
    per_act: bool = False


class Round:
    """One round of all workloads on one contender."""

    def __init__(self, contender: Contender, testbed: Testbed, sizes: Sizes) -> None:
        self._contender = contender
        self._testbed = testbed
        self._sizes = sizes
        self._seen = ReceivedCounts()
        self._measured = RoundResult({}, {}, [])

    async def measure_all(self) -> RoundResult:
        """Run all workloads, on new processes."""
        if not self._contender.only_together:
            async with running(self._contender, 1, self._testbed.stack) as servers:
                await self._one_instance(servers)
        async with running(self._contender, 2, self._testbed.stack) as servers:
            await self._two_instances(servers)
        await self._testbed.wait_until_idle()
        return self._measured

    async def _one_instance(self, servers: Running) -> None:
        sizes, figures = self._sizes, self._measured.figures
        first, rest = (
            self._testbed.crowd[:FIRST_CONNECTIONS],
            self._testbed.crowd[FIRST_CONNECTIONS:],
        )
        clients = await self._connected(servers, first)
        memory, cpu = await servers.memory(), servers.cpu()
        clients += await self._connected(servers, rest)
        figures["connect"] = (servers.cpu() - cpu) / len(rest) * MICROSECONDS
        figures["memory"] = (await servers.memory() - memory) / len(rest) / 1024
        send_actions, receivers = _send_actions(clients, self._testbed.room_id), len(clients)
        plan = LoadPlan(sizes.room_rate, sizes.seconds)
        await self._measure(servers, Workload("room", plan, send_actions, receivers))
        plan = LoadPlan(sizes.room_rate, sizes.seconds, sizes.burst)
        await self._measure(servers, Workload("burst", plan, send_actions, receivers))
        touches = [client.send_sync for client in clients[:SENDERS]]
        plan = LoadPlan(sizes.ack_rate, sizes.seconds)
        await self._measure(servers, Workload("ack", plan, touches, 0, per_act=True))
        _close(clients)

    async def _two_instances(self, servers: Running) -> None:
        sizes, figures = self._sizes, self._measured.figures
        clients = await self._connected(servers, self._testbed.crowd)
        send_actions = _send_actions(clients, self._testbed.room_id)
        plan = LoadPlan(sizes.room_rate, sizes.seconds)
        await self._measure(servers, Workload("room2", plan, send_actions, len(clients)))
        _close(clients)
        users = list(chain.from_iterable(self._testbed.pairs))
        clients = await self._connected(servers, users)
        send_actions = [
            partial(c.send, user.rooms[0]) for c, user in zip(clients, users, strict=True)
        ]
        plan = LoadPlan(sizes.pair_rate, sizes.seconds)
        shared_cpu = await self._measure(
            servers, Workload("pairs", plan, send_actions, 2, per_act=True)
        )
        self._measured.shared_cpu |= shared_cpu
        if figures["pairs"] * sizes.full_rate < MAX_CORES * MICROSECONDS:
            plan = LoadPlan(sizes.full_rate, sizes.seconds)
            await self._measure(servers, Workload("full", plan, send_actions, 2, per_act=True))
        if self._contender.queued:
            await self._testbed.use_queue("emulator")
            plan = LoadPlan(sizes.pair_rate, sizes.seconds)
            await self._measure(servers, Workload("emulator", plan, send_actions, 2, per_act=True))
            await self._testbed.use_queue("stub")
        _close(clients)

    async def _measure(self, servers: Running, work: Workload) -> dict[str, float]:
        """Fill the rows of a work; return its cost beside the servers in µs of CPU per act.

        The time ends with the last delivery and the last ack.
        """
        await self._warm(work)
        plan, seen = work.plan, self._seen
        cpu, before = servers.cpu(), self._testbed.shared_cpu()
        await run_plan(plan, work.actions)
        await seen.wait_for(plan.count * work.receivers, plan.count)
        await asyncio.sleep(0.05)
        counted = plan.count if work.per_act else plan.count * work.receivers
        figures = self._measured.figures
        figures[work.key] = (servers.cpu() - cpu) / counted * MICROSECONDS
        for percent in (50, 99):
            figures[f"{work.key} p{percent}"] = percentile(seen.deliveries, percent)
            figures[f"{work.key} ack p{percent}"] = percentile(seen.acks, percent)
        self._check_counts(work)
        after = self._testbed.shared_cpu()
        return {name: (after[name] - before[name]) / plan.count * MICROSECONDS for name in after}

    async def _warm(self, work: Workload) -> None:
        """Run the work as fast as possible, so that just-in-time compilers have compiled it."""
        self._seen.clear()
        receivers = work.receivers
        turns, sent, end = cycle(work.actions), 0, time.monotonic() + WARM_UP_SECONDS
        while time.monotonic() < end:
            for act in islice(turns, CONCURRENCY):
                act(time.monotonic_ns())
            sent += CONCURRENCY
            await self._seen.wait_for(sent * receivers, 0 if receivers else sent)
        await self._seen.wait_for(sent * receivers, sent)
        await self._testbed.wait_until_idle()
        self._seen.clear()

    def _check_counts(self, work: Workload) -> None:
        seen, actions, target = self._seen, work.plan.count, work.plan.count * work.receivers
        where = f"{self._contender.name}, {work.key}"
        if len(seen.deliveries) != target or len(seen.acks) != actions or seen.refused:
            self._measured.failures.append(
                f"{where}: {len(seen.deliveries):,} of {target:,} deliveries, "
                f"{len(seen.acks):,} of {actions:,} acks, {seen.refused} refused"
            )
        if seen.accepted:
            self._measured.failures.append(f"{where}: {seen.accepted} acks said `accepted`")

    async def _connected(self, servers: Running, users: Iterable[User]) -> list[Connection]:
        """Connect each user, spread over the instances in turn."""
        limit = asyncio.Semaphore(CONCURRENCY)

        async def connect(number: int, user: User) -> Connection:
            async with limit:
                port = servers.ports[number % len(servers.ports)]
                return await Connection.open(port, user.token, self._seen)

        opened = (connect(number, user) for number, user in enumerate(users))
        clients = list(await asyncio.gather(*opened))
        await asyncio.sleep(0.3)  # subscriptions are not confirmed to the client
        return clients


def _send_actions(clients: list[Connection], room_id: str) -> list[Action]:
    return [partial(client.send, room_id) for client in clients[:SENDERS]]


def _close(clients: Iterable[Connection]) -> None:
    for client in clients:
        client.close()


def percentile(values: list[int], percent: int) -> float:
    """Return a percentile in ms; nan without values."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)] / 1e6
