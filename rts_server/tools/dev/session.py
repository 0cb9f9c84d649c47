"""One run of `rts-server dev`: start everything, supervise it, and stop it on a signal."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rts_server import auth
from rts_server.tools.dev.console import Console
from rts_server.tools.dev.stack import Stack
from rts_server.tools.dev.supervisor import Supervisor

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SUPERVISE_EVERY_SECONDS = 0.2
DEMO_USERS = {"alice": "Alice", "bob": "Bob"}


class StopRequested(BaseException):
    """Raised in the main thread by a stop signal."""


@dataclass(frozen=True)
class SessionOptions:
    """Options of the command line."""

    data: Path
    instances: int = 1
    port: int | None = None
    fresh: bool = False
    limits: str | None = None
    shards: int = 1


def run_session(options: SessionOptions) -> None:
    """Run until Ctrl-C, SIGTERM or SIGHUP.

    Raises StackError or ConfigError, with nothing left running.
    """
    console = Console()
    stack = Stack(
        options.data, limits=options.limits, shards=options.shards, report=console.print_step
    )
    supervisor = Supervisor(
        stack,
        instances=options.instances,
        port=stack.settings.port if options.port is None else options.port,
        report=console.print_step,
        show_log_line=console.print_log_line,
    )
    supervisor.check_ports()
    for number in STOP_SIGNALS:
        signal.signal(number, _request_stop)
    with suppress(StopRequested):
        try:
            console.print_step("starting Valkey and a local AWS")
            stack.start(fresh=options.fresh)
            supervisor.start()
            _print_ready(console, supervisor)
            while True:
                supervisor.check_processes()
                time.sleep(SUPERVISE_EVERY_SECONDS)
        finally:
            _ignore_stop_signals()
            supervisor.stop()
    console.print_step("ended")


def _print_ready(console: Console, supervisor: Supervisor) -> None:
    settings = supervisor.stack.settings
    tokens = {user: auth.issue(settings, user, name=name) for user, name in DEMO_USERS.items()}
    urls = [web.url for web in supervisor.webs]
    console.print_ready(urls, tokens, str(supervisor.stack.data))


def _request_stop(number: int, frame: FrameType | None) -> None:
    # Ignore further signals first: a second Ctrl-C must not interrupt the parts that save data.
    _ignore_stop_signals()
    raise StopRequested


def _ignore_stop_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
