"""A deployment in which every connection goes through a proxy and every part can fail."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import orjson

from rts_server import auth, keys
from rts_server.tools.dev import deploy
from tests.helpers.node_ports import NodePorts
from tests.helpers.pair import FAST
from tests.helpers.queue_depth import queue_depth
from tests.helpers.shards import Shards
from tests.helpers.waiting import eventually, until
from tests.helpers.world import Process, World, fetched, free_ports, ready
from tests.nemesis.link import Link
from tests.nemesis.memory import Memory, Mend

QUEUES = ("chat-message-queue.fifo", "chat-room-queue", "chat-cursor-queue")
FUNCTIONS = ("chat-message-to-db", "chat-room-to-db")
START_WITHIN = 60.0
SETTLE_WITHIN = 90.0
TRIMS = {"RTS_HOT_LOG_FLOOR": "5", "RTS_HOT_LOG_AGE": "60", "RTS_HOT_LOG_EVENTS": "5"}
"""Hot logs are trimmed in the middle of the faults."""
TIMES = (
    FAST | TRIMS | {"RTS_DURABLE_WAIT": "1.5", "RTS_PING_INTERVAL": "3", "RTS_PING_TIMEOUT": "3"}
)


class Cluster(World):
    """Redis, a local AWS, a relay and web instances; `doors` are the URLs for clients.

    Start it on the main thread. `without`: protections taken away, see tests/faulty.py. `shards`:
    of its Redis, each with a replica; 1 is one server.
    """

    def __init__(
        self, data: Path, instances: int = 2, without: str = "", *, shards: int = 1
    ) -> None:
        replicas = int(shards > 1)
        super().__init__(data, shards, replicas, instances=instances, faults=without)
        self.links: dict[str, Link] = {}
        self.doors: list[str] = []
        self._exits = AsyncExitStack()
        self._left = 0, 0
        self.memory: Memory | Shards

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in [*self.webs, *([self.relay] if hasattr(self, "relay") else [])]:
            process.kill()
        if hasattr(self, "memory"):
            self.memory.stop()
        await self._exits.aclose()
        self.stack.stop(within=0)

    async def _open(self) -> None:
        self.stack.start()
        self.memory = self._memory()
        self.relay = await self._process("relay", "relay")
        for number in range(self._instances):
            name = f"web{number}"
            door = await self._link(f"{name}-door", 0)
            self.doors.append(f"http://127.0.0.1:{door.port}")
            self.webs.append(await self._process("serve", name))
        # Drawn when every proxy listens: one that drew the port of its own target would ask itself.
        for number, port in enumerate(free_ports(self._instances)):
            self.webs[number].listens(port)
            self.links[f"web{number}-door"].target = port
            self.urls.append(f"http://127.0.0.1:{port}")
        for process in (self.relay, *self.webs):
            process.start()
        await self._all_ready()

    def _memory(self) -> Memory | Shards:
        if self.stack.cluster is not None:
            return Shards(self.stack.cluster, self.data)
        assert self.stack.valkey is not None
        return Memory(self.stack.valkey, self.data)

    async def _process(self, what: str, name: str) -> Process:
        redis = await self._redis_links(name)
        assert self.stack.aws is not None
        cloud = await self._link(f"{name}-aws", self.stack.aws.port)
        given = self.stack.environment() | TIMES
        given.pop("PYTHONWARNINGS", None)
        given |= {
            "RTS_LOG_LEVEL": "INFO",
            "RTS_REDIS_URL": f"redis://127.0.0.1:{redis[0].port}/0",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{cloud.port}",
        }
        return Process(what, given, self.data / f"{name}.log", self._faults, tethered=True)

    async def _redis_links(self, name: str) -> list[Link]:
        """Return the links of a process to the nodes of Redis, which it takes for the nodes."""
        ports, links = NodePorts(), []
        for node_name, node in self.memory.nodes.items():
            links.append(await self._link(f"{name}-{node_name}", node.port, ports))
            ports.add(node.port, links[-1].port)
        if isinstance(self.memory, Memory):
            self.memory.links += links
        return links

    async def _link(self, name: str, target: int, ports: NodePorts | None = None) -> Link:
        self.links[name] = await self._exits.enter_async_context(Link(target, ports))
        return self.links[name]

    async def _all_ready(self) -> None:
        for url in self.urls:
            await asyncio.to_thread(until, lambda url=url: ready(url), START_WITHIN)  # type: ignore[misc]

    def token_of(self, user: str) -> str:
        """Return a token of this deployment."""
        return auth.issue(self.stack.settings, user)

    # Faults: each breaks now and answers what mends it.

    async def break_(self, kind: str, target: str) -> Mend:
        """Inject a fault; return the function that ends it."""
        if target.startswith("redis"):
            return await self.memory.break_(kind, target)
        if target == "aws":
            return self._stop_aws()
        if target in FUNCTIONS:
            await self._switch(target, False)
            return lambda: self._switch(target, True)
        if "-" in target:  # web0-redis1: what leads to each node of the shard
            links = [link for name, link in self.links.items() if name.startswith(target)]
            return self._break_links(links, kind)
        return self._break_process(self._named(target), kind)

    def _named(self, target: str) -> Process:
        return self.relay if target == "relay" else self.webs[int(target.removeprefix("web"))]

    def _break_process(self, process: Process, kind: str) -> Mend:
        if kind == "kill":
            process.kill()
        else:
            process.signal(signal.SIGSTOP)

        async def mend() -> None:
            process.wake()

        return mend

    def _break_links(self, links: list[Link], kind: str) -> Mend:
        for link in links:
            link.break_(kind)

        async def mend() -> None:
            for link in links:
                link.heal()

        return mend

    def _stop_aws(self) -> Mend:
        cloud = self.stack.aws
        assert cloud is not None
        cloud.signal(signal.SIGSTOP)

        async def mend() -> None:
            cloud.signal(signal.SIGCONT)

        return mend

    async def _switch(self, function: str, on: bool) -> None:
        await asyncio.to_thread(deploy.set_queue_enabled, self.stack.settings, function, enabled=on)

    def opened(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return (room_id, epoch) → the last position that survived, from the instances' logs."""
        found = {}
        for number in range(self._instances):
            for line in (self.data / f"web{number}.log").read_bytes().splitlines():
                if b'"epoch opened"' in line:
                    told = orjson.loads(line)
                    found[told["room_id"], told["epoch"]] = tuple(told["prev"])
        return found

    # Rest

    async def settle(self) -> None:
        """Wait for quiescence: ready, nothing pending, empty queues. Raises TimeoutError."""
        await self._all_ready()
        try:
            await eventually(self._quiet, SETTLE_WITHIN)
        except TimeoutError:
            raise TimeoutError(
                "{} appends pending, {} records waiting".format(*self._left)
            ) from None

    async def _quiet(self) -> bool:
        self._left = await self._pending(), await asyncio.to_thread(self._waiting)
        return not any(self._left)

    async def _pending(self) -> int:
        """Return the number of appends whose durability is not known yet."""
        found = 0
        for url in self.urls:
            text = await fetched(url + "/metrics")
            told = re.search(r"^rts_pending_appends (\S+)", text, re.MULTILINE)
            found += int(float(told[1])) if told else 0
        return found

    def _waiting(self) -> int:
        """Return the number of records in the outboxes and in the queues."""
        outbox = self.memory.lengths(keys.EVERY_OUTBOX)
        return outbox + queue_depth(self.stack.settings, QUEUES)
