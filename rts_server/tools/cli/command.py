"""The frame of all operators' commands: options for the server, and exit codes.

Exit codes: 0 success; 1 the server refused or did not answer, or something is left to do; 2 wrong
usage.
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

from rts_server.tools.cli.api_client import ApiClient, ApiError
from rts_server.tools.cli.output import CommandOutput

EXIT_FAILED = 1
HELP_SETTINGS = {"help_option_names": ["-h", "--help"]}
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CommandBody = Callable[..., Awaitable[int | None]]

SERVER_OPTIONS = (
    click.option(
        "--url",
        envvar="RTS_URL",
        default="http://127.0.0.1:8000",
        show_default=True,
        show_envvar=True,
        help="Address of the server.",
    ),
    click.option(
        "--token",
        envvar="RTS_TOKEN",
        required=True,
        show_envvar=True,
        help="Token with scope operator. Other users of this machine can see an option; "
        "prefer the variable.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print NDJSON: one object per line."),
    click.option(
        "--patience",
        type=click.FloatRange(0),
        default=30.0,
        show_default=True,
        help="Seconds to retry one request that the server cannot answer now.",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(0.1),
        default=200.0,
        show_default=True,
        help="Maximum requests per second.",
    ),
)


def operator_command(body: CommandBody) -> Callable[..., None]:
    """Make a click command of `async body(client, output, **parameters) -> exit code or None`."""

    @functools.wraps(body)
    def command(
        url: str, token: str, as_json: bool, patience: float, rate: float, **parameters: Any
    ) -> None:
        if "NO_COLOR" in os.environ:  # https://no-color.org
            click.get_current_context().color = False
        output = CommandOutput(as_json)

        async def call_body() -> int | None:
            async with ApiClient(url, token, max_wait=patience, rate=rate) as client:
                return await body(client, output, **parameters)

        try:
            code = asyncio.run(call_body())
        except ApiError as error:
            output.print_message(str(error))
            code = EXIT_FAILED
        sys.exit(code or 0)

    for option in reversed(SERVER_OPTIONS):
        command = option(command)
    return command


def example(text: str) -> str:
    """Return an epilog that click does not reflow."""
    return "\b\nExample:\n" + "\n".join("  " + line for line in text.strip().splitlines())
