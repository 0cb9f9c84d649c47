"""A TCP proxy for one link: it can drop, refuse, slow down or silence connections."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

from tests.helpers.node_ports import NodePorts

DELAY = 0.15
"""Seconds by which a slow link delays each piece."""


class Link:
    """Listens on 127.0.0.1:`port` for 127.0.0.1:`target`."""

    def __init__(self, target: int, ports: NodePorts | None = None) -> None:
        """`ports`: those of a cluster, if it leads to one of its nodes."""
        self.target = target
        self._ports = ports or NodePorts()
        self.port = 0
        self._refuses = False
        self._slow = False
        self._open = {True: asyncio.Event(), False: asyncio.Event()}
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.heal()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()
        await asyncio.gather(*self._links, return_exceptions=True)

    def break_(self, kind: str) -> None:
        """Inject a fault, by its name in plans."""
        {
            "drop": self.drop,
            "refuse": self.refuse,
            "stall": self.stall,
            "stall-up": lambda: self.stall(down=False),
            "stall-down": lambda: self.stall(up=False),
            "slow": self.slow,
        }[kind]()

    def drop(self) -> None:
        """End every connection with an RST; new ones are accepted."""
        for task in list(self._links):
            task.cancel()

    def refuse(self) -> None:
        """End every connection; accept new ones and close them at once."""
        self._refuses = True
        self.drop()

    def stall(self, up: bool = True, down: bool = True) -> None:
        """Hold back bytes to the server (up) or from it, on new connections too; no FIN or RST."""
        for way, stalls in ((True, up), (False, down)):
            if stalls:
                self._open[way].clear()

    def slow(self) -> None:
        """Delay every piece."""
        self._slow = True

    def heal(self) -> None:
        """Pass everything again, held bytes first."""
        self._refuses = self._slow = False
        for way in self._open.values():
            way.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        ends = [writer]
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(there[1])
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there[1], True))
                group.create_task(self._pump(there[0], writer, False))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(task)
            for end in ends:
                with suppress(RuntimeError):
                    end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: bool
    ) -> None:
        while data := await reader.read(65536):
            if self._slow:
                await asyncio.sleep(DELAY)
            await self._open[up].wait()
            writer.write(data if up else self._ports.translated(data))
            await writer.drain()
        raise ConnectionError("one end closed")
