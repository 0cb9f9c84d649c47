"""`python -m bench.shards`: how the load of one primary falls where there are more of them.

The same messages at the same rate on one server, on a cluster of one and on larger ones, and
nothing for as long; then without the relay.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGSTOP

import click
import uvloop

from bench.contender import Running, contenders, running
from bench.machine import allow_files, cores, describe_machine, pinned
from bench.pair_load import PairLoad
from bench.primary_cost import PrimaryCost, listed
from bench.testbed import Testbed, running_testbed, unstarted_stack
from rts_server import keys
from rts_server.redis_client.slots import slot_of
from rts_server.tools.dev.stack import Stack
from tests.helpers.valkey import ask

INSTANCES = 2
SETTLE_SECONDS = 8.0
"""Behind this time the relay has published that the rooms are quiet."""


@dataclass(frozen=True)
class Costs:
    """What each primary did, and CPU seconds of both web processes and of the relay."""

    primaries: list[PrimaryCost]
    web: float
    relay: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.primaries[0].seconds

    @property
    def calls(self) -> Counter[str]:
        """The commands of all primaries."""
        return sum((one.commands for one in self.primaries), Counter())


@dataclass(frozen=True)
class Measured:
    """Of one number of primaries: where slots and rooms are, and what was done.

    `busy`, `idle`, `alone`: with messages, with none, and with none and no relay.
    """

    name: str
    slots: list[float]
    rooms: list[float]
    messages: int
    refused: int
    busy: Costs
    idle: Costs
    alone: Costs

    @property
    def largest(self) -> float:
        """µs of CPU of the busiest primary for each message of all, whatever it does beside."""
        return max(one.cpu for one in self.busy.primaries) / self.messages * 1e6

    @property
    def commands(self) -> float:
        """Commands of all primaries for each message, without those of the same idle time."""
        both = zip(self.busy.primaries, self.idle.primaries, strict=True)
        return sum(one.without(idle).commands.total() for one, idle in both) / self.messages


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--messages", type=click.IntRange(100, 100_000), default=5_000)
@click.option("--pairs", type=click.IntRange(2, 5_000), default=1_000)
@click.option("--rate", type=click.FloatRange(10, 10_000), default=250, help="Messages/s.")
@click.option("--rounds", type=click.IntRange(1, 20), default=1)
@click.option("--shards", type=click.IntRange(0, 20), multiple=True, default=(0, 1, 2, 3),
              help="Numbers of primaries of a cluster, 0: one server; all are compared with the "
              "first two.")  # fmt: skip
def main(messages: int, pairs: int, rate: float, rounds: int, shards: tuple[int, ...]) -> None:
    """Measure messages of pairs, each in a room of its own, on two instances."""
    allow_files()
    click.echo(f"{describe_machine()}; {pairs:,} rooms of two, {messages:,} messages, {rate}/s.\n")
    for _ in range(rounds):
        click.echo(report([_measured(count, pairs, messages, rate) for count in shards]))


def _measured(shards: int, pairs: int, messages: int, rate: float) -> Measured:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stack = unstarted_stack(Path(folder), "relaxed", max(shards, 1))
        stack.is_cluster = shards > 0
        with pinned(cores()[2]):
            stack.start()
        try:
            with pinned(cores()[1]):
                name = f"cluster of {shards}" if shards else "one server"
                return uvloop.run(_messages_of_pairs(name, stack, pairs, messages, rate))
        finally:
            stack.stop()


async def _messages_of_pairs(
    name: str, stack: Stack, pairs: int, messages: int, rate: float
) -> Measured:
    async with (
        running_testbed(stack, contenders()[0], 2, pairs, settled=True) as made,
        running(contenders()[0], INSTANCES, stack) as servers,
    ):
        await made.use_queue("stub")
        load = PairLoad(made, messages, rate)
        await load.connect(servers)
        await asyncio.sleep(SETTLE_SECONDS)
        idle = await _costs_of(made, servers, load.idle)
        busy = await _costs_of(made, servers, load.send)
        slots, rooms = _shares(made)
        refused = load.seen.refused + messages - len(load.seen.acks)
        made.relay.signal(SIGSTOP)
        alone = await _costs_of(made, servers, load.idle)
        return Measured(name, slots, rooms, messages, refused, busy, idle, alone)


async def _costs_of(made: Testbed, servers: Running, work: Callable[[], Awaitable[None]]) -> Costs:
    before = [PrimaryCost.so_far(one) for one in made.primaries]
    web, relay = servers.cpu(), made.shared_cpu()["relay"]
    await work()
    after = [PrimaryCost.so_far(one) for one in made.primaries]
    done = [one.since(then) for one, then in zip(after, before, strict=True)]
    return Costs(done, servers.cpu() - web, made.shared_cpu()["relay"] - relay)


def _shares(made: Testbed) -> tuple[list[float], list[float]]:
    """Return the shares of the slots, and of the rooms of the pairs, that each primary has."""
    if len(made.primaries) == 1:
        return [1.0], [1.0]
    slots: Counter[int] = Counter()
    rooms: Counter[int] = Counter()
    here = [slot_of(keys.room(one.rooms[0]).head) for one, _ in made.pairs]
    for low, high, at, *_ in ask(made.primaries[0], "CLUSTER SLOTS"):
        slots[at[1]] += high - low + 1
        rooms[at[1]] += sum(low <= slot <= high for slot in here)
    ports = [one.port for one in made.primaries]
    return [slots[port] / slots.total() for port in ports], [
        rooms[port] / rooms.total() for port in ports
    ]


def report(measured: Sequence[Measured]) -> str:
    """Return tables of the shares, of what is done without messages, and the commands."""
    first, second = measured[0], measured[:2][-1]
    lines = [
        "| primaries | slots, % | rooms, % | µs CPU of each per message of all "
        f"| the largest : {first.name} | : {second.name} | commands per message "
        f"| : {first.name} | µs of both web | of the relay | refused |",
        "| " + " | ".join(["---:"] * 11) + " |",
    ]
    for one in measured:
        micros = [cost.cpu / one.messages * 1e6 for cost in one.busy.primaries]
        cells = [
            one.name,
            _list(100 * share for share in one.slots),
            _list(100 * share for share in one.rooms),
            _list(micros),
            f"{one.largest / first.largest:.2f}",
            f"{one.largest / second.largest:.2f}",
            f"{one.commands:.1f}",
            f"{one.commands / first.commands:.2f}",
            f"{one.busy.web / one.messages * 1e6:.0f}",
            f"{one.busy.relay / one.messages * 1e6:.0f}",
            str(one.refused),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| idle, primaries | ms CPU/s of each | commands/s of each | of the relay, all | of a web "
        "process | ms CPU/s of a web process | of the relay |",
        "| " + " | ".join(["---:"] * 7) + " |",
    ]
    for one in measured:
        idle, alone = one.idle, one.alone
        of_web = alone.calls.total() / alone.seconds
        cells = [
            one.name,
            _list((1e3 * cost.cpu / cost.seconds for cost in idle.primaries), 1),
            _list(cost.commands.total() / cost.seconds for cost in idle.primaries),
            f"{idle.calls.total() / idle.seconds - of_web:.0f}",
            f"{of_web / INSTANCES:.1f}",
            f"{1e3 * idle.web / INSTANCES / idle.seconds:.2f}",
            f"{1e3 * idle.relay / idle.seconds:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for one in measured:
        both = zip(one.busy.primaries, one.idle.primaries, strict=True)
        net = sum((busy.without(idle).commands for busy, idle in both), Counter())
        lines += [
            "",
            f"{one.name}, commands per message: {listed(net, one.messages)}.",
            f"{one.name}, of both web processes a second, idle: "
            f"{listed(one.alone.calls, one.alone.seconds)}.",
        ]
    return "\n".join([*lines, ""])


def _list(values: Iterable[float], digits: int = 0) -> str:
    return ", ".join(f"{value:,.{digits}f}" for value in values)


if __name__ == "__main__":
    main()
