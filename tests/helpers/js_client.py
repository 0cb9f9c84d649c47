"""The real socket.io-client in a Node process of its own, driven from a test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Self

from rts_server.protocol.catalogue import answer_errors, event_errors
from tests.helpers.node_process import NodeProcess
from tests.helpers.waiting import PATIENCE

Json = dict[str, Any]


class ConnectRefused(Exception):
    """The server answered CONNECT_ERROR, which is final; `data` holds its `code`."""

    def __init__(self, message: str, data: Any) -> None:
        self.data = data
        super().__init__(message)


class JsClient:
    """One client in a Node process. `events` are the received envelopes, in order of arrival."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.lines: list[Json] = []
        """Everything that happened, as tests/js/client.mjs lists it."""
        self.wrong: list[Json] = []
        self._acks: dict[int, asyncio.Future[Json]] = {}
        self._ids = count(1)
        self._changed = asyncio.Event()
        self._process: NodeProcess | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Take a Node process, which no other client uses until `close`."""
        self._process = await NodeProcess.take()
        self._reader = asyncio.create_task(self._read(self._process))

    async def close(self) -> None:
        """Close the sockets and give the process back; safe to call twice.

        Raises AssertionError if anything received does not match the catalogue of the protocol.
        """
        await self._end()
        assert self.wrong == []

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or self._reader is None:
            return
        process.write({"op": "end"})
        try:
            await asyncio.wait_for(asyncio.shield(self._reader), PATIENCE)
        except TimeoutError:
            process.kill()
            await self._reader
        process.give_back()

    async def connect(
        self,
        url: str,
        token: str | None,
        cursors: Mapping[str, Any] | None = None,
        namespace: str = "/chat",
        *,
        follow: bool = False,
        timeout: float = PATIENCE,
        **options: Any,
    ) -> None:
        """Connect and wait for the CONNECT packet. `options` are those of `io(url, options)`;
        `follow`: each reconnect sends the positions held then as cursors.

        Raises ConnectRefused on CONNECT_ERROR; trouble of the transport is retried by the client
        until TimeoutError.
        """
        start = len(self.lines)
        given = {"token": token, "cursors": cursors}
        auth = {name: value for name, value in given.items() if value is not None}
        self._tell(
            op="connect", url=url, namespace=namespace, follow=follow, options=options, **auth
        )
        await self.until(lambda: any(_is_answer(line) for line in self.lines[start:]), timeout)
        line = next(line for line in self.lines[start:] if _is_answer(line))
        if line["kind"] == "connect_error":
            raise ConnectRefused(line["message"], line.get("data"))

    async def join(self, namespace: str) -> None:
        """Connect another namespace; a command is sent in the namespace of its name."""
        self._tell(op="join", namespace=namespace)
        await self.until(
            lambda: any(
                line["kind"] == "joined" and line["namespace"] == namespace for line in self.lines
            )
        )

    def auth(self, **changed: Any) -> None:
        """Change what the auth function returns at the next connect: `token=`, `cursors=`."""
        self._tell(op="auth", **changed)

    async def emit(self, event: str, data: Any = None, *, timeout: float = PATIENCE) -> Json:
        """Send a command, without a payload if `data` is None; return the ack.

        Raises TimeoutError if there is no ack within `timeout` seconds.
        """
        number = next(self._ids)
        future = self._acks[number] = asyncio.get_running_loop().create_future()
        payload = {} if data is None else {"data": data}
        self._tell(op="emit", id=number, event=event, timeout=int(timeout * 1000), **payload)
        line = await future
        if "error" in line:
            raise TimeoutError(f"{event}: {line['error']}")
        answer: Json = line["answer"]
        if wrong := answer_errors(event, answer):
            self.wrong.append({event: wrong})
        return answer

    def drop(self) -> None:
        """Break the transport; the client reconnects by itself, with what `auth` holds then."""
        self._tell(op="drop")

    def signal(self, number: int) -> None:
        """Send SIGSTOP or SIGCONT to the process: a device that sleeps."""
        assert self._process is not None
        self._process.signal(number)

    def disconnect(self) -> None:
        """Close the socket for good; the process stays."""
        self._tell(op="close")

    async def wait_for(self, predicate: Callable[[Json], bool], timeout: float = PATIENCE) -> Json:
        """Wait for the first event that the predicate accepts, including past ones; return it."""
        await self.until(lambda: any(predicate(event) for event in self.events), timeout)
        return next(event for event in self.events if predicate(event))

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until a condition on this client's events or lines holds.

        Raises TimeoutError, which shows the last lines, or ConnectionError when Node has ended.
        """
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._change()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout} s; last seen: {self.lines[-5:]}") from None

    def of_type(self, *types: str) -> list[Json]:
        """Return the events of these types, in order of arrival."""
        return [event for event in self.events if event["type"] in types]

    async def _change(self) -> None:
        if self._reader is None or self._reader.done():
            raise ConnectionError("the Node process has ended")
        self._changed.clear()
        await self._changed.wait()

    def _tell(self, **command: Any) -> None:
        if self._process is None:
            raise ConnectionError("the Node process is not running")
        self._process.write(command)

    async def _read(self, process: NodeProcess) -> None:
        async for line in process.lines():
            self._note(line)
        for future in self._acks.values():
            if not future.done():
                future.set_exception(ConnectionError("the Node process has ended"))
        self._changed.set()

    def _note(self, line: Json) -> None:
        self.lines.append(line)
        if line["kind"] == "event":
            self.events.append(line["data"])
            if line["name"] != "probe" and (wrong := event_errors(line["data"])):
                self.wrong.append({line["name"]: wrong})
        elif line["kind"] == "ack":
            waiting = self._acks.pop(line["id"])
            if not waiting.done():
                waiting.set_result(line)
        self._changed.set()


def _is_answer(line: Json) -> bool:
    return line["kind"] == "connect" or (line["kind"] == "connect_error" and bool(line["final"]))
