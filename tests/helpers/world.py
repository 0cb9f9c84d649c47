"""A deployment on this machine: a stack, the relay, web instances and clients."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from rts_server import auth
from rts_server.persistence import records
from rts_server.runtime import tether
from rts_server.tools.dev import aws, ports
from rts_server.tools.dev.stack import Stack
from tests.helpers.js_client import JsClient
from tests.helpers.raw import Raw
from tests.helpers.waiting import PATIENCE, until

TETHER = tether.__file__

_names = count(1)


def free_port() -> int:
    """Return a free port that nobody else is given while this process lives."""
    return ports.claim_ports(1)


def free_ports(count: int) -> list[int]:
    """Return different free ports."""
    return [free_port() for _ in range(count)]


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
        """`tethered`: it ends with the thread that starts it, even if that is killed."""
        program = ["tests.faulty", faults] if faults else ["rts_server"]
        bond = [sys.executable, "-I", "-S", TETHER, "signal", str(os.getpid())]
        leash = bond if tethered and sys.platform == "linux" else []
        self._command = [*leash, sys.executable, "-m", *program, what]
        self._environment = environment
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._child is not None
        return self._child.pid

    def listens(self, port: int) -> None:
        """Set the port on which it listens from its next start on."""
        self._environment = self._environment | {"RTS_PORT": str(port)}

    def start(self) -> None:
        """Start the process, again if it ended."""
        with self.log.open("ab") as file:
            self._child = subprocess.Popen(self._command, env=self._environment, stderr=file)

    def log_lines(self, message: str) -> list[dict[str, Any]]:
        """Return its log lines with this message, of all runs."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [one for one in map(json.loads, lines) if one.get("message") == message]

    def signal(self, number: int) -> None:
        """Send a signal: SIGSTOP, SIGCONT, …"""
        assert self._child is not None
        self._child.send_signal(number)

    def wake(self) -> None:
        """Continue the process if it was stopped, start it if it ended."""
        if self.ended:
            self.start()
        else:
            self.signal(signal.SIGCONT)

    @property
    def ended(self) -> bool:
        """Return whether it ended by itself."""
        return self._child is not None and self._child.poll() is not None

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def stop(self) -> int:
        """Send SIGTERM and wait; return the exit code."""
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
    """Everything that runs. Start it on the main thread."""

    def __init__(
        self,
        data: Path,
        shards: int = 1,
        replicas: int = 0,
        /,
        *,
        instances: int = 1,
        faults: str = "",
        **environment: str,
    ) -> None:
        """`replicas`: of each primary of a cluster."""
        self.data = data
        parameters = {"VisibilityTimeout": "3"}
        self.stack = Stack(data, environ=_clean(), parameters=parameters, shards=shards)
        self.stack.replicas = replicas
        self._more = environment
        self._instances = instances
        self._faults = faults
        self.relay: Process
        self.webs: list[Process] = []
        self.urls: list[str] = []

    def start(self) -> None:
        """Start the stack, the relay and the web instances; return when all are ready."""
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

    def restart_ended(self) -> None:
        """Start again whatever was killed, stopped or drained."""
        self.relay.wake()
        for process, url in zip(self.webs, self.urls, strict=False):
            if not ready(url):
                process.kill()
                process.start()
                until(partial(ready, url))

    def stop(self) -> None:
        """End everything at once."""
        for process in [*self.webs, self.relay]:
            process.kill()
        self.stack.stop(within=0)

    def logged_errors(self, latest: int = 10) -> str:
        """Return the latest lines that the relay and the instances logged as an error."""
        lines = [
            line
            for process in (self.relay, *self.webs)
            for line in process.log.read_text().splitlines()
            if '"level": "error"' in line
        ]
        return "\n".join(lines[-latest:])

    def token(self, user_id: str, **claims: Any) -> str:
        """Return a token of this deployment."""
        return auth.issue(self.stack.settings, user_id, **claims)

    @asynccontextmanager
    async def js(self, user_id: str, instance: int = 0, **more: Any) -> AsyncIterator[JsClient]:
        """Connect the real socket.io-client as a user, with its session open."""
        async with JsClient() as client:
            await client.connect(self.urls[instance], self.token(user_id), **more)
            await client.wait_for(lambda event: bool(event["type"] == "session.ready"))
            yield client

    @asynccontextmanager
    async def raw(self, user_id: str | None, instance: int = 0, **auth: Any) -> AsyncIterator[Raw]:
        """Connect a client of frames; not connected if the user is None."""
        async with Raw(self.urls[instance]) as client:
            if user_id is not None:
                await client.connect(self.token(user_id), **auth)
            yield client

    @asynccontextmanager
    async def instance(
        self, folder: Path, faults: str = "", **environment: str
    ) -> AsyncIterator[tuple[Process, str]]:
        """Run one more web process with its own settings; yield it and its URL."""
        process, url = self._another(folder, faults, environment)
        try:
            await asyncio.to_thread(until, lambda: ready(url))
            yield process, url
        finally:
            await asyncio.to_thread(process.stop)

    @contextmanager
    def shared_instance(self, folder: Path, **environment: str) -> Iterator[tuple[Process, str]]:
        """As `instance`, for a fixture of several tests, which have different event loops."""
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
        """Return the messages of a room in chat-messages, by position; those without one last.

        Reactions since their bodies were written are in items of their own, and left out.
        """
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
        messages = [one for one in items if not one["message_id"].endswith(records.REACTIONS)]
        return sorted(messages, key=lambda item: item.get("position", "~"))


def placed(world: World, room_id: str) -> int:
    """Return how many messages of a room have their place in the archive."""
    return sum("position" in item for item in world.messages(room_id))


def name(who: str) -> str:
    """Return a user id that no other test uses."""
    return f"{who}-{os.getpid()}-{next(_names)}"


def ready(url: str) -> bool:
    """Return whether an instance is ready."""
    try:
        with urllib.request.urlopen(url + "/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def fetched(url: str) -> str:
    """Return the body of a URL."""
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("RTS_", "AWS_"))}
