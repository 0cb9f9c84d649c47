"""The life of a process: started by the command line, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys

import uvloop
from aiohttp import web

from rts_server import logs
from rts_server.app import DRAIN, create_app
from rts_server.config import Settings
from rts_server.relay.quarantine import Quarantine
from rts_server.relay.relay import Relay
from rts_server.runtime.process_monitor import ProcessMonitor
from rts_server.services import Services, start_tracing

log = logging.getLogger(__name__)

HEADERS_WITHIN = 75.0
"""Seconds for the headers of a request, also the next one; a runner allows an hour by itself."""
END_WITHIN = 60.0
"""Seconds after SIGTERM when the kernel ends a web process that has not ended itself."""


def run_web(settings: Settings) -> None:
    """Serve until SIGTERM, then drain."""
    logs.configure(settings.log_level, process="web")
    try:
        uvloop.run(_web(settings))
    except OSError as error:
        sys.exit(f"Port {settings.port} of {settings.host} cannot be bound: {error.strerror}.")


async def _web(settings: Settings) -> None:
    """The listener stays until all are gone: readiness has to say why, and clients to hear 503."""
    signals = asyncio.Semaphore(0)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, signals.release)
    runner = web.AppRunner(
        create_app(settings),
        access_log=None,
        shutdown_timeout=1.0,
        keepalive_timeout=HEADERS_WITHIN,
        tcp_keepalive=False,  # sessions have their heartbeat
    )
    await runner.setup()
    try:
        _settle()
        await web.TCPSite(runner, settings.host, settings.port).start()
        await signals.acquire()
        signal.setitimer(signal.ITIMER_REAL, END_WITHIN)
        again = asyncio.ensure_future(signals.acquire())
        drained = runner.app[DRAIN].drain()
        await asyncio.wait([drained, again], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()


def run_relay(settings: Settings) -> None:
    """Move outbox entries to SQS until SIGTERM."""
    logs.configure(settings.log_level, process="relay")
    uvloop.run(_relay(settings))


async def _relay(settings: Settings) -> None:
    tracing = start_tracing(settings, "rts-relay")
    async with (
        Services(settings, tracing) as parts,
        ProcessMonitor(settings, "relay", parts.origin, settings.metrics_port),
    ):
        relay, quarantine = (
            Relay(settings, parts.redis, tracing.accepted_by_sqs if tracing else None),
            Quarantine(settings, parts.messages.fail),
        )
        task = asyncio.ensure_future(asyncio.gather(relay.run(), quarantine.run()))
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, task.cancel)
        _settle()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _settle() -> None:
    """What was loaded until now stays, so the collector need not look at it again: 200,000 objects,
    0.1 to 0.2 s in which nobody is served."""
    gc.collect()
    gc.freeze()
