"""What all operators' commands have in common: where the server is, and how they end.

Exit codes: 0 done; 1 the server refused, was not reached, or something is left to do; 2 wrong use.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from rts_server.tools.cli.console import Console
from rts_server.tools.cli.server import Refused, Server

FAILED = 1
SETTINGS = {"help_option_names": ["-h", "--help"]}
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
Body = Callable[..., Awaitable[int | None]]

OPTIONS = (
    click.option(
        "--url",
        envvar="RTS_URL",
        default="http://127.0.0.1:8000",
        show_default=True,
        show_envvar=True,
        help="The server.",
    ),
    click.option(
        "--token",
        envvar="RTS_TOKEN",
        required=True,
        show_envvar=True,
        help="With scope operator; an option is seen by others on the machine.",
    ),
    click.option("--json", "as_json", is_flag=True, help="NDJSON: one object a line."),
    click.option(
        "--patience",
        type=click.FloatRange(0),
        default=30.0,
        show_default=True,
        help="Seconds to repeat one request that the server cannot answer now.",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(0.1),
        default=200.0,
        show_default=True,
        help="Requests/s at most.",
    ),
)


def operators(body: Body) -> Callable[..., None]:
    """A click command out of `async body(server, screen, …) -> exit code or None`."""

    @functools.wraps(body)
    def command(
        url: str, token: str, as_json: bool, patience: float, rate: float, **given: Any
    ) -> None:
        if "NO_COLOR" in os.environ:  # https://no-color.org
            click.get_current_context().color = False
        screen = Console(as_json)

        async def run() -> int | None:
            async with Server(url, token, patience, rate) as server:
                return await body(server, screen, **given)

        try:
            code = asyncio.run(run())
        except Refused as refused:
            screen.say(str(refused))
            code = FAILED
        sys.exit(code or 0)

    for option in reversed(OPTIONS):
        command = option(command)
    return command


def example(text: str) -> str:
    """An epilog that click leaves as it is."""
    return "\b\nExample:\n" + "\n".join("  " + line for line in text.strip().splitlines())
