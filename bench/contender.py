"""The servers that are compared, and running instances of one of them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.connection import HOST
from bench.machine import cores, cpu_seconds, pinned, resident_bytes
from rts_server.tools.dev import ports
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.stack import Stack
from tests.helpers.node import ensure_modules, node
from tests.helpers.world import free_port

HERE = Path(__file__).parent
SERVER_START_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Contender:
    """A server program. `only_together`: on one instance it equals another contender."""

    name: str
    command: tuple[str, ...]
    only_together: bool = False


@dataclass(frozen=True)
class Running:
    """Running instances of one contender, each on its own port."""

    ports: list[int]
    pids: list[int]

    def cpu(self) -> float:
        """Return the CPU seconds of all instances so far."""
        return sum(map(cpu_seconds, self.pids))

    async def memory(self) -> int:
        """Return the resident bytes of all instances, at rest."""
        await asyncio.sleep(1.0)
        return sum(map(resident_bytes, self.pids))


def contenders() -> list[Contender]:
    """Return this server first, then the peer that ratios refer to, then the others."""
    python = (sys.executable, "-m")
    peer = (node(), str(ensure_modules(HERE) / "peers" / "node.mjs"))
    return [
        Contender("ours", (*python, "rts_server", "serve")),
        Contender("Node", (*peer, "classic")),
        Contender("Node sharded", (*peer, "sharded"), only_together=True),
        Contender("stock Python", (*python, "bench.peers.stock")),
    ]


@asynccontextmanager
async def running(contender: Contender, instances: int, stack: Stack) -> AsyncIterator[Running]:
    """Run instances on the servers' core until the block ends. Raises RuntimeError."""
    numbers = [free_port() for _ in range(instances)]
    name = contender.name.replace(" ", "-")
    log = stack.data / "logs" / f"{name}.log"
    environment = stack.environment()
    children = [
        ManagedProcess(
            name, contender.command, log=log, environment=environment | {"RTS_PORT": str(number)}
        )
        for number in numbers
    ]
    try:
        with pinned(cores()[0]):
            for child in children:
                child.start()
        deadline = time.monotonic() + SERVER_START_TIMEOUT_SECONDS
        for number, child in zip(numbers, children, strict=True):
            while not ports.answers_ok(f"http://{HOST}:{number}/health/live"):
                if not child.alive or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} does not start: {child.last_log_line()}")
                await asyncio.sleep(0.05)
        yield Running(numbers, [child.pid for child in children if child.pid])
    finally:
        stop_all(children, 3.0)
