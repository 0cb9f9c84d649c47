"""`python -m bench.overload`: what is served, and what refused how fast, beyond the peak (R4)."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle, islice
from pathlib import Path

import click
import uvloop

from bench.connection import Connection, ReceivedCounts
from bench.contender import Running, contenders, running
from bench.load import Action, LoadPlan, run_plan
from bench.machine import allow_files, cores, describe_machine, pinned
from bench.testbed import CONCURRENCY, Testbed, running_testbed, unstarted_stack
from bench.workloads import percentile
from rts_server.tools.dev.stack import Stack

FACTORS = (0.5, 2, 5, 10)
"""Offered load as multiples of the peak; the first shows what is normal."""
RECOVERY_SECONDS = 10.0
SEARCH_SECONDS = 4.0
IN_FLIGHT = 256
"""Unanswered commands while the peak is searched: an ack waits some 50 ms for the queue, so that
fewer would leave every part idle."""


@dataclass(frozen=True)
class Load:
    """What became of the commands of one load. Times in ms."""

    offered: float
    seconds: float
    served: int
    refused: list[int]
    unanswered: int
    heard: list[int]
    busy: dict[str, float]
    """Share of a core that each part used. The generator is on a core with Valkey and the relay."""

    def line(self, peak: float) -> str:
        """Return one row of the table."""
        goodput = self.served / self.seconds
        return (
            f"| {self.offered / peak:.1f} × | {self.offered:,.0f} | {goodput:,.0f} "
            f"| {goodput / peak:.2f} | {percentile(self.refused, 50):.0f} "
            f"| {percentile(self.refused, 90):.0f} | {self.unanswered} "
            f"| {percentile(self.heard, 50):.0f} | {percentile(self.heard, 99):.0f} |"
            + "".join(f" {share:.0%} |" for share in self.busy.values())
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--pairs", type=click.IntRange(2, 500), default=100)
@click.option("--seconds", type=click.FloatRange(1, 60), default=8.0, help="Of each load.")
def main(pairs: int, seconds: float) -> None:
    """Find the peak of pairs on two instances, then offer multiples of it."""
    allow_files()
    gc.disable()
    _, generator, others = cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stack = unstarted_stack(Path(folder))
        with pinned(others):
            stack.start()
        try:
            with pinned(generator):
                uvloop.run(_run(stack, pairs, seconds))
        finally:
            stack.stop()


async def _run(stack: Stack, pairs: int, seconds: float) -> None:
    ours = contenders()[0]
    async with (
        running_testbed(stack, ours, 2, pairs) as made,
        running(ours, 2, made.stack) as servers,
    ):
        await made.use_queue("stub")
        seen = ReceivedCounts()
        sends = await _sends(made, servers, seen)
        peak = await _peak(sends, seen)
        click.echo(f"{describe_machine()}; {pairs} pairs on two instances; peak {peak:,.0f}/s\n")
        click.echo(
            "| offered | /s | served /s | ÷ peak | refused p50 ms | p90 | unanswered "
            "| heard p50 ms | p99 | generator | web | Valkey | relay |\n| --- |" + " ---: |" * 12
        )
        cpu = partial(_cpu, made, servers)
        for factor in FACTORS:
            click.echo((await _load(sends, seen, factor * peak, seconds, cpu)).line(peak))
        await asyncio.sleep(RECOVERY_SECONDS)
        after = await _load(sends, seen, FACTORS[0] * peak, seconds, cpu)
        click.echo(after.line(peak) + f" {RECOVERY_SECONDS:.0f} s after")


async def _sends(made: Testbed, servers: Running, seen: ReceivedCounts) -> list[Action]:
    users = list(chain.from_iterable(made.pairs))
    limit = asyncio.Semaphore(CONCURRENCY)

    async def connect(number: int) -> Connection:
        async with limit:
            port = servers.ports[number % len(servers.ports)]
            return await Connection.open(port, users[number].token, seen)

    clients = await asyncio.gather(*map(connect, range(len(users))))
    return [partial(c.send, user.rooms[0]) for c, user in zip(clients, users, strict=True)]


async def _peak(sends: Sequence[Action], seen: ReceivedCounts) -> float:
    """Return how many messages a second are served while a fixed number is unanswered."""
    rates = []
    for _ in range(2):  # the first one warms up
        seen.clear()
        turns, sent, began = cycle(sends), 0, time.monotonic()
        while time.monotonic() - began < SEARCH_SECONDS:
            if (free := IN_FLIGHT - sent + len(seen.acks)) > 0:
                for act in islice(turns, free):
                    act(time.monotonic_ns())
                sent += free
            await asyncio.sleep(0.001)
        served = len(seen.acks) - seen.refused
        rates.append(served / (time.monotonic() - began))
        await seen.wait_for(0, sent)
    return rates[-1]


def _cpu(made: Testbed, servers: Running) -> dict[str, float]:
    """Return the CPU seconds of each part so far; both instances are on one core."""
    return {"generator": time.process_time(), "web": servers.cpu(), **made.shared_cpu()}


async def _load(
    sends: Sequence[Action],
    seen: ReceivedCounts,
    rate: float,
    seconds: float,
    cpu: Callable[[], dict[str, float]],
) -> Load:
    seen.clear()
    before = cpu()
    plan, began = LoadPlan(rate, seconds), time.monotonic()
    await run_plan(plan, sends)
    await seen.wait_for(0, plan.count)
    took = max(time.monotonic() - began, seconds)
    return Load(
        offered=rate,
        seconds=took,
        served=len(seen.acks) - seen.refused,
        refused=seen.refusals,
        unanswered=plan.count - len(seen.acks),
        heard=seen.deliveries,
        busy={name: (used - before[name]) / took for name, used in cpu().items()},
    )


if __name__ == "__main__":
    main()
