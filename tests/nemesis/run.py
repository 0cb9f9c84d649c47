"""One run: a cluster, simulated users, the plan's faults, quiescence, and the final state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tests.nemesis.checks import check
from tests.nemesis.cluster import Cluster
from tests.nemesis.device import Device
from tests.nemesis.ending import look, rest
from tests.nemesis.people import Owner, Person
from tests.nemesis.plan import Fault, Round
from tests.nemesis.recorder import Final, History, Violation
from tests.nemesis.report import OBSERVER

FINISH_WITHIN = 60.0
"""Seconds after the last fault within which every command must be answered."""
OPEN_WITHIN = 60.0
LAG = 0.05
USERS = ("alice", "bob", "bob", "carol", "dave")
"""Users of the devices; instances alternate, and the third device is socket.io-client."""
STOCK = 2


@dataclass
class Outcome:
    """The result of a run."""

    history: History
    final: Final
    violations: list[Violation]


async def once(
    cluster: Cluster, rounds: list[Round], seed: int, tell: Callable[[str], object]
) -> Outcome:
    """Run a plan on a new deployment, which ends with it."""
    async with cluster:
        return await run(cluster, rounds, seed, tell)


async def run(
    cluster: Cluster, rounds: list[Round], seed: int, tell: Callable[[str], object]
) -> Outcome:
    """Execute the plan and check the history."""
    history, final = History(), Final()
    lag = asyncio.create_task(_watch(history))
    game = Game(cluster, history, seed)
    try:
        await game.open()
        over = asyncio.Event()
        lives = [asyncio.create_task(person.live(over)) for person in game.people]
        for number, one in enumerate(rounds, 1):
            tell(f"{history.now():7.2f} s  round {number}")
            if restless := await game.suffer(one):
                tell(f"{history.now():7.2f} s  no rest behind it: {restless}")
        over.set()
        tell(f"{history.now():7.2f} s  rest")
        found = [*await rest(cluster), *await game.finish(lives), *await rest(cluster)]
        tell(f"{history.now():7.2f} s  what is there")
        found += await look(final, cluster, game.devices, game.owner.made, game.observer)
        history.opened = await asyncio.to_thread(cluster.opened)
        return Outcome(history, final, [*found, *check(history, final)])
    finally:
        lag.cancel()
        await game.close()


async def _watch(history: History) -> None:
    """Measure how late this event loop is: answers may be read late."""
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(LAG)
        if (late := loop.time() - before - LAG) > LAG:
            history.lags.append((history.now(), late))


class Game:
    """The simulated users of one seed on one cluster."""

    def __init__(self, cluster: Cluster, history: History, seed: int) -> None:
        self.cluster, self.history, self.seed = cluster, history, seed
        self.devices: list[Device] = []
        for number, user in enumerate(USERS):
            kind = "stock" if number == STOCK else "frames"
            made = self._device(user, number % len(cluster.doors), f"{user}{number}", kind)
            self.devices.append(made)
        others = sorted({device.user for device in self.devices[1:]})
        self.owner = Owner(self.devices[0], "e0", others)
        self.people: list[Person] = [self.owner]
        self.people += [Person(d, f"e{n}") for n, d in enumerate(self.devices[1:], 1)]
        self._observers: list[Device] = []

    def _device(self, user: str, instance: int, name: str, kind: str) -> Device:
        door, token = self.cluster.doors[instance], self.cluster.token_of(user)
        made = Device(self.history, name, user, door, token, kind, f"{self.seed} {name}")
        made.instance = instance
        return made

    def observer(self, user: str, instance: int) -> Device:
        """Return a new device without any events."""
        self._observers.append(
            self._device(user, instance, f"{user}{OBSERVER}{instance}", "frames")
        )
        return self._observers[-1]

    async def open(self) -> None:
        """Connect all devices and create two rooms, before the first fault."""
        async with asyncio.timeout(OPEN_WITHIN):
            for device in self.devices:
                await device.fresh()
            for _ in range(2):
                await self.owner.create()
            while not all(len(device.rooms) == 2 for device in self.devices):
                for device in self.devices:
                    await device.fresh()
                await asyncio.sleep(0.02)

    async def suffer(self, one: Round) -> str:
        """Inject the faults of a round, each at its time; end them all.

        Return why there is no rest behind a loss, '' if there is: the rest at the end tells of it.
        """
        restless = ""
        ended = asyncio.create_task(asyncio.sleep(one.lasts))
        await asyncio.gather(*(self._break(fault) for fault in one.faults))
        await ended
        if one.loses:
            try:
                await self.cluster.settle()
            except TimeoutError as error:
                restless = str(error)
        await asyncio.sleep(one.calm)
        return restless

    async def _break(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        trouble = self.history.broken(fault.kind, fault.target)
        mend = await self.cluster.break_(fault.kind, fault.target)
        await asyncio.sleep(fault.lasts)
        await mend()
        trouble.ended = self.history.now()

    async def finish(self, lives: list[asyncio.Task[None]]) -> list[Violation]:
        """Wait until every command is answered."""
        _, late = await asyncio.wait(lives, timeout=FINISH_WITHIN)
        found = [
            Violation("D10", "", f"{person.device.name}: no final answer in {FINISH_WITHIN:g} s")
            for person, life in zip(self.people, lives, strict=True)
            if life in late
        ]
        for life in late:
            life.cancel()
        await asyncio.wait(lives)
        for life in lives:
            if not life.cancelled():
                life.result()
        return found

    async def close(self) -> None:
        """Disconnect all devices."""
        for device in [*self.devices, *self._observers]:
            await device.close()
