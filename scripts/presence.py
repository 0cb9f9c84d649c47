"""Why a user is shown online, away or offline."""

from __future__ import annotations

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.server import Server, place


@click.command(context_settings=SETTINGS, epilog=example("python scripts/presence.py alice"))
@click.argument("user")
@operators
async def presence(server: Server, screen: Console, user: str) -> None:
    """How USER is told to be, and the instances that count connections of his.

    Online while one of them is alive; a count of a dead one goes with the next sweep.
    """
    told = await server.ask("GET", f"/v1/users/{place(user)}/presence", explain="1")
    how = told["presence"]
    since = f", last active {how['last_active_at']}" if how.get("last_active_at") else ""
    screen.show({"type": "presence", **how}, f"{user}: {how['state']}{since}")
    rows = [{"type": "connections", **one} for one in told["connections"]]
    if rows or screen.as_json:
        screen.table(rows, "instance_id", "connections", "alive")


if __name__ == "__main__":
    presence()
