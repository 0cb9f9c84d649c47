"""Records that a Lambda could never apply, and a second chance for them."""

from __future__ import annotations

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.replay import replay as sent_again
from rts_server.tools.cli.server import Server

COLUMNS = ("room_id", "epoch", "offset", "seq", "message_id", "whole", "reason")


@click.group(context_settings=SETTINGS)
def quarantine() -> None:
    """Quarantine: list, replay."""


@quarantine.command("list", epilog=example("python scripts/quarantine.py list"))
@operators
async def list_(server: Server, screen: Console) -> int:
    """Up to 100 of them: where they belong and why they are here; never a text.

    SQS keeps them for 14 days. One that is not whole was too long and cannot be sent again.
    Exit code 1 when there is one.
    """
    found = (await server.ask("GET", "/v1/queues/quarantine"))["records"]
    screen.table([{"type": "record", **one} for one in found], *COLUMNS)
    return 1 if found else 0


@quarantine.command(epilog=example("python scripts/quarantine.py replay"))
@operators
async def replay(server: Server, screen: Console) -> int:
    """Send them again, in the order of each room. First mend what they failed of.

    A message was told as failed to its room; it comes as a new one of its sender, at the end. Any
    other record goes back into its queue. Safe to run again. Exit code 1 when some are left.
    """
    return await sent_again(server, screen, "/v1/queues/quarantine:replay", {})


if __name__ == "__main__":
    quarantine()
