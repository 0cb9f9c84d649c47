"""A deployment on this machine: a stack, the relay, web instances, and clients of all of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from rts_server import auth
from rts_server.dev import aws, tether
from rts_server.dev.stack import Stack
from tests.js_client import JsClient
from tests.raw import Raw
from tests.waiting import PATIENCE, until

TETHER = tether.__file__

_names = count(1)


def free_port() -> int:
    """A port nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on. Drawn one after another, two could be the same."""
    with ExitStack() as probes:
        taken = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in taken:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in taken]


class Process:
    """`python -m rts_server <what>` with an environment of its own; stderr in a file."""

    def __init__(
        self,
        what: str,
        environment: dict[str, str],
        log: Path,
        faults: str = "",
        *,
        tethered: bool = False,
    ) -> None:
        """`tethered`: it ends with the thread that starts it, even when that one is SIGKILLed."""
        program = ["tests.faulty", faults] if faults else ["rts_server"]
        bond = [sys.executable, "-I", "-S", TETHER, "signal", str(os.getpid())]
        leash = bond if tethered and sys.platform == "linux" else []
        self._command = [*leash, sys.executable, "-m", *program, what]
        self._environment = environment
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    def listens(self, port: int) -> None:
        """Where it will, from its next start on."""
        self._environment = self._environment | {"RTS_PORT": str(port)}

    def start(self) -> None:
        """Start it, again if it was ended."""
        with self.log.open("ab") as file:
            self._child = subprocess.Popen(self._command, env=self._environment, stderr=file)

    def said(self, message: str) -> list[dict[str, Any]]:
        """Its lines of the log with this message, each run's."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [one for one in map(json.loads, lines) if one.get("message") == message]

    def signal(self, number: int) -> None:
        """SIGSTOP, SIGCONT, …"""
        assert self._child is not None
        self._child.send_signal(number)

    def wake(self) -> None:
        """Let it run again, stopped or ended."""
        if self.ended:
            self.start()
        else:
            self.signal(signal.SIGCONT)

    @property
    def ended(self) -> bool:
        """Whether it ended by itself."""
        return self._child is not None and self._child.poll() is not None

    def kill(self) -> None:
        """SIGKILL, and wait."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        if self._child is None:
            return 0
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGCONT)
            self._child.terminate()
        try:
            return self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()


class World:
    """Everything that runs, by name. Start it on the main thread."""

    def __init__(
        self, data: Path, *, instances: int = 1, faults: str = "", **environment: str
    ) -> None:
        self.data = data
        self.stack = Stack(data, environ=_clean(), parameters={"VisibilityTimeout": "3"})
        self._more = environment
        self._instances = instances
        self._faults = faults
        self.relay: Process
        self.webs: list[Process] = []
        self.urls: list[str] = []

    def start(self) -> None:
        """Stack, relay, web instances, until all are ready."""
        self.stack.start()
        os.environ.update(aws.CREDENTIALS)
        given = {
            name: v for name, v in self.stack.environment().items() if name != "PYTHONWARNINGS"
        }
        given |= {"RTS_LOG_LEVEL": "INFO"} | self._more
        self.relay = Process("relay", given, self.data / "relay.log", self._faults)
        self.relay.start()
        for number in range(self._instances):
            port = free_port()
            self.urls.append(f"http://127.0.0.1:{port}")
            log = self.data / f"web{number}.log"
            self.webs.append(Process("serve", given | {"RTS_PORT": str(port)}, log, self._faults))
            self.webs[-1].start()
        for url in self.urls:
            until(partial(ready, url))

    def mend(self) -> None:
        """Start again whatever of ours was killed, stopped or drained."""
        self.relay.wake()
        for process, url in zip(self.webs, self.urls, strict=False):
            if not ready(url):
                process.kill()
                process.start()
                until(partial(ready, url))

    def stop(self) -> None:
        """End everything at once: nobody comes back to what it holds."""
        for process in [*self.webs, self.relay]:
            process.kill()
        self.stack.stop(within=0)

    def token(self, user_id: str, **claims: Any) -> str:
        """A token of this deployment."""
        return auth.issue(self.stack.settings, user_id, **claims)

    @asynccontextmanager
    async def js(self, user_id: str, instance: int = 0, **more: Any) -> AsyncIterator[JsClient]:
        """The real socket.io-client, connected as a user, its session open."""
        async with JsClient() as client:
            await client.connect(self.urls[instance], self.token(user_id), **more)
            await client.wait_for(lambda event: bool(event["type"] == "session.ready"))
            yield client

    @asynccontextmanager
    async def raw(self, user_id: str | None, instance: int = 0, **auth: Any) -> AsyncIterator[Raw]:
        """A client of frames; connected unless the user is None."""
        async with Raw(self.urls[instance]) as client:
            if user_id is not None:
                await client.connect(self.token(user_id), **auth)
            yield client

    @asynccontextmanager
    async def instance(
        self, folder: Path, faults: str = "", **environment: str
    ) -> AsyncIterator[tuple[Process, str]]:
        """One more web process with settings of its own, and its address; its log is `web.log`."""
        process, url = self._another(folder, faults, environment)
        try:
            await asyncio.to_thread(until, lambda: ready(url))
            yield process, url
        finally:
            await asyncio.to_thread(process.stop)

    @contextmanager
    def shared_instance(self, folder: Path, **environment: str) -> Iterator[tuple[Process, str]]:
        """The same for a fixture of several tests, whose event loops are not one."""
        process, url = self._another(folder, "", environment)
        try:
            until(lambda: ready(url))
            yield process, url
        finally:
            process.stop()

    def _another(
        self, folder: Path, faults: str, environment: dict[str, str]
    ) -> tuple[Process, str]:
        port = free_port()
        own = {"RTS_PORT": str(port), "RTS_LOG_LEVEL": "INFO"} | environment
        process = Process("serve", self.stack.environment() | own, folder / "web.log", faults)
        process.start()
        return process, f"http://127.0.0.1:{port}"

    def messages(self, room_id: str) -> list[dict[str, Any]]:
        """The items of a room in chat-messages, by position; those without one last."""
        table = self.stack.settings.messages_table
        client = aws.client(self.stack.settings, "dynamodb")
        items: list[dict[str, Any]] = []
        for page in client.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="room_id = :r",
            ExpressionAttributeValues={":r": {"S": room_id}},
            ConsistentRead=True,
        ):
            items += [{k: next(iter(v.values())) for k, v in i.items()} for i in page["Items"]]
        return sorted(items, key=lambda item: item.get("position", "~"))


def placed(world: World, room_id: str) -> int:
    """How many messages of a room have their place in the archive."""
    return sum("position" in item for item in world.messages(room_id))


def name(who: str) -> str:
    """A user nobody else uses."""
    return f"{who}-{os.getpid()}-{next(_names)}"


def ready(url: str) -> bool:
    """Whether an instance says it is ready."""
    try:
        with urllib.request.urlopen(url + "/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def fetched(url: str) -> str:
    """The body behind a URL."""
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("RTS_", "AWS_"))}
