"""One run: a cluster, people, the plan's faults, rest, and what is there then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.nemesis.checks import check
from tests.nemesis.cluster import Cluster
from tests.nemesis.device import Device
from tests.nemesis.people import Owner, Person
from tests.nemesis.plan import Fault, Round
from tests.nemesis.recorder import Final, History, Json, Violation

FINISH_WITHIN = 60.0
"""Seconds in which everything begun must have got its answer once all is well."""
CONVERGE_WITHIN = 20.0
LAG = 0.05
USERS = ("alice", "bob", "bob", "carol", "dave")
"""Whose the devices are; the instance alternates, the third is the real socket.io-client."""


@dataclass
class Outcome:
    """What came of a run."""

    history: History
    final: Final
    violations: list[Violation]


async def run(
    cluster: Cluster, rounds: list[Round], seed: int, tell: Callable[[str], object]
) -> Outcome:
    """Live through the plan; the cluster is whole afterwards."""
    history = History()
    lag = asyncio.create_task(_watch(history))
    game = Game(cluster, history, seed)
    try:
        await game.open()
        over = asyncio.Event()
        lives = [asyncio.create_task(person.live(over)) for person in game.people]
        for number, one in enumerate(rounds, 1):
            tell(f"{history.now():7.2f} s  round {number}")
            await game.suffer(one)
        over.set()
        await cluster.settle()
        late = await game.finish(lives)
        await cluster.settle()
        final = await game.final()
        return Outcome(history, final, [*late, *check(history, final)])
    finally:
        lag.cancel()
        await game.close()


async def _watch(history: History) -> None:
    """How late this very loop is: an answer in time may be read late."""
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(LAG)
        if (late := loop.time() - before - LAG) > LAG:
            history.lags.append((history.now(), late))


class Game:
    """People of one seed on one cluster. Names carry the seed: clusters are used again."""

    def __init__(self, cluster: Cluster, history: History, seed: int) -> None:
        self.cluster, self.history, self.seed = cluster, history, seed
        self.people: list[Person] = []
        self._devices: list[Device] = []
        self._observers: list[Device] = []
        self._rooms: list[str] = []

    def _device(self, user: str, number: int, kind: str = "frames", tag: str = "") -> Device:
        instance = number % len(self.cluster.doors)
        name = f"{user}{tag or number}"
        whole = f"{user}-{self.seed}"
        door, token = self.cluster.doors[instance], self.cluster.token_of(whole)
        made = Device(self.history, name, whole, door, token, kind, f"{self.seed} {name}")
        made.instance = instance
        return made

    async def open(self) -> None:
        """Everybody is there and in two rooms, before anything is broken."""
        for number, user in enumerate(USERS):
            self._devices.append(self._device(user, number, "stock" if number == 2 else "frames"))
        users = sorted({device.user for device in self._devices})
        owner = self._devices[0]
        for device in self._devices:
            await device.fresh()
        for number in range(2):
            asked = {
                "type": "group",
                "client_room_id": f"g{number}",
                "name": "G",
                "members": users[1:],
            }
            told = (await owner.do("room.create", asked)).ok
            assert told is not None
            self._rooms.append(told["room"]["room_id"])
        self.people.append(Owner(owner, "e0", self._rooms[0], users[-1]))
        self.people += [Person(d, f"e{n}") for n, d in enumerate(self._devices[1:], 1)]
        async with asyncio.timeout(30):
            while not all(len(device.rooms) == 2 for device in self._devices):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def suffer(self, one: Round) -> None:
        """A round's faults, each at its time; all is whole again behind it."""
        ended = asyncio.create_task(asyncio.sleep(one.lasts))
        await asyncio.gather(*(self._break(fault) for fault in one.faults))
        await ended
        if one.loses:
            await self.cluster.settle()
        await asyncio.sleep(one.calm)

    async def _break(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        trouble = self.history.broken(fault.kind, fault.target)
        mend = await self.cluster.break_(fault.kind, fault.target)
        await asyncio.sleep(fault.lasts)
        await mend()
        trouble.ended = self.history.now()

    async def finish(self, lives: list[asyncio.Task[None]]) -> list[Violation]:
        """Everything begun is answered; whoever holds too little lists it."""
        _, late = await asyncio.wait(lives, timeout=FINISH_WITHIN)
        found = [
            Violation(
                "D10", "", f"{person.device.name} got no final answer within {FINISH_WITHIN} s"
            )
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

    async def final(self) -> Final:
        """What there is, told by every instance; then what the devices hold."""
        final = Final()
        await self._repeat_cursors()
        await self._converge()
        for room_id in self._rooms:
            await self._look(final, room_id)
            for device in self._devices:
                if room_id in device.rooms:
                    held = device.rooms[room_id]
                    final.held[device.name, room_id] = (held.cursor, dict(held.messages))
        return final

    async def _repeat_cursors(self) -> None:
        """As a client does at a connect: Redis may have lost what it was told last."""
        for device in self._devices:
            await device.fresh()
            for room_id, (read, _) in device.receipts.items():
                if room_id in device.rooms:
                    await device.do("receipt.read", {"room_id": room_id, "up_to_seq": read})

    async def _converge(self) -> None:
        """Everybody hears what everybody else does, without being asked to."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CONVERGE_WITHIN):
                while not await self._at_heads():  # noqa: ASYNC110
                    await asyncio.sleep(0.2)

    async def _at_heads(self) -> bool:
        owner = self._devices[0]
        for room_id in self._rooms:
            room = (await owner.do("room.get", {"room_id": room_id})).ok
            assert room is not None
            head = (room["room"]["epoch"], room["room"]["offset"])
            for device in self._devices:
                await device.fresh()
                if room_id in device.rooms and device.rooms[room_id].cursor != head:
                    return False
        return True

    async def _look(self, final: Final, room_id: str) -> None:
        for user in sorted(set(USERS)):
            for instance in range(len(self.cluster.doors)):
                observer = self._device(user, instance, tag="?")
                self._observers.append(observer)
                room = (await observer.do("room.get", {"room_id": room_id})).ok
                if room is None:
                    await observer.close()
                    continue
                final.rooms[room_id, observer.user, instance] = room["room"]
                if user == USERS[0]:
                    final.histories[room_id, instance] = await _history(observer, room_id)
                    members = (await observer.do("member.list", {"room_id": room_id})).ok or {}
                    final.members[room_id] = {m["user_id"] for m in members["members"]}
                await observer.close()
        items = await asyncio.to_thread(self.cluster.messages, room_id)
        final.stored[room_id] = [item["message_id"] for item in items if "position" in item]

    async def close(self) -> None:
        for device in [*self._devices, *self._observers]:
            await device.close()


async def _history(device: Device, room_id: str) -> list[Json]:
    messages: list[Json] = []
    while True:
        after = messages[-1]["seq"] if messages else 0
        page = (await device.do("message.list", {"room_id": room_id, "after_seq": after})).ok
        assert page is not None
        messages += page["messages"]
        if not page["has_more"]:
            return messages


async def once(
    folder: Path, rounds: list[Round], seed: int, tell: Callable[[str], object], without: str = ""
) -> Outcome:
    """A run on a cluster of its own."""
    async with Cluster(folder, without=without) as cluster:
        return await run(cluster, rounds, seed, tell)
