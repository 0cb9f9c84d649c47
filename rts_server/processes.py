"""The web and the relay process: started by the command line, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any

import uvloop
from aiohttp import web

from rts_server import logs
from rts_server.app import DRAIN, create_app
from rts_server.config import Settings
from rts_server.drain import LONGEST_SPREAD_SECONDS, Drain
from rts_server.persistence import aws
from rts_server.redis_client.servers import check_kind
from rts_server.relay.quarantine import Quarantine
from rts_server.relay.relay import Relay
from rts_server.roomlog.trims import HotLogTrims
from rts_server.runtime.garbage import keep_pauses_short
from rts_server.runtime.process_monitor import ProcessMonitor
from rts_server.runtime.target_lifecycle import wait_for_termination
from rts_server.runtime.tasks import Tasks
from rts_server.services import Services, start_tracing

log = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 75.0
"""Seconds to wait for the headers of a connection's next request; aiohttp's default is an hour."""
ACCEPT_BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted, as nginx in front keeps. Those beyond
it are not refused: their SYN is dropped, and tried again after 1, 2, 4, … s (R5)."""
PROCESS_KILL_AFTER_SECONDS = 60.0
"""Seconds after SIGTERM after which the kernel ends a process that is still there (R6)."""


def run_web(settings: Settings) -> None:
    """Serve until SIGTERM, SIGUSR1 or an operator's drain; drain and return."""
    logs.configure(settings.log_level, process="web")
    _require_role("RTS_WEB_ROLE_ARN", settings.web_role_arn)
    uvloop.run(check_kind(settings))
    try:
        uvloop.run(_web(settings))
    except OSError as error:
        sys.exit(f"Port {settings.port} of {settings.host} cannot be bound: {error.strerror}.")


async def _web(settings: Settings) -> None:
    """Keep listening while draining: readiness must give the reason, handshakes must get 503."""
    signals, tasks = Signals(), Tasks()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, signals.received)
    runner = web.AppRunner(
        create_app(settings),
        access_log=None,
        shutdown_timeout=1.0,
        keepalive_timeout=KEEPALIVE_SECONDS,
        tcp_keepalive=False,  # Engine.IO has a heartbeat
    )
    await runner.setup()
    try:
        keep_pauses_short()
        await web.TCPSite(runner, settings.host, settings.port, backlog=ACCEPT_BACKLOG).start()
        drain = runner.app[DRAIN]
        # Of the parent (`web_processes`); as often as it comes, and beside SIGTERM of the system.
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, signals.pressed)
        if settings.instance_metadata:
            tasks.keep(_drain_before_termination(settings.instance_metadata, drain))
        tasks.keep(_hurry_when_pressed(signals, drain))
        await _first_of(signals.pressing.wait(), drain.end_requested.wait())
        if not signals.pressing.is_set():
            signal.setitimer(
                signal.ITIMER_REAL, LONGEST_SPREAD_SECONDS + PROCESS_KILL_AFTER_SECONDS
            )
        await _first_of(drain.drain(), signals.second.wait())
    finally:
        await tasks.close()
        await runner.cleanup()


class Signals:
    """Events of the first and the second signal to end; the second one ends a drain.

    The first signal during an operator's drain is the supervisor's and lets the drain go on, which
    has to end in time then. `pressing` is that of the first, or of the parent's signal.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.pressing = asyncio.Event()

    def received(self) -> None:
        """Count a signal."""
        (self.second if self.first.is_set() else self.first).set()
        self.pressed()

    def pressed(self) -> None:
        """Note that the process has to end within 60 s (R6), by a timer of the kernel at last."""
        if not self.pressing.is_set():
            signal.setitimer(signal.ITIMER_REAL, PROCESS_KILL_AFTER_SECONDS)
            self.pressing.set()


async def _first_of(*awaitables: Awaitable[object]) -> None:
    """Wait until one of them is done; the others run on."""
    futures = [asyncio.ensure_future(one) for one in awaitables]
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _hurry_when_pressed(signals: Signals, drain: Drain) -> None:
    await signals.pressing.wait()
    drain.hurry()


async def _drain_before_termination(url: str, drain: Drain) -> None:
    """Drain while the balancer still carries the sockets: at SIGTERM it has cut them."""
    await wait_for_termination(url)
    log.info("instance is about to be terminated")
    await drain.drain()


def run_relay(settings: Settings) -> None:
    """Move outbox entries to SQS until SIGTERM."""
    logs.configure(settings.log_level, process="relay")
    _require_role("RTS_RELAY_ROLE_ARN", settings.relay_role_arn)
    uvloop.run(check_kind(settings))
    uvloop.run(_relay(settings))


async def _relay(settings: Settings) -> None:
    tracing = start_tracing(settings, "rts-relay")
    async with (
        Services(settings, tracing) as services,
        ProcessMonitor(settings, "relay", services.origin, settings.metrics_port),
    ):
        relay, quarantine = (
            Relay(
                settings,
                services.redis,
                services.pipe,
                services.servers,
                tracing.accepted_by_sqs if tracing else None,
            ),
            Quarantine(settings, services.messages.fail),
        )
        trims = HotLogTrims(settings, services.pipe, services.archive, relay.partitions)
        loops = (relay.run_forever(), quarantine.run_forever(), trims.run_forever())
        task = asyncio.create_task(_run_all(*loops))

        def end() -> None:
            signal.setitimer(signal.ITIMER_REAL, PROCESS_KILL_AFTER_SECONDS)
            task.cancel()

        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, end)
        keep_pauses_short()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _run_all(*loops: Coroutine[Any, Any, None]) -> None:
    """Run until cancelled, or until one fails; return when each of them has ended.

    Not `asyncio.gather`, which ends with the first that is cancelled: the connections would be
    closed below a relay that still waits for its requests and releases its leases.
    """
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(loop)


def _require_role(variable: str, role_arn: str | None) -> None:
    """Exit unless the active AWS profile assumes the role.

    Without it the process would run under the instance's role, and each call to SQS, DynamoDB and
    S3 would be denied while the process looks healthy.
    """
    if role_arn and aws.profile_role() != role_arn:
        sys.exit(
            f"{variable} is set, but the active AWS profile does not assume that role: "
            "check AWS_CONFIG_FILE and AWS_PROFILE of this process."
        )
