"""What waits in the queues, what was given up in their DLQs, and the way back."""

from __future__ import annotations

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.replay import replay as sent_again
from rts_server.tools.cli.server import Server

DLQ = {"messages": "-dlq.fifo", "rooms": "-dlq"}
"""How its name ends."""
which = click.argument("which", type=click.Choice([*DLQ]))


@click.group(context_settings=SETTINGS)
def queues() -> None:
    """Queues and DLQs: list, show, redrive."""


@queues.command("list", epilog=example("python scripts/queues.py list"))
@operators
async def list_(server: Server, screen: Console) -> None:
    """All queues with SQS's own guesses of how many records they hold."""
    found = (await server.ask("GET", "/v1/queues", peek="0"))["queues"]
    screen.table(found, "name", "waiting", "in_flight", "delayed")


@queues.command(epilog=example("python scripts/queues.py show messages"))
@which
@operators
async def show(server: Server, screen: Console, which: str) -> int:
    """Some records of a DLQ: which room, which position, how often tried; never a text.

    Exit code 1 when there is one: what was given up waits for somebody.
    """
    found = (await server.ask("GET", "/v1/queues"))["queues"]
    (dlq,) = (queue for queue in found if queue["name"].endswith(DLQ[which]))
    columns = ("room_id", "epoch", "offset", "seq", "message_id", "receives", "sent_ms")
    screen.table(dlq["records"], *columns)
    return 1 if dlq["records"] else 0


@queues.command(epilog=example("python scripts/queues.py redrive messages"))
@which
@operators
async def redrive(server: Server, screen: Console, which: str) -> int:
    """Put the records of a DLQ back into its queue, in the order of each room.

    First mend what they failed of. Safe to run again. Exit code 1 when some are left.
    """
    return await sent_again(server, screen, "/v1/queues/dlq:replay", {"queue": which})


if __name__ == "__main__":
    queues()
