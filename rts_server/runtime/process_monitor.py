"""Measures the lag of the event loop, and writes the metrics for CloudWatch."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from urllib.parse import urlsplit

from prometheus_client import REGISTRY, start_http_server

from rts_server import emf
from rts_server.config import Settings
from rts_server.runtime.load_shedding import LoadShedding
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import Tasks

AGENT_PORT = 25888
"""Default port of the CloudWatch agent for EMF."""


class ProcessMonitor:
    """Two background tasks; the path of a message does not lead through them.

    `port`: the port on which a process without REST serves `/metrics`; 0 is none.
    """

    def __init__(
        self,
        settings: Settings,
        process: emf.Kind,
        instance: str,
        port: int = 0,
        load_shedding: LoadShedding | None = None,
    ) -> None:
        self._settings = settings
        self._process: emf.Kind = process
        self._instance = instance
        self._port = port
        self._load_shedding = load_shedding or LoadShedding()
        self._tasks = Tasks()
        self._before: emf.Samples = {}
        self._server = start_http_server(port, settings.host)[0] if port else None
        self._agent = _agent(settings.emf_agent)

    async def __aenter__(self) -> ProcessMonitor:
        """Start measuring."""
        self._load_shedding.start()
        if self._settings.emf_interval:
            self._before = emf.samples(REGISTRY.collect())
            self._tasks.keep(repeat_forever("metrics", self._write_metrics))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and close the ports."""
        self._load_shedding.close()
        await self._tasks.close()
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()
        if self._agent is not None:
            self._agent.close()

    async def _write_metrics(self) -> None:
        await asyncio.sleep(self._settings.emf_interval)
        before, self._before = self._before, emf.samples(REGISTRY.collect())
        self._write_line(
            emf.emf_line(
                emf.METRICS_BY_PROCESS[self._process],
                before,
                self._before,
                ms=round(time.time() * 1000),
                namespace=self._settings.emf_namespace,
                log_group=self._settings.emf_log_group,
                environment=self._settings.environment,
                process=self._process,
                instance=self._instance,
            )
        )

    def _write_line(self, line: str) -> None:
        """Write to the CloudWatch agent if there is one, else to standard error."""
        if self._agent is None:
            sys.stderr.write(line + "\n")
            return
        try:
            self._agent.send(line.encode() + b"\n")
        except OSError:
            sys.stderr.write(line + "\n")


def _agent(url: str | None) -> socket.socket | None:
    """Return a UDP socket to the CloudWatch agent, which expects EMF on port 25888."""
    if not url:
        return None
    address = urlsplit(url)
    agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    agent.connect((address.hostname or "127.0.0.1", address.port or AGENT_PORT))
    agent.setblocking(False)
    return agent
