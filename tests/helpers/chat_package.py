"""The package `client/` in a Node process of its own, driven from a test's event loop."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from itertools import count
from pathlib import Path
from typing import Any, Self

from tests.helpers.node import ensure_modules, node
from tests.helpers.waiting import PATIENCE, eventually

CLIENT = Path(__file__).parents[2] / "client"


class Rejected(Exception):
    """The code threw; `code` is that of a ChatError."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class ChatPackage:
    """One process with any number of clients, each under a name.

    `run("return clients.alice.unread.value")` runs JavaScript in it; client/test/driver.ts says
    what the code can see.
    """

    def __init__(self) -> None:
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        modules = await asyncio.to_thread(ensure_modules, CLIENT)
        self._process = await asyncio.create_subprocess_exec(
            node(), "test/driver.ts", cwd=modules, stdin=PIPE, stdout=PIPE
        )
        self._reader = asyncio.create_task(self._read(self._process))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        unhandled = await self.run("return unhandled")
        self._process.kill()
        await self._process.wait()
        await self._reader
        assert unhandled == [], "rejections that nobody handled"

    async def run(self, code: str, **values: Any) -> Any:
        """What a function body returns; `values` are constants in it. Raises Rejected."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        named = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        line = json.dumps({"id": number, "code": named + code})
        self._process.stdin.write(line.encode() + b"\n")
        return await asyncio.wait_for(self._waiting[number], PATIENCE)

    async def until(self, expression: str, **values: Any) -> None:
        """Wait until an expression is true. Raises TimeoutError."""

        async def holds() -> bool:
            return bool(await self.run(f"return Boolean({expression})", **values))

        try:
            await eventually(holds)
        except TimeoutError:
            raise TimeoutError(f"never: {expression} with {values}") from None

    async def connect(self, name: str, url: str, token: str, more: str = "{}") -> None:
        """A client of this name, and wait until it is online. `more`: options, in JavaScript."""
        await self.run(
            "const logger = { warn: (...args) => console.error(name, ...args) };"
            "const options = { url, getToken: () => token, logger };"
            f"clients[name] = chat.createClient(Object.assign(options, {more}));"
            "clients[name].connect();",
            name=name,
            url=url,
            token=token,
        )
        await self.until("clients[name].connection.value.status === 'online'", name=name)

    def signal(self, number: int) -> None:
        """SIGSTOP, SIGCONT: a device that sleeps."""
        assert self._process is not None
        self._process.send_signal(number)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for text in process.stdout:
            line = json.loads(text)
            waiting = self._waiting.pop(line["id"])
            if waiting.done():
                continue
            if "error" in line:
                waiting.set_exception(Rejected(line["error"]["message"], line["error"].get("code")))
            else:
                waiting.set_result(line["value"])
