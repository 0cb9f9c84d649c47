"""Several web processes on one host: started again, replaced, and drained together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rts_server import web_processes
from rts_server.config import Settings
from rts_server.runtime.tasks import cancelled
from rts_server.tools.dev.ports import claim_ports
from rts_server.web_processes import Readiness
from tests.helpers.js_client import JsClient
from tests.helpers.processes import until_gone
from tests.helpers.waiting import PATIENCE, eventually, until
from tests.helpers.world import Process, World, name, ready

SPREAD = 1.5


def children(process: Process) -> list[int]:
    """Return the ids of the children of a process."""
    pid = process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@asynccontextmanager
async def pair(
    world: World, folder: Path, **environment: str
) -> AsyncIterator[tuple[Process, list[str]]]:
    """Run two web processes below one parent; yield the parent and their addresses."""
    port = claim_ports(2)
    own = {"RTS_WEB_PROCESSES": "2", "RTS_PORT": str(port), "RTS_LOG_LEVEL": "INFO"}
    parent = Process("serve", world.stack.environment() | own | environment, folder / "web.log")
    parent.start()
    urls = [f"http://127.0.0.1:{port + n}" for n in range(2)]
    try:
        await asyncio.to_thread(until, lambda: all(map(ready, urls)))
        yield parent, urls
    finally:
        await asyncio.to_thread(parent.stop)


async def test_the_signal_of_the_system_drains_all_over_time(world: World, tmp_path: Path) -> None:
    """systemd sends SIGTERM to parent and children: each still spreads its closes (R6)."""
    async with (
        pair(world, tmp_path, RTS_DRAIN_SPREAD=str(SPREAD)) as (parent, urls),
        AsyncExitStack() as stack,
    ):
        for number, url in enumerate(urls * 2):
            client = await stack.enter_async_context(JsClient())
            await client.connect(url, world.token(name(f"alice{number}")), reconnection=False)
        pids = children(parent)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        parent.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: parent.ended)
        assert parent.stop() == 0
        drains = parent.log_lines("drained")
        assert [drain["closed"] for drain in drains] == [2, 2]
        assert min(drain["last_close"] for drain in drains) >= SPREAD
        until_gone(pids)


async def test_the_parent_passes_its_signal_on(world: World, tmp_path: Path) -> None:
    """Where only the parent gets SIGTERM, as in a container, the children drain too."""
    async with pair(world, tmp_path, RTS_DRAIN_SPREAD="0") as (parent, urls):
        async with JsClient() as client:
            await client.connect(urls[1], world.token(name("alice")), reconnection=False)
            parent.signal(signal.SIGTERM)
            await client.until(lambda: any(e["type"] == "session.closing" for e in client.events))
        await asyncio.to_thread(until, lambda: parent.ended)
        assert parent.stop() == 0


async def test_a_process_that_ends_is_started_again(world: World, tmp_path: Path) -> None:
    """Another one listens on its port; the other process is not touched."""
    async with pair(world, tmp_path) as (parent, urls):
        first, second = children(parent)
        os.kill(first, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: len({*children(parent)} - {first}) == 2)
        assert second in children(parent)
        await asyncio.to_thread(until, lambda: all(map(ready, urls)))
        (line,) = parent.log_lines("web process ended")
        ports = [int(url.rpartition(":")[2]) for url in urls]
        assert line["port"] in ports
        assert line["status"] == -signal.SIGKILL


async def test_the_children_end_with_a_killed_parent(world: World, tmp_path: Path) -> None:
    """Nothing is left that would hold the ports."""
    async with pair(world, tmp_path) as (parent, _):
        pids = children(parent)
        parent.kill()
        await asyncio.to_thread(until_gone, pids)


STANDING_IN = """
import http.server, os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
status = int(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(sys.argv[3].encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""A process that answers every GET with a status and a text."""


@pytest.mark.parametrize(
    ("statuses", "reason", "replaced"),
    [((200, 503), "deaf", True), ((503, 503), "deaf", False), ((200, 503), "draining", False)],
)
async def test_a_process_that_is_not_ready_is_replaced_if_others_are(
    monkeypatch: pytest.MonkeyPatch, statuses: tuple[int, int], reason: str, replaced: bool
) -> None:
    """nginx does not look at readiness, so a deaf one would stay; all deaf ones do stay (R8), and
    one that drains for an operator takes its time and ends by itself."""
    port = claim_ports(2)
    starts: list[int] = []

    async def start(own: int) -> asyncio.subprocess.Process:
        status = 200 if own in starts else statuses[own - port]
        starts.append(own)
        words = [sys.executable, "-c", STANDING_IN, str(own), str(status), f'["{reason}"]']
        return await asyncio.create_subprocess_exec(*words)

    monkeypatch.setattr(web_processes, "_start", start)
    monkeypatch.setattr(web_processes, "READINESS_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(web_processes, "log", (log := Recorder()))
    looked = 0
    readiness = web_processes.WebProcesses.readiness

    async def counted(self: web_processes.WebProcesses, *asked: Any) -> Readiness:
        nonlocal looked
        looked += 1
        return await readiness(self, *asked)

    monkeypatch.setattr(web_processes.WebProcesses, "readiness", counted)
    settings = replace(Settings(), port=port, web_processes=2)
    processes = web_processes.WebProcesses(settings)
    running = asyncio.create_task(processes.run_until_signal())
    try:
        if replaced:
            await eventually(lambda: starts == [port, port + 1, port + 1])
            assert "web process is not ready" in log.lines
        else:
            await eventually(lambda: looked > 6 * web_processes.MAX_FAILED_CHECKS)
            assert starts == [port, port + 1]
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(ValueError):
                asyncio.get_running_loop().remove_signal_handler(number)


async def test_a_check_that_fails_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises, processes that are not ready are still replaced later."""
    asked = 0

    async def readiness(*_: object) -> Readiness:
        nonlocal asked
        asked += 1
        raise ValueError("of a kind that nobody expects")

    monkeypatch.setattr(web_processes.WebProcesses, "readiness", readiness)
    monkeypatch.setattr(web_processes, "READINESS_CHECK_SECONDS", 0.01)
    processes = web_processes.WebProcesses(replace(Settings(), web_processes=2))
    checks = asyncio.create_task(processes._replace_forever())
    await eventually(lambda: asked > 4)
    await cancelled(checks)


async def test_a_process_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system may have no memory for it; the other processes go on meanwhile."""
    tries = 0

    async def start(_: int) -> asyncio.subprocess.Process:
        nonlocal tries
        tries += 1
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(web_processes, "_start", start)
    monkeypatch.setattr(web_processes, "WEB_RESTART_DELAY_SECONDS", 0.01)
    processes = web_processes.WebProcesses(replace(Settings(), web_processes=2))
    running = asyncio.create_task(processes._keep_running(1))
    await eventually(lambda: tries > 2)
    processes._ending.set()
    await asyncio.wait_for(running, PATIENCE)


class Recorder:
    """Takes the messages of warnings."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, message: str, **_: object) -> None:
        """Take one."""
        self.lines.append(message)
