"""The web processes of a host, one per core, and their parent.

Each listens on its own port, because a session belongs to one process; nginx knows the ports
(`.platform/hooks/prebuild/10_units.sh`). The parent serves nobody: it starts a process again that
has ended, replaces one that is not ready while others are, and drains all when it is to end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from functools import partial
from typing import Literal

import aiohttp

from rts_server import logs
from rts_server.config import Settings
from rts_server.runtime import tether
from rts_server.runtime.loops import repeat_forever

log = logging.getLogger(__name__)
Readiness = Literal["ready", "draining", "failing"]

WEB_RESTART_DELAY_SECONDS = 1.0
READINESS_CHECK_SECONDS = 5.0
READINESS_TIMEOUT_SECONDS = 5.0
MAX_FAILED_CHECKS = 6
"""Checks in a row that a process may fail, while another is ready, before it is replaced."""
END_TIMEOUT_SECONDS = 65.0
"""Seconds for a drain; before, the kernel should have ended the process (R6)."""


def run_web_processes(settings: Settings) -> None:
    """Run `settings.web_processes` processes until SIGTERM, then drain them all."""
    logs.configure(settings.log_level, process="web")
    asyncio.run(WebProcesses(settings).run_until_signal())


class WebProcesses:
    """The parent of `settings.web_processes` processes, on ports from `settings.port` on."""

    def __init__(self, settings: Settings) -> None:
        first, count = settings.port, settings.web_processes
        self._host = settings.host
        self._ports = range(first, first + count)
        self._ending = asyncio.Event()
        self._children: dict[int, Process] = {}
        self._failed_checks = dict.fromkeys(self._ports, 0)

    async def run_until_signal(self) -> None:
        """Run them until SIGTERM or SIGINT; return when all have drained and ended."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._on_signal)
        checks = asyncio.create_task(self._replace_forever())
        await asyncio.gather(*map(self._keep_running, self._ports))
        checks.cancel()

    def _on_signal(self) -> None:
        """Drain at the first signal, end at once at the second."""
        if self._ending.is_set():
            for child in self._children.values():
                with suppress(ProcessLookupError):
                    child.kill()
        self._ending.set()

    async def _keep_running(self, port: int) -> None:
        """Run the process of this port, again and again until the end."""
        while not self._ending.is_set():
            try:
                status = await self._run_once(port)
            except OSError:  # no memory, no process id: the others go on meanwhile
                log.exception("web process cannot be started", extra={"port": port})
                status = None
            if status != 0:  # not after a drain
                with suppress(TimeoutError):
                    async with asyncio.timeout(WEB_RESTART_DELAY_SECONDS):
                        await self._ending.wait()

    async def _run_once(self, port: int) -> int | None:
        """Start the process of this port and return its exit status. Raises OSError."""
        child = self._children[port] = await _start(port)
        self._failed_checks[port] = 0
        await self._wait_or_end(child)
        if not self._ending.is_set():
            log.warning("web process ended", extra={"port": port, "status": child.returncode})
        return child.returncode

    async def _wait_or_end(self, child: Process) -> None:
        """Wait until the process ends; drain it when all are to end."""
        ended = asyncio.ensure_future(child.wait())
        ending = asyncio.ensure_future(self._ending.wait())
        await asyncio.wait({ended, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not ended.done():
            await _drain(child)
        await ended

    async def _replace_forever(self) -> None:
        timeout = aiohttp.ClientTimeout(total=READINESS_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await repeat_forever("web processes", partial(self._replace_unready, http))

    async def _replace_unready(self, http: aiohttp.ClientSession) -> None:
        """End processes that are not ready: nginx leads clients to every one that answers (R8)."""
        await asyncio.sleep(READINESS_CHECK_SECONDS)
        found = await asyncio.gather(*(self.readiness(http, port) for port in self._ports))
        for port, readiness in zip(self._ports, found, strict=True):
            spared = readiness != "failing" or "ready" not in found
            failed = 0 if spared else self._failed_checks[port] + 1
            self._failed_checks[port] = failed
            if failed == MAX_FAILED_CHECKS:
                log.warning("web process is not ready", extra={"port": port})
                await _drain(self._children[port])

    async def readiness(self, http: aiohttp.ClientSession, port: int) -> Readiness:
        """Return what the process of this port answers; one that drains ends by itself."""
        try:
            async with http.get(f"http://{self._host}:{port}/health/ready") as answer:
                if answer.status == 200:
                    return "ready"
                return "draining" if '"draining"' in await answer.text() else "failing"
        except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            return "failing"


async def _start(port: int) -> Process:
    """Start a process that ends with this one, even if this one is killed."""
    serve = [sys.executable, "-m", "rts_server", "serve"]
    if sys.platform == "linux":
        bond = [sys.executable, "-I", "-S", tether.__file__, "signal", str(os.getpid())]
        serve = [*bond, *serve]
    own = {"RTS_PORT": str(port), "RTS_WEB_PROCESSES": "1"}
    return await asyncio.create_subprocess_exec(*serve, env=os.environ | own)


async def _drain(child: Process) -> None:
    """Drain a process and wait for its end.

    By SIGUSR1: systemd sends SIGTERM to the children too, and a second one would end the drain.
    """
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGUSR1)
    try:
        async with asyncio.timeout(END_TIMEOUT_SECONDS):
            await child.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
