"""The instances, and the end of one."""

from __future__ import annotations

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.server import Server, place


@click.group(context_settings=SETTINGS)
def instances() -> None:
    """Instances: list, drain."""


@instances.command("list", epilog=example("python scripts/instances.py list"))
@operators
async def list_(server: Server, screen: Console) -> None:
    """The instances whose lease lives."""
    found = (await server.ask("GET", "/v1/instances"))["instances"]
    screen.table(found, "instance_id", "connections", "started_at", "expires_at")


@instances.command(epilog=example("python scripts/instances.py drain web-1a2b.3"))
@click.argument("instance")
@operators
async def drain(server: Server, screen: Console, instance: str) -> int:
    """Let INSTANCE send its clients elsewhere. It takes nobody new and does not come back.

    Exit code 1 when nobody heard it: it is gone already.
    """
    told = (await server.ask("POST", f"/v1/instances/{place(instance)}:drain"))["instances"]
    heard = "drains" if told else "did not hear it"
    screen.show({"type": "drain", "instance_id": instance, "told": told}, f"{instance} {heard}.")
    return 0 if told else 1


if __name__ == "__main__":
    instances()
