"""What the terminal shows of `rts-server dev`."""

from __future__ import annotations

import time

import click

CLIENT = """\
  const {{ io }} = require("socket.io-client");
  const chat = io("{url}/chat", {{ transports: ["websocket"], auth: (give) => give({{ token: "{token}" }}) }});
  chat.onAny((name, event) => console.log(name, event.data));"""  # noqa: E501


class Console:
    """Steps with the seconds since the start, on standard output."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        """Something is done."""
        click.echo(f"{time.monotonic() - self._started:6.1f} s  {text}")

    def line(self, text: str) -> None:
        """Something a part logged."""
        click.echo(f"          {text}", err=True)

    def ready(self, urls: list[str], tokens: dict[str, str], data: str) -> None:
        """All runs: where, who one can be, and a client to paste."""
        self.step("ready")
        click.echo(f"\n  {'  '.join(urls)}\n")
        for user, token in tokens.items():
            click.echo(f"  {user:<6} {token}")
        first = next(iter(tokens.values()))
        click.echo(f"\n{CLIENT.format(url=urls[0], token=first)}\n")
        click.echo(f"  Data and logs are in {data}. Ctrl-C ends everything.\n")
