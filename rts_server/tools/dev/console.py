"""Terminal output of `rts-server dev`."""

from __future__ import annotations

import time

import click

EXAMPLE_CLIENT = """\
  const {{ io }} = require("socket.io-client");
  const chat = io("{url}/chat", {{ transports: ["websocket"], auth: (give) => give({{ token: "{token}" }}) }});
  chat.onAny((name, event) => console.log(name, event.data));"""  # noqa: E501


class Console:
    """Prints steps with the seconds since the start to standard output, log lines to stderr."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def print_step(self, text: str) -> None:
        """Print one finished step."""
        click.echo(f"{time.monotonic() - self._started:6.1f} s  {text}")

    def print_log_line(self, text: str) -> None:
        """Print a log line of one of the processes."""
        click.echo(f"          {text}", err=True)

    def print_ready(self, urls: list[str], tokens: dict[str, str], data: str) -> None:
        """Print the URLs, a token per demo user, and a client to paste."""
        self.print_step("ready")
        click.echo(f"\n  {'  '.join(urls)}\n")
        for user, token in tokens.items():
            click.echo(f"  {user:<6} {token}")
        first = next(iter(tokens.values()))
        click.echo(f"\n{EXAMPLE_CLIENT.format(url=urls[0], token=first)}\n")
        click.echo(f"  Data and logs are in {data}. Ctrl-C ends everything.\n")
