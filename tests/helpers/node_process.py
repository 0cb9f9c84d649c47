"""Node processes that are reused for one client after another: a start costs 0.15 s of CPU."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
from asyncio import StreamReader, StreamReaderProtocol
from collections.abc import AsyncIterator, Mapping
from subprocess import PIPE, Popen
from typing import Any

from tests.helpers.node import ensure_modules, node

LONGEST_LINE = 16 * 1024 * 1024
ENDED = "ended"

_idle: list[NodeProcess] = []


class NodeProcess:
    """A Node process. Until it is given back, its pipes belong to the taker's event loop."""

    def __init__(self) -> None:
        """Start Node; its packages are installed first if they are missing."""
        self._child = Popen([node(), "client.mjs"], cwd=ensure_modules(), stdin=PIPE, stdout=PIPE)
        self._good = False

    @classmethod
    async def take(cls) -> NodeProcess:
        """Return an idle process, or a new one."""
        process = _idle.pop() if _idle else await asyncio.to_thread(cls)
        await process._open()
        return process

    def give_back(self) -> None:
        """Keep the process for the next client if the last one ended well, else kill it."""
        self._writing.close()
        self._reading.close()
        if self._good:
            _idle.append(self)
        else:
            self.kill()

    def write(self, command: Mapping[str, Any]) -> None:
        """Write a command as a line of JSON."""
        self._writing.write(json.dumps(command).encode() + b"\n")

    async def lines(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the lines it writes, until the client or the process ends."""
        async for text in self._reader:
            line = json.loads(text)
            if line["kind"] == ENDED:
                self._good = True
                return
            yield line

    def signal(self, number: int) -> None:
        """Send a signal: SIGSTOP, SIGCONT."""
        self._child.send_signal(number)

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        self._child.kill()
        self._child.communicate()

    async def _open(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        loop = asyncio.get_running_loop()
        self._good = False
        self._reader = StreamReader(limit=LONGEST_LINE)
        self._reading, _ = await loop.connect_read_pipe(
            lambda: StreamReaderProtocol(self._reader),
            os.fdopen(os.dup(self._child.stdout.fileno()), "rb", 0),
        )
        self._writing, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(os.dup(self._child.stdin.fileno()), "wb", 0)
        )


@atexit.register
def _end() -> None:
    while _idle:
        _idle.pop().kill()
