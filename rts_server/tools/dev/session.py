"""One run of `rts-server dev`: everything up, watched, and down again, whatever ends it."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rts_server import auth
from rts_server.tools.dev.console import Console
from rts_server.tools.dev.fleet import Fleet
from rts_server.tools.dev.stack import Stack

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY = 0.2
PEOPLE = {"alice": "Alice", "bob": "Bob"}


class Ended(BaseException):
    """The person or the system asked for the end."""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    data: Path
    instances: int = 1
    port: int | None = None
    fresh: bool = False
    limits: str | None = None


def run(options: Options) -> None:
    """Run until Ctrl-C, SIGTERM or SIGHUP. Raises Trouble or ConfigError, nothing left running."""
    console = Console()
    stack = Stack(options.data, limits=options.limits, tell=console.step)
    port = stack.settings.port if options.port is None else options.port
    fleet = Fleet(
        stack, instances=options.instances, port=port, tell=console.step, show=console.line
    )
    fleet.check()
    for number in ENDING:
        signal.signal(number, _end)
    with suppress(Ended):
        try:
            console.step("starting Valkey and a local AWS")
            stack.start(fresh=options.fresh)
            fleet.start()
            _greet(console, fleet)
            while True:
                fleet.tend()
                time.sleep(LOOK_EVERY)
        finally:
            _deafen()
            fleet.stop()
    console.step("ended")


def _greet(console: Console, fleet: Fleet) -> None:
    settings = fleet.stack.settings
    tokens = {user: auth.issue(settings, user, name=name) for user, name in PEOPLE.items()}
    console.ready([web.url for web in fleet.webs], tokens, str(fleet.stack.data))


def _end(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C must not break off the saving.
    _deafen()
    raise Ended


def _deafen() -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
