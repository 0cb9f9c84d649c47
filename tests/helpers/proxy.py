"""A TCP proxy that breaks on demand: connections go silent or end, all or some of them."""

from __future__ import annotations

import asyncio
from typing import Self

from tests.helpers.node_ports import NodePorts


class Proxy:
    """Listens on 127.0.0.1:`port` for `target`. Connections that sent SUBSCRIBE are subscribers."""

    def __init__(
        self, target: tuple[str, int], port: int = 0, ports: NodePorts | None = None
    ) -> None:
        """`ports`: those of a cluster, if it leads to one of its nodes."""
        self.target = target
        self.port = port
        self._ports = ports or NodePorts()
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], set[str]] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._muted = False

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def listen(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def leave(self) -> None:
        """End every connection and release the port, until `listen`."""
        assert self._server is not None
        self._server.close()
        self.kill()

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._links):
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut(self) -> None:
        """Silence subscribers in both directions, new ones too: no byte, no FIN, no RST."""
        self._open.clear()

    def mute(self) -> None:
        """Lose what the target answers; what it is told passes."""
        self._muted = True

    def heal(self) -> None:
        """Let everything pass again."""
        self._open.set()
        self._muted = False

    def kill(self) -> None:
        """End every connection."""
        for task in list(self._links):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        kind: set[str] = set()
        self._links[task] = kind
        try:
            there = await asyncio.open_connection(*self.target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there[1], kind, True))
                group.create_task(self._pump(there[0], writer, kind, False))
        except* (OSError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._links.pop(task, None)
            for end in (writer, there[1] if "there" in locals() else None):
                if end is not None:
                    end.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        kind: set[str],
        outward: bool,
    ) -> None:
        while data := await reader.read(65536):
            if outward and b"SUBSCRIBE" in data:
                kind.add("subscriber")
            if "subscriber" in kind:
                await self._open.wait()
            if self._muted and not outward:
                continue
            writer.write(data if outward else self._ports.translated(data))
            await writer.drain()
        raise ConnectionError("one end closed")
